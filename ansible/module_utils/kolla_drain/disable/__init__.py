"""Take a service out of scheduling, and put it back."""

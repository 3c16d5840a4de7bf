"""Take a Cinder or Nova service out of scheduling, and put it back."""

"""Take a Cinder, Manila or Nova service out of scheduling, and put it back."""

"""What runs on Ansible's controller."""

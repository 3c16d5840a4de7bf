"""The systemd units that own containers."""

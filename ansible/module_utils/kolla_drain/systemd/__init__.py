"""The systemd units that own containers: at run time, and their files."""

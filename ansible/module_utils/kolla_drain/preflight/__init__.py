"""Find what is wrong before a stop."""

"""What is found to be wrong before a stop."""

"""What is asked of a container engine; one file an engine."""

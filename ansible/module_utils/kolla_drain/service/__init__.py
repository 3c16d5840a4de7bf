"""A service's own configuration."""

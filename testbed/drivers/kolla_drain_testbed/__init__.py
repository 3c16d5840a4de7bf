"""Runs inside the service containers: drivers whose operations take as long as they are told."""

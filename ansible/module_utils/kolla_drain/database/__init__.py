"""Reads a service's database: where it is, the connection, and the sentences for what goes wrong."""

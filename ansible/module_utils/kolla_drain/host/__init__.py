"""What lies on the managed host: records of stops, processes, files."""

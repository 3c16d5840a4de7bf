"""Records, processes and files of the managed host."""

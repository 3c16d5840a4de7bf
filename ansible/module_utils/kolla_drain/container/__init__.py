"""The container that is wanted, and how one that is there differs from it. Pure."""

"""What each action of the module does."""

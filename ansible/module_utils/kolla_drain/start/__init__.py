"""Start again: exchange containers and prove that the new one serves. Pure."""

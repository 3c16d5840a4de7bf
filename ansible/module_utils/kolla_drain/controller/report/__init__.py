"""The report of a run: its JSON, its page and its metrics. Pure, and used only on the controller."""

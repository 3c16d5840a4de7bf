"""Container engines: one port that the core talks to, and an adapter for each engine."""

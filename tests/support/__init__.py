"""What the tests share: workloads in containers, the engine's events, runs of the module."""

"""TODO: say what this is."""

from __future__ import annotations

from ..model import Container

# A signal whose call broke off in a run that has died may still be on its way through a slow engine: it is looked
# for in the engine's events for this long, in seconds, before it counts as never sent.
DOUBT = 20.0


def stop_signals(container: Container) -> frozenset[str]:
    """The signals that count as a stop whoever sent them. HUP, USR1 and the like also mean other things."""
    return frozenset({"SIGTERM", "SIGINT", "SIGQUIT", container.stop_signal})

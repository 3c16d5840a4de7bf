"""What an engine's events tell of one process life, on a host whose wall clock may have been set back since.

A host whose hardware clock is ahead starts its containers first and has its clock set by NTP then. From that moment on
events are older than the process that they are about, and for a while those from before lie in the future. What tells
then is their order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..host.ledger import boot_clock
from ..host.process import begun
from ..model import Container
from .inspected import epoch

# Seconds within which an engine writes the event of a start, once it has taken down when the process started.
_STARTED_WITHIN = 60.0

# Seconds from the beginning of a process to when its engine takes it for started, at most.
_NOTICED_WITHIN = 2.0


def set_back(container: Container) -> float:
    """Return by how many seconds the wall clock has been set back since a container's process began, or 0.

    The kernel counts a process's age by a clock that nobody sets.
    """
    since = begun(container.pid) if container.pid else None
    if since is None:
        return 0.0
    seconds = boot_clock() - since - (time.time() - epoch(container.started_at))
    return seconds if seconds > _NOTICED_WITHIN else 0.0


def of_life(
    container: Container, events: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """Return those of a container's events that are about this life, and whether they reach back to its start. Pure.

    The events are in the order in which they came. Where the start is not among them, an event counts whatever time it
    has: the engine forgets the oldest first, so that all came after the start.
    """
    since = epoch(container.started_at)
    after = {
        number: moment(event) - since for number, event in enumerate(events) if event.get("Action") == "start"
    }
    # The nearest, because the life before may have begun a moment before this one.
    own = min(
        ((abs(at), number) for number, at in after.items() if -1.0 <= at <= _STARTED_WITHIN), default=None
    )
    first = own[1] if own else 0
    end = min((number for number in after if number > first), default=len(events))
    return events[first:end], own is not None


def moment(event: Mapping[str, Any]) -> float:
    """Return when an event came, by the engine's clock."""
    return float(event.get("timeNano", 0)) / 1e9

"""What the engine does with containers, as it comes: the engine itself remembers its last 256 events only.

with Recorder(client, of=lambda event: event.name.startswith("cinder_")) as recorder:
    ...
print(recorder.events)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import docker

# Events arrive a moment after the fact.
LATE = 1.0


@dataclass(frozen=True)
class Event:
    """One event of a container."""

    at: float  # seconds since the epoch
    action: str  # kill, die, start, pause, ...
    name: str  # of the container, as it was then
    id: str
    signal: str  # of a kill, by number; else empty


class Recorder:
    """All events of containers that ``of`` picks, but for execs, from the time this is made until it is closed."""

    def __init__(
        self,
        client: docker.DockerClient,
        of: Callable[[Event], bool] = lambda _: True,
        hear: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Call ``hear`` with each event, in a thread of its own; it must not raise."""
        self.events: list[Event] = []
        self._of, self._hear = of, hear
        # From this moment on, because the engine answers a little before it begins to send events.
        span: dict[str, Any] = {"since": f"{time.time():.9f}"}
        self._stream = client.api.events(filters={"type": "container"}, decode=True, **span)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(LATE)
        self.close()

    def close(self) -> None:
        """Stop listening; an event of this very moment may be missed."""
        self._stream.close()
        self._reader.join(LATE)

    def _read(self) -> None:
        for raw in self._stream:
            event = _event(raw)
            if not event.action.startswith("exec_") and self._of(event):
                self.events.append(event)
                self._hear(event)


def _event(raw: dict[str, Any]) -> Event:
    of = raw["Actor"]["Attributes"]
    return Event(raw["timeNano"] / 1e9, raw["Action"], of["name"], raw["Actor"]["ID"], of.get("signal", ""))

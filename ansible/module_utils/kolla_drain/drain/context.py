"""What the parts of one container's stop share."""

from __future__ import annotations

from collections.abc import Callable

from ..engine.port import Engine
from ..model import Container, Entry
from .history import History
from .ports import Ledger
from .result import Event, Target


class Context:
    """The state of one stop. Times are seconds on the loop's clock."""

    def __init__(self, target: Target, engine: Engine, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.target = target
        self.engine = engine
        self.ledger = ledger
        self.clock = clock
        self.container: Container = target.container  # as last seen
        self.plan = target.plan
        self.started = clock()  # when this run began
        self.begun = self.started  # when the stop began, which this run may have joined
        self.deadline = 0.0
        self.entry: Entry | None = None  # of the ledger; None until the stop is open
        self.changed = False
        self.wants_reading = True  # now, not only when the interval is over
        self.timeline: list[Event] = []
        self.history = History(
            target.profile, target.service_down_time, self.started, self.note, target.baseline
        )

    def note(self, event: str) -> None:
        """Add a line to the timeline."""
        self.timeline.append(Event(round(self.clock() - self.started, 2), event))

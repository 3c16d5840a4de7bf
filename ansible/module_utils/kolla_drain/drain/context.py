"""What the parts of one container's stop share."""

from __future__ import annotations

from collections.abc import Callable

from ..engine.port import Engine
from ..model import NO_PROFILE, Container, Entry, EvidenceState
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
        self.phase: Callable[[], str] = lambda: ""
        # What earlier runs of this stop noted: the moment, the phase, the event.
        self.earlier: tuple[tuple[float, str, str], ...] = ()
        self.history = History(
            target.profile, target.service_down_time, self.started, self.note, target.baseline
        )

    @property
    def evidence(self) -> tuple[EvidenceState, str]:
        """Return whether the evidence of this stop could be read, and why or when it could not."""
        if self.target.profile.name == NO_PROFILE.name:
            return EvidenceState.NONE, ""
        if self.target.evidence_missing:
            return EvidenceState.UNAVAILABLE, self.target.evidence_missing
        if self.entry is None:
            return EvidenceState.NONE, "not read, because it does not run"
        return self.history.summary()

    @property
    def whole_timeline(self) -> tuple[Event, ...]:
        """Return the timeline with what earlier runs noted, which was before this one began."""
        return (*(Event(round(at - self.started, 2), event) for at, _, event in self.earlier), *self.timeline)

    def note(self, event: str) -> None:
        """Add a line to the timeline."""
        self.timeline.append(Event(round(self.clock() - self.started, 2), event, self.phase()))

"""The words of the matrix: operations and their right ends, and what was seen of a stop and of each operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

STOP, UPGRADE, PLAIN, KOLLA_ANSIBLE = "stop", "upgrade", "plain", "kolla-ansible"
WAYS = (STOP, UPGRADE, PLAIN, KOLLA_ANSIBLE)
OURS = (STOP, UPGRADE)
VOLUME, BACKUP = "volume", "backup"  # of a lane
GONE = "gone"
NOT_RUN = "not run"


@dataclass(frozen=True)
class State:
    """The right final status of a resource."""

    resource: str
    id: str
    status: str = "available"


@dataclass(frozen=True)
class Operation:
    """One accepted request and its right end."""

    kind: str
    states: tuple[State, ...]  # the first is the resource that the operation is about
    check: Callable[[], str] = lambda: ""  # what is wrong with rows and files, once the states are right
    in_flight: bool = True  # when the stop began; a request that came later is not the verdict's business
    sent: float | None = None  # of one that came later: seconds after the beginning of the stop

    @property
    def ids(self) -> set[str]:
        """The ids by which evidence may report the operation."""
        return {state.id for state in self.states}

    @property
    def id(self) -> str:
        return self.states[0].id


@dataclass(frozen=True)
class Stopped:
    """How a way ended the container."""

    verdict: str = ""
    reason: str = ""
    seconds: float = 0.0  # from the call to the container's exit
    ended: bool = False  # the engine told of that exit, and the states at it are of that moment
    gap: float | None = None  # from that to the new process's start
    own: float = 0.0  # from the module's begin to the exit, without the time that Ansible needs
    told: tuple[dict[str, Any], ...] = ()  # the module's operations
    signals: tuple[int | None, ...] = ()  # that the engine sent to the container that ended
    second: str = ""  # the verdict of a second call beside it, or why that claims nothing or refused


@dataclass(frozen=True)
class Fate:
    """What became of one operation."""

    kind: str
    id: str
    wanted: str
    at_exit: str
    status: str
    right: bool
    in_flight: bool
    sent: float | None = None  # one that came later: seconds after the beginning of the stop
    told: str = (
        ""  # the outcome that the module tells: finished, interrupted, unknown; empty: it never saw it
    )
    wrong: str = ""

    @property
    def word(self) -> str:
        """Return the outcome in words."""
        if self.right:
            late = self.in_flight and self.at_exit != self.wanted
            return "done after the start" if late else "done"
        if self.wrong:
            return f"wrong: {self.wrong}"
        return self.status if self.status.startswith("error") else f"lost: {self.status} for good"


@dataclass(frozen=True)
class Cell:
    """One row under one way in one mode, as it was seen."""

    name: str
    row: str
    way: str
    mode: str
    lane: str
    stops: tuple[Stopped, ...] = ()
    fates: tuple[Fate, ...] = ()
    problems: tuple[str, ...] = ()  # what kolla_docker got wrong: lost work, or a verdict that is not true
    seconds: float = 0.0  # the whole cell
    attempt: int = 1
    patience: float = 0.0  # seconds after it served again, until what was not right was lost
    made: str = ""  # the date
    commit: str = ""  # what was run

    @property
    def lost(self) -> list[Fate]:
        return [fate for fate in self.fates if not fate.right]

    @property
    def word(self) -> str:
        """Return the outcome of the operations in a few words."""
        if any(problem.startswith(NOT_RUN) for problem in self.problems):
            return NOT_RUN
        if not self.fates:
            return "nothing in flight"
        if len(self.fates) == 1:
            return self.fates[0].word
        if not self.lost:
            return f"all {len(self.fates)} done"
        lost = Counter(f"{fate.kind} {fate.word}" for fate in self.lost)
        words = [f"{number} x {what}" if number > 1 else what for what, number in lost.items()]
        return "; ".join([f"{len(self.fates) - len(self.lost)} of {len(self.fates)} done", *words])

    def told(self) -> str:
        """Return the cell with its details, a line each."""
        head = f"{self.name} on {self.lane}: {self.word}, in {self.seconds:.0f} s"
        stops = [
            f"  {one.verdict or 'stopped'} after {one.seconds:.1f} s, gap {one.gap}, signals {one.signals}: "
            f"{one.reason}{'; a second call: ' * bool(one.second)}{one.second}"
            for one in self.stops
        ]
        fates = [
            f"  {one.kind} {one.id}: {one.at_exit or '-'} at the exit, then {one.word}; told as {one.told or '-'}"
            for one in self.fates
        ]
        return "\n".join([head, *stops, *fates, *(f"  PROBLEM: {one}" for one in self.problems)])

    def as_dict(self) -> dict[str, Any]:
        """Return the cell as JSON takes it."""
        return asdict(self) | {"word": self.word}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Cell:
        """Return the cell from its JSON."""
        kept = {key: value for key, value in data.items() if key != "word"}
        stops = tuple(
            Stopped(**one | {"told": tuple(one["told"]), "signals": tuple(one.get("signals", ()))})
            for one in kept.pop("stops")
        )
        fates = tuple(Fate(**one) for one in kept.pop("fates"))
        return cls(**kept, stops=stops, fates=fates)

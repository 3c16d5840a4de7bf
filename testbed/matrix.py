"""The matrix: one operation in flight, one way to end its service, and what becomes of the operation.

A row (matrix_rows.py) says what is in flight and which container is stopped, a way (matrix_ways.py) ends that and
starts it again, and a cell is one row under one way in one mode. Cells are run by matrix_run.py on lanes of the test
stack; tests/e2e and tools/matrix share all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.matrix_bench import Bench

STOP, UPGRADE, PLAIN, KOLLA_ANSIBLE = "stop", "upgrade", "plain", "kolla-ansible"
WAYS = (STOP, UPGRADE, PLAIN, KOLLA_ANSIBLE)
OURS = (STOP, UPGRADE)
VOLUME, BACKUP = "volume", "backup"  # of a lane
GONE = "gone"
NOT_RUN = "not run"
KILL = 9
# A second call joins the first, or finds its end; an upgrade holds the container's name. One that came in the
# moment of the end has read nothing before it, and does not claim to know.
RIGHT_SECONDS = ("drained", "already_stopped")
REFUSALS = ("Another run is replacing", "its evidence could not be read before the signal")
# Verdicts that claim an end of the container.
ENDED = ("drained", "cut", "killed", "unverified")


@dataclass(frozen=True)
class State:
    """What the API must say of one resource at the end."""

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
        """By any of these evidence may tell of it."""
        return {state.id for state in self.states}

    @property
    def id(self) -> str:
        return self.states[0].id


@dataclass(frozen=True)
class Row:
    """What is in flight, and which container is stopped meanwhile."""

    name: str
    title: str
    stops: str
    start: Callable[[Bench, Any], Sequence[Operation]]
    prepare: Callable[[Bench], Any] = lambda bench: None
    # More requests, sent one after the other until the service is back.
    requests: Callable[[Bench, Any], Iterable[Callable[[], Operation]]] | None = None
    # The stop is sent twice, two seconds apart; and once it serves again the whole is done once more.
    in_a_row: bool = False


@dataclass(frozen=True)
class Honesty:
    """A stop that is meant to lose or to leave, to see that the verdict says so."""

    name: str
    row: str
    mode: str
    arguments: str
    verdict: str
    held: bool = (
        False  # the operation stands still until the call is over: it does not end before the deadline
    )


@dataclass(frozen=True)
class Stopped:
    """How a way ended the container."""

    verdict: str = ""
    reason: str = ""
    exit: str = ""  # signal or freeze, as the module says it
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
        """For people."""
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
        """What became of its operations, in a few words."""
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
        """The cell with its details, a line each."""
        head = f"{self.name} on {self.lane}: {self.word}, in {self.seconds:.0f} s"
        stops = [
            f"  {one.verdict or 'stopped'} {one.exit} after {one.seconds:.1f} s, gap {one.gap}, signals {one.signals}: "
            f"{one.reason}{'; a second call: ' * bool(one.second)}{one.second}"
            for one in self.stops
        ]
        fates = [
            f"  {one.kind} {one.id}: {one.at_exit or '-'} at the exit, then {one.word}; told as {one.told or '-'}"
            for one in self.fates
        ]
        return "\n".join([head, *stops, *fates, *(f"  PROBLEM: {one}" for one in self.problems)])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"word": self.word}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Cell:
        """Back from JSON."""
        kept = {key: value for key, value in data.items() if key != "word"}
        stops = tuple(
            Stopped(**one | {"told": tuple(one["told"]), "signals": tuple(one.get("signals", ()))})
            for one in kept.pop("stops")
        )
        fates = tuple(Fate(**one) for one in kept.pop("fates"))
        return cls(**kept, stops=stops, fates=fates)


@dataclass
class Job:
    """A cell that is yet to be run."""

    row: Row
    way: str
    mode: str
    attempt: int = 1
    arguments: str = ""  # more ones for the module
    verdicts: tuple[str, ...] = ("drained",)
    honesty: str = ""
    held: bool = False

    @property
    def name(self) -> str:
        """For people, and for -k."""
        return "-".join([self.honesty or self.row.name, self.way, self.mode])

    @property
    def label(self) -> str:
        """The name, and which time it is run."""
        return f"{self.name}-{self.attempt}"


def judge(job: Job, stopped: Stopped, fates: Sequence[Fate]) -> list[str]:
    """What is wrong with what kolla_docker did and said; nothing is asked of the other ways."""
    if job.way not in OURS:
        return []
    found = []
    if stopped.verdict not in job.verdicts:
        found.append(
            f"the verdict is {stopped.verdict} ({stopped.reason}) and not {' or '.join(job.verdicts)}"
        )
    found += _unseen(job, stopped, fates)
    if len([signal for signal in stopped.signals if signal != KILL]) > 1:
        found.append(f"the stop signal was sent more than once: {stopped.signals}")
    refused = any(one in stopped.second for one in REFUSALS)
    if stopped.second and stopped.second not in RIGHT_SECONDS and not refused:
        found.append(f"a second call beside it said {stopped.second}")
    if stopped.told and not fates:
        found.append(f"it tells of operations that nobody asked for: {[one['id'] for one in stopped.told]}")
    if job.verdicts == ("drained",):
        found += [f"{fate.kind} {fate.id} is {fate.word}" for fate in fates if not fate.right]
    for fate in (fate for fate in fates if fate.in_flight):
        found += _untrue(job, stopped, fate)
    return found


def _unseen(job: Job, stopped: Stopped, fates: Sequence[Fate]) -> list[str]:
    """What the cell is there to look at, and did not see: then it proves nothing."""
    found = []
    if stopped.verdict in ENDED and not stopped.ended:
        found.append(f"{stopped.verdict} is said, and the engine told of no end of the container")
    if stopped.ended and not stopped.signals:
        found.append("the container ended, and the engine told of no signal")
    if job.row.requests:
        sent = [fate.sent for fate in fates if fate.sent is not None]
        if not any(moment < stopped.seconds for moment in sent):
            found.append("no request was sent between the beginning of the stop and the container's end")
        # A replacement's gap is too short for that.
        if job.way == STOP and not any(moment > stopped.seconds for moment in sent):
            found.append("no request was sent while the container was down")
    return found


def _untrue(job: Job, stopped: Stopped, fate: Fate) -> list[str]:
    """Where the module's words and the database do not agree on one operation."""
    name = f"{fate.kind} {fate.id}"
    # What was not right at the exit may be put right by the next start; at the exit the verdict must be true.
    finished = fate.right and fate.at_exit == fate.wanted
    if "unverified" in job.verdicts:
        return [f"{name} is told as {fate.told} without evidence"] if fate.told else []
    if not fate.told:
        return [f"{name} was in flight and is not among the operations"]
    if stopped.verdict == "drained" and not finished:
        return [f"drained is said, but {name} was {fate.at_exit} at the exit and is {fate.word}"]
    if "finished" in fate.told and not finished:
        return [f"{name} is told as {fate.told}, but was {fate.at_exit} at the exit and is {fate.word}"]
    if stopped.verdict in ("cut", "killed") and "interrupted" not in fate.told and not finished:
        return [f"{name} was {fate.at_exit} at the exit and is told as {fate.told}"]
    return []

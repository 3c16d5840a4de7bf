"""The matrix: one operation in flight, one way to end its service, and what becomes of the operation.

A row (matrix_rows.py) says what is in flight and which container is stopped, a way (matrix_ways.py) ends that and
starts it again, and a cell is one row under one way in one mode. Cells are run by matrix_run.py on lanes of the test
stack; tests/e2e and tools/matrix share all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.matrix_bench import Bench
from testbed.matrix_terms import OURS, STOP, Fate, Operation, Stopped

KILL = 9
# A second call joins the first or finds the container stopped; an upgrade holds the container's name. A call that
# came at the moment of the exit could not read the database before it, and says so.
RIGHT_SECONDS = ("drained", "already_stopped")
REFUSALS = ("Another run is replacing", "its evidence could not be read before the signal")
# Verdicts that claim an end of the container.
ENDED = ("drained", "cut", "killed", "unverified")
# What a stop may end in while requests keep coming. A stop signal at a quiet moment may lose a request that arrives
# while the service exits: how many is measured in benchmarks/, and here the verdict must only be true.
UNDER_REQUESTS = ("drained", "cut", "unverified")
# Seconds from sending a request until its row is in the database, on a busy machine. A request that was sent less than
# that before the exit may be lost and not among the operations, because the module could not see it.
ARRIVES = 5.0


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
    # Shows little that other rows do not show, so only a full run has it.
    only_full: bool = False


@dataclass(frozen=True)
class Honesty:
    """A stop that is meant to lose or to leave, to see that the verdict says so."""

    name: str
    row: str
    mode: str
    arguments: str
    verdict: str
    held: bool = False  # the operation does not go on before the call is over, so it misses the deadline


@dataclass
class Job:
    """A cell that is yet to be run."""

    row: Row
    way: str
    mode: str
    attempt: int = 1
    arguments: str = ""  # more ones for the module
    verdicts: tuple[str, ...] = ()  # by default those that the row asks for
    honesty: str = ""
    held: bool = False

    def __post_init__(self) -> None:
        self.verdicts = self.verdicts or (UNDER_REQUESTS if self.row.requests else ("drained",))

    @property
    def name(self) -> str:
        """For people, and for -k."""
        return "-".join([self.honesty or self.row.name, self.way, self.mode])

    @property
    def label(self) -> str:
        """The name, and which time it is run."""
        return f"{self.name}-{self.attempt}"


def judge(job: Job, stopped: Stopped, fates: Sequence[Fate]) -> list[str]:
    """Return what is wrong with what kolla_docker did and said; nothing is asked of the other ways."""
    if job.way not in OURS:
        return []
    found = []
    if stopped.verdict not in job.verdicts:
        found.append(
            f"the verdict is {stopped.verdict} ({stopped.reason}) and not {' or '.join(job.verdicts)}"
        )
    found += _unseen(job, stopped, fates)
    found += _wrong_signals(stopped)
    refused = any(one in stopped.second for one in REFUSALS)
    if stopped.second and stopped.second not in RIGHT_SECONDS and not refused:
        found.append(f"a second call beside it said {stopped.second}")
    if stopped.told and not fates:
        found.append(f"it tells of operations that nobody asked for: {[one['id'] for one in stopped.told]}")
    for fate in fates:
        found += _lost(job, stopped, fate)
        found += _untrue(job, stopped, fate) if fate.in_flight else _untrue_later(fate)
    return found


def _wrong_signals(stopped: Stopped) -> list[str]:
    found = []
    if len([signal for signal in stopped.signals if signal != KILL]) > 1:
        found.append(f"the stop signal was sent more than once: {stopped.signals}")
    if stopped.verdict == "drained" and KILL in stopped.signals:
        found.append(f"drained is said, and it was ended by SIGKILL: {stopped.signals}")
    return found


def _unseen(job: Job, stopped: Stopped, fates: Sequence[Fate]) -> list[str]:
    """What the cell is there to look at and did not see: then it proves nothing."""
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


def _lost(job: Job, stopped: Stopped, fate: Fate) -> list[str]:
    """A loss that no verdict excuses."""
    if fate.right or "drained" not in job.verdicts:
        return []
    if fate.in_flight or fate.sent is None:
        return [f"{fate.kind} {fate.id} is {fate.word}"]
    if fate.sent > stopped.seconds:
        return [f"{fate.kind} {fate.id}, sent after the exit, is {fate.word}"]
    if not fate.told and fate.sent < stopped.seconds - ARRIVES:
        return [f"{fate.kind} {fate.id} is {fate.word} and not among the operations"]
    return []


def _untrue(job: Job, stopped: Stopped, fate: Fate) -> list[str]:
    """Where the module's words and the database do not agree on an operation that the stop found in flight."""
    name = f"{fate.kind} {fate.id}"
    # What was not right at the exit may be put right by the next start; at the exit the verdict must be true.
    finished = fate.right and fate.at_exit == fate.wanted
    if job.verdicts == ("unverified",):
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


def _untrue_later(fate: Fate) -> list[str]:
    """The same of a request that came during the stop; its state at the exit was not looked up."""
    if "finished" in fate.told and not fate.right:
        return [f"{fate.kind} {fate.id} is told as {fate.told}, but is {fate.word}"]
    return []

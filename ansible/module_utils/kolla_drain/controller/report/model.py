"""What a run did, as the report tells it. The JSON has the same names as these fields.

Durations are seconds. ``at`` and ``began`` of what belongs to a container are seconds since the stop of that container
began, and may be negative, because an operation may be older than the stop. Moments of the run are ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Rises with a change that a reader of the JSON has to know of: a key that goes, or that means something else.
VERSION = 1

FINISHED, INTERRUPTED, UNKNOWN, IN_FLIGHT = "finished", "interrupted", "unknown", "in_flight"
# Verdicts that name a loss, or the possibility of one.
BAD = ("killed", "cut")
DOUBTFUL = ("unverified", "left_running")


@dataclass(frozen=True)
class Advice:
    """What to do about an operation, and the commands for it, in their order."""

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One operation that was in flight during a stop, or is now."""

    kind: str
    id: str
    status: str  # when it was seen first
    outcome: str  # finished, interrupted, unknown; in_flight where nothing was stopped
    last_status: str
    fate: str  # what the service does with it, if it did not finish
    unattributed: str  # why another process may be the one that works on it
    since: str | None  # what its rows say of its start: ISO 8601, UTC
    began: float | None
    ended: float | None
    advice: Advice | None = None


@dataclass(frozen=True)
class Phase:
    """A part of a stop and of the start after it: quiesce, drain, kill, gap, ready."""

    name: str
    at: float
    seconds: float


@dataclass(frozen=True)
class Event:
    """One line of a stop's own timeline."""

    at: float
    event: str


@dataclass(frozen=True)
class Container:
    """One container, and what was done with it."""

    host: str
    name: str
    service: str  # whose profile was used; none for a container without evidence
    did: str  # stopped, replaced, restarted, reloaded, started; seen where it was only looked at
    verdict: str  # empty where nothing was stopped, or where the stop came to none
    reason: str
    failure: str  # why the task failed for this container; empty otherwise
    joined: bool  # the stop was under way before this run
    signal: str
    exit_code: int | None
    oom_killed: bool
    evidence: str  # ok, unavailable or none
    evidence_why: str
    timeout: float | None
    began: str
    quiesced: float | None
    drained: float | None
    gap: float | None
    ready_after: float | None
    ready_by: str
    rolled_back: bool
    phases: tuple[Phase, ...]
    events: tuple[Event, ...]
    operations: tuple[Operation, ...]
    findings: tuple[str, ...]  # of preflight

    @property
    def lost(self) -> tuple[Operation, ...]:
        """The operations that did not finish, or may not have."""
        return tuple(op for op in self.operations if op.outcome in (INTERRUPTED, UNKNOWN))

    @property
    def stopped(self) -> bool:
        """Whether its process was stopped, or should have been."""
        at_rest = ("absent", "already_stopped")
        return self.did in ("stopped", "replaced", "restarted") and self.verdict not in at_rest

    @property
    def unproved(self) -> bool:
        """Whether evidence that should have been there was not, so that nobody knows what was in flight."""
        return self.verdict == "unverified" and (self.service != "none" or self.evidence == "unavailable")

    @property
    def troubled(self) -> bool:
        """Whether somebody should look at it."""
        left = self.verdict == "left_running"
        return (
            bool(self.lost or self.failure or self.rolled_back or left)
            or self.verdict in BAD
            or self.unproved
        )


@dataclass(frozen=True)
class Step:
    """What was done around the stops: a service disabled or enabled, a host taken out of HAProxy or put back."""

    at: str
    host: str
    text: str
    failed: bool = False


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host, or a host that was lost."""

    at: str
    host: str
    task: str
    text: str
    unreachable: bool = False


@dataclass(frozen=True)
class Unheard:
    """A task of ours whose end this run has not heard of."""

    since: str
    host: str
    task: str


@dataclass(frozen=True)
class Run:
    """One run of ansible-playbook or ansible."""

    name: str
    state: str  # under_way, ended, failed, interrupted
    check: bool  # nothing was touched: --check
    began: str
    ended: str  # or until when the report tells
    seconds: float


@dataclass(frozen=True)
class Totals:
    """The sums over all containers."""

    hosts: int
    containers: int  # that were stopped, or should have been
    in_flight: int  # operations during the stops; where nothing was stopped, those in flight now
    finished: int
    interrupted: int
    unknown: int
    killed: int  # containers that SIGKILL ended
    longest_gap: float | None
    longest_gap_of: str  # host and container


@dataclass(frozen=True)
class Headline:
    """What a reader has to know first."""

    level: str  # good, doubt or bad
    text: str  # whether anything was lost
    more: tuple[str, ...]  # what else, and what to do; a sentence each


@dataclass(frozen=True)
class Report:
    """The whole of it."""

    headline: Headline
    run: Run
    totals: Totals
    containers: tuple[Container, ...]
    left_disabled: tuple[Advice, ...]  # services that this run has disabled and not enabled, with the command
    steps: tuple[Step, ...]
    failures: tuple[Failure, ...]
    unheard: tuple[Unheard, ...]

    @property
    def stops(self) -> tuple[Container, ...]:
        """The containers of which something was stopped, started or reloaded."""
        return tuple(one for one in self.containers if one.did != "seen")

    @property
    def seen(self) -> tuple[Container, ...]:
        """The containers that were only looked at."""
        return tuple(one for one in self.containers if one.did == "seen")


def totals(containers: Iterable[Container]) -> Totals:
    """Add the containers up."""
    every = tuple(containers)
    stopped = [one for one in every if one.stopped]
    counted = [op for one in stopped or every for op in one.operations]
    of = {
        outcome: sum(op.outcome == outcome for op in counted) for outcome in (FINISHED, INTERRUPTED, UNKNOWN)
    }
    gaps = [(one.gap, f"{one.host} {one.name}") for one in every if one.gap is not None]
    longest = max(gaps, default=(None, ""))
    return Totals(
        hosts=len({one.host for one in stopped or every}),
        containers=len(stopped),
        in_flight=len(counted),
        finished=of[FINISHED],
        interrupted=of[INTERRUPTED],
        unknown=of[UNKNOWN],
        killed=sum(one.verdict == "killed" for one in stopped),
        longest_gap=longest[0],
        longest_gap_of=longest[1],
    )


def as_data(report: Report) -> dict[str, Any]:
    """Return what the JSON holds."""
    return {"schema": "kolla-drain-report", "version": VERSION, **asdict(report)}


def from_data(data: Mapping[str, Any]) -> Report:
    """Return the report that a JSON of this version holds. Raises ValueError for another version."""
    if data.get("schema") != "kolla-drain-report" or data.get("version") != VERSION:
        raise ValueError(f"This is no kolla-drain-report of version {VERSION}.")
    first = data["headline"]
    return Report(
        headline=Headline(first["level"], first["text"], tuple(first["more"])),
        run=Run(**data["run"]),
        totals=Totals(**data["totals"]),
        containers=tuple(_container(one) for one in data["containers"]),
        left_disabled=tuple(_advice(one) for one in data["left_disabled"]),
        steps=tuple(Step(**one) for one in data["steps"]),
        failures=tuple(Failure(**one) for one in data["failures"]),
        unheard=tuple(Unheard(**one) for one in data["unheard"]),
    )


def _container(told: Mapping[str, Any]) -> Container:
    parts = {
        "phases": tuple(Phase(**one) for one in told["phases"]),
        "events": tuple(Event(**one) for one in told["events"]),
        "operations": tuple(
            Operation(**{**one, "advice": one["advice"] and _advice(one["advice"])})
            for one in told["operations"]
        ),
        "findings": tuple(told["findings"]),
    }
    return Container(**{**told, **parts})


def _advice(told: Mapping[str, Any]) -> Advice:
    return Advice(told["text"], tuple(told["commands"]))

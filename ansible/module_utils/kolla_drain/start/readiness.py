"""Whether a container that was started serves: it runs on, and its service's heartbeat moves.

Engine, evidence, clock and wait come in from outside. Times are seconds on the clock that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..engine.port import Engine
from ..errors import EngineUnreachable
from ..model import Container, ContainerStatus, EvidenceState, Heartbeat, Reading

# What is broken mostly ends at once: for this long, in seconds, a process must have run to count as running. Heartbeats
# count from then on, for one before it may still be of a process that was about to be replaced.
SETTLE = 1.0

# The container is looked at this often, in seconds; its evidence as often as it is asked for.
LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Readiness:
    """What came of the wait. ``how`` is by what it was proved, ``why`` is why not; both are clauses."""

    ready: bool
    seconds: float
    how: str = ""
    why: str = ""
    unread: bool = False  # it runs, and nothing but its evidence, which cannot be read, could tell more
    heartbeats: tuple[Heartbeat, ...] = ()


@dataclass
class _Beat:
    """The heartbeats of one service since it was started."""

    first: dict[str, int | None] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    rows: tuple[Heartbeat, ...] = ()

    def update(self, rows: tuple[Heartbeat, ...]) -> None:
        self.rows = rows
        for row in rows:
            if row.report_count != self.first.setdefault(row.host, row.report_count):
                self.moved.add(row.host)

    @property
    def still(self) -> list[str]:
        return [row.host for row in self.rows if row.host not in self.moved]


def await_ready(
    container_id: str,
    *,
    engine: Engine,
    read: Callable[[], Reading] | None,
    timeout: float,
    poll_interval: float,
    clock: Callable[[], float],
    wait: Callable[[float], None],
    since: Container | None = None,
) -> Readiness:
    """Wait until a container serves, ``timeout`` seconds at the most.

    With ``read`` its service's evidence is the proof: every row's report_count has to move. Without it the
    container's own healthcheck is, or, where it has none, that its process stays. ``since`` is a look from before,
    whose process life must be the one that serves. A silent engine is borne with. Raises EngineError.
    """
    begun = clock()
    first, beat, reading, next_reading = since, _Beat(), None, SETTLE
    while True:
        try:
            now = engine.inspect(container_id)
        except EngineUnreachable as exc:  # a daemon that restarts says nothing of the container
            spent = clock() - begun
            if spent >= timeout:
                return Readiness(
                    False, spent, why=f"cannot be looked at: {str(exc).rstrip('.')}", heartbeats=beat.rows
                )
            wait(LOOK_EVERY)
            continue
        spent = clock() - begun
        first = first or now
        ended = _ended(first, now)
        if ended:
            return Readiness(False, spent, why=ended, heartbeats=beat.rows)
        assert now is not None
        if read is not None and spent >= next_reading:
            reading = read()
            if reading.state is EvidenceState.OK:
                beat.update(reading.heartbeats)
            next_reading = clock() - begun + poll_interval
        how = _proof(now, spent, beat, by_evidence=read is not None)
        if how:
            return Readiness(True, spent, how=how, heartbeats=beat.rows)
        why = _unhealthy(now) if read is None else ""
        if why or spent >= timeout:
            unread = reading is not None and reading.state is not EvidenceState.OK and not beat.rows
            return Readiness(
                False, spent, "", why or _missing(now, reading, beat, timeout), unread, beat.rows
            )
        wait(LOOK_EVERY)


def _ended(first: Container | None, now: Container | None) -> str:
    """Why the process of the first look is no more; empty while it lives."""
    if first is None or now is None:
        return "was removed meanwhile"
    code = "" if now.exit_code is None else f" with exit code {now.exit_code}"
    if now.status is ContainerStatus.RESTARTING or (now.alive and now.life != first.life):
        return "ended at once, and its restart policy starts it again and again"
    if not now.alive:
        return f"ended at once{code}"
    return "is paused" if now.status is ContainerStatus.PAUSED else ""


def _proof(now: Container, spent: float, beat: _Beat, *, by_evidence: bool) -> str:
    if by_evidence:
        return "its heartbeat moves" if beat.rows and not beat.still else ""
    if now.health:
        return "its healthcheck says healthy" if now.health == "healthy" else ""
    return "its process runs on" if spent >= SETTLE else ""


def _unhealthy(now: Container) -> str:
    return "runs, but its healthcheck says unhealthy" if now.health == "unhealthy" else ""


def _missing(now: Container, reading: Reading | None, beat: _Beat, timeout: float) -> str:
    if reading is None:
        return f"runs, but its healthcheck says {now.health} after {timeout:g} s"
    if not beat.rows:
        return f"runs, but its heartbeat could not be read for {timeout:g} s: {reading.why}"
    return f"runs, but the heartbeat of {', '.join(beat.still)} did not move within {timeout:g} s"

"""Prove that a container that was started serves: it runs on, and its service's heartbeat moves.

Engine, evidence, clock and wait come in from outside. Times are seconds on the clock that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..engine.port import Engine
from ..errors import EngineUnreachable
from ..heartbeat import Heartbeats
from ..model import Container, ContainerStatus, EvidenceState, Heartbeat, Reading

# Seconds that a process must have run to count as running: what is broken mostly ends at once. Heartbeats count from
# then on, because one before may still be of a process that was about to be replaced.
SETTLE = 1.0

# Seconds from one look at the container to the next; its evidence is read as often as it is asked for.
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
    silent: tuple[
        str, ...
    ] = ()  # hosts whose heartbeat did not move and was not demanded: it was down before


class _Proof:
    """The heartbeats of one service since it was started, against those that were up before its stop."""

    def __init__(self, expected: frozenset[str] | None) -> None:
        self._expected = expected
        self._heartbeats = Heartbeats(limit=float("inf"))

    def update(self, rows: tuple[Heartbeat, ...], now: float) -> None:
        self._heartbeats.update(rows, now)

    @property
    def rows(self) -> tuple[Heartbeat, ...]:
        return self._heartbeats.rows

    @property
    def silent(self) -> tuple[str, ...]:
        """Hosts whose heartbeat has not moved."""
        return tuple(row.host for row in self.rows if not self._heartbeats.moved(row.host))

    @property
    def missing(self) -> tuple[str, ...]:
        """Hosts whose heartbeat has to move and has not.

        Cinder sends no heartbeat for a backend whose driver is not initialised, so one that was down before the stop
        proves nothing after it. Where all the rows are others than before, as after a backend was renamed, each counts.
        """
        hosts = {row.host for row in self.rows}
        if self._expected is None or (self._expected and not self._expected & hosts):
            return self.silent
        return tuple(host for host in self.silent if host in self._expected)

    @property
    def how(self) -> str:
        """By what it is proved; empty as long as it is not."""
        if not self.rows or self.missing:
            return ""
        if len(self.silent) == len(self.rows):
            return "its process runs on, and no heartbeat of it was up before"
        return "its heartbeat moves"


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
    expected: frozenset[str] | None = None,
) -> Readiness:
    """Wait until a container serves, ``timeout`` seconds at the most.

    With ``read`` its service's evidence is the proof: the report_count of every host in ``expected`` has to move, of
    every row where that is None. Without it the container's own healthcheck is, or, where it has none, that its process
    stays. ``since`` is a look from before, whose process life must be the one that serves. A silent engine is borne
    with. Raises EngineError.
    """
    begun = clock()
    first, proof, reading, next_reading = since, _Proof(expected), None, SETTLE
    while True:
        try:
            now = engine.inspect(container_id)
        except EngineUnreachable as exc:  # a daemon that restarts says nothing of the container
            spent = clock() - begun
            if spent >= timeout:
                why = f"cannot be looked at: {str(exc).rstrip('.')}"
                return Readiness(False, spent, why=why, heartbeats=proof.rows)
            wait(LOOK_EVERY)
            continue
        spent = clock() - begun
        first = first or now
        ended = _ended(first, now)
        if ended:
            return Readiness(False, spent, why=ended, heartbeats=proof.rows)
        assert now is not None
        if read is not None and spent >= next_reading:
            reading = read()
            if reading.state is EvidenceState.OK:
                proof.update(reading.heartbeats, clock())
            next_reading = clock() - begun + poll_interval
        how = proof.how if read is not None else _proof_without_evidence(now, spent)
        if how:
            return Readiness(True, spent, how=how, heartbeats=proof.rows, silent=proof.silent)
        why = _unhealthy(now) if read is None else ""
        if why or spent >= timeout:
            unread = reading is not None and reading.state is not EvidenceState.OK and not proof.rows
            why = why or _missing(now, reading, proof, timeout)
            return Readiness(False, spent, why=why, unread=unread, heartbeats=proof.rows)
        wait(LOOK_EVERY)


def _ended(first: Container | None, now: Container | None) -> str:
    """Say why the process of the first look is no more; empty while it lives."""
    if first is None or now is None:
        return "was removed meanwhile"
    code = "" if now.exit_code is None else f" with exit code {now.exit_code}"
    if now.status is ContainerStatus.RESTARTING or (now.alive and now.life != first.life):
        return "ended at once, and its restart policy starts it again and again"
    if not now.alive:
        return f"ended at once{code}"
    return "is paused" if now.status is ContainerStatus.PAUSED else ""


def _proof_without_evidence(now: Container, spent: float) -> str:
    if now.health:
        return "its healthcheck says healthy" if now.health == "healthy" else ""
    return "its process runs on" if spent >= SETTLE else ""


def _unhealthy(now: Container) -> str:
    return "runs, but its healthcheck says unhealthy" if now.health == "unhealthy" else ""


def _missing(now: Container, reading: Reading | None, proof: _Proof, timeout: float) -> str:
    if reading is None:
        return f"runs, but its healthcheck says {now.health} after {timeout:g} s"
    if not proof.rows:
        return f"runs, but its heartbeat could not be read for {timeout:g} s: {reading.why}"
    return f"runs, but the heartbeat of {', '.join(proof.missing)} did not move within {timeout:g} s"

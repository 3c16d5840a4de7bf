"""Prove that a container that was started serves as before: it runs on, and its service's heartbeat moves.

What did not serve before the stop is not demanded after it. Engine, evidence, clock and wait come in from outside.
Times are seconds on the clock that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..engine.port import Engine
from ..errors import EngineUnreachable
from ..heartbeat import Heartbeats
from ..model import Container, ContainerStatus, EvidenceState, Heartbeat, Reading

# Seconds that a process must have run to count as running: what is broken mostly ends at once. Heartbeats count from
# then on, because one before may still be of a process that was about to be replaced; to see that others move a row,
# it is read earlier.
SETTLE = 1.0

# Seconds from one look at the container to the next; its evidence is read as often as it is asked for.
LOOK_EVERY = 0.1

# Seconds from one healthcheck to the next where neither the container nor its image says, in Docker and Podman alike.
DEFAULT_INTERVAL = 30.0

# Before the first moment at which the process can have reported, the evidence is read once more so many seconds early:
# a heartbeat between that reading and that moment could not be told from its own.
MARGIN = 0.5


@dataclass(frozen=True)
class Before:
    """How a container served before it was stopped."""

    heartbeats: frozenset[str] | None = None  # the hosts whose heartbeat was up; None: not known
    unhealthy: bool = False  # by its healthcheck


NOTHING_KNOWN = Before()


@dataclass(frozen=True)
class Readiness:
    """What came of the wait. ``how`` is by what it was proved, ``why`` is why not; all texts are clauses."""

    ready: bool
    seconds: float
    how: str = ""
    why: str = ""
    unread: bool = False  # it runs, and nothing but its evidence, which cannot be read, could tell more
    heartbeats: tuple[Heartbeat, ...] = ()
    doubts: tuple[str, ...] = ()  # what the user should know of the proof
    extended: float | None = None  # seconds that it was given, where that was more than asked for


class _Heartbeats:
    """The heartbeats of one service since it was started, against those that were up before its stop."""

    def __init__(self, expected: frozenset[str] | None, reports_from: float | None) -> None:
        self._expected = expected
        self._reports_from = reports_from
        self._heartbeats = Heartbeats(limit=float("inf"))
        self._shared: tuple[str, ...] = ()

    def update(self, rows: tuple[Heartbeat, ...], now: float) -> None:
        """Take in the rows of a reading that has ended by ``now``."""
        self._heartbeats.update(rows, now)
        if self._reports_from is not None and now < self._reports_from:
            self._shared = self._moved

    @property
    def rows(self) -> tuple[Heartbeat, ...]:
        return self._heartbeats.rows

    @property
    def _moved(self) -> tuple[str, ...]:
        return tuple(row.host for row in self.rows if self._heartbeats.moved(row.host))

    @property
    def _silent(self) -> tuple[str, ...]:
        return tuple(row.host for row in self.rows if not self._heartbeats.moved(row.host))

    @property
    def missing(self) -> tuple[str, ...]:
        """Hosts whose heartbeat has to move and has not.

        Cinder sends no heartbeat for a backend whose driver is not initialised, so one that was down before the stop
        proves nothing after it. Where all the rows are others than before, as after a backend was renamed, each counts.
        """
        hosts = {row.host for row in self.rows}
        if self._expected is None or (self._expected and not self._expected & hosts):
            return self._silent
        return tuple(host for host in self._silent if host in self._expected)

    @property
    def are_of_others(self) -> bool:
        """Whether all that moved is moved by other processes, so that nothing is left to wait for."""
        return bool(self._shared) and not self.missing and set(self._moved) == set(self._shared)

    @property
    def proof(self) -> str:
        """By what they prove that the container serves; empty as long as they do not."""
        if not self.rows or self.missing or self.are_of_others:
            return ""
        if not self._moved:
            return "its process runs on, and no heartbeat of it was up before"
        return "its heartbeat moves"

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is to be said of them, once they are not waited for any more."""
        found = []
        silent = [host for host in self._silent if host not in self.missing]
        if silent:
            found.append(
                f"the heartbeat of {', '.join(silent)} did not move, and was down before, or not there; "
                "look into its log"
            )
        if self._shared:
            found.append(
                f"the heartbeat of {', '.join(self._shared)} moved before this container can have reported, so other "
                "processes report in the same row (see host and backend_host), and it proves nothing of this one"
            )
        return tuple(found)


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
    before: Before = NOTHING_KNOWN,
    reports_from: float | None = None,
) -> Readiness:
    """Wait until a container serves, ``timeout`` seconds at the most.

    With ``read`` its service's evidence is the proof: the report_count of every host whose heartbeat was up before has
    to move. A row that moves before ``reports_from``, the first moment on the clock at which the process can have
    reported, is moved by others and proves nothing. Without a proof by evidence the container's own healthcheck is,
    or, where it has none, that its process stays. ``since`` is a look from before, whose process life must be the one
    that serves. A silent engine is borne with. Raises EngineError.
    """
    begun = clock()
    first, beats, reading = since, _Heartbeats(before.heartbeats, reports_from), None
    next_reading = SETTLE if reports_from is None else 0.0
    while True:
        try:
            now = engine.inspect(container_id)
        except EngineUnreachable as exc:  # a daemon that restarts says nothing of the container
            spent = clock() - begun
            if spent >= timeout:
                why = f"cannot be looked at: {str(exc).rstrip('.')}"
                return Readiness(False, spent, why=why, heartbeats=beats.rows)
            wait(LOOK_EVERY)
            continue
        spent = clock() - begun
        first = first or now
        ended = _ended(first, now)
        if ended:
            return Readiness(False, spent, why=ended, heartbeats=beats.rows)
        assert now is not None
        if read is not None and spent >= next_reading:
            reading = read()
            if reading.state is EvidenceState.OK:
                beats.update(reading.heartbeats, clock())
            next_reading = clock() - begun + poll_interval
            last = reports_from - begun - MARGIN if reports_from is not None else 0.0
            if spent < last < next_reading:
                next_reading = last
        by_container = read is None or beats.are_of_others
        how = _proof_without_evidence(now, before, spent, timeout) if by_container else beats.proof
        if how and (spent >= SETTLE or now.health == "healthy"):
            doubts = beats.doubts + _doubts_of_health(now, before, timeout, heeded=by_container)
            return Readiness(True, spent, how=how, heartbeats=beats.rows, doubts=doubts)
        if spent >= timeout:
            unread = reading is not None and reading.state is not EvidenceState.OK and not beats.rows
            why = _missing(now, reading, beats, timeout)
            if unread and now.health == "healthy":  # its database is away, which is no fault of the container
                doubt = f"it {why.rstrip('.')}, so only its healthcheck is its proof"
                return Readiness(True, spent, how=f"its healthcheck says {now.health}", doubts=(doubt,))
            return Readiness(False, spent, why=why, unread=unread, heartbeats=beats.rows, doubts=beats.doubts)
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


def _proof_without_evidence(now: Container, before: Before, spent: float, timeout: float) -> str:
    """Say by what the container's state proves that it serves; empty as long as it does not.

    A healthcheck that fails may still succeed, and one that has not counted by the end says nothing.
    """
    if not now.health:
        return "its process runs on"
    if now.health == "healthy":
        return "its healthcheck says healthy"
    if before.unhealthy:
        return "its process runs on, and its healthcheck said unhealthy before, too"
    if spent >= timeout and _says_nothing(now):
        return f"its process runs on, and its healthcheck has said nothing within {timeout:g} s"
    return ""


def _says_nothing(now: Container) -> bool:
    """Whether no check has succeeded, or failed after the start period; an engine may have words of its own for it."""
    return now.health not in ("healthy", "unhealthy") and not now.health_failures


def _doubts_of_health(now: Container, before: Before, timeout: float, *, heeded: bool) -> tuple[str, ...]:
    if now.health in ("", "healthy"):
        return ()
    if before.unhealthy:
        return (
            f"its healthcheck said unhealthy before the stop, so its health was not waited for, and says {now.health} "
            "now; look at what its healthcheck prints",
        )
    if heeded and _says_nothing(now):
        interval = now.health_interval or DEFAULT_INTERVAL
        start = f", after a start period of {now.health_start_period:g} s" if now.health_start_period else ""
        return (
            f"its healthcheck, which runs every {interval:g} s{start}, has said nothing within {timeout:g} s, so only "
            f"its process was seen to run on; give a ready_timeout above {now.health_start_period + interval:g} s to "
            "have it proved",
        )
    return ()


def _missing(now: Container, reading: Reading | None, beats: _Heartbeats, timeout: float) -> str:
    if reading is None or beats.are_of_others:
        return f"runs, but its healthcheck says {now.health} after {timeout:g} s"
    if not beats.rows:
        return f"runs, but its heartbeat could not be read for {timeout:g} s: {reading.why}"
    return f"runs, but the heartbeat of {', '.join(beats.missing)} did not move within {timeout:g} s"

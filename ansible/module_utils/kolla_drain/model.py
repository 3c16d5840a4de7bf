"""The words of the project, as frozen types.

Plain Python: nothing here imports Ansible, an engine's SDK or a database driver.
Times are seconds as ``float`` on a monotonic clock that the caller hands in, unless a
field says otherwise; rows and engines speak of wall clock time, kept as they wrote it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


class Verdict(str, enum.Enum):
    """What a stop came to; only the state of the work decides, never an exit code."""

    DRAINED = "drained"  # exited, every recorded operation finished
    CUT = "cut"  # exited by itself, operations left unfinished
    KILLED = "killed"  # SIGKILL ended it at the deadline
    LEFT_RUNNING = "left_running"  # the deadline passed and it runs on
    ALREADY_STOPPED = "already_stopped"
    ABSENT = "absent"
    UNVERIFIED = "unverified"  # exited; no evidence to judge by


class Outcome(str, enum.Enum):
    """What became of one operation."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


class EvidenceState(str, enum.Enum):
    """Whether the service's database could be read."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    NONE = "none"  # this container has no evidence to read


class OnTimeout(str, enum.Enum):
    """What to do when the deadline comes."""

    KILL = "kill"
    LEAVE = "leave"


class Quiesce(str, enum.Enum):
    """Whether to wait for empty evidence before the signal."""

    AUTO = "auto"  # as the profile says
    ALWAYS = "always"
    NEVER = "never"


class ContainerStatus(str, enum.Enum):
    """``State.Status`` of the engine."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


_ALIVE = frozenset({ContainerStatus.RUNNING, ContainerStatus.PAUSED})
_AT_REST = frozenset({ContainerStatus.CREATED, ContainerStatus.EXITED, ContainerStatus.DEAD})


@dataclass(frozen=True)
class Container:
    """One look at a container through its engine."""

    id: str
    name: str
    status: ContainerStatus
    pid: int = 0  # of its PID 1, seen from the managed host; 0 when it does not run
    started_at: str = ""  # State.StartedAt as the engine writes it; with the id it names a process life
    finished_at: str = ""  # State.FinishedAt of the life before this one, as the engine writes it
    exit_code: int | None = None  # of the last life; None while it runs
    oom_killed: bool = False
    stop_signal: str = ""  # Config.StopSignal; empty when the image and the container name none
    restart_policy: str = ""
    restart_retries: int = 0  # of the restart policy on-failure; 0 is without limit
    image: str = ""
    command: tuple[str, ...] = field(default=(), repr=False)  # its entrypoint and arguments; may hold secrets
    hostname: str = (
        ""  # as its processes see it, which is frozen when it is created; empty where it is the host's
    )
    health: str = ""  # of its healthcheck: starting, healthy or unhealthy; empty where it has none
    health_failures: int = 0  # in a row; those within its start period do not count
    health_interval: float = 0.0  # seconds from one check to the next; 0 where the engine's default holds
    health_start_period: float = 0.0  # seconds
    vanishes: bool = False  # the engine removes it at its exit (docker run --rm)
    config_folder: str = ""  # of the host, from which Kolla's start script copies its configuration
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets: never printed

    @property
    def life(self) -> tuple[str, str]:
        """What tells one process life from the next in the same container."""
        return (self.id, self.started_at)

    @property
    def alive(self) -> bool:
        """Whether there is a process that a signal could reach, now or once it is unpaused."""
        return self.status in _ALIVE

    @property
    def at_rest(self) -> bool:
        """Whether it has no process and the engine will not start one by itself."""
        return self.status in _AT_REST


@dataclass(frozen=True)
class Heartbeat:
    """One row in which a service says that it lives."""

    service: str  # the binary: cinder-volume, nova-compute
    host: str  # as the row has it: host, or host@backend
    age: float | None  # seconds on the database's clock since it was refreshed; carries the clocks' skew
    # Moves with each beat, by one, or as the time of the beat where the table has no count; free of skew.
    report_count: int | None
    up: bool  # age within service_down_time
    disabled: bool
    disabled_reason: str = ""
    cluster: str = ""
    # Whether several processes report in this row; None: they may, as its name or its count says.
    shared: bool | None = False


@dataclass(frozen=True)
class Operation:
    """A piece of work in flight of one service."""

    kind: str  # volume_create, backup_restore, live_migration
    id: str  # of the resource: a UUID, or a row's number where there is none
    status: str  # as the row has it
    since: str | None = None  # ISO 8601, UTC: the best that the rows say of its start
    # True: the service has taken it. False: nobody has yet, its request waits in the queue.
    # None: the rows do not tell.
    claimed: bool | None = None
    touched: str | None = None  # workers.updated_at; moves where a service refreshes its worker rows
    informs: bool = False  # a state that can last for days: shown, never waited for
    # When its rows were last written: ISO 8601, UTC, by the clock of the service that wrote them. None: not known, or
    # written for other reasons as well; such a row is never taken for a wreck.
    written: str | None = None
    passed_over: str = ""  # why it is not waited for, a clause; empty: it counts
    # Why another process than the container's may be the one that works on it, a clause; empty: it is the container's.
    unattributed: str = ""
    # Whether the next start of the service in whose name it is claimed sets it to error, even if it is still worked on.
    ended_by_start: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What it is recognised by from one reading to the next."""
        return (self.kind, self.id)


@dataclass(frozen=True)
class Ending:
    """What a later look at the rows says of an operation that was recorded before."""

    operation: Operation
    outcome: Outcome
    status: str  # the last status seen; "deleted" when the row is gone or marked so
    fate: str = ""  # if not finished: what the service will make of it at its next start
    # The same where its request still waits in the queue; empty: it is done then.
    queued_fate: str = ""
    # The service that has taken it, where it was unattributed and turned out to be another's; empty: it did not.
    anothers: str = ""


@dataclass(frozen=True)
class Reading:
    """Evidence: heartbeats and operations of one container at one moment, or why there is none."""

    state: EvidenceState
    why: str = ""  # a clear sentence unless state is OK; then what of the work could not be seen, if anything
    passing: bool = False  # UNAVAILABLE for a cause that may go away by itself (server down, timed out)
    heartbeats: tuple[Heartbeat, ...] = ()
    operations: tuple[Operation, ...] = ()
    at: str | None = None  # when it was taken, by the database's clock: ISO 8601, UTC

    @property
    def working(self) -> tuple[Operation, ...]:
        """The operations that are waited for, without those that only inform and those that are passed over."""
        return tuple([op for op in self.operations if not op.informs and not op.passed_over])

    @property
    def passed_over(self) -> tuple[Operation, ...]:
        """The operations that would be waited for, and are not for a reason of their own."""
        return tuple([op for op in self.operations if op.passed_over])


@dataclass(frozen=True)
class Answer:
    """One reading together with what became of the operations asked about."""

    key: str  # of the container that it is for: its id
    number: int  # of the question; the reading began after question ``number`` was asked
    reading: Reading
    endings: tuple[Ending, ...] = ()


@dataclass(frozen=True)
class Profile:
    """What is known of one kind of service. Where a fact comes from stands beside its profile."""

    name: str  # the binary: cinder-volume; "none" for a container without evidence
    quiesce: bool = False  # wait for empty evidence before the signal
    heartbeat_while_draining: bool = False  # Nova's heartbeat goes on after SIGTERM, Cinder's stops
    keeps_work: bool = True  # work in flight goes on after the signal
    refreshes_workers: bool = False  # its worker rows are touched while it works
    # Its first heartbeat comes no sooner than a report_interval after its start.
    first_report_waits: bool = False
    rows_tell: bool = True  # its rows tell of operations at all
    reports: bool = False  # its processes tell of their requests at SIGUSR2 (Guru Meditation Report)
    # What its rows show is worked on inside of requests and periodic tasks alone, so that reports show it as well.
    works_in_requests: bool = False
    exit_seconds: float = 15.0  # within this an idle one exits: the longest seen, and half as much again
    signal: str = ""  # what it drains on; empty: the container's StopSignal, else SIGTERM
    reload_signal: str = "SIGHUP"  # asks it to read its configuration again and to forget what it has cached
    reload_keeps_work: bool = True  # work in flight goes on after that
    no_reload: str = ""  # why that signal must not be sent although its process handles it; a clause
    # Its start sets to error what it finds claimed in its row's name, even if another process works on it.
    start_ends_claims: bool = False
    manager_shutdown_counts: bool = False  # its exit takes manager_shutdown_timeout, idle or not

    @property
    def sees_work(self) -> bool:
        """Whether anything tells of its operations."""
        return self.rows_tell or self.reports


NO_PROFILE = Profile(name="none")


@dataclass(frozen=True)
class StopRequest:
    """What was asked for. Seconds throughout."""

    timeout: float = 180.0
    on_timeout: OnTimeout = OnTimeout.KILL
    quiesce: Quiesce = Quiesce.AUTO
    poll_interval: float = 2.0
    signal: str = ""  # empty: the profile's, else the container's StopSignal, else SIGTERM


@dataclass(frozen=True)
class Finding:
    """Something that preflight found to be wrong before the stop."""

    code: str
    text: str


@dataclass(frozen=True)
class Sent:
    """Signals that the engine sent to one process life, as far back as it remembers."""

    signals: tuple[str, ...]  # names, oldest first
    covers_from: float  # wall clock: nothing was forgotten since then
    pending: bool = False  # a signal call of this run has not come back yet
    unnamed: tuple[float, ...] = ()  # wall clock: one was sent, and the engine does not know which
    # Seconds ago: the engine has forgotten what is older. None: it remembers all of this life.
    horizon: float | None = None
    # Seconds ago, or more: a signal was sent that the engine has forgotten. None: there is no sign of one.
    forgotten: float | None = None


@dataclass(frozen=True)
class Entry:
    """One stop under way, as the ledger keeps it. Times are seconds on the boot clock but for ``intent_wall``."""

    container_id: str
    name: str
    started_at: str
    begun: float
    deadline: float
    signal: str
    intent: float | None = None  # the signal was about to be sent
    intent_wall: float | None = None  # the same on the wall clock, to be found in the engine's events
    signalled: float | None = None  # the engine took it
    owners: str = ""  # the runs that wait, one a line: process id and when that process started
    sender: str = ""  # the one of them that was about to send the signal

    @property
    def life(self) -> tuple[str, str]:
        """The process life that this entry speaks of."""
        return (self.container_id, self.started_at)

    def in_life(self, started_at: str) -> Entry:
        """Return this stop in a later life, which a signal on its way may reach: it goes to whatever life there is."""
        if self.signalled is None:
            return replace(self, started_at=started_at)
        return replace(self, started_at=started_at, intent=None, intent_wall=None, signalled=None, sender="")

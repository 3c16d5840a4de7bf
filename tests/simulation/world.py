"""A made-up host: containers, an engine, a database and a clock that only moves when everybody waits.

The real ``stop_all``, ``policy`` and ``Ledger`` run in it. What a world is like is said by frozen
descriptions (``Job``, ``Service``, ``Scene``), so a failing one can be read, shrunk and kept; to add a
world is to write one of these down. What really happened is in ``World`` afterwards: the lives of each
container with their signals, and what became of each job. Seconds count from the world's beginning.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import os
import tempfile
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from unittest import mock

from kolla_drain.drain.baseline import Baseline
from kolla_drain.drain.loop import stop_all
from kolla_drain.drain.plan import plan as make_plan
from kolla_drain.drain.result import Target
from kolla_drain.errors import EngineAbsent, EngineUnreachable, NoSuchContainer, NotRunning
from kolla_drain.host import process as processes
from kolla_drain.host.ledger import Ledger
from kolla_drain.model import (
    Answer,
    Container,
    ContainerStatus,
    Ending,
    EvidenceState,
    Heartbeat,
    Operation,
    Outcome,
    Profile,
    Reading,
    Sent,
    StopRequest,
)

NEVER = math.inf
BEGINNING = 1234.567  # no round number: sums of times must not be expected to come out even
WAKING = 0.01  # what it takes to wake up; without it a world could turn for ever within one moment
CALL_BOUND = 10.0  # the engine's client gives up a call after this long, and the call may go on
REFRESH = 10.0  # how often a service touches its worker rows, where it does
CINDER = Profile(name="cinder-volume", quiesce=True)
A_MINUTE = StopRequest(timeout=60.0)


# --- descriptions


@dataclass(frozen=True)
class Job:
    """A request to a service, and the operation that it becomes."""

    arrives: float = 0.0  # before the world began: less than 0
    takes: float = 5.0  # NEVER: it hangs
    fails: bool = False  # it ends in error by itself
    by_worker: bool = True  # it has a worker row, which tells whether the service has taken it
    informs: bool = False
    wreck: bool = False  # an earlier life left it behind: nobody works on it
    unattributed: bool = False  # its rows do not tell which of several processes works on it
    anothers: bool = False  # another process works on it, and its rows do not tell


@dataclass(frozen=True)
class Service:
    """A container and the process in it, and how its stop is asked for."""

    jobs: tuple[Job, ...] = ()
    profile: Profile = CINDER
    request: StopRequest = A_MINUTE
    at_signal: str = "drains"  # or: drops (its work), ignores (the signal)
    exits_in: float = 1.0  # from its signal on, if it is idle
    alarm: float = NEVER  # the service's own graceful_shutdown_timeout: exits then, work or not
    accepts: float = 0.0  # for this long after its signal it still takes requests
    dies_at: float = NEVER  # by itself
    refreshes: bool = False  # touches its worker rows while it works
    kill_takes: float = 0.1  # NEVER: it hangs in the kernel
    status: str = "running"  # at the beginning
    stop_signal: str = ""
    restarts_in: float = NEVER  # restart policy "always", with this back-off
    supervised: float = (
        NEVER  # somebody outside starts it again after this long, whatever the engine was told
    )
    auto_removed: bool = False
    by_hand: float = NEVER  # somebody else sends SIGTERM then; 0: before anything else
    paused_at: float = NEVER  # somebody else pauses it then
    evidence_missing: str = ""  # why its evidence cannot even be asked for
    up_for: float = NEVER  # the age of its process at the beginning; NEVER: nobody knows it
    ignores: tuple[int, ...] = ()  # the jobs that are to be passed over, by number


@dataclass(frozen=True)
class Scene:
    """Containers, and what is wrong with engine and database."""

    services: tuple[Service, ...] = (Service(),)
    latencies: tuple[float, ...] = (0.1,)  # of the readings, one after the other and from the start again
    read_at_the_end: bool = False  # of its latency; else at its beginning
    outages: tuple[tuple[float, float, bool], ...] = ()  # of the database: from, to, may it pass
    engine_gaps: tuple[tuple[float, float], ...] = ()  # from, to
    engine_patience: float = 0.0  # what a call costs while the engine does not answer; 0: nothing listens
    signal_faults: tuple[str, ...] = ()  # of the first calls; the words are in FakeEngine.signal
    slow: float = 15.0  # what a slow signal takes
    kills_lost: int = 0  # so many SIGKILLs, the first ones, do not go through
    memory: float = NEVER  # how far back the engine remembers its events
    turns: tuple[int, ...] = ()  # which run moves on, where several could


def moment(seconds):
    """A time of the world as the database has it, whose clock is another one."""
    return (datetime(2026, 11, 29) + timedelta(seconds=seconds)).isoformat(timespec="microseconds") + "Z"


# --- what happens


class Died(BaseException):
    """The run was killed, as by SIGKILL or a power cut of the connection."""


class Hang(AssertionError):
    """The run goes on for ever."""


class Signal(NamedTuple):
    """One stop signal that reached a process."""

    at: float
    name: str
    run: Run | None  # whose it was; None: somebody else's
    asked_at: float  # when the engine was asked to send it


@dataclass
class Life:
    """One process life, as it really was."""

    number: int
    begun: float = -NEVER
    signals: list[Signal] = field(default_factory=list)
    kills: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)  # when, ids of jobs running then
    taken_note: float | None = None  # when its handler ran
    exit_code: int | None = None
    ended: float = NEVER
    by_sigkill: bool = False
    doomed: bool = False  # SIGKILL is on its way to a paused process: none of its code runs any more

    @property
    def started_at(self):
        return f"life {self.number}"


class Work:
    """What became of one job."""

    def __init__(self, job, container, index):
        self.job = job
        self.container = container
        self.id = f"{container.name}-{index}"
        self.state = "unborn"  # queued, running, finished, error, cut
        self.taken_at = NEVER
        self.ended_at = NEVER
        self.cut_in = None  # the life in which it was cut
        self.ignored = index in container.service.ignores

    @property
    def written(self):
        """When its row was, once and for all."""
        return BEGINNING + self.job.arrives

    @property
    def claimed(self):
        if not self.job.by_worker or self.job.wreck or self.unattributed:
            return None
        return self.state not in ("unborn", "queued")

    @property
    def unattributed(self):
        return self.job.unattributed or self.job.anothers

    def row(self, now):
        """The operation as the database shows it, None before and after it."""
        if self.state not in ("queued", "running", "cut", "left", "elsewhere"):
            return None
        touched = None
        if self.job.by_worker and self.claimed:
            beats = self.container.service.refreshes and self.state == "running" and self.job.takes < NEVER
            touched = f"{int((now - self.taken_at) // REFRESH) if beats else 0}"
        row = Operation("volume_create", self.id, "creating", None, self.claimed, touched, self.job.informs)
        doubt = "any of them may work on it" if self.unattributed else ""
        return replace(row, written=moment(self.written), unattributed=doubt)

    def ending(self, operation):
        """What the rows say of it, in the words of the real evidence."""
        if self.state == "finished":
            return Ending(operation, Outcome.FINISHED, "available")
        if self.state == "error":
            return Ending(operation, Outcome.INTERRUPTED, "error", "ended in error")
        if self.claimed is False:
            return Ending(operation, Outcome.UNKNOWN, "creating", "nobody took it")
        return Ending(operation, Outcome.INTERRUPTED, "creating", "its next start sets it to error")


class FakeContainer:
    """A container and its process."""

    def __init__(self, world, service, index):
        self.world = world
        self.service = service
        self.name = f"c{index}"
        self.id = f"{index}" * 64
        self.status = ContainerStatus.RUNNING
        self.lives = [Life(1, world.now - service.up_for)]
        self.gone = False
        self._restart_cancelled = False
        self._held_back = []  # signals to a paused process
        self._left = {}  # work of a paused process that is done as soon as it may go on
        self.works = [Work(job, self, number) for number, job in enumerate(service.jobs)]
        for work in self.works:
            world.at(work.job.arrives, lambda work=work: self._arrive(work))
        world.at(service.dies_at, lambda: self._exit(1))
        self._set_out(ContainerStatus(service.status))
        world.at(service.by_hand, self._take_foreign_signal)
        world.at(service.paused_at, self._pause)

    def _set_out(self, status):
        self.status = status
        life = self.life
        if status is ContainerStatus.REMOVING:
            self.world.at(3.0, self._vanish)
        if status is ContainerStatus.RESTARTING:
            self.world.at(self.service.restarts_in, self._start)
        if status not in (ContainerStatus.RUNNING, ContainerStatus.PAUSED):
            life.ended, life.exit_code = self.world.now, 0

    @property
    def life(self):
        return self.lives[-1]

    @property
    def alive(self):
        return self.status in (ContainerStatus.RUNNING, ContainerStatus.PAUSED)

    @property
    def running(self):
        return [work for work in self.works if work.state == "running"]

    def look(self):
        if self.gone:
            return None
        return Container(
            id=self.id,
            name=self.name,
            status=self.status,
            pid=4711 if self.alive else 0,
            started_at=self.life.started_at,
            exit_code=None if self.alive else self.life.exit_code,
            stop_signal=self.service.stop_signal,
        )

    # its work

    def _arrive(self, work):
        if work.job.wreck:
            work.state, work.taken_at = "left", work.written
            return
        if work.job.anothers:
            work.state, work.taken_at = "elsewhere", self.world.now
            self.world.later(work.job.takes, lambda: self._ends_elsewhere(work))
            return
        work.state = "queued"
        self._take(work)

    def _take(self, work):
        noted = self.life.taken_note
        if self.status is not ContainerStatus.RUNNING or work.job.informs or self.life.doomed:
            return
        if noted is not None and (
            self.service.at_signal != "drains" or self.world.now > noted + self.service.accepts
        ):
            return
        work.state, work.taken_at = "running", self.world.now
        life = self.life
        self.world.later(work.job.takes, lambda: self._end(work, life))

    def _ends_elsewhere(self, work):
        work.state, work.ended_at = "finished", self.world.now

    def _end(self, work, life):
        if work.state == "running" and self.life is life and self.status is ContainerStatus.PAUSED:
            self._left[work] = life  # it is done as soon as it may go on
        elif work.state == "running" and self.life is life and self.alive:
            work.state = "error" if work.job.fails else "finished"
            work.ended_at = self.world.now
            self._leave_if_idle()

    # its signals

    def _take_foreign_signal(self):
        with contextlib.suppress(NotRunning):
            self.take_signal("SIGTERM", None, self.world.now)

    def take_signal(self, signal, run, asked_at):
        """Deliver a stop signal through the engine."""
        if self.status is ContainerStatus.RESTARTING:  # it cancels the restart, and no process takes it
            self._cancel_restart(signal)
            return
        if not self.alive:
            raise NotRunning("not running")
        self.life.signals.append(Signal(self.world.now, signal, run, asked_at))
        self._cancel_restart(signal)
        if self.status is ContainerStatus.PAUSED:
            self._held_back.append(signal)
        else:
            self._handle()

    def _cancel_restart(self, signal):
        # Docker's restart policy goes on after any other signal: https://github.com/moby/moby/issues/41302
        if signal == (self.service.stop_signal or signal):
            self._restart_cancelled = True
            if self.status is ContainerStatus.RESTARTING:
                self._rest()

    def _handle(self):
        life = self.life
        if life.taken_note is not None:
            self._exit(
                143
            )  # oslo.service drops its handlers at the first signal, and the second one kills it
            return
        life.taken_note = self.world.now
        if self.service.at_signal == "ignores":
            return
        if self.service.at_signal == "drops":
            self._cut_work()
        self.world.later(self.service.exits_in, self._leave_if_idle)
        self.world.later(self.service.alarm, lambda: self.life is life and self._exit(142))

    def _leave_if_idle(self):
        noted = self.life.taken_note
        if noted is None or self.service.at_signal == "ignores" or self.running:
            return
        if self.status is ContainerStatus.RUNNING and self.world.now >= noted + self.service.exits_in - 1e-6:
            self._exit(0)

    def _pause(self):
        if self.status is ContainerStatus.RUNNING:
            self.status = ContainerStatus.PAUSED

    def unpause(self):
        if self.status is not ContainerStatus.PAUSED:
            return
        self.status = ContainerStatus.RUNNING
        left, self._left = self._left, {}
        if self.life.doomed:
            return
        for work, life in left.items():
            self._end(work, life)
        for _ in self._held_back:
            self._handle()
        for work in self.works:
            if work.state == "queued":
                self._take(work)

    def sigkill(self):
        """Begin SIGKILL; it takes effect after ``kill_takes``."""
        life = self.life
        life.doomed = life.doomed or self.status is ContainerStatus.PAUSED
        life.kills.append((self.world.now, tuple(work.id for work in self.running)))
        self.world.later(self.service.kill_takes, lambda: self._die_of_sigkill(life))

    def _die_of_sigkill(self, life):
        if self.status is ContainerStatus.RESTARTING:  # as with any other signal
            self._rest()
        if self.life is life and self.alive:
            life.by_sigkill = self._restart_cancelled = True
            self._exit(137)

    # its end

    def _cut_work(self):
        for work in self.running:
            work.state, work.ended_at, work.cut_in = "cut", self.world.now, self.life

    def _exit(self, code):
        if not self.alive:
            return
        self._cut_work()
        self.life.exit_code, self.life.ended = code, self.world.now
        self.world.wake_all()
        if self.service.restarts_in < NEVER and not self._restart_cancelled:
            self.status = ContainerStatus.RESTARTING
            self.world.later(self.service.restarts_in, self._start)
        else:
            self._rest()

    def _rest(self):
        self.status = ContainerStatus.EXITED
        if self.service.auto_removed:
            self.status = ContainerStatus.REMOVING
            self.world.later(1.0, self._vanish)
        elif self.service.supervised <= 0:
            self._start()
        else:
            self.world.later(self.service.supervised, self._start)

    def _vanish(self):
        self.gone = True
        self.world.wake_all()

    def _start(self):
        if (
            self.alive
            or self.gone
            or (self.status is ContainerStatus.EXITED and self.service.supervised == NEVER)
        ):
            return
        self.lives.append(Life(len(self.lives) + 1, self.world.now))
        self.status = ContainerStatus.RUNNING
        self._restart_cancelled = False
        for work in self.works:
            if work.state == "cut" and work.job.by_worker:
                work.state = "error"  # what cinder-volume makes of its orphans
            elif work.state == "queued":
                self._take(work)
        self.world.wake_all()


class FakeEngine:
    """The engine's side of the world; every call is a step at which a run may die or have to wait its turn."""

    def __init__(self, world):
        self._world = world
        self._failures = {}
        self._signal_calls = itertools.count()
        self._kill_calls = itertools.count()
        self._pending = {}  # by run and container: when its slow signal is carried out
        self.calls = []

    def _reach(self, call, container_id=None):
        world = self._world
        world.step()
        self.calls.append((world.now, call, container_id))
        if world.engine_is_silent:
            world.pause(world.now + world.scene.engine_patience)
            kind = EngineUnreachable if world.scene.engine_patience else EngineAbsent
            raise kind("The engine does not answer (made up).")
        return world.containers.get(container_id)

    def inspect(self, container_id):
        return self._reach("inspect", container_id).look()

    def sent(self, container):
        life = self._reach("sent", container.id).lives[int(container.started_at.split()[1]) - 1]
        since = self._world.now - self._world.scene.memory
        names = [signal.name for signal in life.signals if signal.at >= since]
        pending = self._pending.get((id(self._world.run), container.id), 0.0) > self._world.now
        killed = [at for at, _ in life.kills if at >= since]
        return Sent((*names, *("SIGKILL" for _ in killed)), since, pending)

    def signal(self, container_id, signal):
        """Send it; or it is lost, or its answer, or both come late, or nobody was there to take the call."""
        container = self._reach("signal", container_id)
        world, run, asked_at = self._world, self._world.run, self._world.now
        if container.gone:
            raise NoSuchContainer("gone")
        number = next(self._signal_calls)
        fault = dict(enumerate(world.scene.signal_faults)).get(number, "")
        if fault == "absent":
            raise EngineAbsent("The engine does not listen (made up).")
        if fault == "slow":
            self._carry_out_slowly(container, signal, run)
        elif fault == "late":
            world.later(1.5, lambda: container.alive and container.take_signal(signal, run, asked_at))
        elif fault != "lost":
            container.take_signal(signal, run, asked_at)
        world.step()
        if fault and (fault != "slow" or world.scene.slow > CALL_BOUND):
            raise EngineUnreachable("The engine does not answer (made up).")

    def _carry_out_slowly(self, container, signal, run):
        world, asked_at, taken = self._world, self._world.now, []

        def carry_out():
            if container.alive:
                taken.append(container.take_signal(signal, run, asked_at))

        self._pending[id(run), container.id] = asked_at + world.scene.slow
        world.later(world.scene.slow, carry_out)
        world.pause(asked_at + min(world.scene.slow, CALL_BOUND))
        if world.scene.slow <= CALL_BOUND and not taken:
            raise NotRunning("not running")

    def kill(self, container_id):
        self._world.step()
        container = self._world.containers[container_id]
        self.calls.append((self._world.now, "kill", container_id))
        self._failures.pop(container_id, None)
        if next(self._kill_calls) < self._world.scene.kills_lost or self._world.engine_is_silent:
            self._failures[container_id] = "The engine does not answer (made up)."
            return
        container.sigkill()
        if container.service.kill_takes == NEVER:
            self._world.later(12.0, lambda: self._failures.update({container_id: "tried for 12 s"}))
        self._world.step()

    def kill_failure(self, container_id):
        return self._failures.get(container_id, "")

    def unpause(self, container_id):
        self._reach("unpause", container_id).unpause()


class FakeEvidence:
    """One run's reader: serial, as late as the world says, with the newest question next in line."""

    def __init__(self, world, run):
        self._world = world
        self._run = run
        self._latencies = itertools.cycle(world.scene.latencies)
        self._waiting = None
        self._busy = False
        self._inbox = []
        self.asks = []
        self.told = {}  # by container: when the reading was taken, and the reading, newest last

    def ask(self, asks):
        self._world.step()
        self.asks.append((self._world.now, dict(asks)))
        self._waiting = (len(self.asks), dict(asks))
        self._read_on()
        return len(self.asks)

    def _read_on(self):
        if self._busy or self._waiting is None:
            return
        (number, asks), self._waiting, self._busy = self._waiting, None, True
        latency, taken = next(self._latencies), []

        def take():
            answers = [self._answer(number, key, operations) for key, operations in asks.items()]
            taken.append((self._world.now, answers))

        self._world.later(latency if self._world.scene.read_at_the_end else 0.0, take)
        self._world.later(latency, lambda: self._deliver(*taken[0]))

    def _answer(self, number, key, operations):
        container = self._world.containers[key]
        for begin, end, passing in self._world.scene.outages:
            if begin <= self._world.age < end:
                why = "the database is away (made up)"
                return Answer(key, number, Reading(EvidenceState.UNAVAILABLE, why, passing))
        rows = [work.row(self._world.now) for work in container.works]
        beat = Heartbeat(
            container.service.profile.name, container.name, 3.0, int(self._world.age // 10), True, False
        )
        shown, at = tuple(row for row in rows if row), moment(self._world.now)
        reading = Reading(EvidenceState.OK, heartbeats=(beat,), operations=shown, at=at)
        by_id = {work.id: work for work in container.works}
        return Answer(key, number, reading, tuple(by_id[op.id].ending(op) for op in operations))

    def _deliver(self, taken, answers):
        self._busy = False
        self._inbox.extend((taken, answer) for answer in answers)
        self._run.woken = True
        self._read_on()

    def answers(self):
        inbox, self._inbox = self._inbox, []
        for taken, answer in inbox:
            self.told.setdefault(answer.key, []).append((self._world.now, taken, answer.reading))
        return [answer for _, answer in inbox]


class Budget(NamedTuple):
    """What a run asked for when it began or joined a stop, and how things stood then."""

    when: float
    since: float  # when its run began
    timeout: float
    runs: frozenset[str]  # who waits by it
    alive: frozenset[str]  # the runs that were not dead
    signalled: bool  # or about to be


class SteppedLedger(Ledger):
    """The real ledger, with steps at which a run may die or have to wait its turn."""

    def __init__(self, world):
        super().__init__(world.folder, clock=world.clock, wall=world.clock)
        self._world = world
        self._beginning = None

    def begin(self, container, timeout, signal, since=None):
        self._beginning = (self._world.now, since, timeout)
        try:
            return super().begin(container, timeout, signal, since)
        finally:
            self._beginning = None

    def read(self, container_id):
        self._world.step()
        return super().read(container_id)

    def forget(self, container_id, life):
        super().forget(container_id, life)
        self._world.forgotten.add(life)

    def write(self, entry):
        self._world.step()
        super().write(entry)
        self._world.keep_budget(entry, self._beginning)
        self._world.step()


@dataclass(eq=False, repr=False)
class Run:
    """One call of stop_all, in a process of its own."""

    def __repr__(self):
        return f"Run(from {self.begun - BEGINNING:.2f} s)"

    starts_at: float = 0.0
    dies_at_step: int = 0  # 0: it does not
    request: dict = field(default_factory=dict)  # what it asks for otherwise than the services say
    # what came of it
    begun: float = NEVER
    ended: float = NEVER
    results: tuple = ()
    died: bool = False
    error: BaseException | None = None
    # where it stands
    process: str = ""
    steps: int = 0
    wakes_at: float = 0.0
    woken: bool = False
    sleeps_lightly: bool = False
    evidence: FakeEvidence | None = None
    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def by_name(self):
        return {result.name: result for result in self.results}


class World:
    """Everything there is, and its clock. To be used as a context manager."""

    def __init__(self, scene):
        self.scene = scene
        self.now = BEGINNING
        self._budgets = {}  # by process life: of every stop that the ledger took
        self._signalled = set()  # process lives, by the ledger
        self.forgotten = set()  # those whose end was seen: nobody waits for them any more
        self._processes = {}
        self._events = []
        self._order = itertools.count()
        self._turns = iter(scene.turns)
        self._runs = []
        self.runs_side_by_side = False
        self._current = None
        self._all_done = threading.Semaphore(0)
        self.engine = FakeEngine(self)
        made = [FakeContainer(self, service, index) for index, service in enumerate(scene.services)]
        self.containers = {container.id: container for container in made}
        self._move_to(self.now)

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = os.path.join(self._folder.name, "run")
        self._patch = mock.patch.object(processes, "named", self._process)
        self._patch.start()
        return self

    def __exit__(self, *exc):
        self._patch.stop()
        self._folder.cleanup()

    def _process(self, pid):
        """Each run is a process of its own, which ends with it."""
        if pid == os.getpid():
            return self.run.process
        name = f"{pid} made-up"
        return name if name in self._living else ""

    @property
    def _living(self):
        return frozenset(name for name, run in self._processes.items() if run.ended == NEVER)

    # the clock

    def clock(self):
        return self.now

    @property
    def age(self):
        return self.now - BEGINNING

    @property
    def engine_is_silent(self):
        return any(begin <= self.age < end for begin, end in self.scene.engine_gaps)

    def at(self, when, do):
        if when < NEVER:
            heapq.heappush(self._events, (BEGINNING + when, next(self._order), do))

    def later(self, seconds, do):
        self.at(self.age + seconds, do)

    def _move_to(self, moment):
        while self._events and self._events[0][0] <= moment:
            when, _, do = heapq.heappop(self._events)
            self.now = max(self.now, when)
            do()
        self.now = max(self.now, moment)

    @property
    def run(self):
        """The one that moves just now."""
        return self._current

    # the runs: one moves at a time, the others stand still at one of their steps

    def stop(self, *runs):
        """Let these runs stop all containers, side by side; returns the first of them."""
        self._runs = list(runs)
        self.runs_side_by_side = len(runs) > 1
        for run in runs:
            run.wakes_at, run.woken = BEGINNING + run.starts_at, False
            run.process = f"{os.getpid() + 1 + len(self._processes)} made-up"
            self._processes[run.process] = run
        threads = [threading.Thread(target=self._main, args=(run,), daemon=True) for run in runs[1:]]
        for thread in threads:
            thread.start()
        self._current = runs[0]
        self._main(runs[0], first=True)
        if threads:
            self._all_done.acquire()
        for thread in threads:
            thread.join()
        for run in runs:
            if run.error is not None:
                raise run.error
        return runs[0]

    def _main(self, run, first=False):
        if not first:
            run.baton.acquire()
        try:
            self.pause(run.wakes_at)
            run.begun = self.now
            run.evidence = FakeEvidence(self, run)
            run.results = stop_all(
                self._targets(run),
                engine=self.engine,
                evidence=run.evidence,
                ledger=SteppedLedger(self),
                clock=self.clock,
                wait=self._wait,
            )
        except Died:
            run.died = True
        except BaseException as exc:  # noqa: BLE001 - carried over to the thread of the test
            run.error = exc
        run.ended = self.now
        self._runs.remove(run)
        if self._runs:
            self._hand_over()
        else:
            self._all_done.release()

    def _targets(self, run):
        for container in self.containers.values():
            found = container.look()
            if found is None:
                continue
            service = container.service
            request = replace(service.request, **run.request)
            plan = make_plan(request, service.profile, service.stop_signal)
            begun = container.life.begun
            began = None if found.at_rest or begun == -NEVER else begun
            ignored = frozenset(work.id for work in container.works if work.ignored)
            yield Target(
                found,
                request,
                service.profile,
                plan,
                evidence_missing=service.evidence_missing,
                baseline=Baseline(began, ignored),
            )

    def _wait(self, seconds):
        run = self._current
        if not run.woken:
            run.sleeps_lightly = True
            self.pause(self.now + seconds)
            run.sleeps_lightly = False
        run.woken = False
        self.pause(self.now + WAKING)

    def step(self):
        """A step of the current run: it may die here, and another may get its turn."""
        run = self._current
        run.steps += 1
        if run.steps == run.dies_at_step:
            raise Died
        if run.steps > 6_000:
            raise Hang(f"more than 6000 steps, {self.age:.0f} s after the beginning")
        if len(self._runs) > 1:
            self.pause(self.now)

    def pause(self, until):
        """The current run stands still until then, or until it is woken from a light sleep."""
        run = self._current
        run.wakes_at = until
        if self._hand_over() is not run:
            run.baton.acquire()

    def _hand_over(self):
        while not (
            ready := [r for r in self._runs if r.wakes_at <= self.now or (r.woken and r.sleeps_lightly)]
        ):
            first = min(r.wakes_at for r in self._runs)
            self._move_to(min(first, self._events[0][0]) if self._events else first)
        following = ready[next(self._turns, 0) % len(ready)] if len(ready) > 1 else ready[0]
        before, self._current = self._current, following
        if following is not before:
            following.baton.release()
        return following

    def wake_all(self):
        for run in self._runs:
            run.woken = True

    # what really was

    def keep_budget(self, entry, beginning):
        """The ledger was written; ``beginning`` is when, since when and with which timeout, if a stop began."""
        life = (entry.container_id, entry.started_at)
        budgets = self._budgets.setdefault(life, [])
        runs = frozenset({self.run.process})
        if not budgets:  # the runs of an earlier life go on in this one
            budgets.extend(self._budgets_of_earlier_lives(entry))
        if beginning is not None:
            budgets.append(Budget(*beginning, runs, self._living, life in self._signalled))
        if entry.intent is not None:
            self._signalled.add(life)
        else:
            self._signalled.discard(life)

    def _budgets_of_earlier_lives(self, entry):
        for (container_id, started_at), budgets in self._budgets.items():
            earlier = container_id == entry.container_id and started_at != entry.started_at
            if earlier and (container_id, started_at) not in self.forgotten:
                begun, deadline, waiting = _in_force(budgets, self.now)
                if deadline > self.now and waiting & self._living:
                    yield Budget(begun, begun, deadline - begun, waiting, self._living, False)

    def budget(self, container, life, moment):
        """The start and the deadline in force at a moment, by the rules: joined, made longer, or begun anew."""
        return _in_force(self._budgets.get((container.id, life.started_at), []), moment)[:2]

    def deadline(self, container, life, moment):
        """The deadline in force at a moment."""
        return self.budget(container, life, moment)[1]


def _in_force(budgets, moment):
    """Start, deadline and who waits."""
    deadline = begun = -NEVER
    waiting = frozenset()
    for budget in budgets:
        if budget.when >= moment:  # of the same moment: whoever began then came after
            break
        if budget.when < deadline and (budget.signalled or waiting & budget.alive):
            deadline, waiting = max(deadline, begun + budget.timeout), waiting | budget.runs
        else:
            begun, deadline, waiting = budget.since, budget.since + budget.timeout, budget.runs
    return begun, deadline, waiting

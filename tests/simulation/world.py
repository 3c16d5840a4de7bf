"""A made-up host: containers, an engine, a database and a clock that only moves when everybody waits.

The real ``stop_all``, ``policy`` and ``Ledger`` run in it. What a world is like is said by frozen
descriptions (``Job``, ``Service``, ``Scene``), so a failing one can be read, shrunk and kept; to add a
world is to write one of these down. What really happened is in ``World`` afterwards: the lives of each
container with their signals, and what became of each job. Seconds count from the world's beginning.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import heapq
import itertools
import math
import os
import random
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from kolla_drain.drain.baseline import Baseline
from kolla_drain.drain.loop import stop_all
from kolla_drain.drain.plan import plan as make_plan
from kolla_drain.drain.result import Target
from kolla_drain.errors import (
    EngineAbsent,
    EngineError,
    EngineUnreachable,
    LedgerBusy,
    LedgerError,
    NoSuchContainer,
    NotRunning,
)
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
EPOCH = 1.7e9  # what the wall clock is ahead of the boot clock
WAKING = 0.01  # what it takes to wake up; without it a world could turn for ever within one moment
CALL_BOUND = 10.0  # the engine's client gives up a call after this long, and the call may go on
REFRESH = 10.0  # how often a service touches its worker rows, where it does
BY_ITSELF, ALARM, REBOOTED = 1, 142, 255  # exit codes
CINDER = Profile(name="cinder-volume", quiesce=True)
EXITS = {BY_ITSELF: "the service dies by itself", ALARM: "the service's own alarm", REBOOTED: "a reboot"}
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
    unseen: str = ""  # what of its work no reading shows
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
    engine_takes: float = 0.0  # what each call costs while it answers; the calls of several go side by side
    refusals: tuple[tuple[float, float], ...] = ()  # the engine answers with an error: from, to
    disk_full: tuple[tuple[float, float], ...] = ()  # nothing can be written to the ledger: from, to
    signal_faults: tuple[str, ...] = ()  # of the first calls; the words are in FakeEngine.signal
    slow: float = 15.0  # what a signal takes that is slow, or that holds the container for so long
    kills_lost: int = 0  # so many SIGKILLs, the first ones, do not go through
    memory: float = NEVER  # how far back the engine remembers its events
    knows_of_stops: bool = False  # beyond that it knows that it sent a signal, as Docker does, but not which
    clock_steps: tuple[tuple[float, float], ...] = ()  # of the wall clock: when, and by how much
    turns: tuple[int, ...] = ()  # which run moves on, where several could


@functools.lru_cache(maxsize=4096)
def moment(seconds):
    """A time of the world as the database has it, whose clock is another one."""
    return (datetime(2026, 11, 29) + timedelta(seconds=seconds)).isoformat(timespec="microseconds") + "Z"


# --- what happens


class Died(BaseException):
    """The run was killed, as by SIGKILL or a power cut of the connection."""


class Hang(BaseException):
    """The run goes on for ever, or nobody is left to move the clock."""


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

    def __post_init__(self):
        self.started_at = f"life {self.number}"


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
        self._row = None  # as last shown

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
        touched, claimed = None, self.claimed
        if claimed:
            beats = self.container.service.refreshes and self.state == "running" and self.job.takes < NEVER
            taken = self.taken_at if self.taken_at < NEVER else self.written
            touched = moment(taken + ((now - taken) // REFRESH * REFRESH if beats else 0))
        if self._row is None or (self._row.claimed, self._row.touched) != (claimed, touched):
            self._row = Operation(
                "volume_create",
                self.id,
                "creating",
                None,
                claimed,
                touched,
                self.job.informs,
                written=moment(self.written),
                unattributed="any of them may work on it" if self.unattributed else "",
            )
        return self._row

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
        self.number = index
        self.name = f"c{index}"
        self.id = f"{index}" * 64
        self.status = ContainerStatus.RUNNING
        self.lives = [Life(1, world.now - service.up_for)]
        self.gone = False
        self.rested_at = NEVER  # since when it is at rest
        self._restart_cancelled = False
        self._held_back = []  # signals to a paused process
        self._left = {}  # work of a paused process that is done as soon as it may go on
        self._shown = self._beat = None  # by the last look, and by the last reading
        self.works = [Work(job, self, number) for number, job in enumerate(service.jobs)]
        for work in self.works:
            world.at(work.job.arrives, lambda work=work: self._arrive(work))
        world.at(service.dies_at, lambda: self._exit(BY_ITSELF))
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
            self.rested_at = NEVER if status is ContainerStatus.RESTARTING else self.world.now

    @property
    def life(self):
        return self.lives[-1]

    @property
    def alive(self):
        return self.status in (ContainerStatus.RUNNING, ContainerStatus.PAUSED)

    @property
    def silent_for(self):
        """How long ago its heartbeat stopped."""
        life, beats_on = self.life, self.service.profile.heartbeat_while_draining
        stops = life.ended
        if life.taken_note is not None and not beats_on and self.service.at_signal != "ignores":
            stops = min(stops, life.taken_note)
        return max(0.0, self.world.now - stops) if stops < NEVER else 0.0

    def heartbeat(self):
        silent = self.silent_for
        count = int((self.world.age - silent) // 10)
        beat = self._beat
        if beat is None or (beat.age, beat.report_count) != (3.0 + silent, count):
            self._beat = Heartbeat(
                self.service.profile.name, self.name, 3.0 + silent, count, silent < 57.0, False
            )
        return self._beat

    @property
    def running(self):
        return [work for work in self.works if work.state == "running"]

    def look(self):
        if self.gone:
            return None
        shown, started_at = self._shown, self.life.started_at
        if shown is None or shown.status is not self.status or shown.started_at is not started_at:
            self._shown = Container(
                id=self.id,
                name=self.name,
                status=self.status,
                pid=4711 if self.alive else 0,
                started_at=started_at,
                exit_code=None if self.alive else self.life.exit_code,
                stop_signal=self.service.stop_signal,
            )
        return self._shown

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
        if self.alive:
            self.world.met("somebody else's signal")
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
        self.world.later(self.service.alarm, lambda: self.life is life and self._exit(ALARM))

    def _leave_if_idle(self):
        noted = self.life.taken_note
        if noted is None or self.service.at_signal == "ignores" or self.running:
            return
        if self.status is ContainerStatus.RUNNING and self.world.now >= noted + self.service.exits_in - 1e-6:
            self._exit(0)

    def _pause(self):
        if self.status is ContainerStatus.RUNNING:
            self.world.met("paused by somebody")
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
        held_back, self._held_back = self._held_back, []
        for _ in held_back:
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
        if code in EXITS:
            self.world.met(EXITS[code])
        self.world.wake_all()
        if self.service.restarts_in < NEVER and not self._restart_cancelled:
            self.status = ContainerStatus.RESTARTING
            self.world.later(self.service.restarts_in, self._start)
        else:
            self._rest()

    def _rest(self):
        self.status, self.rested_at = ContainerStatus.EXITED, self.world.now
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
        self.world.met("started again")
        self.lives.append(Life(len(self.lives) + 1, self.world.now))
        self._held_back, self._left = [], {}
        self.status, self.rested_at = ContainerStatus.RUNNING, NEVER
        self._restart_cancelled = False
        for work in self.works:
            if work.state == "cut" and work.job.by_worker:
                work.state = "error"  # what cinder-volume makes of its orphans
            elif work.state == "queued":
                self._take(work)
        self.world.wake_all()

    def reboot(self):
        """End with the host; the engine starts again afterwards what it would start after an exit."""
        self._restart_cancelled = False
        self._exit(REBOOTED)


class FakeEngine:
    """The engine's side of the world; every call is a step at which a run may die or have to wait its turn."""

    def __init__(self, world):
        self._world = world
        self._failures = {}
        self._signal_calls = itertools.count()
        self._kill_calls = itertools.count()
        self._pending = {}  # by run and container: when its slow signal is carried out
        self._held = {}  # by container: until when a call holds it, so that looks at it wait
        self.calls = []

    def _reach(self, call, container_id=None):
        world, scene = self._world, self._world.scene
        world.step()
        if scene.engine_takes:
            world.met("every call to the engine is slow")
            world.pause(world.now + scene.engine_takes)
        self.calls.append((world.now, call, container_id))
        held = self._held.get(container_id, 0.0) if self._held else 0.0
        if held > world.now and call in ("inspect", "unpause"):
            world.pause(min(held, world.now + CALL_BOUND))
            if held > world.now:
                world.met("the engine holds a container")
                raise EngineUnreachable("The engine holds the container (made up).")
        if scene.engine_gaps and world.engine_is_silent:
            world.met("the engine is silent" if scene.engine_patience else "nothing listens for the engine")
            world.pause(world.now + scene.engine_patience)
            kind = EngineUnreachable if scene.engine_patience else EngineAbsent
            raise kind("The engine does not answer (made up).")
        if scene.refusals and world.is_within(scene.refusals):
            world.met("the engine answers with an error")
            raise EngineError("The engine refused (made up).")
        return world.containers.get(container_id)

    def inspect(self, container_id):
        return self._reach("inspect", container_id).look()

    def sent(self, container):
        life = self._reach("sent", container.id).lives[int(container.started_at.split()[1]) - 1]
        world = self._world
        since = world.now - world.scene.memory
        names = [signal.name for signal in life.signals if signal.at >= since]
        if len(names) < len(life.signals):
            world.met("the engine has forgotten a signal")
        pending = self._pending.get((id(world.run), container.id), 0.0) > world.now
        killed = [at for at, _ in life.kills if at >= since]
        # Of a clock that was set back, the adapters say that it does not tell.
        covers_from = (
            -NEVER if since <= life.begun else NEVER if world.was_set_back(life) else world.wall(since)
        )
        signals = (*names, *("SIGKILL" for _ in killed))
        if since <= life.begun:
            return Sent(signals, covers_from, pending)
        ages = [
            world.now - at for at in (*(signal.at for signal in life.signals), *(at for at, _ in life.kills))
        ]
        forgotten = None
        if ages and not signals and world.scene.knows_of_stops:
            world.met("the engine knows of a signal, and not which")
            forgotten = min(ages)
        return Sent(signals, covers_from, pending, horizon=world.scene.memory, forgotten=forgotten)

    def signal(self, container_id, signal):
        """Send it; or it is lost, or its answer, or both come late, or nobody was there to take the call."""
        world, run, asked_at = self._world, self._world.run, self._world.now
        container = self._reach("signal", container_id)
        if container.gone:
            raise NoSuchContainer("gone")
        number = next(self._signal_calls)
        fault = dict(enumerate(world.scene.signal_faults)).get(number, "")
        if fault:
            world.met(f"a call to signal: {fault}")
        if fault == "absent":
            raise EngineAbsent("The engine does not listen (made up).")
        if fault in ("slow", "holds"):
            if fault == "holds":
                # An engine that has come to itself works off what waits for it in any order.
                self._held[container_id] = world.now + world.scene.slow - 1.0
            self._carry_out_slowly(container, signal, run, asked_at)
        elif fault == "late":
            world.until_reboot(1.5, lambda: container.alive and container.take_signal(signal, run, asked_at))
        elif fault != "lost":
            container.take_signal(signal, run, asked_at)
        world.step()
        if fault and (fault not in ("slow", "holds") or world.scene.slow > CALL_BOUND):
            raise EngineUnreachable("The engine does not answer (made up).")

    def _carry_out_slowly(self, container, signal, run, asked_at):
        world, now, taken = self._world, self._world.now, []

        def carry_out():
            if container.alive:
                taken.append(container.take_signal(signal, run, asked_at))

        self._pending[id(run), container.id] = now + world.scene.slow
        world.until_reboot(world.scene.slow, carry_out)
        world.pause(now + min(world.scene.slow, CALL_BOUND))
        if world.scene.slow <= CALL_BOUND and not taken:
            raise NotRunning("not running")

    def kill(self, container_id):
        self._world.step()
        container = self._world.containers[container_id]
        self.calls.append((self._world.now, "kill", container_id))
        self._failures.pop(container_id, None)
        if next(self._kill_calls) < self._world.scene.kills_lost or self._world.engine_fails:
            self._world.met("a SIGKILL is lost")
            self._failures[container_id] = "The engine does not answer (made up)."
            return
        if self._held.get(container_id, 0.0) > self._world.now:
            wait = self._held[container_id] - self._world.now
            self._world.until_reboot(wait, lambda: container.alive and container.sigkill())
            return
        container.sigkill()
        if container.service.kill_takes == NEVER:
            self._world.met("a process hangs in the kernel")
            self._world.later(12.0, lambda: self._failures.update({container_id: "tried for 12 s"}))
        self._world.step()

    def reboot(self):
        self._pending, self._held, self._failures = {}, {}, {}

    def kill_failure(self, container_id):
        return self._failures.get(container_id, "")

    def unpause(self, container_id):
        self._reach("unpause", container_id).unpause()


# By whether it may pass.
AWAY = {
    passing: Reading(EvidenceState.UNAVAILABLE, "the database is away (made up)", passing)
    for passing in (False, True)
}


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
        self.asks.append((self._world.now, asks))
        self._waiting = (len(self.asks), asks)
        self._read_on()
        return len(self.asks)

    def _read_on(self):
        if self._busy or self._waiting is None:
            return
        (number, asks), self._waiting, self._busy = self._waiting, None, True
        latency, taken = next(self._latencies), []

        def take():
            away = self._away()
            answers = [
                Answer(key, number, away) if away else self._answer(number, key, operations)
                for key, operations in asks.items()
            ]
            taken.append((self._world.now, answers))

        self._world.later(latency if self._world.scene.read_at_the_end else 0.0, take)
        self._world.later(latency, lambda: self._deliver(*taken[0]))

    def _away(self):
        """The reading while the database is away; None while it is there."""
        age = self._world.age
        for begin, end, passing in self._world.scene.outages:
            if begin <= age < end:
                self._world.met(f"the database is away, {'for a while' if passing else 'for good'}")
                return AWAY[passing]
        return None

    def _answer(self, number, key, operations):
        container, now = self._world.containers[key], self._world.now
        shown = tuple([row for row in [work.row(now) for work in container.works] if row])
        at = moment(now) if shown else None  # it is compared with theirs
        unseen = container.service.unseen
        reading = Reading(
            EvidenceState.OK, unseen, heartbeats=(container.heartbeat(),), operations=shown, at=at
        )
        by_id = {work.id: work for work in container.works} if operations else {}
        return Answer(key, number, reading, tuple([by_id[op.id].ending(op) for op in operations]))

    def _deliver(self, taken, answers):
        self._busy = False
        self._inbox.extend((taken, answer) for answer in answers)
        self._run.woken = True
        self._read_on()

    def answers(self):
        if not self._inbox:
            return ()
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


class InMemory(Ledger):
    """The ledger with its entries in memory: the rules are the real ones, only no file is written."""

    def __init__(self, entries, locks, **clocks):
        super().__init__("", **clocks)
        self._entries, self._locks = entries, locks

    @contextlib.contextmanager
    def held(self, container_id):
        if container_id in self._locks:
            raise LedgerBusy("Another run holds it; find it (fuser, made up).")
        self._locks.add(container_id)
        try:
            yield
        finally:
            self._locks.discard(container_id)

    def read(self, container_id):
        return self._entries.get(container_id)

    def write(self, entry):
        self._entries[entry.container_id] = entry

    def forget(self, container_id, life):
        with self.held(container_id):
            entry = self.read(container_id)
            if entry is not None and entry.life == life:
                del self._entries[container_id]


class Stepped:
    """Steps for a ledger, at which a run may die or have to wait its turn."""

    def __init__(self, world, *args, **more):
        super().__init__(*args, clock=world.clock, wall=world.wall, **more)
        self._world = world
        self._beginnings = {}  # by container: of calls that go side by side
        self._living = {}  # by container: whom a beginning finds alive

    def begin(self, container, timeout, signal, since=None):
        world = self._world
        counted_from = None if since is None else since + world.booted_at
        self._beginnings[container.id] = (world.now, counted_from, timeout)
        try:
            entry, joined = super().begin(container, timeout, signal, since)
            if joined:
                world.met("a stop under way is joined")
            return entry, joined
        except LedgerBusy:
            world.met("another run holds the lock")
            raise
        finally:
            del self._beginnings[container.id]

    def read(self, container_id):
        self._world.step()
        self._living[container_id] = self._world.living
        return super().read(container_id)

    def forget(self, container_id, life):
        super().forget(container_id, life)
        self._world.forgotten.add(life)

    def write(self, entry):
        world = self._world
        world.step()
        if world.is_within(world.scene.disk_full):
            world.met("the disk is full")
            raise LedgerError("No space left on device (made up).")
        super().write(entry)
        beginning = self._beginnings.get(entry.container_id)
        world.keep_budget(entry, beginning, self._living.get(entry.container_id))
        world.step()


class SteppedLedger(Stepped, Ledger):
    """The real ledger."""


class SteppedInMemory(Stepped, InMemory):
    """The ledger of the worlds that are played by the thousand."""


class Kept:
    """The stories of one run, in memory: those of a run that came to its end are taken with its result."""

    def __init__(self, world, process):
        self._world, self._process = world, process

    def keep(self, stories):
        kept = {story["id"]: story for story in self._world.stories.get(self._process, ())}
        self._world.stories[self._process] = list({**kept, **{one["id"]: one for one in stories}}.values())

    def of(self, life):
        kept = self._world.stories
        return [
            {**story, "lives": process in self._world.living}
            for process, stories in kept.items()
            for story in stories
            if process != self._process and (story["id"], story["started_at"]) == life
        ]


@dataclass(eq=False, repr=False)
class Run:
    """One call of stop_all, in a process of its own."""

    def __repr__(self):
        return f"Run(from {self.begun - BEGINNING:.2f} s)"

    starts_at: float = 0.0
    dies_at_step: int = 0  # 0: it does not
    request: dict = field(default_factory=dict)  # what it asks for otherwise than the services say
    only: tuple[int, ...] = ()  # the containers that it stops, by number; empty: all
    # what came of it
    begun: float = NEVER
    ended: float = NEVER
    results: tuple = ()
    died: bool = False
    error: BaseException | None = None
    # where it stands
    process: str = ""
    steps: int = 0
    woken: bool = False
    evidence: FakeEvidence | None = None

    def is_for(self, container):
        return not self.only or container.number in self.only

    def by_name(self):
        return {result.name: result for result in self.results}


@dataclass(eq=False, repr=False)
class Strand:
    """A thread of a run: its loop, or one of the calls that go side by side."""

    run: Run
    wakes_at: float
    sleeps_lightly: bool = False
    baton: _thread.LockType = field(default_factory=lambda: _locked())


class World:
    """Everything there is, and its clock. To be used as a context manager."""

    def __init__(self, scene, in_memory=False):
        self.scene = scene
        self.now = BEGINNING
        self.booted_at = 0.0  # what the boot clock counts from
        self.seen = set()  # what this world has met, and which promises it has put to the test
        self._budgets = {}  # by process life: of every stop that the ledger took
        self._signalled = set()  # process lives, by the ledger
        self.forgotten = set()  # those whose end was seen: nobody waits for them any more
        self._processes = {}
        self.living = frozenset()  # the processes of runs that have not ended
        self._events = []
        self._order = itertools.count()
        self._chance = random.Random(0).random
        self._turns = iter(scene.turns)
        self._strands = []
        self.runs_side_by_side = False
        self.sabotage = (
            ""  # what a story has done to this world besides, in a word of the reason that follows
        )
        self._current = None
        self._all_done = None
        self._entries, self._locks = {}, set()
        self.stories = {}  # by the run's process
        self._in_memory = in_memory
        self.engine = FakeEngine(self)
        made = [FakeContainer(self, service, index) for index, service in enumerate(scene.services)]
        self.containers = {container.id: container for container in made}
        for when, by in scene.clock_steps:
            told = f"the wall clock is set {'back' if by < 0 else 'ahead'} in the middle of a run"
            self.at(when, lambda told=told: self.living and self.met(told))
        self._calls_take_time = scene.engine_takes or {"slow", "holds"} & {*scene.signal_faults}
        self._most_steps = 6_000 * max(1, len(made) // 3)
        self._move_on(self.now)

    def __enter__(self):
        if not self._in_memory:
            self._folder = tempfile.TemporaryDirectory()
            self.folder = os.path.join(self._folder.name, "run")
        self._named, processes.named = processes.named, self._process
        return self

    def __exit__(self, *exc):
        processes.named = self._named
        if not self._in_memory:
            self._folder.cleanup()

    def _ledger(self):
        if self._in_memory:
            return SteppedInMemory(self, self._entries, self._locks)
        return SteppedLedger(self, self.folder)

    def met(self, what):
        """Keep that something was there, or was put to the test."""
        self.seen.add(what)

    def reboot(self):
        """Boot the host anew between two runs: /run is empty, the boot clock begins again."""
        self.booted_at = self.now
        self._entries.clear()
        self._locks.clear()
        self.stories.clear()
        if not self._in_memory:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._signalled.clear()
        self.forgotten.update((c.id, life.started_at) for c in self.containers.values() for life in c.lives)
        self.engine.reboot()
        for container in self.containers.values():
            container.reboot()

    def _process(self, pid):
        """Each run is a process of its own, which ends with it."""
        if pid == os.getpid():
            return self.run.process
        name = f"{pid} made-up"
        return name if name in self.living else ""

    @property
    def runs(self):
        """All runs so far."""
        return list(self._processes.values())

    # the clock

    def clock(self):
        return self.now - self.booted_at

    def wall(self, when=None):
        """The wall clock now, or as it was."""
        when = self.now if when is None else when
        return EPOCH + when + sum(by for at, by in self.scene.clock_steps if BEGINNING + at <= when)

    def was_set_back(self, life):
        return any(by < 0 and life.begun < BEGINNING + at <= self.now for at, by in self.scene.clock_steps)

    @property
    def age(self):
        return self.now - BEGINNING

    @property
    def engine_is_silent(self):
        return self.is_within(self.scene.engine_gaps)

    @property
    def engine_fails(self):
        return self.engine_is_silent or self.is_within(self.scene.refusals)

    def is_within(self, gaps):
        age = self.age
        return any(begin <= age < end for begin, end in gaps)

    def at(self, when, do):
        if when < NEVER:
            heapq.heappush(self._events, (BEGINNING + when, next(self._order), do))

    def later(self, seconds, do):
        self.at(self.age + seconds, do)

    def until_reboot(self, seconds, do):
        """The same, unless the host is rebooted before."""
        booted = self.booted_at
        self.later(seconds, lambda: self.booted_at == booted and do())

    @property
    def run(self):
        """The one that moves just now."""
        return self._current.run

    # the runs: one strand of them moves at a time, the others stand still at one of their steps

    def stop(self, *runs):
        """Let these runs stop all containers, side by side; returns the first of them."""
        self._strands = [Strand(run, BEGINNING + run.starts_at) for run in runs]
        self.runs_side_by_side = len(runs) > 1
        for run in runs:
            run.woken = False
            run.process = f"{os.getpid() + 1 + len(self._processes)} made-up"
            self._processes[run.process] = run
        self.living |= {run.process for run in runs}
        self._all_done = _locked()
        first, *others = self._strands
        for strand in others:
            _beside(self._main, strand)
        self._current = first
        self._main(first, first=True)
        if others:
            self._all_done.acquire()
        for run in runs:
            if isinstance(run.error, Hang):
                raise AssertionError(str(run.error)) from run.error
            if run.error is not None:
                raise run.error
        return runs[0]

    def _main(self, strand, first=False):
        run = strand.run
        if not first:
            strand.baton.acquire()
        try:
            self.pause(strand.wakes_at)
            run.begun = self.now
            run.evidence = FakeEvidence(self, run)
            run.results = stop_all(
                self._targets(run),
                engine=self.engine,
                evidence=run.evidence,
                ledger=self._ledger(),
                stories=Kept(self, run.process),
                clock=self.clock,
                wait=self._wait,
                at_once=self._at_once,
                chance=self._chance,
            )
            self.stories.pop(run.process, None)
        except Died:
            run.died = True
            self.met("a run is killed")
        except BaseException as exc:  # noqa: BLE001 - carried over to the thread of the test
            run.error = exc
        run.ended = self.now
        self.living -= {run.process}
        self._strands.remove(strand)
        if self._strands:
            self._hand_over()
        else:
            self._all_done.release()

    def _at_once(self, calls):
        """Make calls side by side, as threads do whose calls to the engine take time."""
        if len(calls) == 1 or not (
            self._calls_take_time or (self.scene.engine_patience and self.engine_is_silent)
        ):
            for call in calls:
                call()
            return
        loop, call, *others = self._current, *calls
        sides = [Strand(loop.run, self.now) for _ in others]
        under_way = [loop, *sides]
        for strand, other in zip(sides, others):
            _beside(self._side, strand, other, loop, under_way)
        self._strands += sides
        self._make(call, loop, under_way)
        if under_way:
            self.pause(NEVER)  # until the last of them has come back
        self._live_on(loop.run)

    def _side(self, strand, call, loop, under_way):
        strand.baton.acquire()
        self._make(call, strand, under_way)
        self._strands.remove(strand)
        if not under_way:
            loop.wakes_at = self.now
        self._hand_over()

    def _make(self, call, strand, under_way):
        run = strand.run
        try:
            self._live_on(run)
            call()
        except Died:
            run.died = True
            for other in under_way:
                other.wakes_at = self.now
        except BaseException as exc:  # noqa: BLE001 - carried over to the thread of the test
            run.error = run.error or exc
        under_way.remove(strand)

    @staticmethod
    def _live_on(run):
        if run.died:
            raise Died
        if run.error is not None:
            raise run.error

    def _targets(self, run):
        for container in self.containers.values():
            found = container.look()
            if found is None or not run.is_for(container):
                continue
            service = container.service
            request = replace(service.request, **run.request) if run.request else service.request
            plan = make_plan(request, service.profile, service.stop_signal)
            begun = container.life.begun
            began = None if found.at_rest or begun == -NEVER else begun - self.booted_at
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
        strand, run = self._current, self._current.run
        if not run.woken:
            strand.sleeps_lightly = True
            self.pause(self.now + seconds + WAKING)
            strand.sleeps_lightly = False
        if run.woken:
            run.woken = False
            self.pause(self.now + WAKING)

    def step(self):
        """A step of the current run: it may die here, and another may get its turn."""
        run = self._current.run
        run.steps += 1
        if run.steps == run.dies_at_step:
            raise Died
        if run.steps > self._most_steps:
            raise Hang(f"more than {self._most_steps} steps, {self.age:.0f} s after the beginning")
        if self.runs_side_by_side:
            self.pause(self.now)

    def pause(self, until):
        """The current strand stands still until then, or until it is woken from a light sleep."""
        strand = self._current
        strand.wakes_at = until
        if len(self._strands) == 1:  # most of the time, and quicker so
            events, run, lightly = self._events, strand.run, strand.sleeps_lightly
            while until > self.now and not (lightly and run.woken):
                if events and events[0][0] <= until:
                    self._move_on(until)
                else:
                    self.now = until
        elif self._hand_over() is not strand:
            strand.baton.acquire()
            self._live_on(strand.run)

    def _hand_over(self):
        strands = self._strands
        while not (
            ready := [s for s in strands if s.wakes_at <= self.now or (s.sleeps_lightly and s.run.woken)]
        ):
            self._move_on(min([s.wakes_at for s in strands]))
        following = ready[next(self._turns, 0) % len(ready)] if len(ready) > 1 else ready[0]
        before, self._current = self._current, following
        if following is not before:
            following.baton.release()
        return following

    def _move_on(self, to):
        """Move to a moment, or to what happens before."""
        events = self._events
        if not events or events[0][0] > to:
            self.now = to
            return
        self.now = now = max(self.now, events[0][0])
        while events and events[0][0] <= now:
            heapq.heappop(events)[2]()

    def wake_all(self):
        for strand in self._strands:
            strand.run.woken = True

    # what really was

    def keep_budget(self, entry, beginning, living):
        """The ledger was written; ``beginning`` is when, since when and with which timeout, if a stop began."""
        life = (entry.container_id, entry.started_at)
        budgets = self._budgets.setdefault(life, [])
        runs = frozenset({self.run.process})
        if not budgets:  # the runs of an earlier life go on in this one
            budgets.extend(self._budgets_of_earlier_lives(entry))
        if beginning is not None:
            if (
                life in self.forgotten
            ):  # its end was seen, or the host rebooted before the engine started it again
                self.forgotten.discard(life)
                budgets.clear()
            budgets.append(Budget(*beginning, runs, living, life in self._signalled))
        if entry.intent is not None:
            self._signalled.add(life)
        else:
            self._signalled.discard(life)

    def _budgets_of_earlier_lives(self, entry):
        for (container_id, started_at), budgets in self._budgets.items():
            earlier = container_id == entry.container_id and started_at != entry.started_at
            if earlier and (container_id, started_at) not in self.forgotten:
                begun, deadline, waiting = _in_force(budgets, self.now)
                if deadline > self.now and waiting & self.living:
                    yield Budget(begun, begun, deadline - begun, waiting, self.living, False)

    def budget(self, container, life, moment):
        """The start and the deadline in force at a moment, by the rules: joined, made longer, or begun anew."""
        return _in_force(self._budgets.get((container.id, life.started_at), []), moment)[:2]

    def deadline(self, container, life, moment):
        """The deadline in force at a moment."""
        return self.budget(container, life, moment)[1]


def _locked():
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock


_IDLE = []  # threads that wait for something to do, each with its lock and its next call


def _beside(do, *args):
    """Call it in a thread. Threads are used again, because worlds by the thousand would start ten times as many."""
    if not _IDLE:
        _thread.start_new_thread(_work, (_locked(), [(do, args)]))
        return
    awake, calls = _IDLE.pop()
    calls.append((do, args))
    awake.release()


def _work(awake, calls):
    while True:
        do, args = calls.pop()
        do(*args)
        del do, args
        _IDLE.append((awake, calls))
        awake.acquire()


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

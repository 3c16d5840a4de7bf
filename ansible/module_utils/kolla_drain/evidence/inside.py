"""Ask the processes of a container what they work on, where its rows do not tell (weighing.py).

Each process is sent SIGUSR2 and prints a Guru Meditation Report (threads.py) into the container's log, 20 to 40 KB of
text that an operator finds there afterwards, or into a file. They are asked one after the other, and by one run at a
time, because reports that are printed at the same time run into each other.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from .. import regular
from ..database.inside import inside
from ..errors import EvidenceUnavailable, KollaDrainError
from ..host.process import in_container, lives, named, runs
from ..model import Ending, Operation, Outcome, Reading
from ..preflight.process import ProcessFacts, read_one
from .base import now_utc
from .threads import Call, ProcessReport, reports
from .under_way import UnderWay
from .weighing import Scale

# Seconds within which a process prints its report; on an idle machine it is there within a second, and one that has
# too little of its processor took more than five.
WITHIN = 10.0
# Seconds for all processes of one container.
ALL_WITHIN = 30.0
# A process is asked again after so many seconds at the soonest, and ever later while it works on the same request:
# after a quarter of the time for which that has been seen, and at the latest after so many.
EVERY, AT_LAST = 2.0, 30.0
# Looks in a row without a report after which it is not waited for any more.
TRIES = 2
# Seconds between looks at the log.
_LOOK = 0.1

# Bytes of one report in a file.
_LARGEST = 4 << 20

# By which an operation is known as one of these: its status, and as its id the process and a number.
_RUNNING, _ID = "running", re.compile(r"\d+/\d+")

_SIGUSR2 = 1 << (signal.SIGUSR2 - 1)  # in the masks of /proc/PID/status

_UNREADABLE = "process {} cannot be read from /proc just now"
_CUT = (
    "its process ended with it, and no row tells what became of it; whoever asked gets no answer and gives up "
    "after rpc_response_timeout"
)


class Unanswered(KollaDrainError):
    """A process did not print a report; the text is a clause."""


class Inside:
    """What the processes of one container say, with a memory from one look to the next.

    ``program`` is what they run, ``log(since)`` returns the lines that they have printed from that second of the wall
    clock on, and ``why_not()`` says why no process may be asked now, a clause; it is asked before each signal. During a
    look ``alone()`` keeps other runs away, and raises KollaDrainError where one does not end. ``clock()`` returns
    seconds since the boot.
    """

    def __init__(
        self,
        container_id: str,
        program: str,
        scale: Scale,
        log: Callable[[int], Iterable[str]],
        why_not: Callable[[], str],
        clock: Callable[[], float],
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        within: float = WITHIN,
    ) -> None:
        self._container_id = container_id
        self._program = program
        self._scale = scale
        self._log = log
        self._why_not = why_not
        self._clock = clock
        self._alone = alone
        self._within = within
        self._asked: dict[str, float] = {}  # when, by the name of the process
        self._failures = 0
        self._given_up = ""
        self._known: dict[tuple[str, str], Operation] = {}  # all that were ever seen
        self._workers: dict[tuple[str, str], str] = {}  # the name of the process that works on each
        self._seen: frozenset[tuple[str, str]] = frozenset()  # at the last whole look
        self._answered: frozenset[str] = (
            frozenset()
        )  # the names of the processes that told of themselves in this look
        self._was_whole = False  # a look has been
        self._looked = 0.0  # when, on the clock
        self._under_way = UnderWay()

    def complete(self, reading: Reading) -> Reading:
        """Return a reading of the rows with what the processes work on, or with the reason why that is not known.

        Raises EvidenceUnavailable where the processes may answer the next time.
        """
        self._answered = frozenset()
        if not self._scale.needs_processes(reading, self._clock()):
            return reading
        why = self._given_up
        if not why:
            try:
                why = self._why_not()
                if not why and not self._is_soon():
                    with self._alone():
                        self._look()
            except KollaDrainError as exc:
                why = self._blind(str(exc).rstrip("."))
            if not why:
                self._failures, self._was_whole = 0, True
                if not self._seen:
                    return self._scale.idle(reading, self._clock())
                return replace(
                    reading, operations=(*reading.operations, *map(self._told, sorted(self._seen)))
                )
        # What was seen before is not gone because nobody can look.
        still = [self._known[key] for key in sorted(self._seen) if lives(self._workers[key])]
        why = reading.why if self._rows_tell else self._unseen(why)
        return replace(reading, why=why, operations=(*reading.operations, *still))

    def has(self, operation: Operation) -> bool:
        """Return whether an operation is one that the processes told of, to this run or to one that it has joined."""
        return operation.status == _RUNNING and _ID.fullmatch(operation.id) is not None

    def endings(self, operations: Iterable[Operation]) -> tuple[Ending, ...]:
        """Return what became of operations of these processes, as far as the last look tells."""
        endings = []
        for op in filter(self.has, operations):
            worker = self._workers.get(op.key) or named(int(op.id.partition("/")[0]))
            if worker in self._answered:
                if op.key not in self._seen:
                    endings.append(Ending(op, Outcome.FINISHED, "done"))
            elif not lives(worker):
                endings.append(Ending(op, Outcome.UNKNOWN, "exited", _CUT))
        return tuple(endings)

    @property
    def _rows_tell(self) -> bool:
        return self._scale.profile.rows_tell

    def _unseen(self, why: str) -> str:
        return f"what {self._scale.profile.name} works on could not be seen: {why}"

    def _blind(self, why: str) -> str:
        if self._given_up:
            return why
        self._failures += 1
        # Where there are rows, these have to do meanwhile.
        if not self._rows_tell and (self._was_whole or self._failures < TRIES):
            raise EvidenceUnavailable(self._unseen(why), passing=True)
        if self._failures >= TRIES:
            self._given_up = why
        return why

    def _told(self, key: tuple[str, str]) -> Operation:
        """Return a request, passed over where requests come and go without an end."""
        now, op = self._clock(), self._known[key]
        if self._rows_tell and not op.informs and self._under_way.is_short(key, now):
            why = f"its process has had requests for {self._under_way.busy_for(now):.0f} s, and none of them is long"
            return replace(op, passed_over=why)
        return op

    def _is_soon(self) -> bool:
        """Return whether the last look will do: the same requests are long, or rows tell what has come since."""
        now = self._clock()
        longest = max((now - since for since in self._under_way.since.values()), default=0.0)
        may_wait = bool(self._under_way.since) or (self._rows_tell and self._was_whole)
        return may_wait and now < self._looked + min(AT_LAST, max(EVERY, longest / 4))

    def _look(self) -> None:
        """Ask each process. Raises Unanswered."""
        processes = self._processes()
        deaf = [process.pid for process in processes if not process.caught & _SIGUSR2]
        if len(deaf) == len(processes) and not self._was_whole:
            name = self._scale.profile.name
            self._given_up = f"no process of it in the container handles SIGUSR2, at which {name} would tell"
            raise Unanswered(self._given_up)
        if deaf:
            raise Unanswered(f"process {deaf[0]} does not handle SIGUSR2")
        # A process that lives was seen not to be there for a moment, under load; it may work on anything.
        found_now = {named(process.pid) for process in processes}
        unseen = [name for name in self._asked if name not in found_now and lives(name)]
        if unseen:
            raise Unanswered(_UNREADABLE.format(unseen[0].partition(" ")[0]))
        deadline = time.monotonic() + ALL_WITHIN
        found: list[Operation] = []
        answered = []
        for process in processes:
            name = named(process.pid)
            report = self._ask(process, name, deadline)
            if report is not None:
                answered.append(name)
                found += self._operations(process, name, report.calls)
        # The signal of another run may have come meanwhile, and a process that had it may have ended with its work.
        why = self._why_not()
        if why:
            raise Unanswered(why)
        self._seen, self._answered = frozenset(op.key for op in found), frozenset(answered)
        self._looked = self._clock()
        self._under_way.see(self._seen, self._looked)

    def _operations(self, process: ProcessFacts, name: str, calls: Iterable[Call]) -> list[Operation]:
        """Return the calls as operations; those of the same method are told apart by their number."""
        now, counts, operations = now_utc(), dict[str, int](), []
        for call in calls:
            number = counts[call.method] = counts.get(call.method, 0) + 1
            key = (call.method, f"{process.pid}/{number}")
            if key not in self._seen:
                self._known[key] = Operation(*key, _RUNNING, since=now, claimed=True, informs=call.periodic)
                self._workers[key] = name
            operations.append(self._known[key])
        return operations

    def _ask(self, process: ProcessFacts, name: str, deadline: float) -> ProcessReport | None:
        """Return the report of one process; None for one that has ended. Raises Unanswered."""
        rest = self._asked.get(name, -EVERY) + EVERY - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        since = int(time.time())
        before = len(self._reports(process, since))
        why = self._why_not()
        now = read_one(process.pid)
        if why:
            raise Unanswered(why)
        # The number may be another process's by now.
        if not name or named(process.pid) != name:
            return None
        if now is None:
            raise Unanswered(_UNREADABLE.format(process.pid))
        # SIGUSR2 ends a process that does not handle it, such as one that has become another program.
        if not now.caught & _SIGUSR2 or not runs(self._program, now.argv):
            raise Unanswered(f"process {process.pid} does not handle SIGUSR2 any more")
        asked = self._asked[name] = time.monotonic()
        try:
            os.kill(process.pid, signal.SIGUSR2)
        except ProcessLookupError:
            return None
        except OSError as exc:
            raise Unanswered(f"process {process.pid} cannot be signalled: {exc.strerror}") from None
        until = min(asked + self._within, deadline)
        while True:
            found = self._reports(process, since)
            if len(found) > before:
                return found[-1]
            if named(process.pid) != name:
                return None
            if time.monotonic() >= until:
                raise Unanswered(f"process {process.pid} printed no report within {self._within:g} s")
            time.sleep(_LOOK)

    def _reports(self, process: ProcessFacts, since: int) -> list[ProcessReport]:
        try:
            return [report for report in reports(self._log(since)) if report.pid == process.ns_pid]
        except KollaDrainError as exc:
            raise Unanswered(f"the container's log cannot be read: {exc}") from exc

    def _processes(self) -> list[ProcessFacts]:
        """Return the container's processes that run the service's program, by their numbers. Raises Unanswered."""
        found = []
        for pid in map(int, in_container(self._container_id)):
            process = read_one(pid)
            if process is not None and process.argv:
                found.append(process)
            elif named(pid):
                raise Unanswered(_UNREADABLE.format(pid))
        return sorted(
            (one for one in found if not one.is_init and runs(self._program, one.argv)),
            key=lambda process: process.pid,
        )


def in_folder(root: str, folder: str, since: int) -> Iterator[str]:
    """Yield the lines of the reports in a folder of a container whose root is at ``root``, from that second on.

    oslo.reports calls them PROGRAM_gurumeditation_TIME. Raises EvidenceUnavailable.
    """
    try:
        path = inside(root, folder)
        for name in sorted(os.listdir(path)):
            report = f"{path}/{name}"
            if "_gurumeditation_" in name and os.stat(report).st_mtime >= since:
                yield from regular.read(report, _LARGEST).decode("utf-8", "replace").splitlines()
    except OSError as exc:
        raise EvidenceUnavailable(
            f"{folder}, to which [oslo_reports]/log_dir sends the reports, cannot be read: {exc.strerror}"
        ) from None

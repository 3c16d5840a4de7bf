"""Ask the processes of a container what they work on: for services whose rows do not show it.

Each process is sent SIGUSR2 and prints a Guru Meditation Report (threads.py) into the container's log, 20 to 40 KB of
text that an operator finds there afterwards. They are asked one after the other, because reports that are printed at
the same time run into each other.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from ..errors import EvidenceUnavailable, KollaDrainError
from ..host.process import in_container, lives, named
from ..model import Ending, Operation, Outcome, Reading
from ..preflight.process import ProcessFacts, read_one
from .threads import Call, ProcessReport, reports

# Seconds within which a process prints its report; on an idle machine it is there within a second.
WITHIN = 5.0
# Seconds for all processes of one container.
ALL_WITHIN = 20.0
# A process is asked again after so many seconds at the soonest.
EVERY = 2.0
# Looks in a row without a report after which it is not waited for any more.
TRIES = 2
# Seconds between looks at the log.
_LOOK = 0.1

_SIGUSR2 = 1 << (signal.SIGUSR2 - 1)  # in the masks of /proc/PID/status

_CUT = (
    "its process ended with it, and no row tells what became of it; whoever asked gets no answer and gives up "
    "after rpc_response_timeout"
)


class Unanswered(KollaDrainError):
    """A process did not print a report; the text is a clause."""


class Inside:
    """What the processes of one container say, with a memory from one look to the next.

    ``log(since)`` returns the lines of the container's log from that second of the wall clock on. ``why_not()`` says
    why no process may be asked now, a clause; it is asked before each signal.
    """

    def __init__(
        self,
        container_id: str,
        service: str,
        log: Callable[[int], Sequence[str]],
        why_not: Callable[[], str],
        *,
        within: float = WITHIN,
    ) -> None:
        self._container_id = container_id
        self._service = service
        self._log = log
        self._why_not = why_not
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

    def complete(self, reading: Reading) -> Reading:
        """Return a reading of the rows with what the processes work on, or with the reason why that is not known.

        Raises EvidenceUnavailable where the processes may answer the next time.
        """
        self._answered = frozenset()
        why = self._given_up
        if not why:
            try:
                why = self._why_not()
                operations = [] if why else self._look()
            except KollaDrainError as exc:
                why = self._blind(str(exc).rstrip("."))
            if not why:
                self._failures, self._was_whole = 0, True
                return replace(reading, operations=(*reading.operations, *operations))
        # What was seen before is not gone because nobody can look.
        still = [self._known[key] for key in sorted(self._seen) if lives(self._workers[key])]
        why = f"what {self._service} works on could not be seen: {why}"
        return replace(reading, why=why, operations=(*reading.operations, *still))

    def has(self, operation: Operation) -> bool:
        """Return whether an operation is one that the processes told of."""
        return operation.key in self._known

    def endings(self, operations: Iterable[Operation]) -> tuple[Ending, ...]:
        """Return what became of operations of these processes, as far as the last look tells."""
        endings = []
        for op in filter(self.has, operations):
            worker = self._workers[op.key]
            if worker in self._answered:
                if op.key not in self._seen:
                    endings.append(Ending(op, Outcome.FINISHED, "done"))
            elif not lives(worker):
                endings.append(Ending(op, Outcome.UNKNOWN, "exited", _CUT))
        return tuple(endings)

    def _blind(self, why: str) -> str:
        if self._given_up:
            return why
        self._failures += 1
        if self._was_whole or self._failures < TRIES:
            raise EvidenceUnavailable(f"what {self._service} works on could not be seen: {why}", passing=True)
        self._given_up = why
        return why

    def _look(self) -> list[Operation]:
        """Ask each process. Raises Unanswered."""
        processes = self._processes()
        deaf = [process.pid for process in processes if not process.caught & _SIGUSR2]
        if len(deaf) == len(processes) and not self._was_whole:
            self._given_up = (
                f"no process of it in the container handles SIGUSR2, at which {self._service} would tell"
            )
            raise Unanswered(self._given_up)
        if deaf:
            raise Unanswered(f"process {deaf[0]} does not handle SIGUSR2")
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
        return found

    def _operations(self, process: ProcessFacts, name: str, calls: Iterable[Call]) -> list[Operation]:
        """Return the calls as operations; those of the same method are told apart by their number."""
        now, counts, operations = _now(), dict[str, int](), []
        for call in calls:
            number = counts[call.method] = counts.get(call.method, 0) + 1
            key = (call.method, f"{process.pid}/{number}")
            if key not in self._seen:
                self._known[key] = Operation(*key, "running", since=now, claimed=True, informs=call.periodic)
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
        if not name or now is None or named(process.pid) != name:
            return None
        # SIGUSR2 ends a process that does not handle it, such as one that has become another program.
        if not now.caught & _SIGUSR2 or not _runs(self._service, now.argv):
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
                raise Unanswered(
                    f"process {process.pid} printed no report into the container's log within {self._within:g} s"
                )
            time.sleep(_LOOK)

    def _reports(self, process: ProcessFacts, since: int) -> list[ProcessReport]:
        try:
            lines = self._log(since)
        except KollaDrainError as exc:
            raise Unanswered(f"the container's log cannot be read: {exc}") from exc
        return [report for report in reports(lines) if report.pid == process.ns_pid]

    def _processes(self) -> list[ProcessFacts]:
        """Return the container's processes that run the service's program, by their numbers."""
        seen = (read_one(int(pid)) for pid in in_container(self._container_id))
        return sorted(
            (one for one in seen if one is not None and not one.is_init and _runs(self._service, one.argv)),
            key=lambda process: process.pid,
        )


def _runs(service: str, argv: Iterable[str]) -> bool:
    """Return whether a command line is that of a program. A process may have put a title before it."""
    return any(
        os.path.basename(word.strip("()[]:")) == service for argument in argv for word in argument.split()
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")

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
from datetime import datetime, timezone

from ..errors import EvidenceUnavailable, KollaDrainError
from ..host.process import in_container, named
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
        self._living: frozenset[str] = frozenset()  # process ids at the last look
        self._seen: frozenset[tuple[str, str]] = frozenset()  # at the last look
        self._looked = False  # the last look was whole

    def complete(self, reading: Reading) -> Reading:
        """Return a reading of the rows with what the processes work on, or with the reason why that is not known.

        Raises EvidenceUnavailable where the processes may answer the next time.
        """
        self._looked = False
        why = self._given_up
        if not why:
            try:
                why = self._why_not()
                operations = [] if why else self._look()
            except KollaDrainError as exc:
                why = self._blind(str(exc).rstrip("."))
            if not why:
                self._failures, self._looked = 0, True
                return _with(reading, operations)
        self._living = frozenset(str(process.pid) for process in self._processes())
        return _with(reading, (), f"what {self._service} works on could not be seen: {why}")

    def has(self, operation: Operation) -> bool:
        """Return whether an operation is one that the processes told of."""
        return operation.key in self._known

    def endings(self, operations: Iterable[Operation]) -> tuple[Ending, ...]:
        """Return what became of operations of these processes, as far as the last look tells."""
        endings = []
        for op in filter(self.has, operations):
            if op.id.partition("/")[0] not in self._living:
                endings.append(Ending(op, Outcome.UNKNOWN, "exited", _CUT))
            elif self._looked and op.key not in self._seen:
                endings.append(Ending(op, Outcome.FINISHED, "done"))
        return tuple(endings)

    def _blind(self, why: str) -> str:
        if self._given_up:
            return why
        self._failures += 1
        if self._failures < TRIES:
            raise EvidenceUnavailable(f"what {self._service} works on could not be seen: {why}", passing=True)
        self._given_up = why
        return why

    def _look(self) -> list[Operation]:
        """Ask each process. Raises Unanswered."""
        processes = [process for process in self._processes() if process.caught & _SIGUSR2]
        if not processes:
            self._given_up = (
                f"no process of it in the container handles SIGUSR2, at which {self._service} would tell"
            )
            raise Unanswered(self._given_up)
        deadline, found = time.monotonic() + ALL_WITHIN, []
        for process in processes:
            report = self._ask(process, deadline)
            if report is not None:
                found += self._operations(process, report.calls)
        self._living = frozenset(str(process.pid) for process in processes)
        self._seen = frozenset(op.key for op in found)
        return found

    def _operations(self, process: ProcessFacts, calls: Iterable[Call]) -> list[Operation]:
        """Return the calls as operations; those of the same method are told apart by their number."""
        now, counts, operations = _now(), dict[str, int](), []
        for call in calls:
            number = counts[call.method] = counts.get(call.method, 0) + 1
            key = (call.method, f"{process.pid}/{number}")
            if key not in self._seen:
                self._known[key] = Operation(*key, "running", since=now, claimed=True, informs=call.periodic)
            operations.append(self._known[key])
        return operations

    def _ask(self, process: ProcessFacts, deadline: float) -> ProcessReport | None:
        """Return the report of one process; None for one that has ended. Raises Unanswered."""
        name = named(process.pid)
        rest = self._asked.get(name, -EVERY) + EVERY - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        since = int(time.time())
        before = len(self._reports(process, since))
        why = self._why_not()
        now = read_one(process.pid)
        if why:
            raise Unanswered(why)
        # SIGUSR2 ends a process that does not handle it, and the number may be another process's by now.
        if not name or now is None or not now.caught & _SIGUSR2 or named(process.pid) != name:
            return None
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


def _with(reading: Reading, operations: Iterable[Operation], why: str = "") -> Reading:
    return Reading(
        reading.state,
        why,
        heartbeats=reading.heartbeats,
        operations=(*reading.operations, *operations),
        at=reading.at,
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")

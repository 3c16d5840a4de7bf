"""Questions are asked without waiting: one thread a database reads for all containers at once.

The loop that drains must never stand still for a database, so each database has a thread of its own
that takes the newest questions, reads them in one snapshot and leaves the answers to be fetched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ..database.connection import Database, Query
from ..database.target import DatabaseTarget
from ..errors import EvidenceUnavailable
from ..model import Answer, Ending, EvidenceState, Operation, Reading
from ..service.config import ServiceConfig
from . import ServiceEvidence, broker
from .broker import Broker, BrokerTarget


class Source(NamedTuple):
    """Where the evidence of one container comes from."""

    evidence: ServiceEvidence
    config: ServiceConfig
    target: DatabaseTarget
    broker: BrokerTarget | None = None


class _Question(NamedTuple):
    number: int
    operations: tuple[Operation, ...]
    broker: bool


class Batch:
    """Asks the databases of many containers. Neither ``ask`` nor ``answers`` waits for a database.

    ``wake`` is called from another thread after each batch, so that the loop can fetch the answers
    before its next turn.
    """

    def __init__(
        self,
        sources: Mapping[str, Source | tuple[ServiceEvidence, ServiceConfig, DatabaseTarget]],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        by_target: dict[DatabaseTarget, dict[str, Source]] = {}
        for key, given in sources.items():
            source = Source(*given)
            by_target.setdefault(source.target, {})[key] = source
        self._lock = threading.Lock()
        self._number = 0
        self._answers: list[Answer] = []
        self._wake = wake
        self._readers = [_Reader(target, those, self._take) for target, those in by_target.items()]

    def ask(self, asks: Mapping[str, tuple[Operation, ...]], *, broker: bool = True) -> int:
        """Ask for a reading of each key, and for what became of the operations given; return the question's number.

        Without ``broker`` only the database is asked: what is wanted at once must not wait for a broker, whose
        figures may be older than the question.

        A question that is asked while a batch is under way waits for the next one; of several for the
        same key only the newest is answered. A key that is not known is an error of the caller's: KeyError.
        """
        known = {key for reader in self._readers for key in reader.sources}
        unknown = set(asks) - known
        if unknown:
            raise KeyError(sorted(unknown)[0])
        with self._lock:
            self._number += 1
            number = self._number
        for reader in self._readers:
            mine = {key: _Question(number, tuple(asks[key]), broker) for key in asks if key in reader.sources}
            if mine:
                reader.ask(mine)
        return number

    def notes(self) -> dict[str, str]:
        """Why the broker of a key could not be asked, for those where it could not; each is told once."""
        return {key: note for reader in self._readers for key, note in reader.notes().items()}

    def answers(self) -> tuple[Answer, ...]:
        """Return the answers that came in since the last call, oldest first."""
        with self._lock:
            taken, self._answers = tuple(self._answers), []
        return taken

    def readings_once(self, keys: Iterable[str], timeout: float = 30.0) -> dict[str, Reading]:
        """Wait for one reading of each key, ``timeout`` seconds at most; what did not come is UNAVAILABLE.

        For a look outside of a drain: answers to earlier questions are lost to it.
        """
        wanted = list(keys)
        number = self.ask(dict.fromkeys(wanted, ()))
        deadline = time.monotonic() + timeout
        readings: dict[str, Reading] = {}
        while len(readings) < len(wanted) and time.monotonic() < deadline:
            readings.update({a.key: a.reading for a in self.answers() if a.number >= number})
            time.sleep(0.02)
        late = Reading(
            EvidenceState.UNAVAILABLE, why=f"the database did not answer within {timeout:g} s", passing=True
        )
        return {key: readings.get(key, late) for key in wanted}

    def close(self, timeout: float = 1.0) -> None:
        """End the threads and close the connections; waits for ``timeout`` seconds in all.

        A thread that still waits for its database then ends by the connection's own timeout.
        """
        for reader in self._readers:
            reader.stop()
        deadline = time.monotonic() + timeout
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))

    def _take(self, answers: list[Answer]) -> None:
        with self._lock:
            self._answers += answers
        self._wake()


class _Reader:
    """The thread that reads one database."""

    def __init__(
        self, target: DatabaseTarget, sources: Mapping[str, Source], deliver: Callable[[list[Answer]], None]
    ) -> None:
        self.sources = dict(sources)
        self._database = Database(target)
        self._deliver = deliver
        self._condition = threading.Condition()
        self._waiting: dict[str, _Question] = {}
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._brokers = {
            target: Broker(target) for target in {one.broker for one in sources.values()} if target
        }
        self._noted: set[str] = set()

    def ask(self, questions: Mapping[str, _Question]) -> None:
        with self._condition:
            if self._stopped:
                return
            self._waiting.update(questions)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kolla-drain-evidence", daemon=True)
                self._thread.start()
            self._condition.notify()

    def notes(self) -> dict[str, str]:
        found = {
            key: self._brokers[source.broker].note
            for key, source in self.sources.items()
            if source.broker is not None and key not in self._noted
        }
        told = {key: note for key, note in found.items() if note}
        self._noted.update(told)
        return told

    def stop(self) -> None:
        with self._condition:
            self._stopped = True
            self._condition.notify()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._stopped:
                    self._condition.wait()
                if self._stopped:
                    break
                questions, self._waiting = self._waiting, {}
            self._deliver(self._answer(questions))
        self._database.close()

    def _answer(self, questions: Mapping[str, _Question]) -> list[Answer]:
        """Read all in one snapshot; each key has its own answer, so a broken schema spoils no other's."""
        try:
            with self._database.snapshot() as query:
                answers = [
                    _read(query, key, self.sources[key], question) for key, question in questions.items()
                ]
            return self._with_queues(answers, questions)
        except Exception as exc:  # noqa: BLE001
            # Whatever it is: a thread that dies would leave the loop without a word.
            reading = _unavailable(exc)
            return [Answer(key, question.number, reading) for key, question in questions.items()]

    def _with_queues(self, answers: list[Answer], questions: Mapping[str, _Question]) -> list[Answer]:
        """Add what waits in the queues; each broker is asked once for all."""
        mine: dict[str, BrokerTarget] = {}
        for answer in answers:
            where = self.sources[answer.key].broker
            if where and questions[answer.key].broker and answer.reading.state is EvidenceState.OK:
                mine[answer.key] = where
        names = {key: broker.queues(self.sources[key].config) for key in mine}
        waiting = {}
        for where in dict.fromkeys(mine.values()):
            asked = [name for key, its in mine.items() if its == where for name in names[key]]
            waiting[where] = {op.id: op for op in self._brokers[where].waiting(list(dict.fromkeys(asked)))}
        return [
            _with_waiting(answer, [waiting[mine[answer.key]].get(name) for name in names[answer.key]])
            if answer.key in mine
            else answer
            for answer in answers
        ]


def _with_waiting(answer: Answer, waiting: Iterable[Operation | None]) -> Answer:
    found = tuple(operation for operation in waiting if operation is not None)
    return replace(answer, reading=replace(answer.reading, operations=(*answer.reading.operations, *found)))


def _read(query: Query, key: str, source: Source, question: _Question) -> Answer:
    try:
        heartbeats, operations = source.evidence.read(query, source.config)
        rows = tuple(op for op in question.operations if op.kind != broker.KIND)
        endings: tuple[Ending, ...] = tuple(
            broker.ending(op) for op in question.operations if op.kind == broker.KIND
        )
        if rows:
            endings += source.evidence.endings(query, source.config, rows)
    except Exception as exc:  # noqa: BLE001 - as above
        return Answer(key, question.number, _unavailable(exc))
    reading = Reading(EvidenceState.OK, heartbeats=heartbeats, operations=operations)
    return Answer(key, question.number, reading, endings)


def _unavailable(exc: Exception) -> Reading:
    if isinstance(exc, EvidenceUnavailable):
        return Reading(EvidenceState.UNAVAILABLE, why=str(exc), passing=exc.passing)
    # A fault of ours, most likely a row that is not as expected; its text could hold a row's values.
    return Reading(EvidenceState.UNAVAILABLE, why=f"the rows could not be understood ({type(exc).__name__})")

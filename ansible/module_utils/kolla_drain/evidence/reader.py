"""Reads the evidence of many containers in the background, with one thread a database.

The drain loop must never wait for a database. Each database therefore has a thread of its own, which takes the
newest questions, answers them from one snapshot and leaves the answers to be collected. What is read on the host itself
beside the rows, or without any, has a thread for each container, because it may take seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import NamedTuple, Protocol

from ..database.connection import Database, Query
from ..database.target import DatabaseTarget
from ..errors import EvidenceUnavailable
from ..model import Answer, Ending, EvidenceState, Operation, Reading
from ..service.config import ServiceConfig
from .base import ServiceEvidence, understood, utc


class Local(Protocol):
    """Evidence of one container that is read on its host, with a memory from one look to the next."""

    def complete(self, reading: Reading) -> Reading:
        """Return a reading of the rows with what is seen here, or with the reason (``why``) for which nothing is.

        Raises EvidenceUnavailable where the next look may see it.
        """

    def has(self, operation: Operation) -> bool:
        """Return whether an operation was seen here, and not in rows."""

    def endings(self, operations: Iterable[Operation]) -> tuple[Ending, ...]:
        """Return what became of operations that were seen here, as far as the last look tells."""


class Source(NamedTuple):
    """Where the evidence of one container comes from."""

    evidence: ServiceEvidence
    config: ServiceConfig | None
    target: DatabaseTarget | None  # None: it has no rows
    local: Local | None = None  # what its rows do not tell, or all where it has none


class _Question(NamedTuple):
    number: int
    operations: tuple[Operation, ...]


class EvidenceReader:
    """Reads the databases of many containers. Neither ``ask`` nor ``answers`` waits for a database.

    ``wake`` is called from a reading thread whenever new answers have arrived.
    """

    def __init__(self, sources: Mapping[str, Source], wake: Callable[[], None] = lambda: None) -> None:
        groups: dict[tuple[DatabaseTarget | None, str], dict[str, Source]] = {}
        for key, source in sources.items():
            groups.setdefault((source.target, key if source.local else ""), {})[key] = source
        self._keys = frozenset(sources)
        self._numbers = itertools.count(1)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._wake = wake
        self._threads = [_SourceThread(target, group, self._take) for (target, _), group in groups.items()]

    def ask(self, asks: Mapping[str, tuple[Operation, ...]]) -> int:
        """Ask for a reading of each key and for the endings of its operations; return the question's number.

        A question that arrives while its database is being read is answered by the next snapshot. Of several
        questions for one key only the newest is answered. Raises KeyError for an unknown key.
        """
        if unknown := asks.keys() - self._keys:
            raise KeyError(min(unknown))
        number = next(self._numbers)
        for thread in self._threads:
            thread.ask({key: _Question(number, asks[key]) for key in asks if key in thread.sources})
        return number

    def answers(self) -> tuple[Answer, ...]:
        """Return the answers that have arrived since the last call, oldest first."""
        return tuple(self._answers.get() for _ in range(self._answers.qsize()))

    def readings_once(self, keys: Iterable[str], timeout: float = 30.0) -> dict[str, Reading]:
        """Wait at most ``timeout`` seconds for one reading of each key; a missing one is UNAVAILABLE.

        Not for use during a drain, because answers to earlier questions are discarded.
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
        """End the threads and close the connections, within ``timeout`` seconds in all.

        A thread that still waits for its database then ends when the connection itself times out.
        """
        for thread in self._threads:
            thread.end()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _take(self, answers: list[Answer]) -> None:
        for answer in answers:
            self._answers.put(answer)
        self._wake()


class _SourceThread(threading.Thread):
    """The thread that reads one database, or one container on its host. It starts with the first question."""

    def __init__(
        self,
        target: DatabaseTarget | None,
        sources: Mapping[str, Source],
        deliver: Callable[[list[Answer]], None],
    ) -> None:
        super().__init__(name="kolla-drain-evidence", daemon=True)
        self.sources = sources
        self._database = Database(target) if target else None
        self._deliver = deliver
        self._condition = threading.Condition()
        self._waiting: dict[str, _Question] = {}
        self._ended = False

    def ask(self, questions: Mapping[str, _Question]) -> None:
        with self._condition:
            if self._ended or not questions:
                return
            self._waiting.update(questions)
            if self.ident is None:
                # Where the host has no more threads, the next question tries again.
                with contextlib.suppress(RuntimeError):
                    self.start()
            self._condition.notify()

    def end(self) -> None:
        with self._condition:
            self._ended = True
            self._condition.notify()

    def run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    break
                questions, self._waiting = self._waiting, {}
            self._deliver(self._answer(questions))
        if self._database:
            self._database.close()

    def _answer(self, questions: Mapping[str, _Question]) -> list[Answer]:
        """Answer all questions: first from the rows, then, without a snapshot that stays open, on the host."""
        if self._database:
            answers = self._from_rows(self._database, questions)
        else:
            no_rows = Reading(EvidenceState.OK, at=utc(datetime.now(timezone.utc).replace(tzinfo=None)))
            answers = [Answer(key, question.number, no_rows) for key, question in questions.items()]
        return [
            _completed(answer, self.sources[answer.key].local, questions[answer.key].operations)
            for answer in answers
        ]

    def _from_rows(self, database: Database, questions: Mapping[str, _Question]) -> list[Answer]:
        """Answer all questions from one snapshot, so that a fault in one service's rows spoils only its own answer."""
        try:
            with database.snapshot() as query:
                at = utc(query("SELECT UTC_TIMESTAMP(6) AS taken", ())[0]["taken"])
                rows = understood(query)
                return [_read(rows, at, key, self.sources[key], asked) for key, asked in questions.items()]
        except Exception as exc:  # noqa: BLE001
            # Any error becomes an answer: if the thread died, the loop would wait for it without a word.
            reading = _unavailable(exc)
            return [Answer(key, question.number, reading) for key, question in questions.items()]


def _read(query: Query, at: str | None, key: str, source: Source, question: _Question) -> Answer:
    local = source.local
    try:
        assert source.config is not None
        heartbeats, operations = source.evidence.read(query, source.config)
        endings: tuple[Ending, ...] = ()
        asked = tuple(op for op in question.operations if local is None or not local.has(op))
        if asked:
            endings = source.evidence.endings(query, source.config, asked)
    except Exception as exc:  # noqa: BLE001 - as above
        return Answer(key, question.number, _unavailable(exc))
    reading = Reading(EvidenceState.OK, heartbeats=heartbeats, operations=operations, at=at)
    return Answer(key, question.number, reading, endings)


def _completed(answer: Answer, local: Local | None, operations: Sequence[Operation]) -> Answer:
    """Return an answer of the rows with what is seen on the host."""
    if local is None or answer.reading.state is not EvidenceState.OK:
        return answer
    try:
        reading = local.complete(answer.reading)
    except Exception as exc:  # noqa: BLE001 - as above
        return Answer(answer.key, answer.number, _unavailable(exc))
    return Answer(answer.key, answer.number, reading, (*answer.endings, *local.endings(operations)))


def _unavailable(exc: Exception) -> Reading:
    if isinstance(exc, EvidenceUnavailable):
        return Reading(EvidenceState.UNAVAILABLE, why=str(exc), passing=exc.passing)
    # Most likely an unexpected row, which may become another one. Its text is withheld because it could contain a row's
    # values. Passing, because it may be work that nobody understands.
    why = f"the rows could not be understood ({type(exc).__name__})"
    return Reading(EvidenceState.UNAVAILABLE, why=why, passing=True)

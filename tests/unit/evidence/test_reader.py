"""Reading in the background: questions during a reading, their answers, and what goes wrong."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

import pytest

from kolla_drain.database.target import DatabaseTarget
from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence import reader as reader_module
from kolla_drain.evidence.base import Activity, NoRows, ServiceEvidence
from kolla_drain.evidence.reader import EvidenceReader, Source
from kolla_drain.model import Ending, EvidenceState, Heartbeat, Operation, Outcome, Profile
from kolla_drain.service.config import ServiceConfig

ONE = DatabaseTarget(host="one", user="u", name="d")
TWO = DatabaseTarget(host="two", user="u", name="d")
CONFIG = ServiceConfig("cinder-volume", "ctl")
OPERATION = Operation("volume_create", "v", "creating")
TAKEN = datetime(2026, 11, 21, 1, 2, 3, 45)
BEAT = Heartbeat("cinder-volume", "ctl", 1.0, 1, True, False)


class FakeEvidence(ServiceEvidence):
    """Counts its readings; a gate may hold them up."""

    PROFILE = Profile("fake")

    def __init__(self, problem=None):
        self.problem = problem
        self.reading = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.asked = []

    def read(self, query, config):
        self.reading.set()
        assert self.gate.wait(60)
        if self.problem:
            raise self.problem
        return Activity((BEAT,), (OPERATION,))

    def endings(self, query, config, operations):
        self.asked.append(operations)
        return tuple(Ending(operation, Outcome.FINISHED, "available") for operation in operations)


class FakeDatabase:
    """Stands in for a connection; keeps what happened to each."""

    made: ClassVar[list[FakeDatabase]] = []
    problem = None

    def __init__(self, where):
        self.where = where
        self.snapshots = 0
        self.closed = threading.Event()
        FakeDatabase.made.append(self)

    @contextlib.contextmanager
    def snapshot(self):
        self.snapshots += 1
        if FakeDatabase.problem:
            raise FakeDatabase.problem
        yield lambda sql, params=(): [{"taken": TAKEN}]

    def close(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def databases(monkeypatch):
    FakeDatabase.made = []
    FakeDatabase.problem = None
    monkeypatch.setattr(reader_module, "Database", FakeDatabase)
    return FakeDatabase


@pytest.fixture
def make():
    made: ClassVar[list[FakeDatabase]] = []

    def _make(sources, wake=lambda: None):
        made.append(EvidenceReader({key: Source(*parts) for key, parts in sources.items()}, wake))
        return made[-1]

    yield _make
    for one in made:
        one.close()


def collect(reader, count, timeout=60.0):
    """Wait for that many answers."""
    got, deadline = [], time.monotonic() + timeout
    while len(got) < count and time.monotonic() < deadline:
        got += reader.answers()
        time.sleep(0.005)
    assert len(got) == count
    return got


def test_one_question_one_answer_and_a_wake(make, databases):
    woken = threading.Event()
    evidence = FakeEvidence()
    reader = make({"a": (evidence, CONFIG, ONE)}, woken.set)
    number = reader.ask({"a": (OPERATION,)})
    (answer,) = collect(reader, 1)
    assert woken.wait(60)
    assert (answer.key, answer.number) == ("a", number)
    assert answer.reading.state is EvidenceState.OK
    assert answer.reading.heartbeats == (BEAT,)
    assert answer.reading.at == "2026-11-21T01:02:03.000045Z"
    assert [ending.outcome for ending in answer.endings] == [Outcome.FINISHED]
    assert reader.answers() == ()


# --- processes that tell what the rows do not

REQUEST = Operation("build_instances", "7/1", "running")


class FakeInside:
    """Processes that work on one request; a gate may hold their answer up."""

    def __init__(self, problem=None):
        self.problem = problem
        self.gate = threading.Event()
        self.gate.set()

    def complete(self, reading):
        assert self.gate.wait(60)
        if self.problem:
            raise self.problem
        return replace(reading, operations=(*reading.operations, REQUEST))

    def has(self, operation):
        return operation == REQUEST

    def endings(self, operations):
        return tuple(Ending(op, Outcome.FINISHED, "done") for op in operations if self.has(op))


def test_an_answer_of_the_rows_is_completed_by_the_processes(make):
    evidence = FakeEvidence()
    reader = make({"a": (evidence, CONFIG, ONE, FakeInside())})
    reader.ask({"a": (OPERATION, REQUEST)})
    (answer,) = collect(reader, 1)
    assert answer.reading.operations == (OPERATION, REQUEST)
    assert [(ending.operation, ending.status) for ending in answer.endings] == [
        (OPERATION, "available"),
        (REQUEST, "done"),
    ]
    assert evidence.asked == [(OPERATION,)], "a request has no row"


def test_nobody_waits_for_the_processes_of_another_container(make):
    inside = FakeInside()
    inside.gate.clear()
    reader = make({"a": (FakeEvidence(), CONFIG, ONE, inside), "b": (FakeEvidence(), CONFIG, ONE)})
    reader.ask({"a": (), "b": ()})
    (answer,) = collect(reader, 1)
    assert answer.key == "b"
    inside.gate.set()
    (answer,) = collect(reader, 1)
    assert (answer.key, answer.reading.operations) == ("a", (OPERATION, REQUEST))


def test_without_rows_no_process_is_asked(make, databases):
    databases.problem = EvidenceUnavailable("the server is down", passing=True)
    reader = make({"a": (FakeEvidence(), CONFIG, ONE, FakeInside(AssertionError("it was asked")))})
    reader.ask({"a": ()})
    (answer,) = collect(reader, 1)
    assert answer.reading.why == "the server is down"


def test_a_container_without_rows_is_read_without_a_database(make, databases):
    reader = make({"a": (NoRows(), None, None, FakeInside()), "b": (NoRows(), None, None, FakeInside())})
    reader.ask({"a": (REQUEST,), "b": ()})
    a, b = sorted(collect(reader, 2), key=lambda answer: answer.key)
    assert (a.reading.state, a.reading.operations, a.reading.heartbeats) == (
        EvidenceState.OK,
        (REQUEST,),
        (),
    )
    assert [ending.operation for ending in a.endings] == [REQUEST]
    assert b.reading.operations == (REQUEST,)
    assert datetime.fromisoformat(a.reading.at.rstrip("Z")), "by the host's clock"
    assert databases.made == []


def test_processes_that_may_answer_the_next_time_make_a_passing_fault(make):
    problem = EvidenceUnavailable("no report yet", passing=True)
    reader = make({"a": (FakeEvidence(), CONFIG, ONE, FakeInside(problem))})
    reader.ask({"a": ()})
    (answer,) = collect(reader, 1)
    assert (answer.reading.state, answer.reading.why) == (EvidenceState.UNAVAILABLE, "no report yet")
    assert answer.reading.passing


# --- questions


def test_no_operations_no_question_for_endings(make):
    evidence = FakeEvidence()
    reader = make({"a": (evidence, CONFIG, ONE)})
    reader.ask({"a": ()})
    (answer,) = collect(reader, 1)
    assert answer.endings == ()
    assert evidence.asked == []


def test_asking_does_not_wait_and_what_comes_meanwhile_is_one_batch(make, databases):
    evidence = FakeEvidence()
    evidence.gate.clear()
    reader = make({"a": (evidence, CONFIG, ONE)})
    first = reader.ask({"a": ()})
    assert evidence.reading.wait(60)
    second, third = reader.ask({"a": ()}), reader.ask({"a": (OPERATION,)})
    assert first < second < third
    assert reader.answers() == ()
    evidence.gate.set()
    answers = collect(reader, 2)
    # the reading of the first began before the others were asked, so it must not bear their number
    assert [answer.number for answer in answers] == [first, third]
    assert evidence.asked == [(OPERATION,)]
    assert databases.made[0].snapshots == 2


def test_all_keys_of_a_database_share_a_connection_and_a_snapshot(make, databases):
    evidence = FakeEvidence()
    reader = make({"a": (evidence, CONFIG, ONE), "b": (evidence, CONFIG, ONE), "c": (evidence, CONFIG, TWO)})
    number = reader.ask({"a": (), "b": (), "c": ()})
    answers = collect(reader, 3)
    assert {(answer.key, answer.number) for answer in answers} == {
        ("a", number),
        ("b", number),
        ("c", number),
    }
    assert sorted((database.where.host, database.snapshots) for database in databases.made) == [
        ("one", 1),
        ("two", 1),
    ]


def test_a_slow_database_does_not_hold_up_another(make):
    slow, quick = FakeEvidence(), FakeEvidence()
    slow.gate.clear()
    reader = make({"slow": (slow, CONFIG, ONE), "quick": (quick, CONFIG, TWO)})
    reader.ask({"slow": (), "quick": ()})
    assert [answer.key for answer in collect(reader, 1)] == ["quick"]
    slow.gate.set()
    assert [answer.key for answer in collect(reader, 1)] == ["slow"]


@pytest.mark.parametrize(
    ("problem", "why", "passing"),
    [
        (EvidenceUnavailable("the table is missing"), "the table is missing", False),
        (EvidenceUnavailable("it is down", passing=True), "it is down", True),
        (KeyError("secret"), "the rows could not be understood (KeyError)", True),
    ],
)
def test_one_broken_service_does_not_spoil_the_others(make, problem, why, passing):
    reader = make({"bad": (FakeEvidence(problem), CONFIG, ONE), "good": (FakeEvidence(), CONFIG, ONE)})
    reader.ask({"bad": (), "good": ()})
    readings = {answer.key: answer.reading for answer in collect(reader, 2)}
    assert readings["good"].state is EvidenceState.OK
    assert readings["bad"].state is EvidenceState.UNAVAILABLE
    assert (readings["bad"].why, readings["bad"].passing) == (why, passing)


def test_a_database_that_is_away_and_comes_back(make, databases):
    databases.problem = EvidenceUnavailable("cannot be reached", passing=True)
    evidence = FakeEvidence()
    reader = make({"a": (evidence, CONFIG, ONE), "b": (evidence, CONFIG, ONE)})
    reader.ask({"a": (), "b": ()})
    assert [answer.reading.why for answer in collect(reader, 2)] == ["cannot be reached"] * 2
    databases.problem = None
    reader.ask({"a": ()})
    assert [answer.reading.state for answer in collect(reader, 1)] == [EvidenceState.OK]


def test_whatever_goes_wrong_there_is_an_answer(make, databases):
    databases.problem = RuntimeError("unexpected")
    reader = make({"a": (FakeEvidence(), CONFIG, ONE)})
    reader.ask({"a": ()})
    assert collect(reader, 1)[0].reading.state is EvidenceState.UNAVAILABLE


def test_a_host_without_more_threads_is_asked_again_later(make, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    reader = make({"a": (FakeEvidence(), CONFIG, ONE)})
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        reader.ask({"a": ()})
        assert not reader.answers()
    number = reader.ask({"a": ()})
    [answer] = collect(reader, 1)
    assert (answer.number, answer.reading.state) == (number, EvidenceState.OK)


def test_a_key_that_is_not_known(make):
    with pytest.raises(KeyError):
        make({"a": (FakeEvidence(), CONFIG, ONE)}).ask({"b": ()})


def test_readings_once(make):
    evidence = FakeEvidence()
    reader = make({"a": (evidence, CONFIG, ONE), "b": (evidence, CONFIG, TWO)})
    assert {key: reading.state for key, reading in reader.readings_once(["a", "b"]).items()} == {
        "a": EvidenceState.OK,
        "b": EvidenceState.OK,
    }


def test_readings_once_gives_up_in_time(make):
    evidence = FakeEvidence()
    evidence.gate.clear()
    reader = make({"a": (evidence, CONFIG, ONE)})
    reading = reader.readings_once(["a"], timeout=0.1)["a"]
    evidence.gate.set()
    assert (reading.state, reading.passing) == (EvidenceState.UNAVAILABLE, True)


def test_close_closes_the_connections(make, databases):
    reader = make({"a": (FakeEvidence(), CONFIG, ONE)})
    reader.ask({"a": ()})
    collect(reader, 1)
    reader.close()
    assert databases.made[0].closed.wait(60)


def test_close_is_bounded_when_a_database_hangs(make, databases):
    evidence = FakeEvidence()
    evidence.gate.clear()
    reader = make({"a": (evidence, CONFIG, ONE)})
    reader.ask({"a": ()})
    assert evidence.reading.wait(60)
    reader.close(timeout=0.2)  # comes back, though the reading goes on
    assert not databases.made[0].closed.is_set()
    evidence.gate.set()
    assert databases.made[0].closed.wait(60)


def test_close_without_a_question_and_a_question_after_it(make):
    reader = make({"a": (FakeEvidence(), CONFIG, ONE)})
    reader.close()
    reader.ask({"a": ()})
    assert reader.answers() == ()

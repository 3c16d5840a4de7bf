"""Asking without waiting: what is asked while a batch is under way, what is answered, and what goes wrong."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import ClassVar

import pytest

from kolla_drain.database.target import DatabaseTarget
from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence import broker as broker_module
from kolla_drain.evidence import reader as batch_module
from kolla_drain.evidence.broker import BrokerTarget, Node
from kolla_drain.evidence.reader import Batch, Source
from kolla_drain.model import Ending, EvidenceState, Heartbeat, Operation, Outcome, Profile
from kolla_drain.service.config import ServiceConfig

ONE = DatabaseTarget(host="one", user="u", name="d")
TWO = DatabaseTarget(host="two", user="u", name="d")
CONFIG = ServiceConfig("cinder-volume", "ctl")
OPERATION = Operation("volume_create", "v", "creating")
BEAT = Heartbeat("cinder-volume", "ctl", 1.0, 1, True, False)


class FakeEvidence:
    """Counts its readings; a gate may hold them up."""

    PROFILE = Profile("fake")

    def __init__(self, problem=None):
        self.problem = problem
        self.reading = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.asked = []

    def adapt(self, profile, env):
        return profile

    def read(self, query, config):
        self.reading.set()
        assert self.gate.wait(60)
        if self.problem:
            raise self.problem
        return (BEAT,), (OPERATION,)

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
        yield lambda sql, params=(): []

    def close(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def databases(monkeypatch):
    FakeDatabase.made = []
    FakeDatabase.problem = None
    monkeypatch.setattr(batch_module, "Database", FakeDatabase)
    return FakeDatabase


@pytest.fixture
def make():
    made: ClassVar[list[FakeDatabase]] = []

    def _make(sources, wake=lambda: None):
        made.append(Batch(sources, wake))
        return made[-1]

    yield _make
    for one in made:
        one.close()


def collect(batch, count, timeout=60.0):
    """Wait for that many answers."""
    got, deadline = [], time.monotonic() + timeout
    while len(got) < count and time.monotonic() < deadline:
        got += batch.answers()
        time.sleep(0.005)
    assert len(got) == count
    return got


def test_one_question_one_answer_and_a_wake(make, databases):
    woken = threading.Event()
    evidence = FakeEvidence()
    batch = make({"a": (evidence, CONFIG, ONE)}, woken.set)
    number = batch.ask({"a": (OPERATION,)})
    (answer,) = collect(batch, 1)
    assert woken.wait(60)
    assert (answer.key, answer.number) == ("a", number)
    assert answer.reading.state is EvidenceState.OK
    assert answer.reading.heartbeats == (BEAT,)
    assert [ending.outcome for ending in answer.endings] == [Outcome.FINISHED]
    assert batch.answers() == ()


def test_no_operations_no_question_for_endings(make):
    evidence = FakeEvidence()
    batch = make({"a": (evidence, CONFIG, ONE)})
    batch.ask({"a": ()})
    (answer,) = collect(batch, 1)
    assert answer.endings == ()
    assert evidence.asked == []


def test_asking_does_not_wait_and_what_comes_meanwhile_is_one_batch(make, databases):
    evidence = FakeEvidence()
    evidence.gate.clear()
    batch = make({"a": (evidence, CONFIG, ONE)})
    first = batch.ask({"a": ()})
    assert evidence.reading.wait(60)
    second, third = batch.ask({"a": ()}), batch.ask({"a": (OPERATION,)})
    assert first < second < third
    assert batch.answers() == ()
    evidence.gate.set()
    answers = collect(batch, 2)
    # the reading of the first began before the others were asked, so it must not bear their number
    assert [answer.number for answer in answers] == [first, third]
    assert evidence.asked == [(OPERATION,)]
    assert databases.made[0].snapshots == 2


def test_all_keys_of_a_database_share_a_connection_and_a_snapshot(make, databases):
    evidence = FakeEvidence()
    batch = make({"a": (evidence, CONFIG, ONE), "b": (evidence, CONFIG, ONE), "c": (evidence, CONFIG, TWO)})
    number = batch.ask({"a": (), "b": (), "c": ()})
    answers = collect(batch, 3)
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
    batch = make({"slow": (slow, CONFIG, ONE), "quick": (quick, CONFIG, TWO)})
    batch.ask({"slow": (), "quick": ()})
    assert [answer.key for answer in collect(batch, 1)] == ["quick"]
    slow.gate.set()
    assert [answer.key for answer in collect(batch, 1)] == ["slow"]


@pytest.mark.parametrize(
    ("problem", "why", "passing"),
    [
        (EvidenceUnavailable("the table is missing"), "the table is missing", False),
        (EvidenceUnavailable("it is down", passing=True), "it is down", True),
        (KeyError("secret"), "the rows could not be understood (KeyError)", False),
    ],
)
def test_one_broken_service_does_not_spoil_the_others(make, problem, why, passing):
    batch = make({"bad": (FakeEvidence(problem), CONFIG, ONE), "good": (FakeEvidence(), CONFIG, ONE)})
    batch.ask({"bad": (), "good": ()})
    readings = {answer.key: answer.reading for answer in collect(batch, 2)}
    assert readings["good"].state is EvidenceState.OK
    assert readings["bad"].state is EvidenceState.UNAVAILABLE
    assert (readings["bad"].why, readings["bad"].passing) == (why, passing)


def test_a_database_that_is_away_and_comes_back(make, databases):
    databases.problem = EvidenceUnavailable("cannot be reached", passing=True)
    evidence = FakeEvidence()
    batch = make({"a": (evidence, CONFIG, ONE), "b": (evidence, CONFIG, ONE)})
    batch.ask({"a": (), "b": ()})
    assert [answer.reading.why for answer in collect(batch, 2)] == ["cannot be reached"] * 2
    databases.problem = None
    batch.ask({"a": ()})
    assert [answer.reading.state for answer in collect(batch, 1)] == [EvidenceState.OK]


def test_whatever_goes_wrong_there_is_an_answer(make, databases):
    databases.problem = RuntimeError("unexpected")
    batch = make({"a": (FakeEvidence(), CONFIG, ONE)})
    batch.ask({"a": ()})
    assert collect(batch, 1)[0].reading.state is EvidenceState.UNAVAILABLE


def test_a_key_that_is_not_known(make):
    with pytest.raises(KeyError):
        make({"a": (FakeEvidence(), CONFIG, ONE)}).ask({"b": ()})


def test_readings_once(make):
    evidence = FakeEvidence()
    batch = make({"a": (evidence, CONFIG, ONE), "b": (evidence, CONFIG, TWO)})
    assert {key: reading.state for key, reading in batch.readings_once(["a", "b"]).items()} == {
        "a": EvidenceState.OK,
        "b": EvidenceState.OK,
    }


def test_readings_once_gives_up_in_time(make):
    evidence = FakeEvidence()
    evidence.gate.clear()
    batch = make({"a": (evidence, CONFIG, ONE)})
    reading = batch.readings_once(["a"], timeout=0.1)["a"]
    evidence.gate.set()
    assert (reading.state, reading.passing) == (EvidenceState.UNAVAILABLE, True)


def test_close_closes_the_connections(make, databases):
    batch = make({"a": (FakeEvidence(), CONFIG, ONE)})
    batch.ask({"a": ()})
    collect(batch, 1)
    batch.close()
    assert databases.made[0].closed.wait(60)


def test_close_is_bounded_when_a_database_hangs(make, databases):
    evidence = FakeEvidence()
    evidence.gate.clear()
    batch = make({"a": (evidence, CONFIG, ONE)})
    batch.ask({"a": ()})
    assert evidence.reading.wait(60)
    begun = time.monotonic()
    batch.close(timeout=0.2)
    assert time.monotonic() - begun < 2
    evidence.gate.set()
    assert databases.made[0].closed.wait(60)


def test_close_without_a_question_and_a_question_after_it(make):
    batch = make({"a": (FakeEvidence(), CONFIG, ONE)})
    batch.close()
    batch.ask({"a": ()})
    assert batch.answers() == ()


class FakeBroker:
    """Stands in for RabbitMQ: each queue whose name holds an "a" has messages."""

    made: ClassVar[list[FakeBroker]] = []

    def __init__(self, where):
        self.note = ""
        self.asked = []
        FakeBroker.made.append(self)

    def waiting(self, names):
        self.asked.append(list(names))
        return tuple(Operation(broker_module.KIND, name, "1 waiting", claimed=False) for name in names)


@pytest.fixture
def brokers(monkeypatch):
    FakeBroker.made = []
    monkeypatch.setattr(batch_module, "Broker", FakeBroker)
    return FakeBroker


RABBIT = BrokerTarget((Node("rabbit", "u", "p"),), "/")


def backup(host, broker=RABBIT, evidence=None, target=ONE):
    return Source(evidence or FakeEvidence(), ServiceConfig("cinder-backup", host), target, broker)


def test_what_waits_in_the_queues_is_added_to_the_rows(make, brokers):
    batch = make({"a": backup("a"), "b": backup("b"), "none": backup("c", None)})
    batch.ask({"a": (), "b": (), "none": ()})
    seen = {a.key: [op.id for op in a.reading.operations] for a in collect(batch, 3)}
    assert seen == {"a": ["v", "cinder-backup.a"], "b": ["v", "cinder-backup.b"], "none": ["v"]}
    (one,) = brokers.made
    assert one.asked == [["cinder-backup.a", "cinder-backup.b"]]


def test_the_broker_is_left_alone_where_it_must_be_quick_or_the_rows_cannot_be_read(make, brokers):
    broken = backup("b", evidence=FakeEvidence(EvidenceUnavailable("no")), target=TWO)
    batch = make({"a": backup("a"), "b": broken})
    batch.ask({"a": ()}, broker=False)
    (answer,) = collect(batch, 1)
    assert answer.reading.operations == (OPERATION,)
    batch.ask({"b": ()})
    (answer,) = collect(batch, 1)
    assert answer.reading.state is EvidenceState.UNAVAILABLE
    assert all(one.asked == [] for one in brokers.made)


def test_what_became_of_a_queue_is_not_asked_of_the_rows(make, brokers):
    evidence = FakeEvidence()
    batch = make({"a": backup("a", evidence=evidence)})
    waiting = Operation(broker_module.KIND, "cinder-backup.a", "1 waiting", claimed=False)
    batch.ask({"a": (waiting, OPERATION)})
    (answer,) = collect(batch, 1)
    assert {ending.operation: ending.outcome for ending in answer.endings} == {
        waiting: Outcome.FINISHED,
        OPERATION: Outcome.FINISHED,
    }
    assert evidence.asked == [(OPERATION,)]


def test_a_broker_that_cannot_be_asked_is_noted_once(make, brokers):
    batch = make({"a": backup("a"), "b": backup("b", None)})
    assert batch.notes() == {}
    brokers.made[0].note = "the broker could not be asked: why"
    assert batch.notes() == {"a": "the broker could not be asked: why"}
    assert batch.notes() == {}

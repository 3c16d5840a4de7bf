"""What every engine does alike."""

from __future__ import annotations

import itertools
import threading

import pytest

from kolla_drain.engine.common import CommonEngine, Shared, is_called
from kolla_drain.errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from testbed.waiting import wait_until

ID = "c0ffee" * 10 + "c0de"


class Pausing(CommonEngine):
    """An engine whose call to unpause raises what it is handed."""

    def __init__(self, error: EngineError) -> None:
        super().__init__()
        self.error = error

    def _unpause(self, container_id: str) -> None:
        raise self.error


@pytest.mark.parametrize("kind", [NotRunning, NoSuchContainer])
def test_a_container_that_is_not_paused_or_gone_is_left_alone(kind: type[EngineError]) -> None:
    Pausing(kind("It is not paused.")).unpause(ID)


def test_an_engine_that_does_not_answer_an_unpause_is_an_error() -> None:
    with pytest.raises(EngineUnreachable):
        Pausing(EngineUnreachable("It does not answer.")).unpause(ID)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("cinder_volume", True),
        (ID, True),
        (ID[:12], True),
        (ID[:11], False),
        ("c0ffee", False),
        ("cinder", False),
    ],
)
def test_a_container_is_called_by_its_name_or_a_whole_id(name: str, called: bool) -> None:
    assert is_called(name, ID, "cinder_volume") is called


def test_a_host_without_more_threads_has_sent_no_signal_and_no_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    engine = CommonEngine()
    with pytest.raises(EngineAbsent, match="can't start new thread"):
        engine.signal(ID, "SIGTERM")
    engine.kill(ID)
    assert "can't start new thread" in engine.kill_failure(ID)


def test_a_reading_is_shared_by_those_who_asked_before_it_began() -> None:
    """The first reading has begun before the others ask, so they get the second, and share it."""
    begun, go_on = threading.Event(), threading.Event()
    readings = itertools.count(1)

    def read() -> int:
        number = next(readings)
        begun.set()
        go_on.wait(10)
        if number == 2:
            raise EngineError("this one fails for all of them")
        return number

    shared = Shared(read)
    got: list[object] = []

    def ask() -> None:
        try:
            got.append(shared.read())
        except EngineError:
            got.append("failed")

    threads = [threading.Thread(target=ask) for _ in range(5)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    # One question and its reading's begin, and then four questions.
    wait_until(lambda: repr(shared._ticks) == "count(6)", 10, "all have asked", 0.01)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(map(str, got)) == ["1", "failed", "failed", "failed", "failed"]
    assert shared.read() == 3

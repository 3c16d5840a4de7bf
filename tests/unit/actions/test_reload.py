"""Reloads of several containers, and waiting until nothing is in flight."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from kolla_drain.actions import reload
from kolla_drain.actions.options import Options
from kolla_drain.actions.results import ContainerResult
from kolla_drain.actions.survey import Survey, Surveys
from kolla_drain.drain.baseline import Baseline
from kolla_drain.drain.plan import Plan
from kolla_drain.errors import Refused
from kolla_drain.model import (
    NO_PROFILE,
    Answer,
    Container,
    ContainerStatus,
    EvidenceState,
    Operation,
    Reading,
    StopRequest,
)

CONTAINER = Container("1d", "a", ContainerStatus.RUNNING)
PROFILE = replace(NO_PROFILE, no_reload="its process does not handle SIGHUP")
SURVEY = Survey(CONTAINER, PROFILE, Plan("SIGTERM", 60.0, 0.0, 60.0, ""), None, None, "", (), (), "")


def test_each_restart_instead_of_a_reload_has_an_engine_client_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    containers = {name: replace(CONTAINER, id=name, name=name) for name in ("a", "b")}
    surveys = Surveys(containers, tuple(replace(SURVEY, container=one) for one in containers.values()))
    engines: list[object] = []

    def restart_one(options: Options, engine: object) -> ContainerResult:
        engines.append(engine)
        return ContainerResult.of(containers[options.name])

    monkeypatch.setattr(reload.survey, "survey_all", lambda *_: surveys)
    monkeypatch.setattr(reload, "restart_one", restart_one)
    monkeypatch.setattr(reload, "read_process", lambda _: None)
    monkeypatch.setattr(Options, "connect", lambda _: object())
    shared: Any = object()
    options = Options("reload_container", ("a", "b"), StopRequest(), reload_fallback="restart")

    result = reload.reload_container(options, shared)

    assert [one.reload and one.reload.restarted for one in result.containers] == [True, True]
    assert len({id(engine) for engine in (*engines, shared)}) == 3


# --- waiting

EMPTY = Reading(EvidenceState.OK)
BUSY = Reading(EvidenceState.OK, operations=(Operation("volume_create", "d1ce", "creating"),))
UNSEEN = Reading(EvidenceState.OK, "what nova-scheduler works on could not be seen")
UNREAD = Reading(EvidenceState.UNAVAILABLE, "the server is down")


class FakeReader:
    """Answers each question at once with the next reading, and the last one for ever."""

    def __init__(self, readings: Iterable[Reading], wake: Callable[[], None]) -> None:
        self.readings, self.wake = list(readings), wake
        self.waiting: list[Answer] = []

    def ask(self, asks: Mapping[str, tuple[Operation, ...]]) -> int:
        reading = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        self.waiting = [Answer("", 1, reading)]
        self.wake()
        return 1

    def answers(self) -> tuple[Answer, ...]:
        taken, self.waiting = tuple(self.waiting), []
        return taken

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("readings", "is_empty"),
    [
        ((EMPTY, EMPTY), True),
        ((BUSY, UNREAD, EMPTY, EMPTY), True),
        ((EMPTY, BUSY), False),
        ((EMPTY, BUSY, EMPTY, BUSY), False),
        ((EMPTY, UNREAD), False),
        ((UNSEEN,), False),
        ((UNREAD,), False),
    ],
)
def test_it_waits_for_empty_readings_running(
    monkeypatch: pytest.MonkeyPatch, readings: tuple[Reading, ...], is_empty: bool
) -> None:
    monkeypatch.setattr(reload, "EvidenceReader", lambda _, wake: FakeReader(readings, wake))
    source: Any = None
    assert reload.await_empty(source, 0.3, 0.01) == (is_empty, readings[-1])


def test_what_is_ignored_holds_no_reload_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "EvidenceReader", lambda _, wake: FakeReader((BUSY,), wake))
    source: Any = None
    is_empty, last = reload.await_empty(source, 0.3, 0.01, Baseline(ignored=frozenset({"d1ce"})))
    assert is_empty
    assert last is not None
    assert [op.id for op in last.passed_over] == ["d1ce"]


def test_a_number_that_is_another_process_by_now_is_not_signalled() -> None:
    other = subprocess.Popen(["sleep", "1000"])
    try:
        stale = Container("d1ce" * 16, "svc", ContainerStatus.RUNNING, pid=other.pid)
        assert not reload._signal(stale, "SIGHUP")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_process_that_may_not_be_signalled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's socket is open to its group, a process of root is not."""

    def denied(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(reload, "read_process", lambda _: object())
    monkeypatch.setattr("os.kill", denied)
    with pytest.raises(Refused, match=r"may not signal its process 7; .*become: true"):
        reload._signal(replace(CONTAINER, pid=7), "SIGHUP")

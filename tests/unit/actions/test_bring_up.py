"""The proof of a start: how long it may take, what it is held against, and what the result tells of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kolla_drain.actions import bring_up
from kolla_drain.actions.bring_up import BringUp, note_readiness
from kolla_drain.actions.options import Options
from kolla_drain.actions.results import ContainerResult
from kolla_drain.actions.survey import Survey
from kolla_drain.database.target import DatabaseTarget
from kolla_drain.drain.plan import Plan
from kolla_drain.drain.result import StopResult
from kolla_drain.engine.inspected import described
from kolla_drain.evidence import evidence_of
from kolla_drain.evidence.reader import Source
from kolla_drain.model import (
    NO_PROFILE,
    Container,
    ContainerStatus,
    StopRequest,
    Verdict,
)
from kolla_drain.service.config import ServiceConfig
from kolla_drain.start.readiness import NOTHING_KNOWN, Before, Readiness

RUNNING = Container("1d", "a", ContainerStatus.RUNNING)
RESTS = replace(RUNNING, status=ContainerStatus.EXITED)
OPTIONS = Options("start_container", ("a",), StopRequest(), ready_timeout=120.0)


class Engine:
    command = "docker"

    def __init__(self, found: Container) -> None:
        self.found = found

    def inspect(self, name: str) -> Container:
        return self.found

    def start(self, container_id: str) -> None:
        self.found = replace(self.found, status=ContainerStatus.RUNNING)


@pytest.fixture
def prove(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``prove(found, service, seconds, **config)`` starts a container and returns the wait's arguments and its end."""
    asked: dict[str, Any] = {}

    def await_ready(container_id: str, **given: Any) -> Readiness:
        asked.update(given)
        return Readiness(True, asked["seconds"], how="its heartbeat moves")

    def run(
        found: Container, service: str = "cinder-volume", seconds: float = 1.0, **config: Any
    ) -> tuple[dict[str, Any], Readiness]:
        own = ServiceConfig(service, "ctl", **config)
        source = Source(evidence_of(service), own, DatabaseTarget(host="one", user="u", name="d"))
        monkeypatch.setattr(bring_up, "evidence_for", lambda *_: (own, source, ""))
        asked["seconds"] = seconds
        engine: Any = Engine(found)
        return asked, BringUp(OPTIONS, engine).start_and_prove("1d", NOTHING_KNOWN)

    monkeypatch.setattr(bring_up, "await_ready", await_ready)
    monkeypatch.setattr(bring_up.Units, "startable", lambda self, name: None)
    monkeypatch.setattr(bring_up.time, "monotonic", lambda: 1000.0)
    return run


STATED = frozenset({"report_interval"})


@pytest.mark.parametrize(
    ("interval", "stated", "timeout", "extended"),
    [
        (120, STATED, 360.0, 360.0),
        (40, STATED, 120.0, None),
        (10, STATED, 120.0, None),
        (120, frozenset(), 120.0, None),
    ],
)
def test_a_service_has_time_for_a_few_reports(
    prove: Callable[..., Any], interval: int, stated: frozenset[str], timeout: float, extended: float | None
) -> None:
    asked, readiness = prove(RESTS, report_interval=interval, stated=stated)
    assert (asked["timeout"], readiness.extended, readiness.doubts) == (timeout, extended, ())


@pytest.mark.parametrize(("service", "by_evidence"), [("heat-engine", True), ("octavia-worker", False)])
def test_without_heartbeats_its_container_is_the_proof(
    prove: Callable[..., Any], service: str, by_evidence: bool
) -> None:
    asked, _ = prove(RESTS, service)
    assert (asked["read"] is not None) is by_evidence


def test_it_is_told_where_that_time_was_needed(prove: Callable[..., Any]) -> None:
    _, readiness = prove(RESTS, seconds=130.0, report_interval=120, stated=STATED)
    (doubt,) = readiness.doubts
    for words in ("360 s", "120 s of ready_timeout", "3 times its report_interval of 120 s"):
        assert words in doubt


@pytest.mark.parametrize(
    ("found", "service", "reports_from"),
    [
        (RESTS, "cinder-volume", 1010.0),
        (RESTS, "cinder-backup", 1010.0),
        (RESTS, "cinder-scheduler", 1010.0),
        (RESTS, "nova-compute", None),
        (RUNNING, "cinder-volume", None),  # since when its process runs is not known
    ],
)
def test_when_a_process_can_have_reported_first(
    prove: Callable[..., Any], found: Container, service: str, reports_from: float | None
) -> None:
    asked, _ = prove(found, service, report_interval=10)
    assert asked["reports_from"] == reports_from


# --- what served before


SURVEY = Survey(RUNNING, NO_PROFILE, Plan("SIGTERM", 60.0, 0.0, 60.0, ""), None, None, "", (), (), "")


@pytest.mark.parametrize(
    ("health", "status", "draining", "unhealthy"),
    [
        ("unhealthy", "running", "", True),
        ("healthy", "running", "", False),
        ("", "running", "", False),
        ("unhealthy", "exited", "", False),  # the engine calls every stopped or paused container so
        ("unhealthy", "paused", "", False),
        ("unhealthy", "running", "by kolla_docker", False),
    ],
)
def test_what_counts_as_unhealthy_before(health: str, status: str, draining: str, unhealthy: bool) -> None:
    container = replace(RUNNING, health=health, status=ContainerStatus(status))
    assert replace(SURVEY, container=container, draining=draining).unhealthy == unhealthy


def test_a_result_says_what_served_before() -> None:
    stop = StopResult("a", "1d", Verdict.DRAINED, "", serving=frozenset({"h"}))
    assert ContainerResult("a", stop=stop, was_unhealthy=True).before == Before(frozenset({"h"}), True)
    assert ContainerResult("a").before == NOTHING_KNOWN


def test_doubts_become_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bring_up.ContainerUnits, "report", lambda self, results: None)
    result = ContainerResult("a")
    readiness = Readiness(True, 2.0, how="its process runs on", doubts=("it is odd",), extended=360.0)
    assert note_readiness(result, "a", readiness, evidence_was_read=True)
    assert (result.warnings, result.ready_timeout) == (["a: it is odd."], 360.0)


# --- what an inspection says of a healthcheck


def test_a_healthcheck_is_read_from_an_inspection() -> None:
    inspection = {
        "Id": "1d",
        "Name": "/a",
        "State": {"Health": {"Status": "starting", "FailingStreak": 2}},
        "Config": {"Healthcheck": {"Interval": 90 * 10**9, "StartPeriod": 5 * 10**9}},
    }
    found = described(inspection, ContainerStatus.RUNNING)
    assert (found.health, found.health_failures) == ("starting", 2)
    assert (found.health_interval, found.health_start_period) == (90.0, 5.0)
    without = described({**inspection, "State": {}, "Config": {}}, ContainerStatus.RUNNING)
    assert (without.health, without.health_interval) == ("", 0.0)

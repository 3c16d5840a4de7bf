"""What did not serve before a stop is not demanded after it, and what is slow gets its time, on a real engine."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed.mariadb import MariaDB
from testbed.waiting import wait_until
from tests.support.checks import is_sentence
from tests.support.services import Service, checks_run

RECREATE = "recreate_or_restart_container"
BOTH = pytest.mark.parametrize("action", ["restart_container", RECREATE])
GENERATION = {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS", "GENERATION": "2"}  # a difference
SICK = {"test": ["CMD-SHELL", "exit 1"], "interval": "1", "timeout": "1", "retries": "1"}


def health_of(service: Service) -> str:
    found: str = service.inspect()["State"]["Health"]["Status"]
    return found


def wait_health(service: Service, health: str) -> None:
    wait_until(lambda: health_of(service) == health, 180, f"{service.name} says {health}", interval=0.1)


def warned(result: dict[str, Any], *words: str) -> bool:
    """Whether one warning has all of these words."""
    return any(all(word in text for word in words) for text in result["warnings"])


def changed_by(action: str) -> dict[str, Any]:
    return {"environment": GENERATION} if action == RECREATE else {}


# --- health before


@pytest.fixture
def sick(service: Service, run_module: Any) -> Iterator[Service]:
    """A container that serves, and whose healthcheck says unhealthy."""
    with checks_run(service.name):
        run_module(service.args("start_container", healthcheck=SICK, ready_timeout=1))
        wait_health(service, "unhealthy")
        service.workload.wait_line("ready")
        yield service


@pytest.mark.parametrize(
    ("action", "check"),
    [
        ("restart_container", SICK),
        (RECREATE, SICK),
        (RECREATE, {**SICK, "test": ["CMD-SHELL", "exit 2"]}),
        ("reload_container", SICK),
    ],
)
def test_one_that_was_unhealthy_before(
    sick: Service, run_module: Any, action: str, check: dict[str, Any]
) -> None:
    old = sick.workload
    result = run_module(sick.args(action, healthcheck=check, **changed_by(action)))
    assert not result.get("failed"), result
    assert warned(result, sick.name, "unhealthy before the stop", "look at what its healthcheck prints")
    assert "unhealthy before" in result["ready_by"]
    assert sick.there() == {"NAME": "running"}
    assert (sick.workload.id != old.id) == (action == RECREATE)


@BOTH
def test_one_with_a_heartbeat_that_was_unhealthy_before(
    service: Service, beating: Callable[..., Any], action: str
) -> None:
    with checks_run(service.name):
        beating("start_container", healthcheck=SICK)
        wait_health(service, "unhealthy")
        result = beating(action, healthcheck=SICK, **changed_by(action))
    assert not result.get("failed"), result
    assert result["ready_by"] == "its heartbeat moves"
    assert warned(result, service.name, "unhealthy before the stop")


# --- health that takes its time


def test_one_that_becomes_healthy_late(service: Service, start_module: Any) -> None:
    check = {
        "test": ["CMD-SHELL", "test -e /record/ok"],
        "interval": "1",
        "timeout": "5",
        "retries": "1",
        "start_period": "1",
    }
    with checks_run(service.name):
        run = start_module(service.args("start_container", healthcheck=check, ready_timeout=100))
        wait_until(lambda: "NAME" in service.there(), 180, "it is created")
        wait_health(service, "unhealthy")
        (service.folder / "ok").touch()
        result = run.result()
    assert not result.get("failed"), result
    assert result["ready_by"] == "its healthcheck says healthy"


@pytest.mark.parametrize("action", ["start_container", RECREATE])
def test_a_check_slower_than_the_time_to_become_ready(service: Service, run_module: Any, action: str) -> None:
    slow = {"test": ["CMD-SHELL", "true"], "interval": "600", "timeout": "2", "retries": "3"}
    if action == RECREATE:
        run_module(service.args("start_container"))
        service.workload.wait_line("ready")
    result = run_module(service.args(action, healthcheck=slow, ready_timeout=3))
    assert not result.get("failed"), result
    assert warned(result, service.name, "every 600 s", "ready_timeout above 600 s")
    assert service.there() == {"NAME": "running"}


# --- heartbeats before


def add_row(database: MariaDB, host: str, age: int) -> None:
    database.execute(
        "INSERT INTO services (created_at, updated_at, deleted, host, `binary`, topic, report_count, disabled,"
        " availability_zone, uuid) VALUES (UTC_TIMESTAMP(), UTC_TIMESTAMP() - INTERVAL %s SECOND, 0, %s,"
        " 'cinder-volume', 'cinder-volume', 7, 0, 'nova', UUID())",
        (age, host),
        "cinder",
    )


@BOTH
def test_a_backend_that_was_down_before(
    service: Service, beating: Callable[..., Any], cinder_database: MariaDB, cinder_host: str, action: str
) -> None:
    beating("start_container")
    add_row(cinder_database, f"{cinder_host}@two", age=9 * 86400)
    result = beating(action, conf={"backends": ("one", "two")}, ready_timeout=100, **changed_by(action))
    assert not result.get("failed"), result
    assert result["ready_by"] == "its heartbeat moves"
    assert warned(result, f"{cinder_host}@two did not move, and was down before")


@BOTH
def test_a_backend_that_was_up_before(
    service: Service, beating: Callable[..., Any], cinder_database: MariaDB, cinder_host: str, action: str
) -> None:
    beating("start_container")
    add_row(cinder_database, f"{cinder_host}@two", age=0)
    result = beating(
        action,
        conf={"backends": ("one", "two"), "service_down_time": 600},
        ready_timeout=5,
        **changed_by(action),
    )
    assert result["failed"]
    is_sentence(result["msg"])
    # On a busy machine 5 s may be too short for the other one as well.
    silent = rf"the heartbeat of ({cinder_host}@one, )?{cinder_host}@two did not move within 5 s"
    assert re.search(silent, result["msg"]), result["msg"]


# --- heartbeats that take their time


def test_a_service_that_reports_more_slowly_than_it_may_take(
    service: Service, beating: Callable[..., Any]
) -> None:
    slow = ("--report-interval", "8")
    result = beating("start_container", *slow, conf={"report_interval": 8}, ready_timeout=3)
    assert not result.get("failed"), result
    assert (result["ready_by"], result["ready_timeout"]) == ("its heartbeat moves", 24.0)
    assert warned(result, service.name, "24 s", "3 s of ready_timeout", "report_interval of 8 s")


# --- heartbeats of others


@pytest.fixture
def shared(cinder_database: MariaDB, cinder_host: str) -> Iterator[dict[str, str]]:
    """The configuration of a row that other hosts keep moving."""
    backend_host = f"rbd:{cinder_host}"
    row, over = f"{backend_host}@one", threading.Event()
    add_row(cinder_database, row, age=0)

    def beat() -> None:
        while not over.wait(0.5):
            with contextlib.suppress(Exception):  # the next one tells, if any
                cinder_database.execute(
                    "UPDATE services SET updated_at = UTC_TIMESTAMP(), report_count = report_count + 1 WHERE host = %s",
                    (row,),
                    "cinder",
                )

    others = threading.Thread(target=beat)
    others.start()
    try:
        # Long enough for a slow machine to see one of their heartbeats before the service's own can come.
        yield {"backend_host": backend_host, "report_interval": "60", "service_down_time": "180"}
    finally:
        over.set()
        others.join()


def test_a_heartbeat_of_others_proves_nothing(
    service: Service, beating: Callable[..., Any], shared: dict[str, str]
) -> None:
    started = beating("start_container", conf=shared, command="sleep 600")
    assert not started.get("failed"), started
    assert started["ready_by"] == "its process runs on"
    assert warned(started, service.name, f"{shared['backend_host']}@one", "it proves nothing of this one")


def test_its_health_has_to_prove_it_then(
    service: Service, beating: Callable[..., Any], shared: dict[str, str]
) -> None:
    beating("start_container", conf=shared)
    service.workload.wait_line("ready")
    old = service.workload.id
    conf = {**shared, "report_interval": None}  # 10 s by default, which does not lengthen ready_timeout
    with checks_run(service.name):
        result = beating(RECREATE, conf=conf, command="sleep 600", healthcheck=SICK, ready_timeout=9)
    assert result["failed"], result
    is_sentence(result["msg"])
    assert "its healthcheck says unhealthy after 9 s" in result["msg"]
    assert result["rolled_back"]
    assert service.workload.id == old

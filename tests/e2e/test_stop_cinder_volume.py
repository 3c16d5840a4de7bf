"""The main job: cinder-volume with a volume in creation is stopped by its signal, and what becomes of the volume.

How it is ended while frozen is in test_matrix.
"""

from __future__ import annotations

import time

import pytest

from testbed.stack import Stack
from testbed.waiting import wait_until
from tests.support.checks import LEDGER

from .conftest import VOLUME, AdHoc, ad_hoc, creating, kills

TERM, KILL = 15, 9
POLL_INTERVAL = 2.0  # the module's default


def operation_of(result: dict, volume: str) -> dict:
    """What the result says of the volume's creation."""
    (found,) = [op for op in result["operations"] if op["id"] == volume and op["kind"] == "volume_create"]
    return found


def test_a_create_in_flight_is_drained(stack: Stack) -> None:
    begun = time.time()
    volume = creating(stack, 20)

    result = ad_hoc(f"action=stop_container name={VOLUME} graceful_shutdown_timeout=120 exit=signal")

    assert result["verdict"] == "drained", result["reason"]
    assert result["changed"] is True
    assert stack.api.status("volume", volume) == "available"
    operation = operation_of(result, volume)
    assert (operation["outcome"], operation["last_status"]) == ("finished", "available")
    assert kills(stack, begun) == [TERM]
    assert stack.container(VOLUME).status == "exited"


@pytest.mark.any_mode
def test_an_idle_service_is_drained(stack: Stack) -> None:
    begun = time.time()

    result = ad_hoc(f"action=stop_container name={VOLUME} graceful_shutdown_timeout=120 exit=signal")

    assert result["verdict"] == "drained", result["reason"]
    assert result["operations"] == []
    assert result["evidence"] == "ok"
    assert len(result["heartbeat"]["rows"]) == 2, "one row a backend"
    assert kills(stack, begun) == [TERM]


@pytest.mark.any_mode
def test_over_the_deadline_it_is_killed_and_says_what_was_lost(stack: Stack) -> None:
    begun = time.time()
    volume = creating(stack, 90)

    result = ad_hoc(f"action=stop_container name={VOLUME} graceful_shutdown_timeout=20")

    assert result["verdict"] == "killed", result["reason"]
    assert kills(stack, begun)[-1] == KILL
    assert kills(stack, begun).count(TERM) <= 1
    assert 19 <= result["timeline"][-1]["at"] <= 35, "the deadline, and the look-up after it"
    operation = operation_of(result, volume)
    assert operation["outcome"] == "interrupted"
    assert "error" in operation["fate"]
    stack.clear_pauses()
    stack.restart_service(VOLUME)
    stack.api.wait_status("volume", volume, "error")  # as the fate says


@pytest.mark.any_mode
def test_leave_fails_and_a_second_call_joins(stack: Stack) -> None:
    begun = time.time()
    volume = creating(stack, 35)

    first = ad_hoc(f"action=stop_container name={VOLUME} graceful_shutdown_timeout=10 on_timeout=leave")

    assert first["exit"] != 0
    assert first["verdict"] == "left_running"
    assert VOLUME in first["msg"]
    assert stack.container(VOLUME).status == "running"
    assert stack.api.status("volume", volume) == "creating"

    second = ad_hoc(f"action=stop_container name={VOLUME} graceful_shutdown_timeout=120")

    assert second["verdict"] == "drained", second["reason"]
    assert stack.api.status("volume", volume) == "available"
    assert kills(stack, begun) == [TERM]


@pytest.mark.any_mode
def test_mariadb_stops_in_the_middle_and_comes_back(stack: Stack) -> None:
    begun = time.time()
    volume = creating(stack, 25)
    stop = AdHoc(f"action=stop_container name={VOLUME} graceful_shutdown_timeout=150 exit=signal")
    try:
        entry = LEDGER / f"{stack.container(VOLUME).id}.json"
        wait_until(entry.exists, 180, "the module having begun")
        stack.mariadb.stop()
        time.sleep(3 * POLL_INTERVAL)  # how long it is away: readings fall into that time
    finally:
        stack.mariadb.start()

    result = stop.result()

    assert result["verdict"] == "drained", result["reason"]
    assert result["evidence"] == "ok"
    assert "could not be read from" in result["evidence_why"]
    assert operation_of(result, volume)["outcome"] == "finished"
    assert stack.api.status("volume", volume) == "available"
    assert kills(stack, begun) == [TERM]


@pytest.mark.any_mode
def test_check_mode_names_what_is_in_flight_and_touches_nothing(stack: Stack) -> None:
    begun = time.time()
    volume = creating(stack, 20)

    result = ad_hoc(f"action=stop_container name={VOLUME}", "--check", "--diff")

    assert result["changed"] is True, "it would stop it"
    assert [op["id"] for op in result["operations"]] == [volume]
    assert result["plan"]["signal"] == "SIGTERM"
    assert kills(stack, begun) == []
    assert stack.container(VOLUME).status == "running"
    stack.api.wait_status("volume", volume, "available")


@pytest.mark.any_mode
def test_no_secret_is_printed(stack: Stack) -> None:
    run = AdHoc(f"action=drain_status name={VOLUME},cinder_backup,cinder_scheduler", "-vvv")

    assert [one["evidence"] for one in run.result()["containers"]] == ["ok", "ok", "ok"]
    assert stack.state.endpoints.database_password not in run.output

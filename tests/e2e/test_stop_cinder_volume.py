"""The main job: cinder-volume is stopped while it creates a volume, and the volume is finished.

A service that is killed or left running is in test_matrix and in molecule's scenarios; native threads are in
test_native_threads.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from testbed.containers import pause
from testbed.stack import RABBITMQ, Stack
from testbed.waiting import wait_until

from .conftest import BACKENDS, VOLUME, AdHoc, ad_hoc, begun, creating, kills, stopped
from .gate import Gate

TERM, KILL = 15, 9
SECONDS = 8.0


def operation_of(result: dict, volume: str) -> dict:
    """What the result says of the volume's creation."""
    (found,) = [op for op in result["operations"] if op["id"] == volume and op["kind"] == "volume_create"]
    return found


@pytest.mark.core
def test_a_create_in_flight_is_drained(stack: Stack) -> None:
    since = time.time()
    volume = creating(stack, SECONDS)

    arguments = f"name={VOLUME} graceful_shutdown_timeout=120"
    result = stopped(stack, stack.container(VOLUME), arguments)

    assert result["verdict"] == "drained", result["reason"]
    assert result["changed"] is True
    assert stack.api.status("volume", volume) == "available"
    operation = operation_of(result, volume)
    assert (operation["outcome"], operation["last_status"]) == ("finished", "available")
    assert result["evidence"] == "ok"
    assert len(result["heartbeat"]["rows"]) == 2, "one row a backend"
    assert kills(stack, since) == [TERM]
    assert stack.container(VOLUME).status == "exited"


def test_a_call_that_has_no_row_is_waited_for(stack: Stack) -> None:
    """The detach of a volume: whoever asks waits for the answer, and no row shows that."""
    volume = str(stack.api.create_volume(1, "detached", backend=BACKENDS[0])["id"])
    stack.api.wait_status("volume", volume, "available")
    attachment = str(stack.api.create_attachment(volume)["id"])
    stack.api.update_attachment(attachment)
    stack.api.complete_attachment(attachment)
    since = time.time()
    stack.hold()
    stack.set_pause("volume_detach", SECONDS)

    def told() -> list[str]:
        status = ad_hoc(f"action=drain_status name={VOLUME}")
        return [op["kind"] for op in status["operations"]]

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(stack.api.delete_attachment, attachment)
        try:
            wait_until(lambda: told() == ["attachment_delete"], 180, "cinder-volume telling of the call")
            result = stopped(stack, stack.container(VOLUME), f"name={VOLUME} graceful_shutdown_timeout=120")
        finally:
            stack.go_on()
        assert call.result(180) is None, "it got its answer"

    assert result["verdict"] == "drained", result["reason"]
    assert [(op["kind"], op["outcome"]) for op in result["operations"]] == [("attachment_delete", "finished")]
    assert kills(stack, since) == [TERM]


def test_mariadb_stops_in_the_middle_and_comes_back(stack: Stack) -> None:
    since = time.time()
    volume = creating(stack, SECONDS)
    with Gate(stack) as gate:
        arguments = {
            "action": "stop_container",
            "name": VOLUME,
            "graceful_shutdown_timeout": 300,
            "database": gate.database,
        }
        stop = AdHoc(json.dumps(arguments))
        try:
            wait_until(lambda: begun(stack.container(VOLUME)), 180, "the module having begun")
            stack.mariadb.stop()
            wait_until(lambda: gate.refused, 180, "a reading in vain")
        finally:
            stack.mariadb.start()
            stack.go_on()
        result = stop.result()

    assert result["verdict"] == "drained", result["reason"]
    assert result["evidence"] == "ok"
    assert "could not be read from" in result["evidence_why"]
    assert operation_of(result, volume)["outcome"] == "finished"
    assert stack.api.status("volume", volume) == "available"
    assert kills(stack, since) == [TERM]


def test_rabbitmq_hangs_in_the_middle(stack: Stack) -> None:
    """Work that was taken ends without the bus; the exit waits for it, up to the deadline."""
    since = time.time()
    volume = creating(stack, SECONDS)
    bus = stack.container(RABBITMQ)
    stop = AdHoc(f"action=stop_container name={VOLUME} graceful_shutdown_timeout=60")
    try:
        wait_until(lambda: begun(stack.container(VOLUME)), 180, "the module having begun")
        pause(bus)
        stack.go_on()
        result = stop.result()
    finally:
        bus.reload()
        if bus.status == "paused":
            bus.unpause()

    assert result["evidence"] == "ok"
    assert (operation_of(result, volume)["outcome"], stack.api.status("volume", volume)) == (
        "finished",
        "available",
    )
    assert stack.container(VOLUME).status == "exited"
    killed = result["verdict"] == "killed"
    assert killed or result["verdict"] == "drained", result["reason"]
    assert kills(stack, since) == ([TERM, KILL] if killed else [TERM])


def test_no_secret_is_printed(stack: Stack) -> None:
    run = AdHoc(f"action=drain_status name={VOLUME},cinder_backup,cinder_scheduler", "-vvv")

    assert [one["evidence"] for one in run.result()["containers"]] == ["ok", "ok", "ok"]
    assert stack.state.endpoints.database_password not in run.output

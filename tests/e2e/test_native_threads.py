"""What depends on the mode, on native threads: a stop and a reload, with a volume in creation.

On eventlet the first is test_stop_cinder_volume, the second molecule's scenario reload.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from testbed.lanes import Lane
from testbed.stack import Stack
from testbed.waiting import wait_until

from .conftest import AdHoc, creating, kills, stopped
from .gate import Gate

TERM = 15
SECONDS = 8.0


@pytest.fixture(scope="module")
def threads(any_stack: Stack) -> Iterator[Lane]:
    """A lane whose cinder-volume is on native threads."""
    one = Lane(any_stack.up(mode="eventlet"), "e2", mode="threads", kinds=["volume"])
    try:
        yield one.up()
    finally:
        one.down()


@pytest.fixture
def lane(threads: Lane) -> Iterator[Lane]:
    """It is up and nothing slow, before and after each test."""
    threads.clear_pauses()
    yield threads.up()
    threads.clear_pauses()


def test_a_create_in_flight_is_drained(lane: Lane) -> None:
    """A signal at once would drop it, with exit code 0."""
    since = time.time()
    volume = creating(lane, SECONDS)

    arguments = f"{lane.module_arguments('volume')} graceful_shutdown_timeout=120"
    result = stopped(lane, lane.container("volume"), arguments)

    assert result["verdict"] == "drained", result["reason"]
    assert lane.api.status("volume", volume) == "available"
    assert [(op["id"], op["outcome"]) for op in result["operations"]] == [(volume, "finished")]
    assert kills(lane.stack, since, lane.volume) == [TERM]
    assert lane.container("volume").status == "exited"


def test_a_create_in_flight_survives_a_reload(lane: Lane) -> None:
    """SIGHUP replaces the workers, so it waits for the volume."""
    since = time.time()
    started = lane.container("volume").attrs["State"]["StartedAt"]
    volume = creating(lane, SECONDS)

    with Gate(lane.stack) as gate:
        arguments = dict(word.split("=", 1) for word in lane.module_arguments("volume").split())
        arguments |= {
            "action": "reload_container",
            "graceful_shutdown_timeout": 120,
            "database": gate.database,
        }
        run = AdHoc(json.dumps(arguments))
        try:
            wait_until(lambda: gate.passed, 180, "the reload looking for what is in flight")
            assert kills(lane.stack, since, lane.volume) == []
        finally:
            lane.go_on()
        result = run.result()

    assert (result["reloaded"], result["restarted"]) == (True, False), result
    assert result["ready_by"] == "its heartbeat moves"
    assert len(result["heartbeat"]["rows"]) == 2, "one row a backend"
    assert lane.api.status("volume", volume) == "available"
    assert kills(lane.stack, since, lane.volume) == [], "the engine would take it for a stop"
    assert lane.container("volume").attrs["State"]["StartedAt"] == started

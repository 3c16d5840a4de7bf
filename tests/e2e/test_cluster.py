"""Two members of one cluster, which take requests from one queue: each waits for what it has taken, and for no more."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from testbed.lanes import Lane, lanes_up
from testbed.stack import Stack
from testbed.waiting import wait_until
from tests.support.checks import operations_of

from .conftest import ad_hoc, kills, stopped

TAKES = 40  # seconds that a volume needs, from the moment at which a stop has begun
TERM = 15


@pytest.fixture(scope="module")
def cluster(any_stack: Stack) -> Iterator[list[Lane]]:
    any_stack.up(mode="eventlet")
    with lanes_up(
        *(Lane(any_stack, name, kinds=("volume",), cluster="ha") for name in ("c1", "c2"))
    ) as members:
        yield members


@pytest.fixture
def members(cluster: list[Lane]) -> Iterator[list[Lane]]:
    """Both up and nothing slow, before and after each test."""
    for lane in cluster:
        lane.clear_pauses()
        lane.up()
    yield cluster
    for lane in cluster:
        lane.clear_pauses()


def creating(members: list[Lane]) -> tuple[str, Lane, Lane]:
    """A volume in creation, held until ``go_on``, the member that has taken it, and the other one."""
    for lane in members:
        lane.hold()
        lane.set_pause("volume_create", TAKES)
    stack = members[0].stack
    volume = str(stack.api.create_volume(1, "cluster", backend=members[0].backends[0])["id"])
    wait_until(lambda: stack.taken_by(volume), 180, f"a member taking volume {volume}")
    first, second = members
    busy_first = stack.taken_by(volume).startswith(f"{first.host}@")
    return volume, *((first, second) if busy_first else (second, first))


def test_both_are_members(members: list[Lane]) -> None:
    rows = members[0].stack.mariadb.execute(
        "SELECT host, cluster_name FROM services WHERE deleted = 0 AND cluster_name LIKE 'ha@%%' ORDER BY host",
        (),
        "cinder",
    )
    assert [tuple(row) for row in rows] == [
        (f"lane-{name}@{backend}", f"ha@{backend}") for name in ("c1", "c2") for backend in ("ha-1", "ha-2")
    ]


def test_the_member_that_has_no_work_does_not_wait_for_the_other(members: list[Lane]) -> None:
    volume, busy, idle = creating(members)
    since = time.time()
    try:
        result = ad_hoc(
            f"action=stop_container {idle.module_arguments('volume')} graceful_shutdown_timeout=300"
        )
        assert (result["verdict"], result["operations"]) == ("drained", []), result["reason"]
        assert result["quiesced"] < TAKES
        assert busy.api.status("volume", volume) == "creating"
        assert kills(idle.stack, since, idle.volume) == [TERM]
        assert kills(busy.stack, since, busy.volume) == []
    finally:
        busy.go_on()
    busy.api.wait_status("volume", volume, "available")


def test_the_member_that_works_waits_for_its_work(members: list[Lane]) -> None:
    volume, busy, _ = creating(members)
    since = time.time()
    arguments = f"{busy.module_arguments('volume')} graceful_shutdown_timeout=300"
    result = stopped(busy, busy.container("volume"), arguments)
    assert result["verdict"] == "drained", result["reason"]
    assert operations_of(result) == {"finished": ["volume_create"]}
    assert [one["unattributed"] for one in result["operations"]] == [""]
    assert result["quiesced"] >= TAKES
    assert busy.api.status("volume", volume) == "available"
    assert kills(busy.stack, since, busy.volume) == [TERM]

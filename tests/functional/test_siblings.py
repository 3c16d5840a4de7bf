"""Services that share their work: the members of a cluster, and hosts with one backend_host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from testbed.waiting import wait_until
from tests.support.checks import is_sentence, operations_of, signalled_once, untouched
from tests.support.cinder_services import LONGER, Service, Services

Start = Callable[..., Service]
# Of this budget 15 s are kept for the drain, and unattributed work is waited for for half of what is left.
BUDGET, HALF = 60, 22.5


def told(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Kind, outcome and doubt of each operation."""
    return [(one["kind"], one["outcome"], one["unattributed"]) for one in result["operations"]]


# --- a cluster


@pytest.fixture
def member(services: Services) -> Start:
    """``member(*operations)`` starts a further member of one cluster."""

    def start(*operations: str, **more: Any) -> Service:
        return services.start(*operations, cluster=services.host, **more)

    return start


def test_what_another_member_has_claimed_is_not_waited_for(member: Start, run_module: Any) -> None:
    idle, busy = member(), member("volume_create:600", "volume_delete:600")
    with untouched(busy.workload):
        result = run_module(idle.args(graceful_shutdown_timeout=BUDGET))
    assert (result["verdict"], result["operations"]) == ("drained", []), result["reason"]
    assert result["quiesced"] < HALF
    signalled_once(idle.workload)


def test_what_it_has_claimed_itself_is_waited_for(member: Start, start_module: Any) -> None:
    member("volume_create:600")
    busy = member(f"volume_create:{LONGER}")
    run = start_module(busy.args())
    busy.wait_read()
    result = run.result()
    assert told(result) == [("volume_create", "finished", "")]
    assert result["verdict"] == "drained", result["reason"]
    assert result["quiesced"] >= LONGER
    signalled_once(busy.workload)


@pytest.mark.parametrize("threads", [False, True], ids=["eventlet", "native threads"])
def test_what_no_row_attributes_does_not_take_the_whole_budget(
    services: Services, member: Start, run_module: Any, threads: bool
) -> None:
    environment = {"OS_CINDER_DISABLE_EVENTLET_PATCHING": "true"} if threads else {}
    idle, busy = member(environment=environment), member("volume_extend:600")
    budget = HALF * 2 if threads else BUDGET  # of a service that drops its work nothing is kept for the drain
    with untouched(busy.workload):
        result = run_module(idle.args(graceful_shutdown_timeout=int(budget)))
    doubt = f"any member of the cluster {services.host}@lvm may work on it"
    assert told(result) == [("volume_extend", "unknown", doubt)]
    assert result["verdict"] == "unverified", result["reason"]
    assert HALF - 1 < result["quiesced"] < budget - 10
    assert doubt in result["operations"][0]["fate"]
    assert any("volume_extend" in text and doubt in text for text in result["warnings"])
    signalled_once(idle.workload)


def test_what_no_row_attributes_and_ends_is_no_doubt(member: Start, start_module: Any) -> None:
    idle, busy = member(), member(f"volume_extend:{LONGER}")
    run = start_module(idle.args())
    idle.wait_asked("ROLLBACK", 3)
    busy.go()
    result = run.result()
    assert [one[:2] for one in told(result)] == [("volume_extend", "finished")]
    assert result["verdict"] == "drained", result["reason"]


def test_a_request_that_another_member_takes_is_forgotten(
    member: Start, start_module: Any, services: Services
) -> None:
    """It waits in the queue of both, and this one's end of the wait is not its end."""
    idle, busy = member(), member("volume_create:600")
    sql = services.database.execute
    (holder,) = sql("SELECT id FROM services WHERE host = %s", (f"{busy.host}@lvm",), "cinder")[0]
    sql("UPDATE workers SET service_id = NULL WHERE service_id = %s", (holder,), "cinder")
    run = start_module(idle.args())
    idle.wait_asked("ROLLBACK", 3)
    sql(
        "UPDATE workers SET service_id = %s WHERE resource_id IN (SELECT id FROM volumes WHERE host LIKE %s)",
        (holder, f"{busy.host}@%"),
        "cinder",
    )
    result = run.result()
    assert (result["verdict"], result["operations"]) == ("drained", []), result["reason"]
    assert any(f"was taken by {busy.host}@lvm" in event["event"] for event in result["timeline"])


def test_drain_status_tells_what_is_unattributed(member: Start, run_module: Any) -> None:
    idle, _ = member(), member("volume_extend:600", "volume_create:600")
    result = run_module(idle.args(action="drain_status"))
    assert [(one["kind"], bool(one["unattributed"])) for one in result["operations"]] == [
        ("volume_extend", True)
    ]


# --- one row of several hosts


@pytest.fixture
def sharer(services: Services) -> Start:
    """``sharer(*operations)`` starts a further process that reports in the same row."""

    def start(*operations: str, **more: Any) -> Service:
        return services.start(*operations, backend_host=f"rbd:{services.host}", **more)

    return start


@pytest.fixture
def rows_host(services: Services) -> str:
    return f"rbd:{services.host}@lvm"


def test_in_a_shared_row_nothing_is_attributed(sharer: Start, run_module: Any, rows_host: str) -> None:
    idle, busy = sharer(), sharer("volume_create:600", "volume_extend:600")
    with untouched(busy.workload):
        result = run_module(idle.args(graceful_shutdown_timeout=BUDGET))
    doubt = f"other processes report as {rows_host}, too, and any of them may work on it"
    assert sorted(told(result)) == [("volume_create", "unknown", doubt), ("volume_extend", "unknown", doubt)]
    assert result["verdict"] == "unverified", result["reason"]
    assert HALF - 1 < result["quiesced"] < BUDGET - 15
    assert [row["shared"] for row in result["heartbeat"]["rows"]] == [True]
    assert any("its next start sets to error" in text for text in result["warnings"])
    signalled_once(idle.workload)


def test_work_of_its_own_in_a_shared_row_can_end(sharer: Start, start_module: Any) -> None:
    sharer()
    busy = sharer(f"volume_create:{LONGER}")
    run = start_module(busy.args())
    busy.wait_read()
    result = run.result()
    assert [one[:2] for one in told(result)] == [("volume_create", "finished")]
    assert result["verdict"] == "drained", result["reason"]


def test_a_backend_host_that_one_host_has_is_its_own(sharer: Start, run_module: Any) -> None:
    """What is waited for to the deadline is its own, and is known to be lost."""
    alone = sharer("volume_create:600")
    result = run_module(alone.args(graceful_shutdown_timeout=12))
    assert told(result) == [("volume_create", "interrupted", "")]
    assert result["verdict"] == "killed"
    assert [row["shared"] for row in result["heartbeat"]["rows"]] == [None]


# --- what the next start does to the others


@pytest.fixture
def busy_sibling(sharer: Start) -> tuple[Service, Service]:
    """A service, and another one in its row that is creating a volume."""
    return sharer(), sharer("volume_create:600", "volume_extend:600")


def created_by(service: Service) -> str:
    row = service.database.execute(
        "SELECT resource_id FROM cinder.workers w JOIN cinder.services s ON s.id = w.service_id"
        " WHERE s.host LIKE %s",
        (f"rbd:{service.host.rsplit('-', 1)[0]}@%",),
    )
    return str(row[0][0])


@pytest.mark.parametrize("check", [True, False])
def test_preflight_tells_before_a_restart_whose_work_it_ends(
    busy_sibling: tuple[Service, Service], run_module: Any, rows_host: str, check: bool
) -> None:
    idle, busy = busy_sibling
    volume = created_by(busy)
    with untouched(busy.workload):
        args = idle.args(action="restart_container", graceful_shutdown_timeout=20, ready_timeout=20)
        result = run_module(args, check=check)
    assert not result.get("failed"), result
    (finding,) = [one for one in result["preflight"] if one["code"] == "start_ends_others_work"]
    is_sentence(finding["text"])
    assert rows_host in finding["text"]
    assert f"volume_create {volume};" in finding["text"]
    assert finding["text"] in result["warnings"]
    if not check:
        assert [one["id"] for one in result["unattributed_at_start"]] == [volume]
        assert any("1 operation was in flight at its start" in text for text in result["warnings"])


def test_a_strict_restart_is_refused_and_nothing_touched(
    busy_sibling: tuple[Service, Service], run_module: Any
) -> None:
    idle, busy = busy_sibling
    with untouched(idle.workload), untouched(busy.workload):
        result = run_module(idle.args(action="restart_container", preflight="strict"))
    assert result["failed"]
    assert created_by(busy) in result["msg"]


def test_a_start_tells_what_it_ends(busy_sibling: tuple[Service, Service], run_module: Any) -> None:
    """The row is not its own, for it has moved since it came to rest, whatever it is called."""
    idle, busy = busy_sibling
    idle.workload.raw.kill()
    wait_until(lambda: idle.workload.status == "exited", 180, "it ends")
    args = idle.args(action="start_container", ready_timeout=20)
    refused = run_module({**args, "preflight": "strict"})
    assert refused["failed"]
    assert created_by(busy) in refused["msg"]
    assert idle.workload.status == "exited"
    planned = run_module(args, check=True)
    assert any(created_by(busy) in text for text in planned["warnings"])
    result = run_module(args)
    assert [one["id"] for one in result["unattributed_at_start"]] == [created_by(busy)]
    assert any("1 operation was in flight at its start" in text for text in result["warnings"])


def test_with_nothing_in_flight_a_restart_only_notes_it(sharer: Start, run_module: Any) -> None:
    idle, _ = sharer(), sharer("volume_extend:600")
    result = run_module(idle.args(action="restart_container", graceful_shutdown_timeout=20, ready_timeout=20))
    assert not result.get("failed"), result
    assert "shared_row" in [note["code"] for note in result["notes"]]
    assert "start_ends_others_work" not in [finding["code"] for finding in result["preflight"]]
    assert result["unattributed_at_start"] == []


def test_a_member_of_a_cluster_takes_only_its_own(member: Start, run_module: Any) -> None:
    idle, busy = member(), member("volume_create:600")
    with untouched(busy.workload):
        result = run_module(
            idle.args(action="restart_container", preflight="strict", graceful_shutdown_timeout=120)
        )
    assert not result.get("failed"), result
    assert operations_of(result) == {}
    assert "unattributed_at_start" not in result

"""The actions beside stop_container, and check and diff mode of all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.checks import is_sentence, signalled_once, stays, untouched
from tests.support.workloads import Workloads

LEDGER = Path("/run/kolla-drain")


# --- stop_and_remove_container, remove_container


def test_stop_and_remove(run_module: Any, workloads: Workloads) -> None:
    made = [workloads.start("--drain", "1"), workloads.start("--drain", "600")]
    names = [one.name for one in made]
    result = run_module(
        {
            "action": "stop_and_remove_container",
            "name": [*names, "kd_test_nobody"],
            "graceful_shutdown_timeout": 3,
        }
    )
    assert not result.get("failed"), result["msg"]
    assert [one["verdict"] for one in result["containers"]] == ["unverified", "killed", "absent"]
    assert [one.exists for one in made] == [False, False]
    assert made[0].sent == made[0].received == ["SIGTERM"]
    assert made[1].sent == ["SIGTERM", "SIGKILL"]


def test_stop_and_remove_leaves_what_still_runs(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600")
    result = run_module(
        {
            "action": "stop_and_remove_container",
            "name": workload.name,
            "graceful_shutdown_timeout": 1,
            "on_timeout": "leave",
        }
    )
    assert (result["failed"], result["verdict"]) == (True, "left_running")
    assert workload.status == "running"


def test_stop_and_remove_a_stopped_one(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.create()
    result = run_module({"action": "stop_and_remove_container", "name": workload.name})
    assert (result["verdict"], result["changed"], result["removed"]) == ("already_stopped", True, True)
    assert not workload.exists


def test_remove(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.create()
    args = {"action": "remove_container", "name": workload.name}
    assert run_module(args, check=True)["changed"]
    assert workload.exists
    assert run_module(args)["changed"]
    assert not workload.exists
    again = run_module(args)
    assert not again["changed"]
    assert not again.get("failed")


def test_remove_refuses_one_that_runs(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    with untouched(workload):
        for check in (True, False):
            result = run_module({"action": "remove_container", "name": workload.name}, check=check)
            assert result["failed"]
            assert "stop_and_remove_container" in result["msg"]
            is_sentence(result["msg"])


# --- restart_container, start_container


def test_restart(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "1")
    before = workload.state
    result = run_module({"action": "restart_container", "name": workload.name})
    assert not result.get("failed"), result["msg"]
    assert result["changed"]
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert 0 < result["gap"] < 5
    workload.wait_line("ready", 2)
    assert workload.state["StartedAt"] != before["StartedAt"]
    signalled_once(workload)


def test_restart_one_that_does_not_come_up(run_module: Any, workloads: Workloads) -> None:
    """Its script is there for the first start only."""
    command = ("sh", "-c", "test ! -e /record/once || exit 5; touch /record/once; exec sleep 600")
    workload = workloads.start(command=command)
    result = run_module({"action": "restart_container", "name": workload.name})
    assert result["failed"]
    assert workload.name in result["msg"]
    assert "exit code 5" in result["msg"]
    assert f"docker logs {workload.name}" in result["msg"]


def test_restart_a_stopped_one_starts_it(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.create()
    result = run_module({"action": "restart_container", "name": workload.name})
    assert result["changed"]
    workload.wait_line("ready")


def test_start(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.create()
    args = {"action": "start_container", "name": workload.name}
    assert run_module(args, check=True)["changed"]
    assert workload.status == "created"
    assert run_module(args)["changed"]
    workload.wait_line("ready")
    with untouched(workload):
        assert not run_module(args)["changed"]


def test_start_thaws(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    workload.raw.pause()
    result = run_module({"action": "start_container", "name": workload.name})
    assert result["changed"]
    assert workload.status == "running"


def test_a_stopped_one_that_is_started_is_not_joined_to_its_last_stop(
    run_module: Any, workloads: Workloads
) -> None:
    workload = workloads.start()
    for life in (1, 2):
        run_module({"action": "restart_container", "name": workload.name})
        workload.wait_line("ready", life + 1)
    assert workload.sent == workload.received == ["SIGTERM", "SIGTERM"]


# --- get_container_state, get_container_env, drain_status


def test_state(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    with untouched(workload):
        result = run_module({"action": "get_container_state", "name": workload.name})
    assert not result["changed"]
    assert result["state"] == workload.state


def test_env(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(environment={"KOLLA_SERVICE": "x=y", "DB_PASSWORD": "s3cr3t", "EMPTY": ""})
    result = run_module({"action": "get_container_env", "name": workload.name})
    assert not result["changed"]
    assert result["env"]["KOLLA_SERVICE"] == "x=y"
    assert result["env"]["EMPTY"] == ""
    assert "DB_PASSWORD" in result["env"]
    assert "s3cr3t" not in str(result)


def test_status(run_module: Any, workloads: Workloads) -> None:
    runs, drains, stopped = workloads.start(), workloads.start("--drain", "60"), workloads.create()
    drains.raw.kill("SIGTERM")
    drains.wait_line("signal SIGTERM")
    with untouched(runs):
        result = run_module({"action": "drain_status", "name": [runs.name, drains.name, stopped.name]})
    assert not result["changed"]
    assert [one["status"] for one in result["containers"]] == ["running", "running", "created"]
    idle, draining, _ = result["containers"]
    assert idle["draining"] == ""
    assert idle["plan"]["signal"] == "SIGTERM"
    assert idle["plan"]["timeout"] == 180
    assert "SIGTERM" in draining["draining"]
    assert drains.sent == ["SIGTERM"]


# --- check and diff mode


@pytest.mark.parametrize("diff", [False, True], ids=["check", "check and diff"])
@pytest.mark.parametrize(
    "action",
    [
        "stop_container",
        "stop_and_remove_container",
        "restart_container",
        "drain_status",
        "get_container_state",
        "get_container_env",
    ],
)
def test_check_mode_changes_nothing(run_module: Any, workloads: Workloads, action: str, diff: bool) -> None:
    workload = workloads.start()
    with untouched(workload):
        result = run_module({"action": action, "name": workload.name}, check=True, diff=diff)
    assert not result.get("failed"), result["msg"]
    assert result["changed"] == (
        action in ("stop_container", "stop_and_remove_container", "restart_container")
    )
    assert ("diff" in result) == (diff and result["changed"])
    assert workload.exists
    assert not LEDGER.is_dir() or not [name for name in os.listdir(LEDGER) if workload.id in name]


def test_check_mode_tells_the_plan(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--ignore", "SIGTERM")
    result = run_module(
        {"action": "stop_container", "name": workload.name, "graceful_shutdown_timeout": 77}, check=True
    )
    assert (result["plan"]["signal"], result["plan"]["timeout"]) == ("SIGTERM", 77)
    assert [finding["code"] for finding in result["preflight"]] == ["signal_not_handled"]
    assert result["operations"] == []


def test_check_mode_of_what_is_stopped(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.create()
    result = run_module({"action": "stop_container", "name": workload.name}, check=True)
    assert (result["verdict"], result["changed"]) == ("already_stopped", False)


def test_diff_of_a_stop(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    result = run_module({"action": "stop_container", "name": workload.name}, diff=True)
    assert [(one["before"], one["after"]) for one in result["diff"]] == [("running\n", "stopped\n")]
    stays(workload, "exited", 0.2)


def test_repeated_it_changes_nothing(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    args = {"action": "stop_container", "name": workload.name}
    assert [run_module(args)["changed"] for _ in range(2)] == [True, False]

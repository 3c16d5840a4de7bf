"""The actions beside stop_container, and check and diff mode of all."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kolla_drain.masking import masked
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import LEDGER, is_sentence, signalled_once, stays, untouched
from tests.support.workloads import Workload, Workloads

# --- stop_and_remove_container, remove_container


def test_stop_and_remove(run_module: Any, workloads: Workloads) -> None:
    made = [workloads.start(), workloads.start("--drain", "600")]
    names = [one.name for one in made]
    result = run_module(
        {
            "action": "stop_and_remove_container",
            "name": [*names, "kd_test_nobody"],
            # Time enough on a busy machine for the first one to exit.
            "graceful_shutdown_timeout": 10,
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
    assert 0 < result["gap"] < 100
    workload.wait_line("ready", 2)
    assert workload.state["StartedAt"] != before["StartedAt"]
    signalled_once(workload)


def once_started(workloads: Workloads, script: str, **options: Any) -> Workload:
    """A container that does as the script says from its second start on, in its first one and past that script."""
    command = ("sh", "-c", f"test ! -e /record/once || {{ {script}; }}; touch /record/once; exec sleep 600")
    workload = workloads.start(command=command, **options)
    wait_until((workload.folder / "once").exists, 180, "its first start", on_timeout=workload.report)
    return workload


def test_restart_one_that_does_not_come_up(run_module: Any, workloads: Workloads) -> None:
    workload = once_started(workloads, "exit 5")
    result = run_module({"action": "restart_container", "name": workload.name})
    assert result["failed"]
    assert workload.name in result["msg"]
    assert "exit code 5" in result["msg"]
    assert f"{engines.name()} logs {workload.name}" in result["msg"]


def test_restart_one_that_ends_a_moment_after_its_start(run_module: Any, workloads: Workloads) -> None:
    workload = once_started(workloads, "sleep 0.2; exit 6")
    for _ in range(10):
        result = run_module({"action": "restart_container", "name": workload.name})
        if result.get("failed"):
            break
        # On a busy machine that moment may be longer than the second for which it is looked at.
        workload.wait_status("exited")
    assert result["failed"], result
    assert "exit code 6" in result["msg"]


def test_restart_one_that_keeps_ending(run_module: Any, workloads: Workloads) -> None:
    """Its restart policy hides that for a moment."""
    workload = once_started(workloads, "exit 7", restart="always")
    result = run_module({"action": "restart_container", "name": workload.name})
    assert result["failed"], result
    assert "ended at once" in result["msg"]


def test_restart_leaves_out_what_is_missing_if_told_to(run_module: Any) -> None:
    result = run_module({"action": "restart_container", "name": "kd_test_nobody", "ignore_missing": True})
    assert (result["verdict"], result["changed"], result.get("failed")) == ("absent", False, None)


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


def test_start_unpauses(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    workload.pause()
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
    told = {key: result["state"][key] for key in ("Status", "Pid", "StartedAt", "ExitCode")}
    assert told.items() <= workload.state.items()


def test_env(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(environment={"KOLLA_SERVICE": "x=y", "DB_PASSWORD": "s3cr3t", "EMPTY": ""})
    result = run_module({"action": "get_container_env", "name": workload.name})
    assert not result["changed"]
    assert result["env"]["KOLLA_SERVICE"] == "x=y"
    assert result["env"]["EMPTY"] == ""
    assert "DB_PASSWORD" in result["env"]
    assert "s3cr3t" not in str(result)


@pytest.mark.parametrize(
    ("variable", "shown"),
    {
        "DBPASSWORD=x7": "********",
        "OS_PASSWD=x7": "********",
        "RABBIT_PASS=x7": "********",
        "AUTH_TOKEN=x7": "********",
        "FERNET_KEYS=x7": "********",
        "API_KEY=x7": "********",
        "KEYSTONE_HOST=x7": "x7",
        "PASSENGERS=x7": "x7",
        "TRANSPORT=rabbit://nova:x7@10.0.0.1:5672//": "rabbit://nova:********@10.0.0.1:5672//",
        "URL=http://10.0.0.1:5000/v3": "http://10.0.0.1:5000/v3",
    }.items(),
)
def test_env_masks_secrets(variable: str, shown: str) -> None:
    name, _, value = variable.partition("=")
    assert masked(name, value) == shown


def test_status_of_what_is_missing(run_module: Any, workloads: Workloads) -> None:
    stopped = workloads.create()
    args = {"action": "drain_status", "name": [stopped.name, "kd_test_nobody"]}
    failed = run_module(args)
    assert failed["failed"]
    assert "kd_test_nobody to look into" in failed["msg"]
    assert failed["containers"][0]["status"] == "created"
    ignored = run_module({**args, "ignore_missing": True})
    assert [one.get("verdict") for one in ignored["containers"]] == [None, "absent"]


def test_a_few_letters_of_an_id_are_no_name(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    with untouched(workload):
        result = run_module({"action": "stop_container", "name": workload.id[:6]})
    assert result["failed"]
    assert workload.id[:6] in result["msg"]
    assert run_module({"action": "stop_container", "name": workload.id[:12]})["name"] == workload.name


def test_status(run_module: Any, workloads: Workloads) -> None:
    runs, drains, stopped = workloads.start(), workloads.start("--drain", "600"), workloads.create()
    drains.stop_by_another()
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


CHANGING = ("stop_container", "stop_and_remove_container", "restart_container")
READING = ("drain_status", "get_container_state", "get_container_env")


@pytest.mark.parametrize(
    ("action", "diff"),
    [*((one, diff) for one in CHANGING for diff in (False, True)), *((one, True) for one in READING)],
)
def test_check_mode_changes_nothing(run_module: Any, workloads: Workloads, action: str, diff: bool) -> None:
    workload = workloads.start()
    with untouched(workload):
        result = run_module({"action": action, "name": workload.name}, check=True, diff=diff)
    assert not result.get("failed"), result["msg"]
    assert result["changed"] == (action in CHANGING)
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
    assert [(one["before"], one["after"]) for one in result["diff"]] == [("running\n", "exited\n")]
    stays(workload, "exited", 0.2)


def test_no_diff_of_what_was_left_running(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600")
    options = {"graceful_shutdown_timeout": 6, "on_timeout": "leave"}
    result = run_module({"action": "stop_container", "name": workload.name, **options}, diff=True)
    assert (result["verdict"], result["changed"], result.get("diff")) == ("left_running", True, None)


def test_repeated_it_changes_nothing(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    args = {"action": "stop_container", "name": workload.name}
    assert [run_module(args)["changed"] for _ in range(2)] == [True, False]

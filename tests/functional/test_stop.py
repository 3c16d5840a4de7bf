"""stop_container: every state of a container, every way to end."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from kolla_drain.drain.policy import KILL_BOUND
from kolla_drain.engine.connect import connect
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import is_sentence, signalled_once, stays
from tests.support.cinder_services import Services
from tests.support.workloads import Workload, Workloads


@pytest.fixture
def stop(run_module: Any) -> Any:
    """``stop(workload, **options)`` returns the result of stop_container."""

    def call(*names: Workload | str, **options: Any) -> dict[str, Any]:
        named = [one if isinstance(one, str) else one.name for one in names]
        result: dict[str, Any] = run_module({"action": "stop_container", "name": named, **options})
        return result

    return call


# --- the states


def test_running(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    result = stop(workload)
    assert result["changed"]
    assert result["verdict"] == "unverified", "no evidence to judge by"
    assert (result["signal"], result["exit_code"], result["evidence"]) == ("SIGTERM", 0, "none")
    assert result["id"] == workload.id
    assert result["containers"][0]["verdict"] == result["verdict"]
    assert workload.status == "exited"
    signalled_once(workload)


def test_created(stop: Any, workloads: Workloads) -> None:
    workload = workloads.create()
    result = stop(workload)
    assert (result["verdict"], result["changed"]) == ("already_stopped", False)
    assert workload.status == "created"
    assert workload.sent == []


def test_exited(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start("--exit-after", "0", "--exit-code", "3", ready="exit")
    workload.wait_status("exited")
    result = stop(workload)
    assert (result["verdict"], result["changed"], result["exit_code"]) == ("already_stopped", False, 3)
    assert workload.sent == []


def test_paused_runs_again_and_drains(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "1")
    workload.pause()
    result = stop(workload)
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert "paused" in [finding["code"] for finding in result["preflight"]]
    signalled_once(workload)
    assert workload.received == ["SIGTERM"]


def test_paused_with_work_in_flight_drains(run_module: Any, services: Services) -> None:
    """A container that somebody paused, such as a run of an earlier version that died."""
    service = services.start("volume_create:2")
    service.workload.pause()
    service.go()
    result = run_module(service.args())
    assert result["verdict"] == "drained", result["timeline"]
    assert service.volume_status() == ["available"]
    signalled_once(service.workload)


def test_restarting_is_ended(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start("--exit-after", "0", "--exit-code", "1", restart="always", ready="exit")
    workload.wait_between_restarts()
    result = stop(workload, graceful_shutdown_timeout=60)
    assert not result.get("failed"), result["msg"]
    assert result["changed"]
    stays(workload, "exited", 4)


@pytest.fixture
def dead(workloads: Workloads) -> Iterator[Workload]:
    """A container whose removal failed half way: a file of it cannot be deleted."""
    workload = workloads.create()
    held = Path(workload.raw.client.api.info()["DockerRootDir"], "containers", workload.id, "held")
    held.touch()
    if subprocess.run(["chattr", "+i", str(held)], check=False).returncode:
        pytest.skip("this file system has no immutable files to make a dead container with")
    try:
        with pytest.raises(APIError):
            workload.raw.remove()
        assert workload.status == "dead"
        yield workload
    finally:
        subprocess.run(["chattr", "-i", str(held)], check=True)


@engines.docker_only("podman knows no container whose removal failed half way")
def test_dead(stop: Any, dead: Workload) -> None:
    result = stop(dead)
    assert (result["verdict"], result["changed"]) == ("already_stopped", False)


def test_absent(stop: Any) -> None:
    result = stop("kd_test_nobody")
    assert result["failed"]
    assert "kd_test_nobody" in result["msg"]
    is_sentence(result["msg"])


def test_absent_and_ignored(stop: Any) -> None:
    result = stop("kd_test_nobody", ignore_missing=True)
    assert not result.get("failed")
    assert (result["verdict"], result["changed"]) == ("absent", False)


# --- the ways to end


def test_an_exit_code_is_told_and_decides_nothing(stop: Any, workloads: Workloads) -> None:
    codes = [0, 1, 137, 142, 143]
    made = [workloads.start("--exit-code", str(code)) for code in codes]
    result = stop(*made)
    assert [one["exit_code"] for one in result["containers"]] == codes
    assert [one["verdict"] for one in result["containers"]] == ["unverified"] * 5
    for workload in made:
        signalled_once(workload)


def test_an_exit_wakes_the_run(workloads: Workloads, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's event does, whatever poll_interval is, and before the look that the loop takes once a second anyway.

    How soon that is, benchmarks/ measures.
    """
    # A stream that breaks off, as one of Docker's does after some seconds without an event, wakes the run as well.
    monkeypatch.setattr("kolla_drain.engine.docker.QUICK", 600)
    workload, woken = workloads.start(), threading.Event()
    watcher = connect(engines.name()).watch([workload.id], woken.set)

    def wakes() -> bool:
        if workload.status != "running":
            workload.raw.start()
            workload.wait_status("running")
        woken.clear()
        workload.raw.kill()
        return woken.wait(30)

    try:
        assert woken.wait(180), "the stream is open"
        # More than once, because the engine answers a little before it begins to send events.
        wait_until(wakes, 180, "an exit that wakes the run")
    finally:
        watcher.close()


def test_killed_at_the_deadline(stop: Any, workloads: Workloads) -> None:
    """One that ignores the signal, one that drains for long, and a PID 1 that never gets it."""
    made = [
        workloads.start("--ignore", "SIGTERM"),
        workloads.start("--drain", "600"),
        workloads.start(under=(), command=("sleep", "600")),
    ]
    begun, timeout = time.time(), 8
    result = stop(*made, graceful_shutdown_timeout=timeout)
    for one, workload in zip(result["containers"], made):
        assert (one["verdict"], one["exit_code"]) == ("killed", 137)
        assert 0 < one["drained"] < timeout + KILL_BOUND
        assert any(workload.name in text and "killed" in text for text in result["warnings"])
        signalled_once(workload, "SIGTERM", "SIGKILL")
        kills = [
            event["timeNano"] / 1e9 for event in workload.log.of(workload.id) if event["Action"] == "kill"
        ]
        assert kills[-1] - begun > timeout, "never before the deadline"


def test_it_gives_up_by_itself(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600", "--give-up", "1")
    result = stop(workload, graceful_shutdown_timeout=60)
    assert (result["verdict"], result["exit_code"]) == ("unverified", 142)
    signalled_once(workload)


@engines.docker_only("podman 4.3 does not tell that memory ran out, only the exit code 137")
def test_out_of_memory_is_no_sigkill_of_ours(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600", "--oom", under=(), mem_limit="64m", memswap_limit="64m")
    result = stop(workload, graceful_shutdown_timeout=60)
    assert (result["verdict"], result["oom_killed"]) == ("unverified", True)
    assert "memory" in result["reason"]
    signalled_once(workload)


def test_killed_by_somebody_else(stop: Any, start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600")
    run = start_module({"action": "stop_container", "name": workload.name})
    workload.wait_line("signal SIGTERM")
    workload.raw.kill("SIGKILL")
    assert run.result()["verdict"] == "killed"
    signalled_once(workload, "SIGTERM", "SIGKILL")


def test_removed_by_somebody_else(start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600")
    run = start_module({"action": "stop_container", "name": workload.name})
    workload.wait_line("signal SIGTERM")
    workload.raw.remove(force=True)
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert result["verdict"] in ("killed", "unverified")


def test_grandchildren_are_not_signalled(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start("--children", "3", "--drain", "1")
    workload.wait_line("child", 3)
    result = stop(workload)
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert [line for line in workload.lines if line.startswith("child-signal")] == []
    signalled_once(workload)


def test_grandchildren_of_a_whole_process_group_are_and_preflight_says_so(
    stop: Any, workloads: Workloads
) -> None:
    workload = workloads.start("--children", "3", "--drain", "1", under=("dumb-init", "--"))
    workload.wait_line("child", 3)
    result = stop(workload)
    assert [finding["code"] for finding in result["preflight"]] == ["dumb_init_group"]
    assert "child-signal SIGTERM" in workload.lines
    assert workload.sent == ["SIGTERM"]


def test_exits_while_it_is_looked_at(stop: Any, workloads: Workloads) -> None:
    """Whatever step of the run the exit falls into: a verdict, and at most one signal."""
    made = [workloads.create("--exit-after", str(0.2 + i * 0.1)) for i in range(10)]
    for workload in made:
        workload.raw.start()
    result = stop(*made, graceful_shutdown_timeout=60)
    assert not result.get("failed"), result["msg"]
    for one, workload in zip(result["containers"], made):
        assert one["verdict"] in ("already_stopped", "unverified")
        assert workload.sent in ([], ["SIGTERM"])
        assert workload.status == "exited"


# --- StopSignal and the restart policy


def test_the_containers_own_stop_signal_is_sent(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start(stop_signal="SIGQUIT", restart="always")
    result = stop(workload)
    assert result["signal"] == "SIGQUIT"
    assert result["preflight"] == []
    signalled_once(workload, "SIGQUIT")
    stays(workload, "exited")


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_restart_policy_does_not_bring_it_back(stop: Any, workloads: Workloads, policy: str) -> None:
    workload = workloads.start("--exit-code", "1", restart=policy)
    stop(workload)
    signalled_once(workload)
    stays(workload, "exited")
    assert workload.inspect()["RestartCount"] == 0


def test_another_stop_signal_under_restart_always_ends_stopped(stop: Any, workloads: Workloads) -> None:
    """The engine starts it again after a signal that is not its StopSignal, and that is ended as well."""
    workload = workloads.start(stop_signal="SIGQUIT", restart="always")
    result = stop(workload, stop_signal="SIGTERM", graceful_shutdown_timeout=60)
    assert not result.get("failed"), result["msg"]
    assert "stop_signal_differs" in [finding["code"] for finding in result["preflight"]]
    stays(workload, "exited")
    # dumb-init loses a signal that comes before its child has a process group; such a one is killed at the deadline.
    lost = ["SIGKILL"] if workload.received == ["SIGTERM"] else []
    once = ["SIGTERM", "SIGQUIT"]
    assert workload.sent in (once[:1], once, once + lost), "at most one signal for each process"


def test_another_signal_on_request(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    assert stop(workload, stop_signal="usr2")["signal"] == "SIGUSR2"
    signalled_once(workload, "SIGUSR2")


# --- the plain stop


def test_without_graceful_shutdown_it_is_the_engines_own(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600")
    result = stop(workload, graceful_shutdown=False, graceful_shutdown_timeout=1)
    assert (result["verdict"], result["exit_code"], result["changed"]) == ("killed", 137, True)
    if engines.is_podman():  # which leaves no event of a stop that had to kill
        assert workload.sent == ["SIGTERM"]
        return
    actions = [event["Action"] for event in workload.log.of(workload.id)]
    assert "stop" in actions, "E5: only the engine's stop leaves this event"


# --- preflight


def test_preflight_strict_fails_before_anything_is_touched(stop: Any, workloads: Workloads) -> None:
    well, faulty = workloads.start(), workloads.start("--ignore", "SIGTERM")
    result = stop(well, faulty, preflight="strict")
    assert result["failed"]
    assert faulty.name in result["msg"]
    assert "ignored" in result["msg"]
    for workload in (well, faulty):
        assert (workload.sent, workload.status) == ([], "running")


def test_preflight_warns(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start(command=("sleep", "600"))
    wait_until(lambda: workload.child == "sleep", 180, "sleep under dumb-init")
    result = stop(workload)
    assert [finding["code"] for finding in result["preflight"]] == ["signal_not_handled"]
    assert result["preflight"][0]["text"] in result["warnings"]


def test_preflight_off(stop: Any, workloads: Workloads) -> None:
    workload = workloads.start(stop_signal="SIGQUIT")
    result = stop(workload, preflight="off", stop_signal="SIGTERM")
    assert result["preflight"] == []
    assert not result.get("warnings")

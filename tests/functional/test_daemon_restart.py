"""The engine's daemon goes away in the middle of a drain and comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import engines
from tests.support.checks import wait_for_runs, wait_until_kept
from tests.support.daemon import Daemon, HostWorkloads, daemon
from tests.support.module_run import ModuleRun
from tests.support.workloads import UNTIL_TOLD, Workload

pytestmark = [
    pytest.mark.skipif(shutil.which("dockerd") is None, reason="needs a dockerd to start one of its own"),
    engines.docker_only("podman has no daemon that its containers hang on"),
]


TIME_TO_GO = 15


@pytest.fixture(scope="module", autouse=True)
def abandoned() -> Iterator[tuple[ModuleRun, Workload]]:
    """A run whose daemon goes away for good; it takes most of a minute, while the other tests run."""
    with daemon(live_restore=True) as (engine, workloads):
        workload = workloads.start("--drain", "600")
        # Time enough for the daemon to go before the deadline: one that is still there would send SIGKILL.
        run = begin(ModuleRun, engine, workload.name, graceful_shutdown_timeout=TIME_TO_GO)
        try:
            workload.wait_line("signal SIGTERM")
            wait_until_kept(workload)
            engine.crash()
            yield run, workload
        finally:
            if run.running:
                run.kill()


@pytest.fixture(scope="module", params=[True, False], ids=["live-restore", "no live-restore"])
def own(request: pytest.FixtureRequest) -> Iterator[tuple[Daemon, HostWorkloads]]:
    with daemon(live_restore=request.param) as made:
        yield made


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Iterator[tuple[Daemon, HostWorkloads]]:
    with daemon(live_restore=True) as made:
        yield made


def begin(start_module: Any, engine: Daemon, name: str, **options: Any) -> Any:
    args = {"action": "stop_container", "name": name, "graceful_shutdown_timeout": 150, **options}
    return start_module(args, env={"DOCKER_HOST": engine.url})


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_restarted_while_it_drains(start_module: Any, own: tuple[Daemon, HostWorkloads], how: str) -> None:
    """With live-restore the container drains on; without it the daemon itself stops it, which is not our doing.

    One that is killed stops it when it is started again.
    """
    engine, workloads = own
    workload = workloads.start(*UNTIL_TOLD)
    run = begin(start_module, engine, workload.name)
    workload.wait_line("signal SIGTERM")
    wait_until_kept(workload)
    engine.stop() if how == "SIGTERM" else engine.crash()
    engine.start()
    workload.end()
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert result["verdict"] == "unverified"
    assert result["exit_code"] == (0 if engine.live_restore else 143)
    events = [event["event"] for event in result["timeline"]]
    assert sum(event.startswith("SIGTERM sent") for event in events) == 1, events
    if engine.live_restore:
        assert any("does not answer" in event for event in events), events
        assert any("looked at again" in event for event in events), events
    assert workload.received == ["SIGTERM"] * (1 if engine.live_restore else 2)


def test_it_exits_while_the_daemon_is_away(start_module: Any, live: tuple[Daemon, HostWorkloads]) -> None:
    engine, workloads = live
    workload = workloads.start(*UNTIL_TOLD, "--exit-code", "4")
    run = begin(start_module, engine, workload.name)
    workload.wait_line("signal SIGTERM")
    wait_until_kept(workload)
    engine.stop()
    workload.end()
    workload.wait_line("exit")
    assert run.running
    engine.start()
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert result["verdict"] == "unverified"
    assert workload.received == ["SIGTERM"]


def test_the_daemon_crashes_and_the_run_with_it(
    start_module: Any, live: tuple[Daemon, HostWorkloads]
) -> None:
    """A daemon started afresh remembers no events: the record on the host alone prevents a second signal."""
    engine, workloads = live
    workload = workloads.start(*UNTIL_TOLD)
    run = begin(start_module, engine, workload.name)
    workload.wait_line("signal SIGTERM")
    run.kill()
    engine.crash()
    engine.start()
    next_run = start_module(run.args, env={"DOCKER_HOST": engine.url})
    wait_for_runs(workload)
    workload.end()
    again = next_run.result()
    assert (again["verdict"], again["exit_code"], again["joined"]) == ("unverified", 0, True)
    assert workload.received == ["SIGTERM"]


def test_the_daemon_stays_away(abandoned: tuple[Any, Workload]) -> None:
    """The run ends, a stated while after its deadline, and says what is not known."""
    run, workload = abandoned
    result = run.result()
    assert result["failed"]
    assert workload.name in result["msg"]
    assert result["verdict"] is None
    took = float(result["timeline"][-1]["at"]) if result["timeline"] else result["seconds"]
    assert took < TIME_TO_GO + 30 + 30, "the deadline, the bound of the kill, and what a busy machine adds"
    assert workload.received == ["SIGTERM"]

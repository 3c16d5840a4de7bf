"""The engine's daemon goes away in the middle of a drain and comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import engines
from tests.support.checks import wait_for_runs
from tests.support.daemon import Daemon, HostWorkloads, daemon
from tests.support.module_run import ModuleRun
from tests.support.workloads import UNTIL_TOLD, Workload

pytestmark = [
    pytest.mark.skipif(shutil.which("dockerd") is None, reason="needs a dockerd to start one of its own"),
    engines.docker_only("podman has no daemon that its containers hang on"),
]


@pytest.fixture(scope="module", autouse=True)
def abandoned() -> Iterator[tuple[ModuleRun, Workload]]:
    """A run whose daemon goes away for good; it takes half a minute, while the other tests run."""
    with daemon(live_restore=True) as (engine, workloads):
        workload = workloads.start("--drain", "600")
        run = begin(ModuleRun, engine, workload.name, graceful_shutdown_timeout=3)
        try:
            workload.wait_line("signal SIGTERM")
            engine.stop()
            yield run, workload
        finally:
            if run.running:
                run.kill()


@pytest.fixture(params=[True, False], ids=["live-restore", "no live-restore"])
def own(request: pytest.FixtureRequest) -> Iterator[tuple[Daemon, HostWorkloads]]:
    with daemon(live_restore=request.param) as made:
        yield made


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Iterator[tuple[Daemon, HostWorkloads]]:
    with daemon(live_restore=True) as made:
        yield made


def begin(start_module: Any, engine: Daemon, name: str, **options: Any) -> Any:
    args = {"action": "stop_container", "name": name, "graceful_shutdown_timeout": 60, **options}
    return start_module(args, env={"DOCKER_HOST": engine.url})


def test_restarted_while_it_drains(start_module: Any, own: tuple[Daemon, HostWorkloads]) -> None:
    """With live-restore the container drains on; without it the daemon itself stops it, which is not our doing."""
    engine, workloads = own
    workload = workloads.start(*UNTIL_TOLD)
    run = begin(start_module, engine, workload.name)
    workload.wait_line("signal SIGTERM")
    engine.stop()
    engine.start()
    workload.end()
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert result["verdict"] == "unverified"
    assert result["exit_code"] == (0 if engine.live_restore else 143)
    events = [event["event"] for event in result["timeline"]]
    # The process may have the signal, and the daemon be gone, before its answer is there.
    told = ("SIGTERM sent", "already signalled with SIGTERM by this run, whose call broke off")
    assert sum(event.startswith(told) for event in events) == 1, events
    if engine.live_restore:
        assert any("does not answer" in event for event in events)
        assert any("answers again" in event for event in events)
    assert workload.received == ["SIGTERM"] * (1 if engine.live_restore else 2)


def test_it_exits_while_the_daemon_is_away(start_module: Any, live: tuple[Daemon, HostWorkloads]) -> None:
    engine, workloads = live
    workload = workloads.start("--drain", "3", "--exit-code", "4")
    run = begin(start_module, engine, workload.name)
    workload.wait_line("signal SIGTERM")
    engine.stop()
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
    assert took < 3 + 30 + 10, "the deadline, the bound of the kill, and a little more"
    assert workload.received == ["SIGTERM"]

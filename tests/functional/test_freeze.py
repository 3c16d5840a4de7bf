"""A service that is ended while it is frozen, on a real engine with real rows; a run that dies or hangs meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from kolla_drain.drain import policy
from kolla_drain.engine.connect import connect
from kolla_drain.engine.port import Engine
from kolla_drain.errors import EngineError
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import is_sentence, operations_of, signalled_once, untouched
from tests.support.cinder_services import LONGER, Service, Services
from tests.support.engine_proxy import EngineProxy
from tests.support.module_run import ModuleRun
from tests.support.workloads import Workload, Workloads

PAUSE = r"POST .*/pause"
LOOK_AFTER_PAUSE = f"{PAUSE}|GET .*/containers/.*/json"
BINARIES = ("cinder-volume", "cinder-backup", "cinder-scheduler")


def happened(workload: Workload) -> list[str]:
    """What the engine did to it, in order."""
    told = ("pause", "unpause", "kill", "die")
    return [event["Action"] for event in workload.log.of(workload.id) if event["Action"] in told]


def frozen_for(workload: Workload) -> float:
    """Seconds from the first freeze to the thaw, by the engine's clock."""
    at = {event["Action"]: event["timeNano"] / 1e9 for event in workload.log.of(workload.id)}
    return at["unpause"] - at["pause"]


@pytest.mark.parametrize("binary", BINARIES)
def test_what_is_idle_is_ended_while_frozen(run_module: Any, services: Services, binary: str) -> None:
    service = services.start(binary=binary)
    service.go()
    result = run_module(service.args(exit="auto"))
    assert (result["verdict"], result["exit"], result["signal"]) == ("drained", "freeze", ""), result[
        "timeline"
    ]
    assert (result["exit_code"], result["freezes"]) == (137, 1)
    assert service.workload.sent == ["SIGKILL"], service.workload.report()
    assert service.workload.received == [], service.workload.report()
    assert happened(service.workload)[0] == "pause"


def test_work_in_flight_ends_first(start_module: Any, services: Services) -> None:
    service = services.start(f"volume_create:{LONGER}", "snapshot_create:2")
    run = start_module(service.args(exit="freeze"))
    service.wait_read()
    result = run.result()
    assert (result["verdict"], result["exit"]) == ("drained", "freeze"), result["timeline"]
    assert operations_of(result) == {"finished": ["snapshot_create", "volume_create"]}
    assert service.volume_status() == ["available", "available"]


def test_work_that_cannot_end_in_time_is_signalled_and_drained(start_module: Any, services: Services) -> None:
    service = services.start("volume_create:14")
    run = start_module(service.args(exit="freeze", graceful_shutdown_timeout=20))
    service.wait_read()
    result = run.result()
    assert (result["verdict"], result["exit"]) == ("drained", "signal"), result["timeline"]
    signalled_once(service.workload)


# --- a run that ends or hangs while the service is frozen


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[EngineProxy]:
    """After a freeze every look at a container hangs: the run can neither end nor thaw it."""
    made = EngineProxy(tmp_path / "engine.sock", {LOOK_AFTER_PAUSE: _hang_after_pause})
    yield made
    made.close()


def _hang_after_pause(lines: list[str]) -> float:
    return 60.0 if any("/pause" in line for line in lines[:-1]) else 0.0


@pytest.fixture
def frozen(services: Services, proxy: EngineProxy) -> Iterator[tuple[Service, ModuleRun]]:
    """A service that a run has frozen."""
    service = services.start()
    service.go()
    run = ModuleRun(service.args(exit="freeze"), env=engines.at(proxy.url))
    wait_until(lambda: "pause" in happened(service.workload), 180, "the freeze", interval=0.02)
    yield service, run
    if run.running:
        run.kill()


def test_a_run_that_is_killed_leaves_it_thawed(frozen: tuple[Service, ModuleRun], run_module: Any) -> None:
    service, run = frozen
    run.kill()
    wait_until(lambda: "unpause" in happened(service.workload), 180, "the thaw", interval=0.02)
    assert service.workload.status == "running"
    assert happened(service.workload) == ["pause", "unpause"]
    assert frozen_for(service.workload) < policy.FREEZE_BOUND, (
        "thawed for the run's end, and not for the bound"
    )
    again = run_module(service.args(exit="freeze"))
    assert (again["verdict"], again["exit"]) == ("drained", "freeze")


def test_a_run_that_hangs_does_not_keep_it_frozen(frozen: tuple[Service, ModuleRun]) -> None:
    service, _ = frozen
    wait_until(lambda: "unpause" in happened(service.workload), 180, "the thaw", interval=0.02)
    assert service.workload.status == "running"
    assert happened(service.workload) == ["pause", "unpause"]
    assert frozen_for(service.workload) < policy.FREEZE_BOUND + 3.0, "the bound, on a machine that is busy"
    assert service.workload.sent == []


def test_a_later_freeze_by_somebody_else_is_left_alone(run_module: Any, services: Services) -> None:
    """The watchdog of a run that has ended its container does not thaw it when it has been started again."""
    service = services.start()
    service.go()
    result = run_module(service.args(exit="freeze"))
    assert result["exit"] == "freeze", result["timeline"]
    container = service.workload.raw
    container.start()
    container.pause()
    time.sleep(policy.FREEZE_BOUND + 1.0)  # nothing tells of what does not happen
    container.reload()
    assert container.status == "paused", happened(service.workload)
    container.unpause()


def test_one_that_was_left_frozen_is_thawed_by_the_next_run(run_module: Any, services: Services) -> None:
    """As when the watchdog went with the run, in a reboot of the engine say."""
    service = services.start("volume_create:2")
    service.go()
    service.workload.raw.pause()
    result = run_module(service.args(exit="freeze"))
    assert (result["verdict"], result["exit"]) == ("drained", "freeze"), result["timeline"]
    assert service.volume_status() == ["available"]


# --- what cannot be had


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"service": "none"}, "exit=freeze needs evidence"),
        ({"service": "nova-compute"}, "that of nova-compute does not"),
        ({"service": "cinder-backup", "quiesce": "never"}, "quiesce=never"),
        ({"service": "cinder-backup", "graceful_shutdown": False}, "graceful_shutdown=false"),
    ],
)
def test_a_freeze_that_cannot_be_had_is_refused(
    run_module: Any, workloads: Workloads, options: dict[str, Any], words: str
) -> None:
    workload = workloads.start()
    with untouched(workload):
        result = run_module({"action": "stop_container", "name": workload.name, "exit": "freeze", **options})
    assert result["failed"]
    assert words in result["msg"]
    is_sentence(result["msg"])


# --- that nothing runs any more

# A family in which everybody writes how far it has come, all the time.
FAMILY = """
import os, sys
for number in range(4):
    if number and os.fork() == 0:
        break
else:
    number = 0
count = 0
while True:
    count += 1
    with open(f"/record/{number}", "w") as file:
        file.write(str(count))
"""


def test_none_of_its_processes_runs_after_the_freeze(
    engine: docker.DockerClient, base_image: str, tmp_path: Path
) -> None:
    """The engine's own SIGKILL reaches its first process, and the others run on until the kernel takes them down."""
    ours = connect(engines.name())
    container = engine.containers.create(
        base_image,
        ["dumb-init", "--single-child", "--", "python3", "-c", FAMILY],
        volumes=[f"{tmp_path}:/record"],
    )
    try:
        for _ in range(5):
            container.start()
            wait_until(lambda: len(list(tmp_path.iterdir())) == 4, 180, "everybody at work", interval=0.05)
            _freeze(ours, container.id)
            before = {file.name: file.read_text() for file in tmp_path.iterdir()}
            assert ours.end_frozen(container.id) == ""
            container.wait(timeout=60)
            assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before
    finally:
        container.remove(force=True)
        ours.close()


def _freeze(ours: Engine, container_id: str) -> None:
    """A busy machine may take more than one attempt."""

    def tried() -> bool:
        try:
            ours.freeze(container_id)
        except EngineError:
            return False
        return True

    wait_until(tried, 180, "the freeze", interval=0.1)

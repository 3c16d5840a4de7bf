"""The engine hangs in the middle of a call, or its answer is lost: one signal all the same, and an end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support import engines
from tests.support.checks import is_sentence, signalled_once
from tests.support.engine_proxy import EngineProxy
from tests.support.module_run import ModuleRun
from tests.support.workloads import Workload
from tests.support.workloads import workloads as workloads_on

STOP_SIGNAL = r"POST .*/kill\?signal=SIGTERM"
PAST_EVENTS = r"GET .*/events\?.*until="


@dataclasses.dataclass
class Case:
    rules: dict[str, Callable[[list[str]], float]]
    timeout: int
    behaviour: tuple[str, ...] = ("--drain", "2")


def first_after_the_signal(lines: list[str]) -> float:
    return 12.0 if len(lines) > 1 and "/kill?" in lines[-2] else 0.0


CASES = {
    "the answer to the signal is lost": Case({STOP_SIGNAL: lambda lines: EngineProxy.LOSE}, 150),
    "the signal hangs and is delivered after a time of doubt": Case({STOP_SIGNAL: lambda lines: 26.0}, 150),
    "a look hangs after the signal": Case(
        {f"{STOP_SIGNAL}|GET .*/containers/.*/json": first_after_the_signal}, 150
    ),
    "past events are never told": Case({PAST_EVENTS: lambda lines: 600.0}, 2),
}


@dataclasses.dataclass
class Under:
    """A stop through a proxy, under way."""

    run: ModuleRun
    workload: Workload
    proxy: EngineProxy


@pytest.fixture(scope="module")
def under(
    engine: docker.DockerClient, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Under]]:
    """All cases at once, for each waits for its engine."""
    made: dict[str, Under] = {}
    folder: Path = tmp_path_factory.mktemp("proxies")
    with workloads_on(engine, base_image) as workloads:
        try:
            for number, (name, case) in enumerate(CASES.items()):
                workload = workloads.start(*case.behaviour)
                proxy = EngineProxy(folder / f"{number}.sock", case.rules)
                args = {
                    "action": "stop_container",
                    "name": workload.name,
                    "graceful_shutdown_timeout": case.timeout,
                }
                made[name] = Under(ModuleRun(args, env=engines.at(proxy.url)), workload, proxy)
            yield made
        finally:
            for one in made.values():
                if one.run.running:
                    one.run.kill()
                one.proxy.close()


@pytest.fixture
def result(request: pytest.FixtureRequest, under: dict[str, Under]) -> tuple[Under, dict[str, Any]]:
    one = under[request.param]
    result = one.run.result()
    assert one.proxy.matched, f"no rule matched: {result}"
    return one, result


@pytest.mark.parametrize(
    "result", [name for name in CASES if name != "past events are never told"], indirect=True
)
def test_it_drains_with_one_signal(result: tuple[Under, dict[str, Any]]) -> None:
    one, said = result
    assert not said.get("failed"), said
    assert (said["verdict"], said["exit_code"], said["signal"]) == ("unverified", 0, "SIGTERM"), said
    assert any(event["event"].startswith("trying on: ") for event in said["timeline"]), said["timeline"]
    signalled_once(one.workload)


@pytest.mark.parametrize("result", ["past events are never told"], indirect=True)
def test_in_doubt_it_sends_nothing_and_ends(result: tuple[Under, dict[str, Any]]) -> None:
    """Whether it was signalled before cannot be found out, so it is not, and a person is told what to see to."""
    one, said = result
    assert said["failed"]
    assert one.workload.name in said["msg"]
    assert "took longer than" in said["msg"]
    is_sentence(said["msg"])
    assert one.workload.sent == []
    assert one.workload.status == "running"

"""A run that replaces a container is killed before every change that it asks the engine for, and so after each one."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import engines
from tests.support.engine_proxy import EngineProxy
from tests.support.module_run import ModuleRun
from tests.support.services import Service
from tests.support.workloads import Workloads

RECREATE = "recreate_or_restart_container"
CHANGE = r"^(POST|DELETE) "
GOOD = {
    "environment": {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS", "GENERATION": "2"},
    "restart_policy": "always",
    # A signal that was about to be sent when its run died is looked for in the engine's events. A busy engine may have
    # forgotten them: then the signal counts as sent, and the next run waits for its deadline.
    "graceful_shutdown_timeout": 40,
}
BAD = {**GOOD, "user": "nobody_of_this_name"}


@dataclasses.dataclass
class Interrupted:
    """A service whose replacement was killed before its change ``number``."""

    service: Service
    number: int
    change: str = ""  # the request that did not come through any more
    left: dict[str, str] = dataclasses.field(default_factory=dict)


class Interrupter:
    """Runs the module and kills it before a given change."""

    def __init__(self, workloads: Workloads, folder: Path) -> None:
        self._workloads, self._folder = workloads, folder
        self._lock = threading.Lock()
        self.made: list[Service] = []

    def started(self) -> Service:
        """A service whose first container serves."""
        with self._lock:
            service = Service(self._workloads)
            self.made.append(service)
        args = service.args("start_container", restart_policy="always")
        assert ModuleRun(args).result()["changed"]
        service.workload.wait_line("ready")
        return service

    def changes(self, options: dict[str, Any]) -> list[str]:
        """The changes that a whole run makes, one request line each."""
        service = self.started()
        proxy = self._proxy(service, lambda lines: 0.0)
        try:
            ModuleRun(service.args(RECREATE, **options), env=engines.at(proxy.url)).result()
        finally:
            proxy.close()
        return [re.sub(r"[0-9a-f]{64}", "ID", line) for line in proxy.matched]

    def interrupt(self, options: dict[str, Any], number: int) -> Interrupted:
        """Kill a run before it makes its change of this number, counted from 1."""
        service, run = self.started(), []
        told = threading.Event()

        def rule(lines: list[str]) -> float:
            if len(lines) < number:
                return 0.0
            told.set()
            return 600.0  # it does not reach the engine any more

        proxy = self._proxy(service, rule)
        try:
            run.append(ModuleRun(service.args(RECREATE, **options), env=engines.at(proxy.url)))
            assert told.wait(200), f"change {number} was not made: {proxy.matched}"
            run[0].kill()
        finally:
            proxy.close()
        return Interrupted(service, number, proxy.matched[-1], service.there())

    def _proxy(self, service: Service, rule: Any) -> EngineProxy:
        return EngineProxy(self._folder / f"{service.name}.sock", {CHANGE: rule})

    def remove(self) -> None:
        for service in self.made:
            service.remove()


@pytest.fixture(scope="module")
def interrupter(
    _session_workloads: Workloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interrupter]:
    made = Interrupter(_session_workloads, tmp_path_factory.mktemp("proxies"))
    yield made
    made.remove()


def check(found: Interrupted) -> None:
    """The name or what leads back to it is there, and no two run."""
    assert {"NAME", "NAME.old"} & set(found.left), found
    assert list(found.left.values()).count("running") <= 1, found


def settle(found: Interrupted, options: dict[str, Any]) -> None:
    """The next run puts it right."""
    result = ModuleRun(found.service.args(RECREATE, **options)).result()
    there = found.service.there()
    told = f"killed before {found.change}, leaving {found.left}; then {there}: {result.get('msg')}"
    assert there.pop("NAME") == "running", told
    assert set(there) <= {"NAME.failed"}, told
    generation = [item for item in found.service.inspect()["Config"]["Env"] if item.startswith("GENERATION")]
    if options is GOOD:
        assert not result.get("failed"), told
        assert generation == ["GENERATION=2"], told
    else:
        assert result["failed"], told
        assert generation == [], told
    assert found.service.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "always", told


@pytest.mark.timeout(1200)
def test_killed_at_any_step_the_next_run_puts_it_right(interrupter: Interrupter) -> None:
    """With a successor that is good, and with one that cannot start and is taken back; all at once, for each waits."""
    cases = []
    for options in (GOOD, BAD):
        changes = interrupter.changes(options)
        print("\n".join(changes))
        # Podman changes no restart policy.
        least = 6 if engines.is_podman() else 7
        assert len(changes) >= least, "create, signal, two names and a restart policy, start, remove"
        cases += [(options, number) for number in range(1, len(changes) + 1)]

    def one(case: tuple[dict[str, Any], int]) -> None:
        options, number = case
        found = interrupter.interrupt(options, number)
        print(f"killed before {number}. {found.change}: {found.left}")
        check(found)
        settle(found, options)

    with ThreadPoolExecutor(max_workers=6) as pool:
        # What waits for longest goes first: the signal that was about to be sent.
        list(pool.map(one, sorted(cases, key=lambda case: abs(case[1] - 2))))

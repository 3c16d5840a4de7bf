"""The four ways to end a service and to have it back: two of kolla_docker's, and what people have without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed import containers, upgrades
from testbed.containers import Spec
from testbed.errors import TestbedError
from testbed.matrix import KOLLA_ANSIBLE, PLAIN, STOP, UPGRADE, Stopped
from testbed.matrix_bench import Bench, Lead

ROOT = Path(__file__).resolve().parents[1]
BUDGET = 400  # generous: cells run side by side, and a backup computes checksums of a whole volume
BETWEEN_TWO_STOPS = 2.0
LIMIT = BUDGET + 120


@dataclass(frozen=True)
class Stopping:
    """What a way is given."""

    bench: Bench
    kind: str
    arguments: str = ""  # more ones for the module
    twice: bool = False
    at_exit: Callable[[], None] = lambda: (
        None
    )  # called while the container is down, where the way has such a moment

    @property
    def name(self) -> str:
        return self.bench.lane.container_name(self.kind)

    @property
    def options(self) -> str:
        """The module's, but for the action. What is more comes last and wins."""
        budget = (
            "" if "graceful_shutdown_timeout" in self.arguments else f"graceful_shutdown_timeout={BUDGET} "
        )
        lane = self.bench.lane.module_arguments(self.kind)
        if "service=none" in self.arguments:
            lane = f"name={self.name}"
        return f"{lane} {budget}{self.arguments}".strip()


def module(options: str | dict[str, Any], lead: Lead) -> dict[str, Any]:
    """``ansible localhost -m kolla_docker -a ...``, as a person runs it; what it returned."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        "ANSIBLE_NOCOLOR": "1",
    }
    words = options if isinstance(options, str) else json.dumps(options)
    program = str(Path(sys.executable).with_name("ansible"))
    began = time.monotonic()
    done = subprocess.run(
        [program, "localhost", "-m", "kolla_docker", "-a", words],
        cwd=ROOT, env=environment, text=True, capture_output=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    begin = done.stdout.find("=> {")
    if begin < 0:
        raise TestbedError(f"ansible said nothing that can be read:\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.JSONDecoder().raw_decode(done.stdout[begin + 3 :])[0]
    if found.get("timeline"):
        lead.took(time.monotonic() - began - found["timeline"][-1]["at"])
    return found


def twice(stopping: Stopping, call: Callable[[], Any]) -> list[Any]:
    """What the call said; and when it is to be in a row, what a second one beside it said.

    On a busy machine the second may be the first to act: the one that did the work comes first.
    """
    if not stopping.twice:
        return [call()]
    with ThreadPoolExecutor(max_workers=2) as pool:
        first = pool.submit(call)
        time.sleep(BETWEEN_TWO_STOPS)
        second = pool.submit(call)
        said = [first.result(), second.result()]
    return sorted(said, key=_idleness)


def _idleness(said: Any) -> int:
    verdict = said.get("verdict") if isinstance(said, dict) else None
    return {"drained": 0, None: 2, "already_stopped": 2}.get(verdict, 1)


class _Clock:
    """When the container that runs now ended, and when the one after it began, as the engine has it."""

    def __init__(self, stopping: Stopping) -> None:
        self._client, self._name = stopping.bench.stack.client, stopping.name
        self._stack = stopping.bench.stack
        self._old = self._client.containers.get(self._name)
        self._began = time.time()

    def times(self, restarted: bool) -> dict[str, Any]:
        """Seconds until it ended, the gap, and the signals that the engine sent."""
        events = self._stack.engine_events(self._old.id or "", self._began)
        signals = tuple(event.signal for event in events if event.action == "kill")
        ended = [event.time for event in events if event.action == "die"]
        if not ended:
            return {"seconds": round(time.time() - self._began, 1), "gap": None, "signals": signals}
        gap = None
        if restarted:
            new = containers.started_at(self._client.containers.get(self._name)).timestamp()
            gap = round(new - ended[0], 2)
        return {"seconds": round(ended[0] - self._began, 1), "gap": gap, "signals": signals}


def stop(stopping: Stopping) -> Stopped:
    """kolla_docker stops it; then it is started."""
    clock = _Clock(stopping)
    options = f"action=stop_container {stopping.options}"
    result, *more = twice(stopping, lambda: module(options, stopping.bench.lead))
    stopped = replace(_told(result, *more), **clock.times(restarted=False))
    stopping.at_exit()
    container = stopping.bench.stack.container(stopping.name)
    if container.status == "running" and result.get("signal"):
        container.wait(timeout=LIMIT)  # left running, it ends by itself
    if container.status != "running" or result.get("signal"):
        container.start()
    return stopped


def upgrade(stopping: Stopping) -> Stopped:
    """kolla_docker replaces it by one of another image."""
    clock = _Clock(stopping)
    options = {**_given(stopping.options), **_described(_other(stopping))}
    options |= {"action": "recreate_or_restart_container", "ready_timeout": 120}
    result, *more = twice(stopping, lambda: module(options, stopping.bench.lead))
    stopped = replace(_told(result, *more), **clock.times(restarted=True))
    if not result.get("changed") or result.get("rolled_back"):
        raise TestbedError(f"{stopping.name} was not replaced: {result.get('msg') or result.get('reason')}")
    return stopped


def plain(stopping: Stopping) -> Stopped:
    """The engine's plain stop, as anybody would; then a start."""
    clock = _Clock(stopping)
    twice(stopping, lambda: _docker("stop", "-t", "10", stopping.name))
    stopped = Stopped(**clock.times(restarted=False))
    stopping.at_exit()
    _docker("start", stopping.name)
    return stopped


def kolla_ansible(stopping: Stopping) -> Stopped:
    """A stop with 60 s of grace, a removal by force, and a new container."""
    clock = _Clock(stopping)
    spec = _other(stopping)
    twice(stopping, lambda: _docker("stop", "-t", "60", stopping.name))
    stopping.at_exit()
    _docker("rm", "-f", stopping.name)
    containers.ensure(stopping.bench.stack.client, spec)
    return Stopped(**clock.times(restarted=True))


WAYS: dict[str, Callable[[Stopping], Stopped]] = {
    STOP: stop,
    UPGRADE: upgrade,
    PLAIN: plain,
    KOLLA_ANSIBLE: kolla_ansible,
}


def _docker(*words: str) -> None:
    subprocess.run(["docker", *words], capture_output=True, timeout=LIMIT, check=False)


def _told(result: dict[str, Any], *more: dict[str, Any]) -> Stopped:
    """The module's own words, and of a second call its verdict, or why it claims nothing or refused."""
    return Stopped(
        second="".join(_second(one) for one in more),
        own=round((result.get("quiesced") or 0.0) + (result.get("drained") or 0.0), 1),
        verdict=str(result.get("verdict") or ("failed" if result.get("failed") else "")),
        reason=str(result.get("reason") or result.get("msg") or ""),
        exit=str(result.get("exit") or ""),
        told=tuple(result.get("operations") or ()),
    )


def _second(result: dict[str, Any]) -> str:
    verdict = str(result.get("verdict") or result.get("msg") or "")
    return f"{verdict}: {result['reason']}" if verdict == "unverified" else verdict


def _given(options: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in options.split())  # type: ignore[misc]


def _other(stopping: Stopping) -> Spec:
    """What the container is made of, with the image that it does not have now."""
    stack, lane = stopping.bench.stack, stopping.bench.lane
    now = stack.container(stopping.name).attrs["Config"]["Image"]
    stock, following = (upgrades.cinder_image(stack.client, variant) for variant in ("", "next"))
    image = stock if now == following else following
    return lane.service(stopping.kind).spec(image, stack.state.endpoints)


def _described(spec: Spec) -> dict[str, Any]:
    """The same in the module's words."""
    return {
        "image": spec.image,
        "command": list(spec.command),
        "environment": spec.environment,
        "volumes": list(spec.volumes),
        "labels": spec.labels,
        "cap_add": list(spec.cap_add),
        "ipc_mode": spec.ipc_mode,
        "restart_policy": spec.restart_policy,
    }

"""The four ways to end a service and to have it back: two of kolla_docker's, and what people have without it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from testbed import containers, upgrades
from testbed.containers import Spec
from testbed.errors import TestbedError
from testbed.matrix_bench import Bench
from testbed.matrix_terms import KOLLA_ANSIBLE, PLAIN, STOP, UPGRADE, Stopped
from testbed.recorder import Event, Recorder

ROOT = Path(__file__).resolve().parents[1]
BUDGET = 400  # generous: cells run side by side, and a backup computes checksums of a whole volume
BETWEEN_TWO_STOPS = 2.0
LIMIT = BUDGET + 120
EVENTS_COME = 60.0  # that the engine tells of an end, and the states at it are looked up
LEDGER = Path("/run/kolla-drain")  # where the module keeps what it has begun


@dataclass(frozen=True)
class Stopping:
    """The arguments of a way."""

    bench: Bench
    kind: str
    arguments: str = ""  # more ones for the module
    twice: bool = False
    held: bool = False  # what is in flight stands still until the call is over
    spec: Spec | None = None  # of what comes after, where that is another container
    # Called at the beginning; raises when there is nothing to stop.
    look: Callable[[], None] = lambda: None
    # Called as soon as the engine reports the container's exit.
    at_exit: Callable[[], None] = lambda: None
    began: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        return self.bench.lane.container_name(self.kind)

    @property
    def options(self) -> str:
        """Return the module's arguments without the action; later ones override earlier ones."""
        budget = (
            "" if "graceful_shutdown_timeout" in self.arguments else f"graceful_shutdown_timeout={BUDGET} "
        )
        lane = self.bench.lane.module_arguments(self.kind)
        if "service=none" in self.arguments:
            lane = f"name={self.name}"
        return f"{lane} {budget}{self.arguments}".strip()


def module(options: str | dict[str, Any]) -> dict[str, Any]:
    """Run ``ansible localhost -m kolla_docker -a ...`` as a person would; return its result."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        "ANSIBLE_NOCOLOR": "1",
    }
    words = options if isinstance(options, str) else json.dumps(options)
    program = str(Path(sys.executable).with_name("ansible"))
    done = subprocess.run(
        [program, "localhost", "-m", "kolla_docker", "-a", words],
        cwd=ROOT, env=environment, text=True, capture_output=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    begin = done.stdout.find("=> {")
    if begin < 0:
        raise TestbedError(f"ansible said nothing that can be read:\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.JSONDecoder().raw_decode(done.stdout[begin + 3 :])[0]
    return found


def twice(stopping: Stopping, call: Callable[[], Any]) -> list[Any]:
    """Make the call, and in a row of two a second one beside it; return their results.

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


class _Ending:
    """How the container that runs now ends, as the engine tells it."""

    def __init__(self, stopping: Stopping) -> None:
        self._stopping, self._client = stopping, stopping.bench.stack.client
        self._old = str(self._client.containers.get(stopping.name).id)
        self._signals: list[int] = []
        self._died_at: float | None = None
        self._looked = threading.Event()
        self._error: Exception | None = None
        self._recorder = Recorder(self._client, lambda event: event.id == self._old, self._hear)

    def __enter__(self) -> _Ending:
        return self

    def __exit__(self, *_: object) -> None:
        self._recorder.close()

    def _hear(self, event: Event) -> None:
        if event.action == "kill":
            self._signals.append(int(event.signal))
        if event.action == "die" and self._died_at is None:
            self._died_at = event.at
            try:
                self._stopping.at_exit()
            except Exception as error:  # noqa: BLE001 - raised in the cell's own thread
                self._error = error
            self._looked.set()

    def told(self, stopped: Stopped, restarted: bool = False) -> Stopped:
        """The same with what the engine told: of the end if there was one, the signals, and the gap to what follows."""
        self.seen()
        at, signals = self._died_at, tuple(self._signals)
        if at is None:
            return replace(stopped, seconds=self._since_the_beginning(time.time()), signals=signals)
        gap = None
        if restarted:
            new = self._client.containers.get(self._stopping.name)
            gap = round(containers.started_at(new).timestamp() - at, 2)
        seconds = self._since_the_beginning(at)
        return replace(stopped, seconds=seconds, ended=True, gap=gap, signals=signals)

    def seen(self) -> None:
        """Wait until the engine told of the end, if there was one, and the states at it were looked up."""
        if not self._runs():
            self._looked.wait(EVENTS_COME)
        if self._error:
            raise self._error

    def _since_the_beginning(self, moment: float) -> float:
        return round(moment - self._stopping.began, 1)

    def _runs(self) -> bool:
        try:
            return str(self._client.containers.get(self._old).status) in ("running", "paused")
        except NotFound:
            return False


class _Begun:
    """Tells from the module's record on this host whether it has begun its stop of the container."""

    def __init__(self, stopping: Stopping) -> None:
        self._entry = LEDGER / f"{stopping.bench.stack.container(stopping.name).id}.json"
        self._asked = time.clock_gettime(time.CLOCK_BOOTTIME)

    def __call__(self) -> bool:
        try:
            return bool(json.loads(self._entry.read_text())["begun"] >= self._asked)
        except (OSError, ValueError, KeyError):  # none yet, or none any more
            return False


@contextlib.contextmanager
def _going_on(stopping: Stopping, once: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Let the operations go on once the stop has begun; those that are held, at the end."""
    over = threading.Event()

    def let_go() -> None:
        while not over.is_set() and (stopping.held or not once()):
            over.wait(0.1)
        stopping.bench.go_on()

    waiting = threading.Thread(target=let_go)
    waiting.start()
    try:
        yield
    finally:
        over.set()
        waiting.join()


def _by_module(stopping: Stopping, options: str | dict[str, Any]) -> list[dict[str, Any]]:
    stopping.look()
    with _going_on(stopping, once=_Begun(stopping)):
        return twice(stopping, lambda: module(options))


def _by_engine(stopping: Stopping, grace: int) -> None:
    twice(stopping, lambda: _docker("stop", "-t", str(grace), stopping.name))


def stop(stopping: Stopping) -> Stopped:
    """Stop the container by kolla_docker, and start it."""
    with _Ending(stopping) as ending:
        result, *more = _by_module(stopping, f"action=stop_container {stopping.options}")
        container = stopping.bench.stack.container(stopping.name)
        if container.status == "running" and result.get("signal"):
            container.wait(timeout=LIMIT)  # left running, it ends by itself
            container.reload()
        stopped = ending.told(_told(result, *more))
    if container.status != "running":
        container.start()
    return stopped


def upgrade(stopping: Stopping) -> Stopped:
    """Replace the container by kolla_docker with one of another image."""
    assert stopping.spec
    options = {**_given(stopping.options), **_described(stopping.spec)}
    options |= {"action": "recreate_or_restart_container", "ready_timeout": 120}
    with _Ending(stopping) as ending:
        result, *more = _by_module(stopping, options)
        stopped = ending.told(_told(result, *more), restarted=True)
    if not result.get("changed") or result.get("rolled_back"):
        raise TestbedError(f"{stopping.name} was not replaced: {result.get('msg') or result.get('reason')}")
    return stopped


def plain(stopping: Stopping) -> Stopped:
    """Stop the container by the engine's plain stop, and start it."""
    stopping.look()
    with _Ending(stopping) as ending, _going_on(stopping):
        _by_engine(stopping, 10)
        stopped = ending.told(Stopped())
        _docker("start", stopping.name)
    return stopped


def kolla_ansible(stopping: Stopping) -> Stopped:
    """Stop the container with 60 s of grace, remove it by force, and create a new one."""
    assert stopping.spec
    stopping.look()
    with _Ending(stopping) as ending, _going_on(stopping):
        _by_engine(stopping, 60)
        ending.seen()
        _docker("rm", "-f", stopping.name)
        containers.ensure(stopping.bench.stack.client, stopping.spec)
        return ending.told(Stopped(), restarted=True)


WAYS: dict[str, Callable[[Stopping], Stopped]] = {
    STOP: stop,
    UPGRADE: upgrade,
    PLAIN: plain,
    KOLLA_ANSIBLE: kolla_ansible,
}


def _docker(*words: str) -> None:
    subprocess.run(["docker", *words], capture_output=True, timeout=LIMIT, check=False)


def _told(result: dict[str, Any], *more: dict[str, Any]) -> Stopped:
    """Return the module's result, and of a second call its verdict or its refusal."""
    return Stopped(
        second="".join(_second(one) for one in more),
        own=round((result.get("quiesced") or 0.0) + (result.get("drained") or 0.0), 1),
        verdict=str(result.get("verdict") or ("failed" if result.get("failed") else "")),
        reason=str(result.get("reason") or result.get("msg") or ""),
        told=tuple(result.get("operations") or ()),
    )


def _second(result: dict[str, Any]) -> str:
    verdict = str(result.get("verdict") or result.get("msg") or "")
    return f"{verdict}: {result['reason']}" if verdict == "unverified" else verdict


def _given(options: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in options.split())  # type: ignore[misc]


def spec_for(way: str, bench: Bench, kind: str) -> Spec | None:
    """What comes after, where the way makes another container: the same with the image that it does not have now.

    To be asked for before anything is in flight: an image may have to be made.
    """
    if way not in (UPGRADE, KOLLA_ANSIBLE):
        return None
    stack, lane = bench.stack, bench.lane
    now = lane.container(kind).attrs["Config"]["Image"]
    stock, following = (upgrades.cinder_image(stack.client, variant) for variant in ("", "next"))
    return lane.service(kind).spec(stock if now == following else following, stack.state.endpoints)


def _described(spec: Spec) -> dict[str, Any]:
    """Return the description in the module's options."""
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

"""The real Cinder of the test stack, on eventlet, and the module as a person calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from testbed.lanes import Lane
from testbed.more_stack import MoreStack
from testbed.nova_stack import NovaStack
from testbed.pauses import Slowed
from testbed.recorder import Recorder
from testbed.stack import BACKENDS, Stack
from testbed.waiting import wait_until
from tests.support.checks import LEDGER

ROOT = Path(__file__).resolve().parents[2]
VOLUME = "cinder_volume"
# What the engine does with all containers for as long as ``any_stack`` is there.
RECORDED: list[Recorder] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is e2e, and may take minutes."""
    ours = [item for item in items if Path(item.fspath).is_relative_to(Path(__file__).parent)]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def any_stack() -> Iterator[Stack]:
    """The stack; taken down afterwards, unless somebody had it up before."""
    stack = Stack()
    was_up = any(one.state == "running" for one in stack.status())
    if not was_up and "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail("Several workers share one test stack: bring it up before, with tools/testbed up.")
    RECORDED.append(Recorder(stack.client))
    yield stack
    RECORDED.pop().close()
    stack.clear_pauses() if was_up else stack.down()


@pytest.fixture(scope="session")
def any_nova(any_stack: Stack) -> Iterator[NovaStack]:
    """Nova beside it, with what was there before left as it was; taken down afterwards in the same way."""
    nova = NovaStack(any_stack)
    was_up = any(one.state == "running" for one in nova.status())
    yield nova
    clean_nova(nova) if was_up else nova.down()


@pytest.fixture(scope="session")
def any_more(any_stack: Stack) -> Iterator[MoreStack]:
    """Manila, Ironic and Heat beside it, in the same way."""
    more = MoreStack(any_stack)
    was_up = any(one.state == "running" for one in more.status())
    yield more
    clean_more(more) if was_up else more.down()


def clean_more(more: MoreStack) -> None:
    """Every service up, no pause set, no share, node and stack left."""
    more.up().clear_pauses()
    more.delete_all()


def clean_nova(nova: NovaStack) -> None:
    """Every service of its own image and up, no pause set, no instance left."""
    nova.up().clear_pauses()
    nova.delete_servers()


@pytest.fixture
def stack(any_stack: Stack) -> Iterator[Stack]:
    """Every service up and nothing slow, before and after each test."""
    since = time.time()
    any_stack.up(mode="eventlet")
    any_stack.clear_pauses()
    yield any_stack
    events = any_stack.engine_events(VOLUME, since)
    print(f"the engine's events of {VOLUME}: {[(e.action, e.signal, e.exit_code) for e in events]}")
    any_stack.clear_pauses()


class AdHoc:
    """``ansible localhost -m kolla_docker -a ...`` under way."""

    def __init__(self, arguments: str, *more: str) -> None:
        self.started = time.monotonic()
        self.output = ""
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
            "ANSIBLE_NOCOLOR": "1",
        }
        program = Path(sys.executable).with_name("ansible")
        command = [str(program), "localhost", "-m", "kolla_docker", "-a", arguments, *more]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def result(self, limit: float = 600) -> dict[str, Any]:
        """What the module returned; AssertionError with Ansible's words when that cannot be read."""
        self.output, _ = self._process.communicate(timeout=limit)
        output = self.output
        self.seconds = time.monotonic() - self.started
        print(f"ansible, {self.seconds:.1f} s, exit code {self._process.returncode}:\n{output}")
        begin = output.find("=> {")
        assert begin >= 0, output
        answer: dict[str, Any] = json.JSONDecoder().raw_decode(output[begin + 3 :])[0]
        answer["exit"] = self._process.returncode
        return answer


def ad_hoc(arguments: str, *more: str) -> dict[str, Any]:
    """Run the module as a person would, and wait for it."""
    return AdHoc(arguments, *more).result()


def creating(on: Stack | Lane, seconds: float) -> str:
    """A volume in creation that cinder-volume has taken, and that needs ``seconds`` from ``go_on``; its id."""
    stack, backends = (on.stack, on.backends) if isinstance(on, Lane) else (on, BACKENDS)
    on.hold()
    on.set_pause("volume_create", seconds)
    volume = str(on.api.create_volume(1, "e2e", backend=backends[0])["id"])
    wait_until(lambda: stack.taken_by(volume), 180, f"cinder-volume taking volume {volume}")
    return volume


def spawning(nova: NovaStack, seconds: float) -> str:
    """An instance that nova-compute is spawning, and that needs ``seconds`` from ``go_on``; its id."""
    nova.hold()
    nova.set_pause("instance_spawn", seconds)
    server = str(nova.api.create_server("e2e")["id"])
    wait_until(lambda: nova.task_state(server) == "spawning", 180, f"instance {server} being spawned")
    return server


def begun(container: Container) -> bool:
    """Whether a stop of it has made its entry."""
    return (LEDGER / f"{container.id}.json").exists()


def stopped(on: Slowed, container: Container, arguments: str) -> dict[str, Any]:
    """What a stop comes to, and what was held goes on once that has begun."""
    run = AdHoc(f"action=stop_container {arguments}")
    try:
        wait_until(lambda: begun(container), 180, "the stop having begun")
    finally:
        on.go_on()
    return run.result()


def kills(stack: Stack, since: float, container: str = VOLUME) -> list[int]:
    """The signals that the engine sent, by number, oldest first; ``since`` on the wall clock.

    The engine remembers its last 256 events only, of all its containers, and what is recorded comes a moment late.
    """
    found = {
        (event.time, event.signal)
        for event in stack.engine_events(container, since)
        if event.action == "kill" and event.signal is not None
    }
    for recorder in RECORDED:
        for event in tuple(recorder.events):
            if event.action == "kill" and event.name == container and event.at >= since:
                found.add((event.at, int(event.signal)))
    return [signal for _, signal in sorted(found)]

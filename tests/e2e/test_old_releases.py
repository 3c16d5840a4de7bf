"""Upgrades from older releases to the current one, with work in flight.

The schema is the old release's own, so the play migrates it; the processes that it stops are of that release.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from testbed import upgrades
from testbed.images import OLD_RELEASES
from testbed.nova_stack import NOVA, NovaStack
from testbed.stack import Stack
from testbed.waiting import wait_until

from .playing import (
    CINDER_ORDER,
    NOVA_ORDER,
    TERM,
    CinderLoad,
    NovaLoad,
    Play,
    Recorder,
    all_up_and_enabled,
    images_of,
    with_work,
)

# With several backends on eventlet, the parent of such a cinder-volume passes a stop signal on twice: the second one
# ends work. Work here needs more than half of the time, which is what a service that keeps its work is let finish in.
CINDER_VARIABLES = {"cinder_volume_graceful_shutdown_timeout": 120}
CINDER_SECONDS = 70
NOVA_VARIABLES = {
    "nova_upgrade_check_ignored": ["Older than N-1 computes"],
    # What the current release needs to exit by itself is nearly all of this: for an old one it must not be kept.
    "nova_compute_graceful_shutdown_timeout": 185,
}
pytestmark = pytest.mark.timeout(2400)


def releases(project: str) -> list[str]:
    return [name for name in OLD_RELEASES if name.startswith(f"{project}-")]


@pytest.fixture
def nothing(any_stack: Stack) -> Iterator[Stack]:
    """No stack, and afterwards the one that was there, made anew."""
    nova = NovaStack(any_stack)
    before = [one for one in (any_stack, nova) if any(service.state == "running" for service in one.status())]
    take_down(any_stack)
    yield any_stack
    take_down(any_stack)
    for one in before:
        one.up()


def assert_one_sigterm(recorded: Recorder, old: list[Container]) -> None:
    """Each old process got one, in the order of this list, and nothing was killed.

    What has replaced it may be restarted, so that it speaks to the others as to the new release.
    """
    signals = [(event.id, event.signal) for event in recorded.events if event.action == "kill"]
    ids = [container.id for container in old]
    assert [one for one in signals if one[0] in ids] == [(one, TERM) for one in ids]
    assert {signal for _, signal in signals} == {TERM}


def take_down(stack: Stack) -> None:
    NovaStack(stack).down()
    stack.down()


@pytest.mark.parametrize("release", releases("cinder"))
def test_cinder(nothing: Stack, release: str, tmp_path: Path) -> None:
    stack = nothing.up(mode="eventlet", image=release)
    load = CinderLoad(stack, CINDER_SECONDS)
    old = [stack.container(name) for name in CINDER_ORDER]
    inventory = upgrades.write_inventory(stack, tmp_path / "site.json")

    with Recorder(stack.client, "cinder") as recorded:
        play = Play(inventory, "-e", json.dumps(CINDER_VARIABLES))
        with_work(play, stack, "cinder-volume", load.volume_work)
        with_work(play, stack, "cinder-backup", load.backup_work).end(1800)

    assert play.code == 0
    load.ended()
    assert images_of(stack, CINDER_ORDER) == {upgrades.cinder_image(stack.client)}
    wait_until(lambda: all_up_and_enabled(stack), 400, "every service up and enabled")
    assert_one_sigterm(recorded, old)
    assert re.search(r"cinder-volume: replaced, drained .* 4 operations finished", play.output)
    assert re.search(r"cinder-backup: replaced, drained .* 2 operations finished", play.output)


@pytest.mark.parametrize("release", releases("nova"))
def test_nova(nothing: Stack, release: str, tmp_path: Path) -> None:
    nova = NovaStack(nothing).up(image=release)
    load = NovaLoad(nova)
    old = [nova.container(name) for name in NOVA_ORDER]
    inventory = upgrades.write_nova_inventory(nova, tmp_path / "site.json")

    with Recorder(nova.client, "nova") as recorded:
        play = load.during(Play(inventory, "-e", json.dumps(NOVA_VARIABLES))).end(1800)

    assert play.code == 0
    for server in load.servers:
        nova.api.wait_status(server, "ACTIVE", 300)
    assert images_of(nova, NOVA) == {upgrades.nova_image(nova.client)}
    wait_until(lambda: all_up_and_enabled(nova), 400, "every service up and enabled")
    assert_one_sigterm(recorded, old)
    assert re.search(r"nova-compute: replaced, drained .*1 operation finished", play.output)

"""A host whose containers are podman's is drained, rebooted and brought back, each container by its unit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testbed import images, kolla_unit
from testbed.hosts import Host, Hosts
from testbed.site import own
from testbed.waiting import wait_until

from .playing import Play
from .test_whole_host import KOLLA, SERVICE, STATE

# In the order in which they should stop.
NAMES = ("mistral_event_engine", "neutron_server", "memcached")


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    made = Hosts(["c1"], prefix="podhost")
    image = images.ensure(made.client)["base"].reference
    with made.up([image], timeout=600):
        fill(made["c1"], image)
        yield made


def fill(host: Host, image: str) -> None:
    """As kolla-ansible does it with podman: a label of the image, a unit for each, no restart policy."""
    host.run("sh", "-c", f"docker save {image} | podman load -q")
    labels = [f"--label={key}={value}" for key, value in KOLLA.items()]
    for name in NAMES:
        options = ["--name", name, "--network=host", "--restart=no", *labels]
        host.run("podman", "create", *options, f"localhost/{image}", "bash", "-c", SERVICE)
        own(host, name, engine="podman")


def listed(host: Host) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.run("podman", "ps", "--all", "--format", "json"))
    return found


def states(host: Host) -> dict[str, str]:
    return {one["Names"][0]: one["State"] for one in listed(host)}


def exit_codes(host: Host) -> set[int]:
    return {one["ExitCode"] for one in listed(host)}


def ends(host: Host) -> list[str]:
    """The names of those that died, in that order."""
    said = host.run("podman", "events", "--stream=false", "--filter=event=died", "--format={{.Name}}")
    return said.split()


def units(host: Host) -> set[str]:
    names = [kolla_unit.name_of(name) for name in NAMES]
    return set(host.run("sh", "-c", f"systemctl is-active {' '.join(names)} || true").split())


def play(hosts: Hosts, name: str) -> Play:
    return Play(
        hosts.inventory_file, "--limit", "podhost-c1", "-e", "kolla_container_engine=podman", play=name
    ).end(900)


@pytest.mark.timeout(1800)
def test_a_host_is_drained_rebooted_and_brought_back(hosts: Hosts) -> None:
    host = hosts["c1"]
    wait_until(lambda: states(host) == dict.fromkeys(NAMES, "running"), 180, "all of it running")

    drained = play(hosts, "reboot_prepare.yml")

    assert drained.code == 0
    # Podman's word is "stopped" until it has cleaned up.
    wait_until(lambda: states(host) == dict.fromkeys(NAMES, "exited"), 180, "all of it exited")
    assert exit_codes(host) == {0}, "by itself, after its SIGTERM"
    assert units(host) == {"inactive"}, "and none has failed"
    assert ends(host) == list(NAMES)
    assert sorted(json.loads(host.run("cat", STATE))["containers"]) == sorted(NAMES)
    assert "lost: nothing that could be seen" in drained.output

    host.reboot()
    back = play(hosts, "start.yml")

    assert back.code == 0
    assert states(host) == dict.fromkeys(NAMES, "running")
    assert units(host) == {"active"}
    host.run("test", "!", "-e", STATE)

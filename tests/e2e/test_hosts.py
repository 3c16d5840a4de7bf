"""Managed hosts: they come up, Ansible reaches them, they survive a reboot, and leave nothing behind."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.hosts import Hosts
from testbed.paths import HOSTS_DIR

PREFIXES = ("try-a", "try-b")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Hosts, Hosts]]:
    """One host each of two prefixes, with the same short name."""
    first, second = (Hosts(["one"], prefix) for prefix in PREFIXES)
    with first, second:
        yield first.up(), second.up()


def pinged(hosts: Hosts) -> dict[str, str]:
    """What becomes of ``ansible -m ping`` on each host."""
    program = Path(sys.executable).with_name("ansible")
    command = [str(program), "-i", str(hosts.inventory_file), "all", "-m", "ping"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    print(ran.stdout, ran.stderr)
    return dict(re.findall(r"^(\S+) \| (\w+)", ran.stdout, re.MULTILINE))


def test_ansible_reaches_each_by_ssh(pair: tuple[Hosts, Hosts]) -> None:
    assert [pinged(hosts) for hosts in pair] == [{"try-a-one": "SUCCESS"}, {"try-b-one": "SUCCESS"}]


def test_a_host_is_one_that_kolla_could_manage(pair: tuple[Hosts, Hosts]) -> None:
    host = pair[0]["one"]
    assert host.run("cat", "/proc/1/comm").strip() == "systemd"
    assert host.run("systemctl", "is-system-running").strip() == "running"
    host.run("python3", "-c", "import dbus, docker, oslo_config, podman, pymysql")
    with contextlib.closing(host.engine) as engine:
        assert engine.info()["Name"] == "try-a-one"
        assert engine.info()["Driver"] == "overlay2"


def test_its_own_after_a_reboot(pair: tuple[Hosts, Hosts]) -> None:
    host = pair[0]["one"]
    began = host.run("stat", "-c", "%Y", "/proc/1")
    host.put("/etc/kolla/kept", "this stays\n")

    host.reboot()

    assert host.run("stat", "-c", "%Y", "/proc/1") != began
    assert host.run("cat", "/etc/kolla/kept") == "this stays\n"
    assert pinged(pair[0]) == {"try-a-one": "SUCCESS"}


def test_down_removes_its_own_without_trace_and_nothing_else(pair: tuple[Hosts, Hosts]) -> None:
    first, second = pair
    volumes = {mount["Name"] for mount in first["one"].container.attrs["Mounts"] if mount["Type"] == "volume"}
    assert volumes

    first.down()

    assert len(first) == 0
    assert pinged(second) == {"try-b-one": "SUCCESS"}
    assert not volumes & {str(volume.name) for volume in first.client.volumes.list()}
    assert "kolla_drain_hosts_try-a" not in {network.name for network in first.client.networks.list()}
    assert not (HOSTS_DIR / "try-a").exists()

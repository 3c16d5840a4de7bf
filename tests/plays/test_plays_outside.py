"""What comes from outside, such as a database's values and a command's output, is printed and never carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plays.site import LIST, Site
from tests.plays.test_plays_host import CONTROL, NEEDED, HostSite


@pytest.fixture
def evil(tmp_path: Path) -> str:
    """A text that leaves a file where Ansible takes it for a template."""
    return f"{{{{ lookup('ansible.builtin.pipe', 'touch {tmp_path}/carried_out') }}}}{{% raw %}}<b>"


def harmless(site: Site, evil: str, times: int) -> None:
    """Assert that the text was printed as it is, so often at least."""
    assert not (site.folder / "carried_out").exists()
    assert site.output.count(evil) >= times
    assert "\x1b" not in site.output


def read(evil: str) -> dict[str, Any]:
    """A reading of a service, as hostile as can be."""
    operation = {"kind": evil, "id": evil, "status": evil, "since": evil, "unattributed": evil, "why": evil}
    return {
        "status": "running", "evidence": "ok", "operations": [operation], "passed_over": [operation], "draining": evil,
        "preflight": [{"code": evil, "text": evil}], "notes": [{"code": evil, "text": evil}],
        "heartbeat": {"up": True, "rows": [{"service": "cinder-volume", "host": evil, "up": True}]},
    }  # fmt: skip


def refuse(site: Site, evil: str) -> None:
    """Let every action fail, and say so."""
    site.answers |= {"drain_status": read(evil), "drain_status cinder_volume storage1": read(evil)}
    for action in ("stop_container", "recreate_or_restart_container", "status", "enabled", "disabled"):
        site.answers[action] = {"failed": True, "msg": evil, "verdict": evil, "reason": evil, "undo": [evil]}
    site.answers["timeouts"] = {"findings": [evil], "newer": False}
    site.answers["compare_container"]["differences"] = [{"setting": "image", "old": evil, "new": evil}]


def test_an_upgrade_that_fails(tmp_path: Path, evil: str) -> None:
    site = Site(tmp_path)
    refuse(site, evil)
    site.play("upgrade.yml", "--tags", "cinder-volume", "--limit", "storage1", "-v")
    assert site.code != 0
    harmless(site, evil, 9)


def test_the_output_of_commands_in_the_new_image(tmp_path: Path, evil: str) -> None:
    site = Site(tmp_path)
    host = f"{evil.replace(' ', '')}@ceph"
    orphan = f"cinder-volume {host} nova enabled XXX 2026-11-01 17:50:24 3.17 1.38\n"
    check = f"| Check: {evil} |\n| Result: Failure |\n| Details: {evil} |\n+-"
    site.answers |= {
        "run cinder-manage service list": {"rc": 0, "stdout": LIST + orphan},
        "run cinder-status upgrade check": {"rc": 2, "stdout": check, "stdout_lines": check.splitlines()},
    }
    site.play("upgrade.yml", "--limit", "control", "--tags", "orphans,upgrade-check", "-v")
    harmless(site, evil, 3)
    assert f"{evil}: {evil}" in site.output
    assert f"cinder-volume on {host}" in site.output


def test_a_host_whose_drain_fails(tmp_path: Path, evil: str) -> None:
    site = HostSite(tmp_path)
    site.runs_on("c1", [*CONTROL, "nova_compute"], cinder_volume=read(evil))
    site.answers |= {
        "galera": {**NEEDED, "why": evil},
        "haproxy-drain": {"failed": True, "answered": False, "msg": evil},
    }
    shown = evil.replace("'", "'\\''")
    site.engine(f"printf '%s\\033[2J\\n' '{shown}' >&2; exit 1")
    commands = {
        "kolla_drain_stop_mariadb": "always",
        "kolla_drain_host_instances_command": [str(tmp_path / "engine")],
        "kolla_drain_host_commands_before": {"heat_engine": ["true"]},
    }
    site.run("reboot_prepare.yml", "c1", "-v", "-e", json.dumps(commands))
    assert site.code != 0
    harmless(site, evil, 8)

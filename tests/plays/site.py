"""A site of several hosts whose modules are stand-ins: what a play asked of them, and on which host."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from .inline import play

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("stub_action.py")
# In all that the plays are given and that is secret: no play ever prints it.
SECRET = "s3cr3t"
SECRETS = {
    "docker_registry_username": "u",
    "docker_registry_password": SECRET,
    "kolla_drain_api": {"auth": {"password": SECRET}},
    "kolla_drain_mariadb_database": {"password": SECRET},
    "cinder_database_connection": f"mysql+pymysql://u:{SECRET}@h/cinder",
}
MODULES = ("kolla_docker", "kolla_service", "kolla_haproxy", "kolla_timeouts", "kolla_galera")

INVENTORY = """
[cinder-api]
control
[cinder-scheduler]
control
[cinder-volume]
storage1
storage2
[cinder-backup]
storage1
storage2
[all:vars]
ansible_connection=local
"""
LIST = (
    "cinder-volume storage1@ceph nova enabled :-) 2026-11-21 17:50:24 3.20 1.39\n"
    "cinder-scheduler control nova enabled :-) 2026-11-21 17:50:24 3.12 1.39\n"
)
ORPHAN = "cinder-volume gone@ceph nova enabled XXX 2026-11-01 17:50:24 3.17 1.38\n"
UPGRADED = LIST.replace("3.20", "3.21")
# What the plays do to containers.
DOES = ("recreate_or_restart_container", "stop_container", "reload_container")


def reading(binary: str, host: str) -> dict[str, Any]:
    rows = [{"service": binary, "host": f"{host}@ceph", "up": True}]
    return {
        "status": "running", "evidence": "ok", "operations": [], "preflight": [],
        "heartbeat": {"up": True, "rows": rows},
    }  # fmt: skip


def usual() -> dict[str, Any]:
    """A site on which every container differs, and all goes well."""
    readings = {
        f"drain_status {name} {host}": reading(name.replace("_", "-"), host)
        for name in ("cinder_volume", "cinder_backup")
        for host in ("storage1", "storage2")
    }
    return {
        **readings,
        "drain_status": {"status": "running", "evidence": "none", "operations": [], "preflight": [], "heartbeat": {}},
        "get_container_state": {"state": {"StartedAt": "2026-11-21T10:00:00Z"}},
        "timeouts": {"findings": [], "newer": False},
        "compare_container": {"changed": True, "differences": [{"setting": "image", "old": "a:1", "new": "a:2"}]},
        "recreate_or_restart_container": {"changed": True, "differences": [{"setting": "image"}]},
        "stop_container": {"changed": True, "verdict": "drained", "reason": "exit code 0"},
        "reload_container": {"changed": True, "reloaded": True, "signal": "SIGHUP"},
        "haproxy-drain": {"changed": True, "servers": []},
        "haproxy-ready": {"changed": True, "servers": []},
        "status": {"services": [], "undo": []},
        "disabled": {"changed": True, "services": [], "undo": []},
        "enabled": {"changed": True, "services": [], "undo": []},
        "run": {"rc": 0, "stdout": "before: a\nafter: b\n"},
        "run cinder-manage service list": {"rc": 0, "stdout": LIST},
    }  # fmt: skip


class Site:
    """Answers, and what came of a play."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.answers = folder, usual()
        (folder / "hosts").write_text(INVENTORY)
        (folder / "action_plugins").mkdir()
        for module in MODULES:
            shutil.copy(STUB, folder / "action_plugins" / f"{module}.py")

    def play(self, name: str, *arguments: str) -> Site:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        (self.folder / "calls").write_text("")
        variables = {
            **SECRETS, "kolla_one_off_setup": "", "ansible_become": False, "cinder_api_healthcheck_url": "",
            "ansible_python_interpreter": sys.executable,
        }  # fmt: skip
        arguments = [
            "-i",
            self.folder / "hosts",
            ROOT / "ansible" / name,
            "-e",
            json.dumps(variables),
            *arguments,
        ]
        output = self.folder / "output"
        self.code = play(
            [str(one) for one in arguments], self.folder, {"STUB_WORLD": str(self.folder)}, output
        )
        self.output = output.read_text()
        self.calls = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        print(self.output)
        assert SECRET not in self.output
        return self

    def did(self, *what: str) -> list[tuple[str, str, str]]:
        """The calls of these kinds in their order: what, whom, on which host."""
        return [(one["what"], one["whom"], one["host"]) for one in self.calls if one["what"] in what]

    @property
    def runs(self) -> list[str]:
        return [whom for _, whom, _ in self.did("run")]

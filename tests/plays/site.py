"""A site of several hosts whose modules are stand-ins: what a play asked of them, and on which host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("stub_action.py")
MODULES = ("kolla_docker", "kolla_service", "kolla_haproxy", "kolla_timeouts", "kolla_galera")
PROGRAM = [sys.executable, str(Path(__file__).with_name("inline.py"))]

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
            "kolla_one_off_setup": "", "ansible_become": False, "cinder_api_healthcheck_url": "",
            "ansible_python_interpreter": sys.executable,
        }  # fmt: skip
        command = [
            *PROGRAM,
            "-i",
            self.folder / "hosts",
            ROOT / "ansible" / name,
            "-e",
            json.dumps(variables),
            *arguments,
        ]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ACTION_PLUGINS": str(self.folder / "action_plugins"),
            "ANSIBLE_NOCOLOR": "1",
            "STUB_WORLD": str(self.folder),
        }
        ran = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.code, self.output = ran.returncode, ran.stdout + ran.stderr
        self.calls = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        print(self.output)
        return self

    def did(self, *what: str) -> list[tuple[str, str, str]]:
        """The calls of these kinds in their order: what, whom, on which host."""
        return [(one["what"], one["whom"], one["host"]) for one in self.calls if one["what"] in what]

    @property
    def runs(self) -> list[str]:
        return [whom for _, whom, _ in self.did("run")]

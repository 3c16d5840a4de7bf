"""The watcher of a run that was killed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kolla_drain.errors import UnitError
from kolla_drain.systemd import hold as unit_hold
from kolla_drain.systemd import watcher
from kolla_drain.systemd.systemctl import Systemctl

from .fake import UNIT, left

DEAD = "4194305 1"
PACKAGE = Path(watcher.__file__).parents[1]
# Starts a watcher whose command is only printed, and where Python is to find it.
START = """
from ansible.module_utils.kolla_drain.systemd.watcher import watch
class Printing:
    def ask(self, command):
        setting = next(word for word in command if word.startswith("--setenv="))
        print(setting.partition("=")[2], command[-2], sep="\\n")
watch(Printing(), "1 1")
"""


def test_the_watcher_is_found_in_the_zip_that_ansible_has_made(tmp_path):
    path = tmp_path / "payload.zip"
    with zipfile.ZipFile(path, "w") as payload:
        for folder in ("ansible", "ansible/module_utils"):
            payload.writestr(f"{folder}/__init__.py", "")
        for file in PACKAGE.rglob("*.py"):
            payload.write(file, f"ansible/module_utils/{file.relative_to(PACKAGE.parent)}")

    def python(code, where):
        env = {"PYTHONPATH": str(where)}
        return subprocess.run(
            [sys.executable, "-c", code], env=env, cwd="/", capture_output=True, text=True, check=True
        ).stdout.split()

    setting, module = python(START, path)
    assert python(f"import {module}; print({module}.main.__name__)", setting.partition("=")[2]) == ["main"]


def test_the_watcher_waits_for_the_end_and_lets_go(systemd, holds, monkeypatch):
    systemd.add()
    process = subprocess.Popen(["sleep", "1000"])
    owner = f"{process.pid} " + Path(f"/proc/{process.pid}/stat").read_text().split()[21]
    holds.hold([UNIT], owner)
    monkeypatch.setattr(watcher, "Holds", lambda _: holds)
    monkeypatch.setattr(watcher, "Systemctl", lambda: Systemctl(systemd))
    monkeypatch.setattr(watcher, "_notify", lambda _: process.kill())
    assert watcher.main(owner) == 0
    process.wait()
    assert left(systemd) == []


def test_a_watcher_that_cannot_let_go_says_why_and_fails(systemd, holds, monkeypatch, capsys):
    systemd.add()
    holds.hold([UNIT], DEAD)
    systemd.fails["daemon-reload"] = "Too many open files"
    waited = []
    monkeypatch.setattr(watcher, "Holds", lambda _: holds)
    monkeypatch.setattr(watcher, "Systemctl", lambda: Systemctl(systemd))
    monkeypatch.setattr(watcher.time, "sleep", waited.append)
    assert watcher.main(DEAD) == 1
    assert len(waited) == 5
    assert "lets go of what is still held: systemd refused" in capsys.readouterr().err


def test_one_without_rights_is_told_so(holds, monkeypatch):
    def forbidden(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(unit_hold.os, "listdir", forbidden)
    with pytest.raises(UnitError, match=r"Permission denied.*become: true"):
        holds.sweep()

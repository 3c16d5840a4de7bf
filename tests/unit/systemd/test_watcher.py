"""The watcher of a run that was killed, and what it goes on holding."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kolla_drain.errors import UnitError
from kolla_drain.host.process import myself
from kolla_drain.kolla import unit_name
from kolla_drain.systemd import hold as unit_hold
from kolla_drain.systemd import watcher
from kolla_drain.systemd.systemctl import Systemctl

from .fake import UNIT, left

PACKAGE = Path(watcher.__file__).parents[1]
# Starts a watcher whose command is only printed, and where Python is to find it.
START = """
from ansible.module_utils.kolla_drain.systemd.watcher import watch
class Printing:
    def start_transient(self, unit, properties, command, environment):
        print(*environment, command[2], sep="\\n")
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


DEAD = ("4194305 1", "4194306 1")


def test_the_watcher_holds_on_to_a_unit_that_was_told_to_stop_and_to_no_other(systemd, holds, monkeypatch):
    systemd.add(ActiveState="deactivating")
    systemd.add(unit_name("other"))
    holds.hold([UNIT, unit_name("other")], DEAD[0])
    seen = []

    class Stops:
        def __init__(self, _):
            pass

        def under_way(self, units):
            return [one for one in units if systemd.states[one]["ActiveState"] == "deactivating"]

        def see_through(self, units):
            holds.sweep()  # another run's
            seen.extend((units, [one.name for one in systemd.path.glob("run/*")]))

    monkeypatch.setattr(watcher, "Holds", lambda _: holds)
    monkeypatch.setattr(watcher, "OrphanedStops", Stops)
    assert watcher.main(DEAD[0]) == 0
    assert seen == [[UNIT], [f"{UNIT}.d"]]
    assert left(systemd) == []


def test_of_several_watchers_one_goes_on_holding(systemd, holds):
    systemd.add()
    for owner in DEAD:
        holds.hold([UNIT], owner)
    assert [holds.take_over(owner, myself(), list) for owner in DEAD] == [[UNIT], []]


def test_what_a_living_run_holds_is_not_taken_over(systemd, holds):
    systemd.add()
    for owner in (DEAD[0], myself()):
        holds.hold([UNIT], owner)
    assert holds.take_over(DEAD[0], DEAD[1], list) == []


def test_a_watcher_that_cannot_let_go_says_why_and_fails(systemd, holds, monkeypatch, capsys):
    systemd.add()
    holds.hold([UNIT], DEAD[0])
    systemd.fails["daemon-reload"] = "Too many open files"
    waited = []
    monkeypatch.setattr(watcher, "Holds", lambda _: holds)
    monkeypatch.setattr(watcher, "Systemctl", lambda: Systemctl(systemd))
    monkeypatch.setattr(watcher.time, "sleep", waited.append)
    assert watcher.main(DEAD[0]) == 1
    assert len(waited) == 5
    assert "lets go of what is still held: systemd refused" in capsys.readouterr().err


def test_one_without_rights_is_told_so(holds, monkeypatch):
    def forbidden(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(unit_hold.os, "listdir", forbidden)
    with pytest.raises(UnitError, match=r"Permission denied.*become: true"):
        holds.sweep()

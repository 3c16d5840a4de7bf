"""A made-up systemd, and what lies in its folders."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from kolla_drain.kolla import unit_name
from kolla_drain.systemd.hold import DROP_IN
from kolla_drain.systemd.unit_file import Definition

NAME = "cinder_volume"
UNIT = unit_name(NAME)
WANTED = Definition(NAME, "docker", "/usr/bin/docker", "always", 180)


class Died(BaseException):
    """The run was killed: nothing of it goes on."""


@dataclass
class FakeSystemd:
    """Units by name, files under a folder; what a drop-in says counts from the next reload on."""

    path: Path
    states: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    on: dict[str, object] = field(default_factory=dict)  # word -> what to do when it is asked
    fails: dict[str, str] = field(default_factory=dict)  # word -> what it says then
    known: dict[str, str] = field(default_factory=dict)  # what lay in its folder at the last reload

    def add(self, name=UNIT, **properties):
        self.states[name] = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "UnitFileState": "enabled",
            "FragmentPath": f"{self.path}/etc/{name}",
            "DropInPaths": "",
            "TimeoutStopUSec": "1min 30s",
            "Restart": "always",
            "Result": "success",
            **properties,
        }

    def __call__(self, command, **options):
        assert options["timeout"] > 0
        words = tuple(word for word in command[1:] if word not in ("--", "--no-pager"))
        self.asked.append(words)
        said = self.fails.get(words[0], self.fails.get("all"))
        if said is not None:
            return subprocess.CompletedProcess(command, 1, "", said)
        if words[0] in self.on:
            self.on[words[0]](words)
        out = self._show(words[3:]) if words[0] == "show" else ""
        if words[0] == "daemon-reload":
            self._reload()
        return subprocess.CompletedProcess(command, 0, out, "")

    def _show(self, names):
        return "\n".join(
            "".join(f"{key}={value}\n" for key, value in self._properties(name).items()) for name in names
        )

    def _properties(self, name):
        found = self.states.get(name, {"LoadState": "not-found", "ActiveState": "inactive"})
        stale = {
            one for one in (*self.known, *self._files()) if self.known.get(one) != self._files().get(one)
        }
        return {**found, "NeedDaemonReload": "yes" if any(name in one for one in stale) else "no"}

    def _files(self):
        return {str(one): one.read_text() for one in self.path.glob("etc/**/*") if one.is_file()}

    def _reload(self):
        self.known = self._files()
        for path in self.path.glob("etc/*.service"):
            if path.is_file() and path.name not in self.states:
                self.add(path.name, ActiveState="inactive", SubState="dead")
        for name, state in self.states.items():
            held = self.path / "run" / f"{name}.d" / DROP_IN
            state["Restart"] = "no" if held.exists() else "always"
            state["DropInPaths"] = str(held) if held.exists() else ""

    def count(self, word):
        return sum(words[0] == word for words in self.asked)


def left(systemd):
    """Return the files of holds."""
    return [*systemd.path.glob("run/*"), *systemd.path.glob("records/*.service")]


def file(systemd, name=UNIT):
    return systemd.path / "etc" / name


def link(systemd):
    return file(systemd, f"multi-user.target.wants/{UNIT}")


def stopped(systemd):
    return lambda _: systemd.states[UNIT].update(ActiveState="inactive", SubState="dead")

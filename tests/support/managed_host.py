"""A managed host under systemd (testbed/hosts.py), the module run in it, and containers with units on it."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound

import ansible
from testbed import kolla_unit
from testbed.hosts import Host
from testbed.waiting import wait_until

from .module_run import MODULE, MODULE_UTILS, RUNNER, ModuleRun
from .workloads import PODMANS_OWN, SCRIPT

PYTHON = "/usr/bin/python3"

# Seconds, on a machine where many hosts share two processors; a test waits for conditions and never for this.
PATIENCE = 300.0

# In the folder that a host shares with this machine, so that what is recorded there can be read from here.
FOLDER = "/run/testbed/workloads"
# There, too: it is still there after a reboot.
WORKLOAD = "/run/testbed/workload.py"
ETC = "/etc/systemd/system"

CLEAN = f"""
engine=%s
pkill -9 -f '^{PYTHON} {RUNNER}'
for round in 1 2 3 4 5 6 7 8; do
    systemctl stop --no-block 'kolla-*-container.service'
    containers=$($engine ps -aq)
    [ -z "$containers" ] || $engine rm -fv $containers > /dev/null
    units=$(systemctl list-units --no-legend --plain --state=active,activating,deactivating 'kolla-*-container.service')
    [ -n "$units$($engine ps -aq)" ] || break
    sleep 0.5
done
cd {ETC} && systemctl disable -q $(ls | grep '^kolla-.*service$')
rm -rf {ETC}/kolla-* {FOLDER}/* /run/systemd/system/kolla-*.d /run/kolla-drain
systemctl daemon-reload
systemctl reset-failed
"""


@dataclass
class ManagedHost:
    """One host with the project's code in it, at the paths that it has here."""

    host: Host
    image: str
    command: str = "docker"  # or podman

    def __post_init__(self) -> None:
        self.engine: docker.DockerClient = self.host.engine
        if self.command == "podman":
            self._give_to_podman()
        self.install()

    def _give_to_podman(self) -> None:
        """Have podman answer the docker SDK, and bring it the image of the host's Docker Engine."""
        service = "/run/testbed/podman.sock"
        self.sh(f"systemd-run -q --collect -u podman-for-tests podman system service -t 0 unix://{service}")
        self.engine = docker.DockerClient(
            base_url=f"unix://{self.host.folder}/podman.sock", version="1.41", timeout=120
        )
        wait_until(self.engine.ping, PATIENCE, "podman's service")
        self.sh(f"docker save {self.image} | podman load -q")
        self.image = f"localhost/{self.image}"

    def install(self) -> None:
        """Copy what Ansible would bring, and what the workloads run.

        To be done again after a reboot, which empties /tmp, where a checkout may lie.
        """
        (self.host.folder / "workload.py").write_text(SCRIPT.read_text())
        packed = io.BytesIO()
        theirs = Path(ansible.__file__).parent
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in (MODULE, MODULE_UTILS, RUNNER, theirs / "module_utils", theirs / "_vendor"):
                archive.add(path, str(path).lstrip("/"))
            for path in (theirs / "__init__.py", theirs / "release.py"):
                archive.add(path, str(path).lstrip("/"))
        # From inside: what the engine itself puts into a host's /tmp lies under the file system that is mounted there.
        unpack = ["docker", "exec", "-i", str(self.host.container.name), "tar", "-x", "-C", "/"]
        subprocess.run(unpack, input=packed.getvalue(), check=True, capture_output=True)
        # What systemd runs at each reload, to read /etc/fstab and the like, has nothing to do here and takes most of
        # a reload's time.
        generators = "/etc/systemd/system-generators"
        none = f"for one in /lib/systemd/system-generators/*; do ln -sf /dev/null {generators}/${{one##*/}}; done"
        self.sh(f"mkdir -p {FOLDER} {generators}; {none}")

    # --- the host

    def sh(self, command: str) -> str:
        """What a command printed; raises where it failed."""
        return self.host.run("sh", "-c", command)

    def tries(self, command: str) -> str:
        """The same of one that may fail."""
        return self.sh(f"{command}\ntrue")

    def module(self, action: str, name: str | Sequence[str], **args: Any) -> ModuleRun:
        """The module on this host, as Ansible runs it there."""
        options = {key: args.pop(key) for key in ("check", "diff") if key in args}
        path = Path(ansible.__file__).parents[1]
        enter = ["docker", "exec", "-i", "-e", f"PYTHONPATH={path}", str(self.host.container.name)]
        wrap = [*enter, *args.pop("wrap", ())]
        given = {
            "action": action,
            "name": name,
            "container_engine": self.command,
            "poll_interval": 0.5,
            **args,
        }
        return ModuleRun(given, wrap=wrap, python=PYTHON, **options)

    def run(self, action: str, name: str | Sequence[str], **args: Any) -> dict[str, Any]:
        return self.module(action, name, **args).result(PATIENCE)

    def kill_runs(self, which: str = "") -> None:
        """SIGKILL for every run of the module on this host, or for one; ``docker exec`` passes no signal on.

        ``which`` is pkill's option: -o for the oldest.
        """
        self.tries(f"pkill -9 {which} -f '^{PYTHON} {RUNNER}'")

    # --- containers

    def create(self, name: str, *behaviour: str, **options: Any) -> None:
        """A workload under dumb-init that is not started; what it does is in ``lines``."""
        self.sh(f"mkdir -p {FOLDER}/{name}")
        command = ["python3", "-u", "/workload.py", "--record", "/record/events", *behaviour]
        self.engine.containers.create(
            self.image,
            entrypoint=["dumb-init", "--single-child", "--", *command],
            command=[],
            name=name,
            network_mode="host",
            volumes=[f"{WORKLOAD}:/workload.py:ro", f"{FOLDER}/{name}:/record"],
            **options,
        )

    def spec(self, name: str, *behaviour: str, **options: Any) -> dict[str, Any]:
        """The same as options of the module; without dumb-init, for a command is all that can be given."""
        self.sh(f"mkdir -p {FOLDER}/{name}")
        command = ["python3", "-u", "/workload.py", "--record", "/record/events", *behaviour]
        return {
            "image": self.image,
            "command": command,
            "volumes": [f"{WORKLOAD}:/workload.py:ro", f"{FOLDER}/{name}:/record"],
            "restart_policy": "unless-stopped",
            **options,
        }

    def under_unit(self, name: str, *behaviour: str, grace: int = 60, pause: int = 1, **options: Any) -> None:
        """A workload that runs under a unit of kolla-ansible's form, enabled; ``pause`` is its RestartSec."""
        self.create(name, *behaviour, **options)
        self.write_unit(
            name, grace=grace, pause=pause, then=f"systemctl enable -q --now {kolla_unit.name_of(name)}"
        )
        self.wait_line(name, "ready")

    def write_unit(self, name: str, *, grace: int = 60, pause: int = 1, then: str = "true") -> None:
        text = kolla_unit.text(name, grace=grace, pause=pause, engine=self.command)
        self.put(f"{ETC}/{kolla_unit.name_of(name)}", text, then)

    def put(self, path: str, text: str, then: str = "true") -> None:
        """Write a file of systemd's."""
        folder = shlex.quote(str(Path(path).parent))
        printed = f"printf %s {shlex.quote(text)} > {shlex.quote(path)}"
        self.sh(f"mkdir -p {folder}; {printed}; systemctl daemon-reload; {then}")

    def read(self, path: str) -> str:
        return self.tries(f"cat {shlex.quote(path)} 2>/dev/null")

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.engine.api.inspect_container(name)
        return found

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.inspect(name)["State"]
        return {**found, "Status": PODMANS_OWN.get(found["Status"], found["Status"])}

    def exists(self, name: str) -> bool:
        try:
            self.inspect(name)
        except NotFound:
            return False
        return True

    def lines(self, name: str) -> list[str]:
        """What the workload has recorded, over all of its lives."""
        try:
            return (self.host.folder / "workloads" / name / "events").read_text().splitlines()
        except FileNotFoundError:
            return []

    def signals(self, name: str) -> list[str]:
        """The signals that could stop it."""
        return [one for life in self.signals_by_life(name) for one in life]

    def signals_by_life(self, name: str) -> list[list[str]]:
        """The same for each of its lives, the first one first."""
        lives: list[list[str]] = []
        for line in self.lines(name):
            if line == "ready":
                lives.append([])
            elif line.startswith("signal ") and line != "signal SIGCONT":
                lives[-1].append(line.split()[1])
        return lives

    def wait_line(self, name: str, line: str, count: int = 1) -> None:
        def seen() -> bool:
            return sum(one == line or one.startswith(line + " ") for one in self.lines(name)) >= count

        wait_until(seen, PATIENCE, f"'{line}' from {name}", 0.1, on_timeout=self.report)

    def wait_settled(self, name: str) -> None:
        """Until its unit is at rest, or it runs and has no work that would end by itself."""

        def settled() -> bool:
            return self.active(name) == "inactive" or self.lines(name)[-1] == "ready"

        wait_until(settled, PATIENCE, f"the end of what {name} does", 0.2, on_timeout=self.report)

    # --- units

    def unit(self, name: str) -> dict[str, str]:
        """Properties of its unit."""
        names = "LoadState,ActiveState,SubState,UnitFileState,Restart,TimeoutStopUSec,NRestarts,DropInPaths"
        shown = self.sh(f"systemctl show -p {names} {kolla_unit.name_of(name)}")
        return dict(line.partition("=")[::2] for line in shown.splitlines())

    def active(self, name: str) -> str:
        return self.unit(name)["ActiveState"]

    def wait_unit(self, name: str, state: str) -> None:
        wait_until(
            lambda: self.active(name) == state,
            PATIENCE,
            f"the unit of {name} {state}",
            0.1,
            on_timeout=self.report,
        )

    def held(self, name: str) -> bool:
        """Whether its unit is held now."""
        return "kolla-drain-hold" in self.unit(name)["DropInPaths"]

    def wait_held(self, name: str, held: bool = True) -> None:
        wait_until(
            lambda: self.held(name) == held, PATIENCE, f"{name} held: {held}", 0.05, on_timeout=self.report
        )

    def wait_holders(self, name: str, count: int) -> None:
        """Until so many runs hold its unit."""
        wait_until(
            lambda: len(self.tries(f"ls /run/kolla-drain/units/{kolla_unit.name_of(name)}").split()) == count,
            PATIENCE,
            f"{count} holders of {name}",
            0.05,
            on_timeout=self.report,
        )

    def left(self) -> list[str]:
        """Whatever of a hold is still there once no run is."""
        found = self.sh(
            "ls -d /run/systemd/system/kolla-*.d /run/kolla-drain/units/*.service 2>/dev/null;"
            "systemctl list-units --state=failed --no-legend --plain 'kolla-*';"
            "systemctl list-units --all --no-legend --plain 'kolla-drain-hold-*';"
            "systemctl show -p Id,NeedDaemonReload 'kolla-*' | grep -B1 NeedDaemonReload=yes || true"
        )
        return [line for line in found.splitlines() if line.strip()]

    def wait_nothing_left(self) -> None:
        wait_until(lambda: not self.left(), PATIENCE, "nothing left", 0.2, on_timeout=self.report)

    def report(self) -> str:
        """All that helps to understand a failure."""
        self.host.container.reload()
        if self.host.container.status != "running":
            folders = (self.host.folder / "workloads").iterdir()
            lines = [f"{one.name}: {self.lines(one.name)}" for one in folders]
            return "\n".join([f"the host is {self.host.container.status}", *lines])
        parts = [f"left: {self.left()}"]
        for container in self.engine.containers.list(all=True, ignore_removed=True):
            name = str(container.name)
            state = container.attrs["State"]
            shown = {key: state.get(key) for key in ("Status", "ExitCode", "StartedAt", "FinishedAt")}
            parts += [f"--- {name} {json.dumps(shown)}", f"unit {self.unit(name)}", *self.lines(name)[-20:]]
        parts.append(self.tries("journalctl -n 60 -t systemd --no-pager -o short-precise | cut -c1-200"))
        return "\n".join(parts)

    def clean(self) -> None:
        """Containers and units of a test that ends."""
        self.tries(CLEAN % self.command)
        self.wait_nothing_left()


def life(host: ManagedHost, name: str) -> tuple[str, str]:
    """What tells one process life from another."""
    found = host.inspect(name)
    return found["Id"], found["State"]["StartedAt"]


def still(seconds: float, what: Mapping[str, Any]) -> None:
    """Nothing of it may change for so long: for what must not happen there is no event to wait for."""
    deadline = time.monotonic() + seconds
    first = {key: look() for key, look in what.items()}
    while time.monotonic() < deadline:
        assert {key: look() for key, look in what.items()} == first
        time.sleep(0.2)

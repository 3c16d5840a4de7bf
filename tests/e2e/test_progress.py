"""Two managed hosts over SSH: what a drain shows, a connection that is killed, and a controller that is killed.

The containers keep Cinder's rows in a real MariaDB, on this machine, and take as long for their work as they are told.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed import images, mariadb
from testbed.hosts import Host, Hosts
from testbed.waiting import wait_until
from tests.support.workloads import DUMB_INIT, SCRIPT, cinder_arguments

from .conftest import ROOT

PASSWORD = "s3cr3t-of-the-database"
LIMIT = 300.0  # seconds, for what takes some seconds on an idle machine
TERM = "15"


UNDER_WAY: list[Controller] = []


@pytest.fixture(scope="module", autouse=True)
def _all_ended() -> Iterator[None]:
    """None is left, not even by a test that fails."""
    yield
    for run in UNDER_WAY:
        run.kill()
    UNDER_WAY.clear()


@dataclass
class Controller:
    """``ansible-playbook`` under way with one task, which stops one container on these hosts."""

    inventory: Path
    folder: Path
    name: str
    limit: str = "all"
    options: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        task = {"action": "stop_container", "name": self.name, "graceful_shutdown_timeout": 300}
        kept = {
            "content": "{{ result | to_json }}",
            "dest": f"{self.folder}/{{{{ inventory_hostname }}}}.json",
        }
        tasks = [
            {"kolla_docker": {**task, **self.options}, "register": "result"},
            {"copy": kept, "delegate_to": "localhost"},
        ]
        self.folder.mkdir()
        play = self.folder / "play.yml"
        play.write_text(json.dumps([{"hosts": self.limit, "gather_facts": False, "tasks": tasks}]))
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            str(self.inventory),
            str(play),
        ]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        # Connections of its own, so that to kill them harms nobody else; a socket's path has to be short.
        self.connections = tempfile.mkdtemp(prefix="kd-ssh-")
        environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = self.connections
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        UNDER_WAY.append(self)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def shown(self, *words: str) -> bool:
        """Whether a line has all of these words."""
        return any(all(word in line for word in words) for line in list(self.lines))

    def wait_for(self, *words: str) -> None:
        """Until a line with all of these words is there."""
        wait_until(lambda: self.shown(*words), LIMIT, f"a line with {words}", on_timeout=self.output)

    def output(self) -> str:
        return "\n".join(self.lines)

    def kill(self) -> None:
        """Kill it with all that it has started."""
        for pid in (self.process.pid, *_below(self.process.pid), *_with(self.connections)):
            _kill(pid)
        self.end(LIMIT)
        shutil.rmtree(self.connections, ignore_errors=True)

    def end(self, limit: float = LIMIT) -> dict[str, dict[str, Any]]:
        """Wait for its end; the results by host."""
        self.process.wait(limit)
        self._reader.join(limit)
        print(self.output())
        return {path.stem: json.loads(path.read_text()) for path in self.folder.glob("*.json")}


def _words(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def _with(text: str) -> set[int]:
    """The processes with this on their command line."""
    return {
        int(pid) for pid in filter(str.isdigit, os.listdir("/proc")) if text in " ".join(_words(int(pid)))
    }


def _below(pid: int) -> set[int]:
    """A process's children, and theirs."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {one for child in map(int, children) for one in (child, *_below(child))}
    return set()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@dataclass
class Service:
    """A container on a host that works as it is told, and drains until that is done."""

    host: Host
    container: Any
    folder: Path

    def go(self) -> None:
        """Let its work begin, which is in its rows already."""
        (self.folder / "go").touch()

    @property
    def received(self) -> list[str]:
        lines = (self.folder / "events").read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith("signal ")]

    def kills(self) -> list[str]:
        """The signals that the host's engine sent it."""
        with contextlib.closing(self.host.engine) as engine:
            found = engine.api.events(
                since=0,
                until=int(time.time()) + 1,
                decode=True,
                filters={"container": self.container.id, "event": "kill"},
            )
            return [one["Actor"]["Attributes"]["signal"] for one in found]

    @property
    def status(self) -> str:
        self.container.reload()
        return str(self.container.status)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Gone afterwards unless somebody had them up before."""
    made = Hosts(["a", "b"], prefix="progress")
    was_up = len(made) > 0
    try:
        yield made.up(images=[images.ensure(docker.from_env())["base"].reference])
    finally:
        if not was_up:
            made.down()


@pytest.fixture(scope="module")
def database() -> Iterator[mariadb.MariaDB]:
    server = mariadb.start(f"progress_{os.getpid()}", host="0.0.0.0")  # noqa: S104 - the hosts are beside this machine
    try:
        server.load_schema("cinder")
        server.create_user("drain", PASSWORD, "SELECT", "cinder.*")
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def start(hosts: Hosts, database: mariadb.MariaDB) -> Iterator[Callable[..., Service]]:
    """``start(host, name, *operations)`` makes a service with operations as KIND:SECONDS."""
    base = images.ensure(docker.from_env())["base"].reference
    made: list[Service] = []

    def start(place: str, name: str, *operations: str) -> Service:
        host, row = hosts[place], f"{name}-{secrets.token_hex(3)}"
        gateway = host.address.rpartition(".")[0] + ".1"
        folder = host.folder / row
        folder.mkdir()
        (host.folder / "workload.py").write_text(SCRIPT.read_text())
        host.put(
            f"/etc/kolla/{name}.conf",
            f"[DEFAULT]\nhost = {row}\nenabled_backends = lvm\nreport_interval = 1\nservice_down_time = 60\n"
            "[lvm]\nvolume_backend_name = lvm\n[database]\n"
            f"connection = mysql+pymysql://drain:{PASSWORD}@{gateway}:{database.port}/cinder\n",
        )
        root = {"host": gateway, "port": database.port, "user": "root", "password": database.root_password}
        rows = cinder_arguments({**root, "database": "cinder"}, f"{row}@lvm", *operations)
        with contextlib.closing(host.engine) as engine:
            container = engine.containers.run(
                base,
                entrypoint=[*DUMB_INIT, "python3", "-u", "/run/testbed/workload.py"],
                command=["--record", f"/run/testbed/{row}/events", "--go", f"/run/testbed/{row}/go", *rows],
                name=name,
                network_mode="host",
                volumes=["/run/testbed:/run/testbed"],
                detach=True,
            )
        service = Service(host, container, folder)
        made.append(service)
        wait_until(lambda: "ready" in (folder / "events").read_text(), LIMIT, f"{name} on {place}")
        return service

    yield start
    for service in made:
        with contextlib.suppress(docker.errors.NotFound):
            service.container.remove(force=True)


def options(name: str) -> dict[str, Any]:
    return {"service": "cinder-volume", "service_config": [f"/etc/kolla/{name}.conf"]}


@dataclass
class Long:
    """A drain of a minute on both hosts, the connection to one of which has been killed in the middle."""

    services: dict[str, Service]
    run: Controller


@pytest.fixture(scope="module")
def long(hosts: Hosts, start: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Long:
    services = {place: start(place, "long", "volume_create:60") for place in ("a", "b")}
    folder = tmp_path_factory.mktemp("long") / "run"
    run = Controller(hosts.inventory_file, folder, "long", options=options("long"))
    for place, service in services.items():
        run.wait_for(f"progress-{place} long", "volume_create", "in flight")
        service.go()
    cut_off = hosts["a"]
    cut_off.run("sh", "-c", "systemctl stop ssh.service; pkill -KILL -f '^sshd: root'; true")
    run.wait_for("progress-a: connection lost")
    cut_off.run("systemctl", "start", "ssh.service")
    return Long(services, run)


@pytest.mark.timeout(1800)
def test_the_controller_is_killed_and_the_next_run_tells_the_whole_story(
    long: Long, hosts: Hosts, start: Callable[..., Service], tmp_path: Path
) -> None:
    """One that joins the drain, and one that comes when it is over. The first of two operations has ended before."""
    work = ("snapshot_create:4", "volume_create:25")
    services = {place: start(place, "short", *work) for place in ("a", "b")}
    killed = Controller(hosts.inventory_file, tmp_path / "killed", "short", options=options("short"))
    for place, service in services.items():
        killed.wait_for(f"progress-{place} short", "volume_create", "in flight")
        service.go()
        killed.wait_for(f"progress-{place} short", "snapshot_create", "ended")
    killed.kill()

    def after(place: str, action: str = "stop_container") -> dict[str, Any]:
        more = {**options("short"), "action": action}
        run = Controller(
            hosts.inventory_file, tmp_path / f"{action}-{place}", "short", f"progress-{place}", more
        )
        return run.end()[f"progress-{place}"]

    seen = after("a", "drain_status")
    joined = after("a")
    wait_until(
        lambda: services["b"].status == "exited", LIMIT, "the drain on b to its end, which nobody watches"
    )
    late = after("b")

    assert seen["draining"].startswith("by kolla_docker, begun ")
    assert "begun, with 300 s" in seen["timeline"][0]["event"]
    assert (joined["joined"], joined["verdict"], joined["changed"]) == (True, "drained", True)
    assert (late["verdict"], late["changed"]) == ("already_stopped", False)
    assert re.search(
        r"stopped it \d+ s ago: drained, exited by itself with exit code 0, 2 operations", late["reason"]
    )
    for result in (joined, late):
        kinds = [(op["kind"], op["outcome"]) for op in result["operations"]]
        assert sorted(kinds) == [("snapshot_create", "finished"), ("volume_create", "finished")]
        assert "begun, with 300 s" in result["timeline"][0]["event"]
        assert result["timeline"][0]["at"] < 0
        assert result["signal"] == "SIGTERM"
    for service in services.values():
        assert (service.kills(), service.received) == ([TERM], ["SIGTERM"])


@pytest.mark.timeout(1800)
def test_a_drain_over_ssh_shows_its_progress_and_survives_its_connection(long: Long, hosts: Hosts) -> None:
    results = long.run.end()
    for place, service in long.services.items():
        name = f"progress-{place}"
        assert (results[name]["verdict"], results[name]["joined"]) == ("drained", False)
        assert (service.kills(), service.received) == ([TERM], ["SIGTERM"])
        for words in (
            ("quiesce", "begun, with 300 s until the deadline"),
            (
                "quiesce",
                "in flight: volume_create",
                "creating, ",
                "heartbeat",
                "signal at 285 s at the latest",
            ),
            ("ended: available",),
            ("drain", "SIGTERM sent"),
            ("verdict", "drained: exited by itself with exit code 0, 1 operation finished"),
        ):
            assert long.run.shown(f"{name} long", *words), words
        # Of its story nothing is left, because the result has been taken.
        kept = hosts[place].run("sh", "-c", "cat /run/kolla-drain/stories/*.json 2>/dev/null; true")
        assert service.container.id not in kept
    assert long.run.shown("progress-a: connected again")
    assert not long.run.shown("progress-b: connection lost")
    assert not [line for line in long.run.lines if PASSWORD in line or "Traceback" in line]

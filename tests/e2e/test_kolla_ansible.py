"""kolla-ansible as it is installed, alone and with kolla-drain beside it: its command, roles, module and units.

Each release has a host of its own with a real systemd, and all go through the same story at once; the tests look at
what came of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed import images, kolla_unit, mariadb
from testbed.hosts import Host, Hosts
from testbed.locks import locked
from testbed.paths import CACHE_DIR
from testbed.waiting import wait_until
from tests.support.cinder_services import PASSWORD
from tests.support.workloads import SCRIPT, cinder_arguments

ROOT = Path(__file__).resolve().parents[2]
SHARE = Path("share/kolla-drain/ansible")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@dataclasses.dataclass(frozen=True)
class Release:
    """A release of kolla-ansible, and what it wants to be run with."""

    name: str
    python: str
    core: str

    @property
    def environment(self) -> Path:
        return CACHE_DIR / f"kolla-ansible-{self.name}"

    @property
    def host(self) -> str:
        return "k" + self.name.replace(".", "")


ALL = (Release("22.2", "3.11", "2.19"), Release("23.0", "3.12", "2.21"))
# What docs/kolla-ansible.rst says of what remains on a host until its next boot.
FOLDER = "/run/kolla-drain"
STAYS = (f"{FOLDER}/units/lock",)
UNITS = ("/run/systemd/system", "/run/systemd/transient", "/etc/systemd/system")
GRACE = 300
WORK = 190  # seconds, of which kolla-ansible's own module gives 125, and more on a busy machine
IMAGE = "kolla-drain-testbed/kolla-service:test"
UNTIL_TOLD = "volume_create:0"  # in flight until the file /record/go is there

# Finishes its work whatever comes, and does not mind a second signal, as OpenStack's services on native threads.
SERVICE = """\
import sys, time
from workload import Workload, parse, signal

class Service(Workload):
    def on_stop(self, number, _frame):
        self.record("signal", signal.Signals(number).name)
        self.stopped_at = self.stopped_at or time.monotonic()

Service(parse(sys.argv[1:])).main()
"""
START = """\
#!/bin/sh
eval "exec dumb-init --single-child -- python3 /service.py $(cat /var/lib/kolla/config_files/workload)"
"""
# An operator's playbook beside kolla-ansible's own: its role, its handlers, its variables.
PLAYBOOK = """\
- hosts: cinder-volume
  gather_facts: false
  vars:
    tested_directory: "{{ tested | replace('_', '-') }}"
    cinder_services:
      cinder-volume:
        container_name: "{{ tested }}"
        group: cinder-volume
        enabled: true
        image: "{{ tested_image }}"
        volumes: "{{ tested_volumes + more_volumes | default([]) }}"
        dimensions: {}
    tested_volumes:
      - "/etc/kolla/{{ tested_directory }}/:/var/lib/kolla/config_files/:ro"
      - "/var/lib/record/{{ tested }}:/record"
  environment: "{{ task_environment | default({}) }}"
  pre_tasks:
    - kolla_container:
        action: "{{ item.action }}"
        name: "{{ item.name }}"
        image: "{{ tested_image }}"
        volumes: "{{ item.volumes }}"
        common_options: "{{ docker_common_options }}"
      become: true
      loop: "{{ direct | default([]) }}"
      # What has just been started handles no signal yet.
      loop_control:
        pause: 10
  tasks:
    - import_role:
        name: cinder
        tasks_from: "{{ 'stop' if kolla_action == 'stop' else 'check-containers' }}.yml"
    - command: "true"
      when: kolla_action != 'stop'
      notify: Restart cinder-volume container
"""


# --- what is installed


def find_python(version: str) -> str | None:
    """A Python of this version; a version manager's shim may refuse to be it."""
    managed = (Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("*/bin")
    for folder in (*os.get_exec_path(), *sorted(managed)):
        candidate = Path(folder) / f"python{version}"
        if (
            candidate.exists()
            and not subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode
        ):
            return str(candidate)
    return None


# The newest that this machine has a Python for; KOLLA_DRAIN_KOLLA_ANSIBLE=all: each of them.
RELEASES = (
    ALL
    if os.environ.get("KOLLA_DRAIN_KOLLA_ANSIBLE") == "all"
    else [one for one in ALL if find_python(one.python)][-1:] or ALL[-1:]
)


def quietly(*command: object, **environment: str) -> None:
    ran = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"


def build_wheel(folder: Path) -> Path:
    """kolla-drain as pip would get it, of the tree as it is now."""
    tree = folder / "tree"
    tree.mkdir()
    for name in ("ansible", "library", "roles"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "setup.cfg",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.txt",
    ):
        shutil.copy(ROOT / name, tree)
    quietly(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, tree, PBR_VERSION="0.0.1")
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(release: Release, wheel: Path) -> Path:
    """An environment with kolla-ansible as PyPI has it, kept, and kolla-drain as it is now."""
    python = find_python(release.python)
    assert python is not None
    folder = release.environment
    with locked(f"kolla-ansible-{release.name}"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            quietly(python, "-m", "venv", folder)
            wanted = (f"kolla-ansible=={release.name}.*", f"ansible-core=={release.core}.*")
            quietly(folder / "bin/pip", "install", "-q", *wanted)
            (folder / "ready").touch()
        quietly(folder / "bin/pip", "install", "-q", "--force-reinstall", "--no-deps", wheel)
        quietly(folder / "bin/pip", "check")
    return folder


def build_image(engine: docker.DockerClient, folder: Path) -> None:
    """A service with the commands that Kolla's images have."""
    base = images.ensure(engine)["base"].reference
    folder.mkdir()
    (folder / "workload.py").write_text(SCRIPT.read_text())
    (folder / "service.py").write_text(SERVICE)
    (folder / "kolla_start").write_text(START)
    (folder / "kolla_set_configs").write_text("#!/bin/sh\n")
    (folder / "Dockerfile").write_text(
        f"FROM {base}\nCOPY *.py /\nCOPY kolla_* /usr/local/bin/\nRUN chmod 755 /usr/local/bin/kolla_*\n"
        'ENTRYPOINT []\nCMD ["kolla_start"]\n'
    )
    engine.images.build(path=str(folder), tag=IMAGE, rm=True)


# --- a site: one host, and kolla-ansible for it


@dataclasses.dataclass
class Done:
    """A run of kolla-ansible's command: what it said of the container."""

    code: int
    output: str
    seconds: float

    @property
    def result(self) -> dict[str, Any]:
        """The last result in its output; the tasks before it say that there was nothing to do."""
        return self._at(self.output.rfind("=> {"))

    @property
    def direct(self) -> list[dict[str, Any]]:
        """What came of the tasks ``direct``, which go before all else."""
        found: list[dict[str, Any]] = self._at(self.output.find("=> {"))["results"]
        return found

    def _at(self, begin: int) -> dict[str, Any]:
        assert begin >= 0, self.output
        found: dict[str, Any] = json.JSONDecoder().raw_decode(self.output[begin + 3 :])[0]
        return found


@dataclasses.dataclass
class Site:
    """One release, its environment, and its host."""

    release: Release
    environment: Path
    host: Host
    folder: Path
    database: mariadb.MariaDB

    def prepare(self, variables: dict[str, Any]) -> None:
        self.folder.mkdir()
        site = {"hosts": {self.host.name: variables}}
        inventory = {"all": {"children": {"cinder-volume": site}}}
        (self.folder / "inventory.json").write_text(json.dumps(inventory))
        settings = {"docker_graceful_timeout": GRACE, "tested_image": IMAGE}
        (self.folder / "globals.yml").write_text(json.dumps(settings))
        (self.folder / "passwords.yml").write_text("docker_registry_password:\n")
        self.playbook.write_text(PLAYBOOK)

    @property
    def playbook(self) -> Path:
        return self.environment / "share/kolla-ansible/ansible/kolla_drain_test.yml"

    def kolla_ansible(self, action: str, name: str, *, drains: bool, **variables: Any) -> Done:
        """The command as an operator gives it; ``drains``: with the one setting."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        environment.update(
            PATH=f"{self.environment}/bin:{os.environ['PATH']}",
            LC_ALL="C.UTF-8",
            ANSIBLE_HOME=str(self.folder / f"home-{name}"),
            ANSIBLE_STDOUT_CALLBACK="ansible.builtin.minimal",
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_TIMEOUT="120",  # to connect, however busy the machine is
        )
        if drains:
            environment["ANSIBLE_ACTION_PLUGINS"] = str(self.environment / SHARE / "action_plugins")
        sure = ["--yes-i-really-really-mean-it"] if action == "stop" else []
        begun = time.monotonic()
        ran = subprocess.run(
            [
                self.environment / "bin/kolla-ansible",
                action,
                *sure,
                *("-i", self.folder / "inventory.json", "--configdir", self.folder, "-p", self.playbook),
                *("-e", json.dumps({"tested": name, **variables})),
            ],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=1200,
        )
        done = Done(ran.returncode, ran.stdout, time.monotonic() - begun)
        print(f"{self.release.name}: {action} {name}, {done.seconds:.1f} s, {done.code}:\n{done.output}")
        return done

    # -- the service on its host

    def describe(self, name: str, *operations: str, backend: str = "lvm") -> None:
        """What the next process of the service will do, and which backend it will have."""
        gateway = self.host.run("sh", "-c", "ip route show default | cut -d' ' -f3").strip()
        root = {"host": gateway, "port": self.database.port, "user": "root", "database": "cinder"}
        root["password"] = self.database.root_password
        row = f"{self.host.name}-{name}"
        words = ["--record", "/record/events", "--go", "/record/go"]
        words += cinder_arguments(root, f"{row}@{backend}", *operations)
        directory = f"/etc/kolla/{name.replace('_', '-')}"
        self.host.run("mkdir", "-p", f"/var/lib/record/{name}")
        self.host.put(f"{directory}/workload", shlex.join(words), 0o644)
        url = f"mysql+pymysql://reader:{PASSWORD}@{gateway}:{self.database.port}/cinder"
        self.host.put(
            f"{directory}/cinder.conf",
            f"[DEFAULT]\nhost = {row}\nenabled_backends = {backend}\nreport_interval = 1\n"
            f"[{backend}]\nvolume_backend_name = {backend}\n[database]\nconnection = {url}\n",
        )

    def go(self, name: str) -> None:
        self.host.run("touch", f"/var/lib/record/{name}/go")

    def hold(self, name: str) -> None:
        self.host.run("rm", "-f", f"/var/lib/record/{name}/go")

    def go_when_read(self, name: str) -> None:
        """Let its work go on once a stop reads its rows. Preflight reads them before, for six seconds at most."""
        ask = "SELECT id FROM information_schema.processlist WHERE user = 'reader' AND host LIKE %s"
        since: dict[int, float] = {}

        def stays() -> bool:
            there, now = (
                {row[0] for row in self.database.execute(ask, (f"{self.host.address}:%",))},
                time.monotonic(),
            )
            for gone in set(since) - there:
                del since[gone]
            return any(now - since.setdefault(one, now) > 8 for one in there)

        wait_until(stays, 300, f"a run that reads {name}")
        self.go(name)

    def go_when_signalled(self, name: str) -> None:
        """Let its work go on once it got its stop signal."""
        ask = ["grep", "-c", "SIGTERM", f"/var/lib/record/{name}/events"]
        wait_until(lambda: self.host.run(*ask), 300, f"a signal to {name}")
        self.go(name)

    def volumes(self, name: str) -> list[str]:
        """The states of its volumes, oldest first."""
        rows = self.database.execute(
            "SELECT status FROM volumes WHERE host LIKE %s ORDER BY created_at",
            (f"{self.host.name}-{name}@%",),
            "cinder",
        )
        return [row[0] for row in rows]

    def wait_working(self, name: str, volumes: int) -> None:
        wait_until(lambda: len(self.volumes(name)) == volumes, 180, f"volume {volumes} of {name}")

    def inspect(self, name: str) -> dict[str, Any]:
        with contextlib.closing(self.host.engine) as engine:
            found: dict[str, Any] = engine.api.inspect_container(name)
        return found

    def unit(self, name: str) -> dict[str, str]:
        asked = "ActiveState,SubState,UnitFileState,DropInPaths,NRestarts"
        said = self.host.run("systemctl", "show", kolla_unit.name_of(name), "-p", asked)
        return dict(line.split("=", 1) for line in said.splitlines())

    def events(self, name: str, since: float) -> list[tuple[float, str, str]]:
        """What the host's engine did to it: (seconds since then, action, signal or exit code)."""
        with contextlib.closing(self.host.engine) as engine:
            found = list(
                engine.events(decode=True, since=since, until=time.time(), filters={"container": name})
            )
        said = []
        for event in found:
            attributes = event["Actor"]["Attributes"]
            about = attributes.get("signal") or attributes.get("exitCode") or ""
            said.append((round(event["timeNano"] / 1e9 - since, 1), str(event["Action"]), str(about)))
        return said

    def left_behind(self) -> list[str]:
        """What may not stay: failed units, anything of ours that changes a unit, and files of ours but for one."""
        failed = self.host.run("systemctl", "list-units", "--failed", "--plain", "--no-legend")
        ours = self.host.run("sh", "-c", f"grep -rl kolla.drain {' '.join(UNITS)} || true")
        files = self.host.run("sh", "-c", f"find {FOLDER} -type f || true").splitlines()
        return [*(failed + ours).split("\n"), *(file for file in sorted(files) if file not in STAYS)]


# --- the story


@dataclasses.dataclass
class Chapter:
    """A run, and what the host looked like before and after it."""

    done: Done
    before: dict[str, Any]
    after: dict[str, Any]
    unit: dict[str, str]
    events: list[tuple[float, str, str]]
    volumes: list[str]
    left_behind: list[str]

    def first(self, action: str, about: str = "") -> float:
        """The second of the first such event."""
        return next(at for at, what, which in self.events if what == action and (not about or which == about))


def chapter(
    site: Site,
    action: str,
    name: str,
    *,
    drains: bool,
    beside: Callable[[str], None] | None = None,
    **variables: Any,
) -> Chapter:
    since, before = time.time(), site.inspect(name)
    with ThreadPoolExecutor(1) as pool:
        aside = pool.submit(beside, name) if beside else None
        done = site.kolla_ansible(action, name, drains=drains, **variables)
    if aside:
        aside.result()
    return Chapter(
        done,
        before,
        site.inspect(name),
        site.unit(name),
        site.events(name, since),
        site.volumes(name),
        site.left_behind(),
    )


CHANGED = ["/etc/hostname:/changed:ro"]


def proof(site: Site, name: str, *, drains: bool) -> Chapter:
    """The same change to a service that needs so long from the moment when its stop begins, once so and once so.

    As kolla-ansible does it, the configuration is the next one before the handler comes; in that the backend that works
    has another name.
    """
    site.describe(name, f"volume_create:{WORK}")
    made = site.kolla_ansible("reconfigure", name, drains=drains)
    assert made.code == 0, made.output
    site.wait_working(name, 1)
    site.describe(name, backend="renamed")  # its successor has nothing to do
    begins = site.go_when_read if drains else site.go_when_signalled
    return chapter(site, "reconfigure", name, drains=drains, beside=begins, more_volumes=CHANGED)


def on_podman(site: Site) -> Chapter:
    """A service without evidence, in a container of podman, is replaced while it works."""
    name = "on_podman"
    site.host.run("sh", "-c", f"docker save {IMAGE} | podman load -q")
    podman = {"kolla_container_engine": "podman", "tested_image": f"localhost/{IMAGE}"}
    site.describe(name, UNTIL_TOLD)
    made = site.kolla_ansible("reconfigure", name, drains=True, **podman)
    assert made.code == 0, made.output
    site.wait_working(name, 1)
    site.describe(name)

    def inspect() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(site.host.run("podman", "inspect", name))[0]
        return found

    before = inspect()
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(site.go_when_signalled, name)
        done = site.kolla_ansible("reconfigure", name, drains=True, more_volumes=CHANGED, **podman)
    beside.result()
    lines = site.host.run("cat", f"/var/lib/record/{name}/events").splitlines()
    signals = [(0.0, "signal", line.split()[1]) for line in lines if line.startswith("signal ")]
    return Chapter(done, before, inspect(), site.unit(name), signals, site.volumes(name), [])


def meanwhile(site: Site) -> dict[str, Chapter]:
    """What is about containers of its own, and looked at while the proof waits."""
    found = {"podman": on_podman(site)}
    name, hidden = "cinder_backup", {"task_environment": {"PYTHONPATH": "/opt/hidden"}}
    site.host.put("/opt/hidden/pymysql.py", "raise ImportError('hidden')\n", 0o644)
    site.describe(name)
    site.describe("direct")
    mounts = ["/etc/kolla/direct/:/var/lib/kolla/config_files/:ro", "/var/lib/record/direct:/record"]
    tasks = [
        {"name": "direct", "action": action, "volumes": volumes}
        for action, volumes in (
            ("start_container", mounts),
            ("restart_container", mounts),
            ("start_container", mounts + CHANGED),
            ("stop_and_remove_container", mounts),
        )
    ]
    since = time.time()
    made = site.kolla_ansible("reconfigure", name, drains=True, direct=tasks)
    assert made.code == 0, made.output
    events = site.events("direct", since)
    found["direct"] = Chapter(made, {}, {}, site.unit("direct"), events, [], [])
    found["blind"] = chapter(site, "reconfigure", name, drains=True, **hidden)
    found["switched_off"] = chapter(site, "reconfigure", name, drains=False)
    return found


def story(site: Site) -> dict[str, Chapter]:
    """All that is looked at afterwards; mostly waiting, so it is told of both releases at once."""
    with ThreadPoolExecutor(3) as pool:
        drained = pool.submit(proof, site, "cinder_volume", drains=True)
        plain = pool.submit(proof, site, "patient", drains=False)
        beside = pool.submit(meanwhile, site)
        found = {"drained": drained.result(), "plain": plain.result(), **beside.result()}
    name, equal = "cinder_volume", {"more_volumes": CHANGED}
    hurried = {"graceful_shutdown_on_timeout": "leave", "cinder_volume_graceful_shutdown_timeout": 20}
    site.hold(name)
    site.describe(name, UNTIL_TOLD)
    found["restarted"] = chapter(site, "reconfigure", name, drains=True, **equal)
    site.wait_working(name, 2)
    found["left"] = chapter(site, "reconfigure", name, drains=True, **equal, **hurried)
    site.describe(name)
    found["stopped"] = chapter(site, "stop", name, drains=True, beside=site.go_when_read)
    found["started"] = chapter(site, "reconfigure", name, drains=True, **equal)
    return found


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[dict[str, Chapter]]]]:
    """Each release's story; side by side."""
    folder = tmp_path_factory.mktemp("kolla-ansible")
    releases = [release for release in RELEASES if find_python(release.python)]
    wheel = build_wheel(folder)
    hosts = Hosts([release.host for release in releases], prefix=f"adopt{os.getpid()}")
    build_image(hosts.client, folder / "image")
    with ThreadPoolExecutor(len(releases)) as pool:
        environments = [pool.submit(install, release, wheel) for release in releases]
        with hosts, mariadb.start(f"adopt_{os.getpid()}", host="0.0.0.0") as database:  # noqa: S104 - for the hosts
            hosts.up(images=[IMAGE])
            database.load_schema("cinder")
            database.create_user("reader", PASSWORD, "SELECT", "cinder.*")
            found = {}
            for release, environment in zip(releases, environments):
                host = hosts[release.host]
                site = Site(release, environment.result(), host, folder / release.name, database)
                site.prepare(hosts.variables(host))
                found[release.name] = pool.submit(story, site)
            wait_for(found)
            yield found
    hosts.client.images.remove(IMAGE, force=True)


def wait_for(found: dict[str, Future[dict[str, Chapter]]]) -> None:
    for one in found.values():
        one.exception()


@pytest.fixture(params=[release.name for release in RELEASES])
def told(
    stories: dict[str, Future[dict[str, Chapter]]], request: pytest.FixtureRequest
) -> dict[str, Chapter]:
    release = next(one for one in RELEASES if one.name == request.param)
    if release.name not in stories:
        pytest.skip(
            f"kolla-ansible {release.name} needs Python {release.python}, which is not on this machine"
        )
    chapters = stories[release.name].result()
    for name, one in chapters.items():
        print(f"{name}: {one.done.code}, {one.done.seconds:.1f} s, {one.events}, {one.unit}, {one.volumes}")
        print(one.done.output)
    return chapters


def test_kolla_ansible_alone_kills_the_work_and_says_ok(told: dict[str, Chapter]) -> None:
    plain = told["plain"]
    seconds = plain.first("die", "137") - plain.first("kill", "15")
    print(f"SIGKILL {seconds:.0f} s after SIGTERM; its work needed {WORK} s")
    assert plain.done.code == 0
    assert plain.done.result == {"changed": True, "result": False}
    assert 100 < seconds < WORK
    assert plain.volumes == ["creating"]


def test_with_kolla_drain_the_same_task_ends_drained(told: dict[str, Chapter]) -> None:
    drained = told["drained"]
    result = drained.done.result
    assert drained.done.code == 0, drained.done.output
    assert (result["changed"], result["result"]) == (True, False)  # as kolla_container says it alone
    ours = result["kolla_drain"]
    print(f"{ours['verdict']} after {ours['quiesced'] + ours['drained']:.0f} s: {ours['reason']}")
    assert (ours["verdict"], ours["timeout_from"], ours["timeout"]) == ("drained", "graceful_timeout", GRACE)
    assert [(one["kind"], one["outcome"]) for one in ours["operations"]] == [("volume_create", "finished")]
    assert drained.volumes == ["available"]
    assert WORK - 10 < ours["quiesced"] + ours["drained"] < GRACE
    assert [about for _, action, about in drained.events if action == "kill"] == ["15"]


@pytest.mark.parametrize("name", ["drained", "started"])
def test_the_replacement_is_kolla_ansibles_own_and_under_its_unit(
    told: dict[str, Chapter], name: str
) -> None:
    one = told[name]
    assert one.done.code == 0, one.done.output
    assert one.before["Id"] != one.after["Id"]
    assert one.after["State"]["Status"] == "running"
    assert (one.unit["ActiveState"], one.unit["UnitFileState"]) == ("active", "enabled")


def test_a_container_of_podman_is_drained_too(told: dict[str, Chapter]) -> None:
    one = told["podman"]
    assert one.done.code == 0, one.done.output
    ours = one.done.result["kolla_drain"]
    assert (ours["verdict"], ours["exit_code"]) == ("unverified", 0)
    assert one.events == [(0.0, "signal", "SIGTERM")]
    assert one.volumes == ["available"]
    assert one.before["Id"] != one.after["Id"]
    assert one.after["State"]["Status"] == "running"
    assert (one.unit["ActiveState"], one.unit["UnitFileState"]) == ("active", "enabled")


def test_an_equal_container_is_restarted_and_stays(told: dict[str, Chapter]) -> None:
    one = told["restarted"]
    assert one.done.code == 0, one.done.output
    assert one.done.result["kolla_drain"]["verdict"] == "drained"
    assert one.before["Id"] == one.after["Id"]
    assert one.before["State"]["StartedAt"] != one.after["State"]["StartedAt"]
    assert one.unit["ActiveState"] == "active"


def test_a_drain_that_fails_leaves_all_as_it_was(told: dict[str, Chapter]) -> None:
    one = told["left"]
    assert one.done.code != 0
    ours = one.done.result["kolla_drain"]
    assert (ours["verdict"], ours["timeout"]) == ("left_running", 20)
    assert ours["timeout_from"] == "cinder_volume_graceful_shutdown_timeout"
    assert one.before["Id"] == one.after["Id"]
    assert one.before["State"]["StartedAt"] == one.after["State"]["StartedAt"]
    assert [about for _, action, about in one.events if action == "kill"] == ["15"]
    assert one.unit["ActiveState"] == "active"
    assert one.volumes == ["available", "creating"]


def test_the_role_that_stops_services_drains_them(told: dict[str, Chapter]) -> None:
    one = told["stopped"]
    assert one.done.code == 0, one.done.output
    assert one.done.result["changed"] is True
    (item,) = one.done.result["results"]
    ours = item["kolla_drain"]
    assert (ours["verdict"], ours["joined"]) == ("drained", True)  # the stop that was left running
    assert not [about for _, action, about in one.events if action == "kill"]
    assert one.volumes == ["available", "available"]
    assert one.after["State"]["Status"] == "exited"
    assert (one.unit["ActiveState"], one.unit["UnitFileState"]) == ("inactive", "enabled")


def test_what_a_host_lacks_is_said_and_stops_nothing(told: dict[str, Chapter]) -> None:
    one = told["blind"]
    assert one.done.code == 0, one.done.output
    ours = one.done.result["kolla_drain"]
    assert (ours["verdict"], ours["evidence"]) == ("unverified", "unavailable")
    assert "PyMySQL" in ours["evidence_why"]
    assert "python3-pymysql" in one.done.output
    assert one.after["State"]["Status"] == "running"


def test_switched_off_kolla_ansible_is_alone_again(told: dict[str, Chapter]) -> None:
    one = told["switched_off"]
    assert one.done.code == 0, one.done.output
    assert one.done.result["changed"] is True
    assert "kolla_drain" not in one.done.result
    assert one.before["Id"] == one.after["Id"]
    assert one.unit["ActiveState"] == "active"


@pytest.mark.parametrize(
    ("number", "action"),
    [(1, "restart_container"), (2, "start_container"), (3, "stop_and_remove_container")],
)
def test_every_action_that_stops_is_drained(told: dict[str, Chapter], number: int, action: str) -> None:
    found = told["direct"].done.direct[number]
    assert found["item"]["action"] == action
    assert (found["changed"], found["result"]) == (True, False)
    ours = found["kolla_drain"]
    assert (ours["verdict"], ours["exit_code"]) == ("unverified", 0)  # it is no service that is known


def test_what_each_of_them_did_to_the_container(told: dict[str, Chapter]) -> None:
    one = told["direct"]
    made = one.done.direct[0]
    assert (made["changed"], "kolla_drain" in made) == (True, False)
    did = [action for _, action, about in one.events if (action, about) != ("kill", "18")]
    assert [action for action in did if action in ("create", "start", "kill", "destroy")] == [
        *("create", "start"),
        *("kill", "start"),
        *("kill", "destroy", "create", "start"),
        *("kill", "destroy"),
    ]
    assert [about for _, action, about in one.events if action == "die"] == ["0"] * 3
    assert one.unit["ActiveState"] == "inactive"


# Those that have the host for themselves; what the others before them left would be found then, too.
CHAPTERS = ("restarted", "left", "stopped", "started")


@pytest.mark.parametrize("name", CHAPTERS)
def test_nothing_is_left_behind(told: dict[str, Chapter], name: str) -> None:
    one = told[name]
    entry = [f"{FOLDER}/{one.after['Id']}.{kind}" for kind in ("json", "lock")]
    assert [thing for thing in one.left_behind if thing] == (entry if name == "left" else [])
    assert one.unit["DropInPaths"] == ""

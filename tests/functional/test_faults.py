"""What goes wrong on a host in the middle of a stop: its engine's shim, its processes, its disks, and other people."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support import engines
from tests.support.checks import LEDGER, is_sentence, signalled_once, wait_until_kept
from tests.support.cinder_services import Services
from tests.support.engine_proxy import EngineProxy
from tests.support.module_run import ModuleRun
from tests.support.workloads import UNTIL_TOLD, Workload, Workloads
from tests.support.workloads import workloads as workloads_on


def stop(workload: Workload, **options: Any) -> dict[str, Any]:
    return {
        "action": "stop_container",
        "name": workload.name,
        "graceful_shutdown_timeout": 150,
        **options,
    }


def in_own_mounts(script: str) -> tuple[str, ...]:
    """A command that runs a module after a script of mounts that nobody else sees."""
    return ("unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh")


# --- a process that nothing ends


class Stuck:
    """A container whose process is in uninterruptible sleep, because it is in a frozen group within the container's.

    The engine thaws the container's own group for a SIGKILL, and not those within.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload, self.pid = workload, workload.state["Pid"]
        found = re.search(r"^\d+:freezer:(.*)$", Path(f"/proc/{self.pid}/cgroup").read_text(), re.MULTILINE)
        if found is None:
            pytest.skip("a frozen process takes SIGKILL where control groups are of version 2")
        self._group = Path(f"/sys/fs/cgroup/freezer{found[1]}/stuck")
        self._group.mkdir()
        (self._group / "cgroup.procs").write_text(str(self.pid))
        self._freeze("FROZEN")
        self.run = ModuleRun(stop(workload, graceful_shutdown_timeout=2))

    def _freeze(self, state: str) -> None:
        (self._group / "freezer.state").write_text(state)

    def thaw(self) -> None:
        if self._group.exists():
            self._freeze("THAWED")


@pytest.fixture(scope="module", autouse=True)
def abandoned(engine: docker.DockerClient, base_image: str) -> Iterator[Stuck | None]:
    """It takes half a minute, while the other tests run."""
    if engines.is_podman():
        yield None
        return
    with workloads_on(engine, base_image) as workloads:
        stuck = Stuck(workloads.start(under=()))
        try:
            yield stuck
        finally:
            stuck.thaw()
            if stuck.run.running:
                stuck.run.kill()


# --- the engine's own processes


@engines.docker_only("podman's monitor is no shim")
def test_the_shim_is_killed(start_module: Any, run_module: Any, workloads: Workloads) -> None:
    """containerd ends what its shim ran: the run is told of that end, and by whom it came is not known."""
    workload = workloads.start("--drain", "600")
    run = start_module(stop(workload))
    workload.wait_line("signal SIGTERM")
    wait_until_kept(workload)
    fields = Path(f"/proc/{workload.state['Pid']}/stat").read_text().rpartition(")")[2].split()
    shim = int(fields[1])
    assert "containerd-shim" in Path(f"/proc/{shim}/cmdline").read_text()
    os.kill(shim, 9)
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert result["verdict"] == "unverified"
    assert result["exit_code"] != 0
    signalled_once(workload)
    assert run_module(stop(workload))["verdict"] == "already_stopped"


# --- other people


class Blinded:
    """An engine whose containers nobody can look at through this for a while."""

    def __init__(self, path: Path) -> None:
        self._may_look = threading.Event()
        self._may_look.set()
        self._proxy = EngineProxy(path, {r"GET \S*/json": lambda lines: float(not self._may_look.wait(300))})
        self.env = engines.at(self._proxy.url)

    @contextlib.contextmanager
    def blind(self) -> Iterator[None]:
        self._may_look.clear()
        yield
        self._may_look.set()

    def close(self) -> None:
        self._may_look.set()
        self._proxy.close()


@pytest.fixture
def blinded(engine: docker.DockerClient, tmp_path: Path) -> Iterator[Blinded]:
    made = Blinded(tmp_path / "engine.sock")
    yield made
    made.close()


@engines.docker_only("podman's restart leaves no trace of its signals")
def test_restarted_by_somebody_else(
    start_module: Any, run_module: Any, workloads: Workloads, blinded: Blinded
) -> None:
    """What runs then is another process, which is signalled once as well. The run looks before and after."""
    workload = workloads.start(*UNTIL_TOLD)
    run = start_module(stop(workload), env=blinded.env)
    workload.wait_line("signal SIGTERM")
    wait_until_kept(workload)
    with blinded.blind():
        workload.raw.restart(timeout=0)
        workload.wait_line("ready", 2)
        workload.end()
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert "the engine started it again" in [event["event"] for event in result["timeline"]]
    actions = [event["Action"] for event in workload.log.of(workload.id)]
    assert actions[actions.index("restart") :].count("kill") == 1, workload.report()
    assert run_module(stop(workload))["verdict"] == "already_stopped"


def test_replaced_under_the_same_name(
    start_module: Any, run_module: Any, workloads: Workloads, blinded: Blinded
) -> None:
    """The stop is of the one that had the name when it began; the next one is the other's."""
    old = workloads.start("--drain", "600")
    run = start_module(stop(old), env=blinded.env)
    old.wait_line("signal SIGTERM")
    wait_until_kept(old)
    with blinded.blind():
        old.raw.remove(force=True)
        new = workloads.start(name=old.name)
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert (result["id"], result["exit_code"]) == (old.id, None)
    assert result["verdict"] in ("killed", "unverified")
    assert (new.status, new.sent) == ("running", [])
    again = run_module(stop(new))
    assert (again["id"], again["verdict"], again["joined"]) == (new.id, "unverified", False)
    signalled_once(new)


# --- what the host hides, and what it has too much of


def test_a_container_with_the_pids_of_its_host(run_module: Any, workloads: Workloads) -> None:
    """Its init is no PID 1, and its processes do not end with it."""
    workload, left_alone = workloads.start("--drain", "1", pid_mode="host"), workloads.start(pid_mode="host")
    result = run_module(stop(workload))
    assert (result["verdict"], result["exit_code"], result["preflight"]) == ("unverified", 0, [])
    signalled_once(workload)
    assert (left_alone.status, left_alone.received) == ("running", [])


def test_a_process_that_cannot_be_seen(start_module: Any, run_module: Any, services: Services) -> None:
    """As with /proc hidden: its configuration cannot be read, so nothing is known of its work, and that is said."""
    service = services.start("volume_create:2", has_own=True)
    pid = service.workload.state["Pid"]
    child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    hide = "; ".join(f"mount -t tmpfs none /proc/{one}" for one in (pid, *child))
    # The test stack, where it is up, has a cinder-volume as well, whose files on the host would be taken for these.
    hide += "; test ! -d /etc/kolla || mount -t tmpfs none /etc/kolla"
    run = start_module(service.args(), wrap=in_own_mounts(hide))
    service.go()
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert [finding["code"] for finding in result["preflight"]] == ["process_unreadable"]
    assert result["evidence"] == "unavailable"
    assert "cinder.conf" in result["evidence_why"]
    signalled_once(service.workload)
    assert run_module(stop(service.workload))["verdict"] == "already_stopped"


def test_a_thousand_containers(start_module: Any, workloads: Workloads, tmp_path: Path) -> None:
    """Of those that are no business of Kolla's none is asked about, in a stop or in a look at all."""
    label, slash = {"kolla_version": "1"}, "" if engines.is_podman() else "/"
    workload = workloads.start("--drain", "1", labels=label)
    strangers = [
        {"Id": f"{number:064x}", "Names": [f"{slash}stranger{number}"], "Labels": {}}
        for number in range(1000)
    ]
    ours = {"Id": workload.id, "Names": [f"{slash}{workload.name}"], "Labels": label}
    proxy = EngineProxy(
        tmp_path / "engine.sock",
        {"": lambda lines: 0.0},
        {r"GET \S*/containers/json": lambda: [*strangers, ours]},
    )
    try:
        seen = start_module({"action": "drain_status"}, env=engines.at(proxy.url)).result()
        listed = len(proxy.matched)
        result = start_module(stop(workload), env=engines.at(proxy.url)).result()
    finally:
        proxy.close()
    assert [one["name"] for one in seen["containers"]] == [workload.name]
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert listed < 20
    assert not any("/containers/json" in line for line in proxy.matched[listed:]), "a stop needs no list"
    signalled_once(workload)


# --- a full disk

FULL = f"mkdir -p {LEDGER}; mount -t tmpfs -o size=4k,mode=0700 none {LEDGER}"


def fill_up(filler: Path) -> None:
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        for _ in range(10):
            stream.write(bytes(4096))
        pytest.fail("this disk does not fill up")


def test_a_disk_that_is_full_before_the_stop(
    start_module: Any, run_module: Any, workloads: Workloads
) -> None:
    workload = workloads.start()
    fill = f"{FULL}; head -c 4096 /dev/zero > {LEDGER}/filler"
    result = start_module(stop(workload), wrap=in_own_mounts(fill)).result()
    assert result["failed"]
    assert "No space left on device" in result["msg"]
    is_sentence(result["msg"])
    assert (workload.status, workload.sent) == ("running", [])
    assert run_module(stop(workload))["verdict"] == "unverified"
    signalled_once(workload)


def test_a_disk_that_fills_up_while_it_drains(start_module: Any, workloads: Workloads) -> None:
    """The first run goes on; a second one cannot write down that it waits, and leaves the container alone."""
    workload = workloads.start(*UNTIL_TOLD)
    first = start_module(stop(workload), wrap=in_own_mounts(FULL.replace("4k", "24k")))
    workload.wait_line("signal SIGTERM")
    pid = str(first.process.pid)
    ledger = Path(f"/proc/{pid}/root{LEDGER}")
    wait_until_kept(workload, ledger)
    fill_up(ledger / "filler")
    second = start_module(stop(workload), wrap=("nsenter", f"--target={pid}", "--mount")).result()
    assert second["failed"]
    assert "No space left on device" in second["msg"]
    workload.end()
    result = first.result()
    assert not result.get("failed"), result["msg"]
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    signalled_once(workload)


# --- last, because it takes longest


@engines.docker_only("podman's containers have no group that is reached in this way")
def test_a_process_in_uninterruptible_sleep(abandoned: Stuck, run_module: Any) -> None:
    """Neither signal reaches it: that is said with its PID, a stated while after the deadline."""
    workload, result = abandoned.workload, abandoned.run.result()
    assert result["failed"]
    assert result["verdict"] == "left_running"
    assert f"look at process {abandoned.pid} on the host" in result["msg"]
    assert workload.sent[:1] == ["SIGTERM"]
    assert set(workload.sent[1:]) <= {"SIGKILL"}
    abandoned.thaw()
    workload.wait_status("exited")
    assert run_module(stop(workload))["verdict"] == "already_stopped"

"""What an engine's own configuration gives every container is no difference."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from kolla_drain.actions import containers as making
from kolla_drain.actions import report
from kolla_drain.actions.options import Options
from kolla_drain.container.given import CONTAINER_OPTIONS
from kolla_drain.engine.connect import connect
from kolla_drain.engine.port import Engine
from kolla_drain.model import StopRequest
from testbed import podman
from tests.support import engines
from tests.support.daemon import IMAGE, PROGRAMS, Daemon, daemon

FEW = {"Name": "nofile", "Soft": 512, "Hard": 1024}
NO_CORE = {"Name": "core", "Soft": 0, "Hard": 0}
SETTINGS: dict[str, dict[str, Any]] = {
    "many": {
        "default-ulimits": {"nofile": FEW, "core": NO_CORE},
        "default-shm-size": "32M",
        "default-cgroupns-mode": "private",
        "default-ipc-mode": "shareable",
        "log-driver": "local",
        "log-opts": {"max-size": "1m", "max-file": "2"},
        "dns": ["192.0.2.1"],
        "dns-opts": ["timeout:1"],
        "dns-search": ["example.org"],
        "userland-proxy": False,
        "no-new-privileges": True,
        **({"init": True} if shutil.which("docker-init") else {}),
    },
    "the other modes": {
        "default-ulimits": {"memlock": {"Name": "memlock", "Soft": 65536, "Hard": 65536}},
        "default-cgroupns-mode": "host",
        "default-ipc-mode": "private",
        "log-driver": "none",
    },
}
VOLUMES = [f"{path}:{path}:ro" for path in PROGRAMS]
COMMAND = ["/usr/bin/sleep", "600"]

# Options of a container, and what the docker SDK calls them.
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "host's namespaces": (
        {"ipc_mode": "host", "pid_mode": "host", "cgroupns_mode": "host"},
        {"ipc_mode": "host", "pid_mode": "host", "cgroupns": "host"},
    ),
    "a limit of its own": (
        {"dimensions": {"ulimits": {"nofile": {"soft": 256, "hard": 256}}}},
        {"ulimits": [docker.types.Ulimit(name="nofile", soft=256, hard=256)]},
    ),
    "no new privileges": (
        {"security_opt": ["no-new-privileges"]},
        {"security_opt": ["no-new-privileges"]},
    ),
}

# containers.conf of a podman that gives its containers something of everything.
PODMAN = """\
[containers]
# env = ["COMMENTED=1"]
default_ulimits = ["nofile=512:512", "nproc=1024:1024"]
default_capabilities = [
    "CHOWN",
    "NET_ADMIN", # which podman's own list lacks
    "SYS_CHROOT",
]
env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SITE=1"]
cgroupns = "private"
dns_servers = ["192.0.2.1"]
init = true
ipcns = "private"
log_driver = "k8s-file"
pids_limit = 500
shm_size = "32m"
tz = "Europe/Berlin"
umask = "0027"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
PROXY = {"http_proxy": "http://proxy.example:3128", "NO_PROXY": "localhost"}
MORE_LIMITS = {"nproc": {"soft": 1000, "hard": 1000}}  # podman would raise it, where one limit is given
LIMITED = {"dimensions": {"ulimits": {"nofile": {"soft": 256, "hard": 256}, **MORE_LIMITS}}}
PODMAN_ROWS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "plain": ({}, []),
    "privileged": ({"privileged": True, "cap_add": ["SYS_ADMIN"]}, ["--privileged", "--cap-add=SYS_ADMIN"]),
    "limits": (LIMITED, ["--ulimit=nofile=256:256", "--ulimit=nproc=1000:1000"]),
    "capability": ({"cap_add": ["SYS_ADMIN"]}, ["--cap-add=SYS_ADMIN"]),
    "ipc_host": ({"ipc_mode": "host"}, ["--ipc=host"]),
    "terminals": ({"volumes": ["devpts:/dev/pts"]}, ["--mount=type=devpts,target=/dev/pts"]),
}
needs_dockerd = pytest.mark.skipif(
    engines.is_podman() or shutil.which("dockerd") is None, reason="Docker's own: needs a dockerd to start"
)


@pytest.fixture(scope="module", params=SETTINGS, ids=list(SETTINGS))
def own(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon with these settings."""
    with daemon(live_restore=False, settings=SETTINGS[request.param]) as (made, _):
        yield made
        for container in client_of(made).containers.list(all=True):
            container.remove(force=True)


def client_of(own: Daemon) -> docker.DockerClient:
    return docker.DockerClient(base_url=own.url)


def options_of(name: str, given: dict[str, Any], image: str = IMAGE) -> Options:
    container = {option: given.get(option) for option in CONTAINER_OPTIONS}
    return Options(
        "compare_container",
        (name,),
        StopRequest(180),
        image=image,
        container=container,
        container_engine=engines.name(),
    )


def differences(driver: Engine, options: Options) -> Any:
    return report.module_result(making.compare_container(options, driver))["differences"]


@needs_dockerd
@pytest.mark.parametrize("maker", ["this module", "plain docker"])
@pytest.mark.parametrize("row", ROWS)
def test_defaults_of_the_daemon(own: Daemon, monkeypatch: pytest.MonkeyPatch, row: str, maker: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", own.url)
    client = client_of(own)
    driver, (given, by_docker) = connect("docker"), ROWS[row]
    name = f"{row}-{maker}".replace(" ", "-").replace("'", "")
    options = options_of(name, {"command": COMMAND, "volumes": VOLUMES, **given})
    if maker == "this module":
        driver.maker().create(making.spec_of(options), name)
    else:
        environment = [f"KOLLA_SERVICE_NAME={name}"]
        client.containers.create(
            IMAGE,
            COMMAND,
            name=name,
            network_mode="host",
            volumes=VOLUMES,
            environment=environment,
            **by_docker,
        )
    assert differences(driver, options) == []
    client.api.start(name)
    assert differences(driver, options) == [], "since its start"


@pytest.fixture(scope="module")
def own_podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[podman.Service, Path]]:
    """Podman's service with these settings, and its containers.conf; it shares its containers with the others."""
    folder = tmp_path_factory.mktemp("podman-defaults")
    service = podman.Service(folder, PODMAN, **PROXY)
    yield service, folder / "containers.conf"
    service.close()


@pytest.mark.skipif(not engines.is_podman(), reason="podman's own: containers.conf")
@pytest.mark.parametrize("maker", ["this module", "plain podman"])
@pytest.mark.parametrize("row", PODMAN_ROWS)
def test_defaults_of_podman(
    own_podman: tuple[podman.Service, Path],
    base_image: str,
    monkeypatch: pytest.MonkeyPatch,
    row: str,
    maker: str,
) -> None:
    service, config = own_podman
    monkeypatch.setenv("CONTAINER_HOST", service.url)
    monkeypatch.setenv("CONTAINERS_CONF", str(config))
    for variable, value in PROXY.items():
        monkeypatch.setenv(variable, value)
    driver, (given, by_podman) = connect("podman"), PODMAN_ROWS[row]
    name = f"kd_test_{secrets.token_hex(4)}"
    options = options_of(name, {"command": ["sleep", "600"], **given}, base_image)
    try:
        if maker == "this module":
            driver.maker().create(making.spec_of(options), name)
            # What podman before 4.4 does not tell of a container that never ran is known of one of ours.
            assert differences(driver, options) == []
        else:
            variable = f"--env=KOLLA_SERVICE_NAME={name.replace('_', '-')}"
            by_hand(
                "create", "--name", name, "--network=host", variable, *by_podman, base_image, "sleep", "600"
            )
        by_hand("start", name)
        assert differences(driver, options) == []
        if row == "terminals":
            assert " - devpts " in mounts_of(service.client().api.inspect_container(name)["State"]["Pid"])
    finally:
        subprocess.run(
            ["podman", "rm", "--force", "--time=0", "--ignore", name], check=False, capture_output=True
        )


def by_hand(*command: str) -> None:
    ran = subprocess.run(["podman", *command], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def mounts_of(pid: int) -> str:
    """Return what is mounted at /dev/pts for a process."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return "\n".join(line for line in lines if line.split()[4] == "/dev/pts")

"""What an engine's own configuration gives every container is no difference."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from kolla_drain.actions import containers as making
from kolla_drain.actions import report
from kolla_drain.actions.options import Options
from kolla_drain.container.options import CONTAINER_OPTIONS
from kolla_drain.engine.connect import connect
from kolla_drain.engine.port import Engine
from kolla_drain.model import StopRequest
from tests.support import engines
from tests.support.daemon import IMAGE, PROGRAMS, Daemon, daemon

FEW = {"Name": "nofile", "Soft": 512, "Hard": 1024}
NO_CORE = {"Name": "core", "Soft": 0, "Hard": 0}
SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
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
        "seccomp-profile": "unconfined",
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
pytestmark = [
    pytest.mark.skipif(shutil.which("dockerd") is None, reason="needs a dockerd to start one of its own"),
    engines.docker_only("podman has its defaults in containers.conf"),
]


@pytest.fixture(scope="module", params=SETTINGS, ids=list(SETTINGS))
def own(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon with these settings."""
    with daemon(live_restore=False, settings=SETTINGS[request.param]) as (made, _):
        yield made
        for container in client_of(made).containers.list(all=True):
            container.remove(force=True)


def client_of(own: Daemon) -> docker.DockerClient:
    return docker.DockerClient(base_url=own.url)


def options_of(name: str, given: dict[str, Any]) -> Options:
    described = {"command": COMMAND, "volumes": VOLUMES, **given}
    container = {option: described.get(option) for option in CONTAINER_OPTIONS}
    return Options("compare_container", (name,), StopRequest(180), image=IMAGE, container=container)


def differences(driver: Engine, name: str, given: dict[str, Any]) -> Any:
    return report.module_result(making.compare_container(options_of(name, given), driver))["differences"]


@pytest.mark.parametrize("maker", ["this module", "plain docker"])
@pytest.mark.parametrize("row", ROWS)
def test_defaults_of_the_daemon(own: Daemon, monkeypatch: pytest.MonkeyPatch, row: str, maker: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", own.url)
    client = client_of(own)
    driver, (given, by_docker) = connect("docker"), ROWS[row]
    name = f"{row}-{maker}".replace(" ", "-").replace("'", "")
    if maker == "this module":
        driver.maker().create(making.spec_of(options_of(name, given)), name)
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
    assert differences(driver, name, given) == []
    client.api.start(name)
    assert differences(driver, name, given) == [], "since its start"

"""Fixtures of the functional tests: the engine, workloads on it, and a MariaDB with Cinder's schema."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from kolla_drain.engine.connect import connect
from kolla_drain.engine.port import Engine
from testbed import images, mariadb, podman, setup_host
from tests.support import engines, module_run
from tests.support.cinder_services import PASSWORD, Services
from tests.support.kills import Recorder
from tests.support.services import Service, with_rows
from tests.support.workloads import Workloads, cinder_arguments, sweep
from tests.support.workloads import workloads as workloads_on

from .core import mark_core


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay together, for many share what they have started side by side."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = os.path.dirname(__file__) + os.sep
    ours = [item for item in items if str(item.path).startswith(here)]
    mark_core(ours, whole=not any("::" in argument for argument in config.args))
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.functional)
            # These start many stops at once for the whole file, which one worker is enough for (--dist loadgroup).
            if {"ended", "abandoned"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.xdist_group(item.path.name))
        if engines.is_podman() and str(item.path).startswith(os.path.join(here, "evidence")):
            item.add_marker(pytest.mark.skip(reason="asks a database and no engine: run with docker alone"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that failed shows the logs and the engine's events of its containers."""
    report = yield
    made = getattr(item, "funcargs", {}).get("workloads")
    if call.when == "call" and report.failed and made is not None:
        report.sections.append(("containers", made.report()))
    return report


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[docker.DockerClient]:
    """The engine under test on this machine, by the docker SDK."""
    client = setup_host.ensure_engine()
    if not engines.is_podman():
        sweep(client)
        yield client
        return
    folder = tmp_path_factory.mktemp("podman")
    service = podman.Service(folder)
    recorder = Recorder(folder / "recorder.sock", service.url)
    os.environ["CONTAINER_HOST"] = recorder.url
    client = docker.DockerClient(base_url=recorder.url, version="1.41", timeout=120)
    client.recorder, client.registry_port = recorder, service.registry_port
    try:
        sweep(client)
        yield client
    finally:
        recorder.close()
        service.close()


@pytest.fixture(scope="session")
def base_image(engine: docker.DockerClient) -> str:
    reference = images.ensure(setup_host.ensure_engine())["base"].reference
    return podman.bring(reference) if engines.is_podman() else reference


@pytest.fixture(scope="session")
def driver(engine: docker.DockerClient) -> Engine:
    """The engine as the core sees it."""
    assert engine.ping()
    return connect(engines.name())


@pytest.fixture(scope="session")
def _session_workloads(engine: docker.DockerClient, base_image: str) -> Iterator[Workloads]:
    with workloads_on(engine, base_image) as made:
        yield made


@pytest.fixture
def workloads(_session_workloads: Workloads) -> Iterator[Workloads]:
    """Makes containers; they are removed when the test ends, however it ends."""
    yield _session_workloads
    _session_workloads.remove()


@pytest.fixture
def run_module() -> Any:
    """``run_module(args, check=…, diff=…)`` returns the module's result."""
    if not module_run.MODULE.exists():
        pytest.skip("there is no library/kolla_docker.py yet")
    return module_run.run_module


@pytest.fixture
def start_module() -> Iterator[Any]:
    """``start_module(args)`` returns a ModuleRun under way; it is ended with the test."""
    if not module_run.MODULE.exists():
        pytest.skip("there is no library/kolla_docker.py yet")
    runs: list[module_run.ModuleRun] = []

    def start(args: dict[str, Any], **options: Any) -> module_run.ModuleRun:
        runs.append(module_run.ModuleRun(args, **options))
        return runs[-1]

    yield start
    for run in runs:
        if run.running:
            run.kill()


def _port() -> int:
    """A free port where nobody else looks for one: it must stay ours while the server is stopped in between."""
    while True:
        port = random.randrange(26000, 32000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def cinder_database() -> Iterator[mariadb.MariaDB]:
    """A MariaDB with Cinder's schema in the database ``cinder``; tests tell their rows apart by host."""
    server = mariadb.start(f"functional_{os.getpid()}", _port(), tls=True)
    # Whatever stage a run comes to, it shows none of these.
    module_run.SECRETS |= {server.root_password, PASSWORD}
    try:
        server.load_schema("cinder")
        yield server
    finally:
        server.remove()


@pytest.fixture
def cinder_host() -> str:
    """A host name that no other test has."""
    return f"host-{secrets.token_hex(4)}"


@pytest.fixture
def services(
    workloads: Workloads, cinder_database: mariadb.MariaDB, cinder_host: str, tmp_path: Path
) -> Services:
    return Services(workloads, cinder_database, cinder_host, tmp_path)


@pytest.fixture
def service(workloads: Workloads) -> Iterator[Service]:
    """A container's description; all that it became is removed when the test ends."""
    made = Service(workloads)
    yield made
    print(made.report())
    made.remove()


@pytest.fixture
def beating(
    service: Service, cinder_database: mariadb.MariaDB, cinder_host: str, run_module: Any
) -> Callable[..., Any]:
    """``beating(action, *more, **options)`` runs the module for a service that keeps Cinder's rows."""

    def run(action: str, *behaviour: str, **options: Any) -> dict[str, Any]:
        conf = options.pop("conf", {})
        connection = {"host": "127.0.0.1", "port": cinder_database.port, "user": "root"}
        connection.update(password=cinder_database.root_password, database="cinder")
        rows = cinder_arguments(connection, f"{cinder_host}@one")
        evidence = with_rows(service, cinder_database, cinder_host, **conf)
        result: dict[str, Any] = run_module(
            service.args(action, *rows, *behaviour, **{**evidence, **options})
        )
        return result

    return run

"""One managed host under a real systemd, with a container engine of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from testbed import images
from testbed.hosts import Hosts
from tests.support import engines
from tests.support.managed_host import ManagedHost


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder needs a host."""
    for item in items:
        if Path(item.fspath).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(900))
            # One host is shared, and whoever made it takes it down.
            item.add_marker(pytest.mark.xdist_group("systemd"))


@pytest.fixture(scope="session")
def managed() -> Iterator[ManagedHost]:
    """The host; taken down afterwards, unless somebody had it up before.

    One for each engine, because tools/test runs the tests with both at the same time.
    """
    hosts = Hosts(["a"], prefix=f"sys-{engines.name()}")
    was_up = len(hosts) > 0
    base = images.ensure(docker.from_env())["base"].reference
    hosts.up(images=[base])
    try:
        yield ManagedHost(hosts["a"], base, engines.name())
    finally:
        if not was_up:
            hosts.down()


@pytest.fixture
def host(managed: ManagedHost) -> Iterator[ManagedHost]:
    """Without containers and units after each test, and before the first one that finds some."""
    if managed.left() or managed.engine.containers.list(all=True):
        managed.clean()
    yield managed
    managed.clean()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that fails shows what the host looked like."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    host = getattr(item, "funcargs", {}).get("host")
    if report.when == "call" and report.failed and host is not None:
        try:
            told = host.report()
        except Exception as error:  # noqa: BLE001 - the test's own failure is what matters
            told = f"it cannot be looked at: {error}"
        report.sections.append(("host", told))

"""The plan of an upgrade of the test stack.

An upgrade under load, and its second run, is test_hosts_upgrade's. A release that does not start is molecule's scenario
upgrade-rollback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import upgrades
from testbed.stack import Stack

from .conftest import creating
from .playing import Play, Recorder

IN_FLIGHT = (
    "creating",
    "deleting",
    "downloading",
    "extending",
    "backing-up",
    "restoring-backup",
    "restoring",
)


def settle(stack: Stack) -> None:
    """No operation of an earlier test is left: rows of work that died are waited for in vain."""
    states = "', '".join(IN_FLIGHT)
    for table in ("volumes", "snapshots", "backups"):
        stack.mariadb.execute(
            f"UPDATE {table} SET status = 'error' WHERE deleted = 0 AND status IN ('{states}')",
            database="cinder",
        )
    stack.mariadb.execute("DELETE FROM workers WHERE resource_type <> 'SENTINEL'", database="cinder")


@pytest.fixture(scope="module")
def site(any_stack: Stack) -> Iterator[Stack]:
    """The stack on eventlet with its own containers."""
    any_stack.up(mode="eventlet")
    any_stack.clear_pauses()
    settle(any_stack)
    yield any_stack
    any_stack.clear_pauses()


@pytest.fixture(scope="module")
def to_next(site: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as it should be after the upgrade."""
    image = upgrades.cinder_image(site.client, "next")
    return upgrades.write_inventory(site, tmp_path_factory.mktemp("site") / "next.json", image)


def files() -> dict[str, tuple[float, bytes]]:
    """What is in Kolla's folders, and since when."""
    found = [path for path in Path("/etc/kolla").rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime, path.read_bytes()) for path in found}


def rows(stack: Stack) -> list[Any]:
    return stack.mariadb.execute(
        "SELECT id, disabled, disabled_reason FROM services ORDER BY id", database="cinder"
    )


def images_there(stack: Stack) -> set[str]:
    """Those of Cinder: what other tests make may come and go beside this."""
    return {tag for image in stack.client.images.list() for tag in image.tags if "/cinder:" in tag}


def containers_there(stack: Stack) -> set[str]:
    return {one.name for one in stack.client.containers.list(all=True) if one.name.startswith("cinder_")}


def test_check_mode_names_what_is_in_flight_and_touches_nothing(site: Stack, to_next: Path) -> None:
    volume = creating(site, 1)
    before = (files(), rows(site), images_there(site), containers_there(site))

    with Recorder(site.client, "cinder") as recorded:
        play = Play(to_next, "--check", "--diff").end()

    assert play.code == 0
    assert f"in flight: volume_create {volume} (creating" in play.output
    assert "cinder-volume (cinder_volume): to be replaced, because it differs in image" in play.output
    assert re.search(r"\+image: .*cinder:[\w-]+\"?$", play.output, re.MULTILINE), "the diff"
    assert (files(), rows(site), images_there(site), containers_there(site)) == before
    assert recorded.events == []
    site.clear_pauses()
    site.api.wait_status("volume", volume, "available")

"""The plan of an upgrade of the test stack; and what the tests of real upgrades share: a load, a play, a recorder.

An upgrade under load, and its second run, is test_hosts_upgrade's. A release that does not start is molecule's scenario
upgrade-rollback.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import recorder, upgrades
from testbed.nova_stack import NovaStack
from testbed.stack import CINDER, Stack

from .conftest import ROOT, creating

TERM = 15
ORDER = ("cinder_scheduler", "cinder_volume", "cinder_backup", "cinder_api")
# Longer than it takes from the start of a service's turn to its stop, so that the stop finds them in flight.
SECONDS = 15.0
CHUNKS = 16  # of a backup of 1 GiB
IN_FLIGHT = (
    "creating",
    "deleting",
    "downloading",
    "extending",
    "backing-up",
    "restoring-backup",
    "restoring",
)


class Play:
    """One run of a play; what it prints is read as it comes."""

    def __init__(self, inventory: Path, *arguments: str, play: str = "upgrade.yml") -> None:
        self._heard: dict[str, Callable[[], None]] = {}
        self._lines: list[str] = []
        self.errors: list[BaseException] = []
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        self._process = subprocess.Popen(
            [*command, str(ROOT / "ansible" / play), *arguments],
            cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def when(self, words: str, do: Callable[[], None]) -> Play:
        """Do this once, as soon as the play says so."""
        self._heard[words] = do
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            for words in [words for words in self._heard if words in line]:
                try:
                    self._heard.pop(words)()
                except BaseException as error:  # noqa: BLE001 - raised by end() in the test's own thread
                    self.errors.append(error)

    def end(self, limit: float = 300) -> Play:
        """Wait for its end; what it printed is in ``output``."""
        try:
            self.code = self._process.wait(limit)
        finally:
            self._process.kill()
            self._reader.join()
            self.output = "".join(self._lines)
            print(self.output)
        assert not self._heard, f"the play never said {', '.join(self._heard)}"
        if self.errors:
            raise self.errors[0]
        return self

    @property
    def changed(self) -> int:
        """How many tasks changed something, as the recap has it."""
        return sum(int(number) for number in re.findall(r"changed=(\d+)", self.output))


def settle(stack: Stack) -> None:
    """No operation of an earlier test is left: rows of work that died are waited for in vain."""
    states = "', '".join(IN_FLIGHT)
    for table in ("volumes", "snapshots", "backups"):
        stack.mariadb.execute(
            f"UPDATE {table} SET status = 'error' WHERE deleted = 0 AND status IN ('{states}')",  # noqa: S608
            database="cinder",
        )
    stack.mariadb.execute("DELETE FROM workers WHERE resource_type <> 'SENTINEL'", database="cinder")


@pytest.fixture(scope="module")
def site(any_stack: Stack) -> Iterator[Stack]:
    """The stack on eventlet with its own containers, before and after."""
    any_stack.up(mode="eventlet")
    any_stack.clear_pauses()
    settle(any_stack)
    yield any_stack
    any_stack.clear_pauses()
    any_stack.mariadb.execute(
        "UPDATE services SET disabled = 0, disabled_reason = NULL WHERE deleted = 0", database="cinder"
    )
    for name in (f"{one}.failed" for one in CINDER):
        for container in any_stack.client.containers.list(all=True, filters={"name": f"^/{name}$"}):
            container.remove(force=True, v=True)
    any_stack.up()


@pytest.fixture(scope="module")
def to_next(site: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as it should be after the upgrade."""
    image = upgrades.cinder_image(site.client, "next")
    return upgrades.write_inventory(site, tmp_path_factory.mktemp("site") / "next.json", image)


class Load:
    """Operations of each kind, and what should become of them."""

    def __init__(self, stack: Stack) -> None:
        self.api, self.stack = stack.api, stack
        self.expected: dict[tuple[str, str], str] = {}
        self.kinds: list[str] = []
        volumes = {
            what: self.api.create_volume(1, what)["id"]
            for what in ("extend", "snapshot", "clone", "backup", "restore")
        }
        for volume in volumes.values():
            self.api.wait_status("volume", volume, "available")
        self.volumes = volumes
        self.backup = self.api.create_backup(volumes["restore"])["id"]
        self.api.wait_status("backup", self.backup, "available")
        for operation in ("volume_create", "volume_extend", "volume_clone", "snapshot_create"):
            stack.set_pause(operation, SECONDS)
        for operation in ("backup_chunk", "restore_chunk"):
            stack.set_pause(operation, SECONDS / CHUNKS)

    def volume_work(self) -> None:
        """What cinder-volume does, the create through the scheduler."""
        print("pauses", self.stack.pauses(), time.strftime("%X"))
        self._expect("volume", self.api.create_volume(1, "created")["id"])
        self.api.extend_volume(self.volumes["extend"], 2)
        self._expect("volume", self.volumes["extend"])
        self._expect("snapshot", self.api.create_snapshot(self.volumes["snapshot"])["id"])
        self._expect("volume", self.api.create_volume(1, "cloned", source_volid=self.volumes["clone"])["id"])
        self.kinds += ["volume_create", "volume_extend", "snapshot_create"]

    def backup_work(self) -> None:
        """What cinder-backup does."""
        self._expect("backup", self.api.create_backup(self.volumes["backup"])["id"])
        self.api.restore_backup(self.backup, self.volumes["restore"])
        self._expect("backup", self.backup)
        self._expect("volume", self.volumes["restore"])
        self._expect("volume", self.volumes["backup"])
        self.kinds += ["backup_create", "backup_restore"]

    def _expect(self, resource: str, resource_id: str) -> None:
        self.expected[(resource, resource_id)] = "available"

    def ended(self) -> None:
        """Each ended as it does without an upgrade."""
        for (resource, resource_id), status in self.expected.items():
            self.api.wait_status(resource, resource_id, status)
        assert self.api.get("volume", self.volumes["extend"])["size"] == 2


class Recorder(recorder.Recorder):
    """What the engine does with a project's containers while it is open."""

    def __init__(self, client: Any, project: str) -> None:
        super().__init__(client, lambda event: event.name.startswith(f"{project}_"))

    def __enter__(self) -> Recorder:
        return self

    @property
    def kills(self) -> list[tuple[str, str]]:
        return [(event.name, event.signal) for event in self.events if event.action == "kill"]

    @property
    def of_services(self) -> list[recorder.Event]:
        return [event for event in self.events if not event.name.endswith("_one_off")]


def images_of(stack: Stack) -> set[str]:
    return {stack.container(name).attrs["Config"]["Image"] for name in ORDER}


def all_up_and_enabled(stack: Stack | NovaStack) -> bool:
    seen = [(one["binary"], one["state"], one["status"]) for one in stack.api.services()]
    bad = [one for one in seen if one[1:] != ("up", "enabled")]
    assert not bad, bad
    return bool(seen)


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

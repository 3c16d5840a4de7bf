"""A play under load: what it prints as it comes, the work that begins meanwhile, and what the engine does."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from testbed import recorder
from testbed.nova_stack import NovaStack
from testbed.site import SPREAD, Site
from testbed.stack import Stack
from testbed.waiting import wait_until
from tests.support.checks import LEDGER

from .conftest import ROOT, begun, spawning

TERM = "15"  # as the engine's events have it
CINDER_ORDER = ("cinder_scheduler", "cinder_volume", "cinder_backup", "cinder_api")
NOVA_ORDER = ("nova_conductor", "nova_scheduler", "nova_compute", "nova_api")
# What is left of each operation once the stop that has to wait for it has begun.
SECONDS = 15.0
CHUNKS = 16  # of a backup of 1 GiB


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

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Meanwhile the play goes on to no further task; one that is under way ends."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            for words in [words for words in self._heard if words in line]:
                try:
                    self._heard.pop(words)()
                except BaseException as error:  # noqa: BLE001 - raised by end() in the test's own thread
                    self.errors.append(error)

    def end(self, limit: float = 900) -> Play:
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


def with_work(play: Play, on: Stack | NovaStack | Site, service: str, work: Callable[[], None]) -> Play:
    """Have work that is held begin at the service's turn; it goes on once the stop of the service has begun."""
    has_begun = _stop_of(on, service.replace("-", "_"))

    def begin() -> None:
        try:
            with play.suspended():
                work()
            wait_until(has_begun, 600, f"the stop of {service} having begun")
        finally:
            on.go_on()

    return play.when(f"PLAY [{service.partition('-')[0]}, {service}]", begin)


def _stop_of(on: Stack | NovaStack | Site, name: str) -> Callable[[], bool]:
    """Whether a stop of what has this name now has made its entry; of a site, on the one host that has it."""
    if not isinstance(on, Site):
        container = on.container(name)
        return lambda: begun(container)
    (place,) = SPREAD[name]
    host = on.hosts[place]
    with contextlib.closing(host.engine) as engine:
        entry = LEDGER / f"{engine.containers.get(name).id}.json"
    return lambda: host.run("cat", str(entry)) != ""


class CinderLoad:
    """Operations of each kind, each of which takes so many seconds, and what should become of them."""

    def __init__(self, stack: Stack | Site, seconds: float = SECONDS) -> None:
        self.api, self.stack = stack.api, stack
        self.expected: dict[tuple[str, str], str] = {}
        names = ("extend", "snapshot", "clone", "backup", "restore")
        self.volumes = {what: self.api.create_volume(1, what)["id"] for what in names}
        for volume in self.volumes.values():
            self.api.wait_status("volume", volume, "available", timeout=300)
        self.backup = self.api.create_backup(self.volumes["restore"])["id"]
        self.api.wait_status("backup", self.backup, "available", timeout=300)
        for operation in ("volume_create", "volume_extend", "volume_clone", "snapshot_create"):
            stack.set_pause(operation, seconds)
        for operation in ("backup_chunk", "restore_chunk"):
            stack.set_pause(operation, seconds / CHUNKS)

    def volume_work(self) -> None:
        """What cinder-volume does, the create through the scheduler; held until ``go_on``."""
        self.stack.hold()
        self._expect("volume", self.api.create_volume(1, "created")["id"])
        self.api.extend_volume(self.volumes["extend"], 2)
        self._expect("volume", self.volumes["extend"])
        self._expect("snapshot", self.api.create_snapshot(self.volumes["snapshot"])["id"])
        self._expect("volume", self.api.create_volume(1, "cloned", source_volid=self.volumes["clone"])["id"])

    def backup_work(self) -> None:
        """What cinder-backup does; held until ``go_on``."""
        self.stack.hold()
        self._expect("backup", self.api.create_backup(self.volumes["backup"])["id"])
        self.api.restore_backup(self.backup, self.volumes["restore"])
        self._expect("backup", self.backup)
        self._expect("volume", self.volumes["restore"])
        self._expect("volume", self.volumes["backup"])

    def _expect(self, resource: str, resource_id: str) -> None:
        self.expected[(resource, resource_id)] = "available"

    def ended(self) -> None:
        """Each ended as it does without an upgrade."""
        for (resource, resource_id), status in self.expected.items():
            self.api.wait_status(resource, resource_id, status)
        assert self.api.get("volume", self.volumes["extend"])["size"] == 2


class NovaLoad:
    """Instances that are asked for while the play goes on, and made once it waits for them."""

    def __init__(self, nova: NovaStack) -> None:
        self.nova = nova
        self.servers: list[str] = []

    def spawn(self) -> None:
        """One more, held until ``go_on``."""
        self.servers.append(spawning(self.nova, SECONDS))

    def during(self, play: Play) -> Play:
        """Have nova-conductor's turn wait for one of them, and the stop of nova-compute for another."""

        def spawn() -> None:
            with play.suspended():
                self.spawn()

        play.when("TASK [kolla_drain : nova-status upgrade check]", spawn)
        play.when("RETRYING: ", self.nova.go_on)
        return with_work(play, self.nova, "nova-compute", self.spawn)


class Recorder(recorder.Recorder):
    """What the engine does with a project's containers while it is open."""

    def __init__(self, client: Any, project: str) -> None:
        super().__init__(client, lambda event: event.name.startswith(f"{project}_"))

    def __enter__(self) -> Recorder:
        return self

    @property
    def kills(self) -> list[tuple[str, str]]:
        return [(event.name, event.signal) for event in self.events if event.action == "kill"]


def images_of(on: Stack | NovaStack, names: Iterable[str]) -> set[str]:
    """Those of the containers of these names."""
    return {on.container(name).attrs["Config"]["Image"] for name in names}


def all_up_and_enabled(stack: Stack | NovaStack | Site) -> bool:
    """Every service; else AssertionError with those that are not."""
    seen = [(one["binary"], one["state"], one["status"]) for one in stack.api.services()]
    bad = [one for one in seen if one[1:] != ("up", "enabled")]
    assert not bad, bad
    return bool(seen)

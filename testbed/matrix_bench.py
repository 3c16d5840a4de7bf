"""Volumes of known content and slow operations in flight, for the rows of the matrix."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from testbed import containers
from testbed.lanes import Lane
from testbed.matrix_terms import GONE, VOLUME, Operation, State
from testbed.paths import CINDER_DIR
from testbed.stack import Stack
from testbed.waiting import wait_until

GIB = 1024**3
CHUNKS = 16  # of a backup of 1 GiB
BLOCK = 64 * 1024
MIB = 1024**2
# Places of a volume's content: its first and last bytes, and an odd offset at which no large copy starts.
OFFSETS = (0, 300 * MIB + 7, GIB - MIB)
POLL = 0.4


class Bench:
    """A lane, and how long its operations take."""

    def __init__(self, stack: Stack, lane: Lane, seconds: float) -> None:
        self.stack, self.lane, self.seconds = stack, lane, seconds
        self._paused: list[Container] = []
        self.api = stack.api
        self.first, self.second = lane.backends
        self._begun = time.time()

    # -- things with known content

    def volumes(self, number: int) -> list[str]:
        """Create volumes of 1 GiB with content on the first backend; return their ids."""
        made = [str(self.api.create_volume(1, "matrix", backend=self.first)["id"]) for _ in range(number)]
        for volume in made:
            self.api.wait_status("volume", volume, "available")
            fill(self.file_of(volume))
        return made

    def snapshot(self, volume: str) -> str:
        snapshot = str(self.api.create_snapshot(volume)["id"])
        self.api.wait_status("snapshot", snapshot, "available")
        return snapshot

    def backup(self, volume: str) -> str:
        backup = str(self.api.create_backup(volume)["id"])
        self.api.wait_status("backup", backup, "available")
        return backup

    def file_of(self, volume: str, backend: str | None = None) -> Path:
        """Return the volume's file, whose name is not the volume's id once it was migrated."""
        found = self.api.get("volume", volume)
        backend = backend or self._backend(found)
        name = found.get("os-vol-mig-status-attr:name_id") or volume
        return self.folder(backend) / f"volume-{name}"

    def host_of(self, volume: str) -> str:
        """Return host@backend#pool of a volume."""
        return str(self.api.get("volume", volume).get("os-vol-host-attr:host"))

    @staticmethod
    def _backend(volume: dict[str, Any]) -> str:
        host = str(volume.get("os-vol-host-attr:host") or "")
        return host.partition("@")[2].partition("#")[0]

    def folder(self, backend: str | None = None) -> Path:
        """Return the folder of a backend's volumes and snapshots."""
        return CINDER_DIR / "volumes" / (backend or self.first)

    def snapshot_file(self, snapshot: str) -> Path:
        return self.folder() / f"snapshot-{snapshot}"

    def backup_files(self, backup: str) -> list[Path]:
        """Return the chunks of a backup, in order."""
        return sorted(
            file
            for file in (CINDER_DIR / "backup").rglob(f"*_backup_{backup}-*")
            if re.search(r"-\d{5}$", file.name)
        )

    # -- slow operations, in flight

    def slow(self, operation: str, share: float = 1.0) -> None:
        """Make the operation take as long as the matrix wants, counted from ``go_on``."""
        self._begun = time.time() - 1
        self.lane.hold()
        self.lane.set_pause(operation, self.seconds * share)

    def pause(self, of: str) -> None:
        """Pause a service's container; what is asked of it waits until half of an operation's time after ``go_on``."""
        container = self.lane.container(of)
        containers.pause(container)
        self._paused.append(container)

    def go_on(self) -> None:
        """Let the operations in flight take their time."""
        self.lane.go_on()
        while self._paused:
            time.sleep(self.seconds / 2)
            self._paused.pop().unpause()

    def begun(self, operation: str, resource: str, of: str = VOLUME) -> None:
        """Wait until the service has begun the operation: its driver logs it before it pauses."""
        self.logged(rf"testbed: {operation} of \S*{resource}\S* takes", of)

    def logged(self, words: str, of: str = VOLUME) -> None:
        """Wait until the service has logged these words since the operations were made slow."""
        container = self.lane.container(of)

        def seen() -> bool:
            log = container.logs(since=int(self._begun)).decode(errors="replace")
            return bool(re.search(words, log))

        wait_until(seen, 180, f"{container.name} saying {words!r}", interval=POLL)

    # -- the end

    def available(self, volume: str, size: int = 1, content: str | None = None) -> str:
        """Return what is wrong with a volume that should exist, with this content if one is given."""
        found = self.api.get("volume", volume)
        if found["size"] != size:
            return f"the row says {found['size']} GiB and not {size}"
        file = self.file_of(volume)
        if not file.exists():
            return f"its file is not in {file.parent.name}"
        if file.stat().st_size != size * GIB:
            return f"its file has {file.stat().st_size} bytes"
        if content is not None and content_of([file]) != content:
            return "its content is another"
        return ""

    def waits_for_the_volume(self, backup: str) -> None:
        """Wait until cinder-backup has named its driver in the row: then it asks cinder-volume for the device."""
        question = "SELECT service FROM backups WHERE id = %s"

        def named() -> bool:
            return bool(self.stack.mariadb.execute(question, (backup,), "cinder")[0][0])

        wait_until(named, 180, f"backup {backup} asking for its volume", interval=POLL)

    def clean(self) -> None:
        """Remove all rows and files of the cell before."""
        self.go_on()
        self.lane.clear_pauses()
        ours = tuple(f"{self.lane.host}@{one}%" for one in (self.first, self.second))
        of_type = "volume_type_id IN (SELECT id FROM volume_types WHERE name IN (%s, %s))"
        volumes = f"(SELECT id FROM volumes WHERE host LIKE %s OR host LIKE %s OR {of_type})"
        named = (*ours, self.first, self.second)
        run = self.stack.mariadb.execute
        gone = "deleted = 1, status = 'deleted', deleted_at = UTC_TIMESTAMP()"
        for table in ("snapshots", "backups"):
            run(f"UPDATE {table} SET {gone} WHERE deleted = 0 AND volume_id IN {volumes}", named, "cinder")
        run(
            f"DELETE FROM workers WHERE resource_type <> 'SENTINEL' AND (resource_id IN {volumes}"
            f" OR resource_id IN (SELECT id FROM snapshots WHERE volume_id IN {volumes}))",
            named * 2,
            "cinder",
        )
        run(
            f"UPDATE volumes SET {gone} WHERE deleted = 0 AND (host LIKE %s OR host LIKE %s OR {of_type})",
            named,
            "cinder",
        )
        for (backup,) in run(f"SELECT id FROM backups WHERE volume_id IN {volumes}", named, "cinder"):
            for file in (CINDER_DIR / "backup").rglob(f"*_backup_{backup}*"):
                file.unlink(missing_ok=True)
        for folder in (self.folder(self.first), self.folder(self.second)):
            for file in folder.glob("*-*"):
                file.unlink(missing_ok=True)


def fill(file: Path) -> str:
    """Write a MiB of random bytes at each of OFFSETS; return the file's checksum."""
    with open(file, "r+b") as stream:
        for offset in OFFSETS:
            stream.seek(offset)
            stream.write(secrets.token_bytes(MIB))
    return content_of([file])


def content_of(files: Iterable[Path]) -> str:
    """Return a checksum of the files' contents, one after the other; holes are not read."""
    digest, start = hashlib.sha256(), 0
    nothing = bytes(BLOCK)
    for file in files:
        with open(file, "rb") as stream:
            size, offset = os.fstat(stream.fileno()).st_size, 0
            while offset < size:
                offset = _next_data(stream.fileno(), offset, size)
                block = os.pread(stream.fileno(), BLOCK, offset)
                if block != nothing[: len(block)]:
                    digest.update(f"{start + offset}:".encode() + block.rstrip(b"\0"))
                offset += BLOCK
        start += size
    return digest.hexdigest()


def _next_data(descriptor: int, offset: int, size: int) -> int:
    """Return the block of the next byte that is not in a hole."""
    try:
        found = os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError:  # ENXIO: nothing but a hole up to the end
        return size
    return found - found % BLOCK


def gone(what: str, resource: str, resource_id: str, file: Path, **more: Any) -> Operation:
    """Return the operation that ends when the resource and its file are gone."""
    check = lambda: f"{file.name} is still there" if file.exists() else ""  # noqa: E731
    return Operation(what, (State(resource, resource_id, GONE),), check, **more)

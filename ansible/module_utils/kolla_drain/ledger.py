"""What was sent to which process, on the managed host, so that no process is signalled twice.

One small file a container under /run, which a reboot empties with the processes it speaks of. An
entry names the process life (container id and StartedAt), when its stop began, its deadline, and
when its signal was about to be sent and was sent, in seconds on the boot clock. The entry is
written before the signal and again after it; a run that died in between leaves an intent, and the
next one asks the engine's events what came of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from .errors import LedgerError
from .model import Container

FOLDER = "/run/kolla-drain"

# A run holds the lock for one engine call at the most; longer means that it hangs. Seconds.
LOCK_WAIT = 30.0


@dataclass(frozen=True)
class Entry:
    """One stop under way. Times are seconds on the boot clock but for ``intent_wall``."""

    container_id: str
    name: str
    started_at: str
    begun: float
    deadline: float
    signal: str
    intent: float | None = None  # the signal was about to be sent
    intent_wall: float | None = None  # the same on the wall clock, to be found in the engine's events
    signalled: float | None = None  # the engine took it

    @property
    def life(self) -> tuple[str, str]:
        """The process life that this entry speaks of."""
        return (self.container_id, self.started_at)


def boot_clock() -> float:
    """Seconds since the boot, counting on while the host is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Ledger:
    """The entries of one host. Raises LedgerError when they cannot be kept."""

    def __init__(
        self,
        folder: str = FOLDER,
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._wall = wall

    def begin(self, container: Container, timeout: float, signal: str) -> tuple[Entry, bool]:
        """Open or join the stop of this process life; true when it was under way already.

        A stop under way keeps its deadline unless this one asks for a longer ``timeout`` (seconds,
        counted from the same start). A deadline that has passed gives way to a new budget, but what
        was signalled stays signalled.
        """
        now = self._clock()
        with self.held(container.id):
            old = self.read(container.id)
            if old is None or old.life != container.life:
                entry = Entry(container.id, container.name, container.started_at, now, now + timeout, signal)
                joined = False
            elif old.deadline > now:
                entry, joined = replace(old, deadline=max(old.deadline, old.begun + timeout)), True
            else:
                entry, joined = replace(old, begun=now, deadline=now + timeout), old.intent is not None
            self.write(entry)
        return entry, joined

    def intend(self, entry: Entry) -> Entry:
        """Keep that the signal is about to be sent; to be called with the lock held."""
        entry = replace(entry, intent=self._clock(), intent_wall=self._wall())
        self.write(entry)
        return entry

    def sent(self, entry: Entry) -> Entry:
        """Keep that the engine took the signal; to be called with the lock held."""
        entry = replace(entry, signalled=self._clock())
        self.write(entry)
        return entry

    @contextlib.contextmanager
    def held(self, container_id: str) -> Iterator[None]:
        """Hold the lock of one container. It is freed by the kernel when the run dies."""
        path = self._path(container_id, "lock")
        fd = self._lock(path)
        try:
            yield
        finally:
            os.close(fd)

    def read(self, container_id: str) -> Entry | None:
        """The entry of a container, or None if no stop of it is known."""
        path = self._path(container_id, "json")
        try:
            with open(path, encoding="utf-8") as stream:
                return Entry(**json.load(stream))
        except FileNotFoundError:
            return None
        except PermissionError as exc:
            raise self._unusable(exc) from exc
        except (OSError, ValueError, TypeError) as exc:
            raise LedgerError(
                f"The record of signals {path} cannot be read ({_cause(exc)}); look whether a stop of this container "
                "is under way, then remove the file."
            ) from exc

    def write(self, entry: Entry) -> None:
        """Keep an entry; a reader sees the old one or the new one, whole."""
        path = self._path(entry.container_id, "json")
        try:
            fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as stream:
                json.dump(asdict(entry), stream)
            os.replace(f"{path}.new", path)
        except OSError as exc:
            raise self._unusable(exc) from exc

    def forget(self, container_id: str, life: tuple[str, str]) -> None:
        """Drop the entry of a process life that has ended; the entry of a later life stays."""
        with self.held(container_id):
            entry = self.read(container_id)
            if entry is not None and entry.life == life:
                self._unlink(self._path(container_id, "json"))
                # Under the lock; whoever waits for it sees the change of inode and takes the new one.
                self._unlink(self._path(container_id, "lock"))

    def _path(self, container_id: str, kind: str) -> str:
        return os.path.join(self._folder, f"{container_id}.{kind}")

    def _lock(self, path: str) -> int:
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as exc:
                raise self._unusable(exc) from exc
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(fd, path):
                    return fd
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    raise LedgerError(
                        f"Another run has held {path} for {LOCK_WAIT:g} s; "
                        f"find it (fuser {path}) and end it, then try again."
                    ) from None
                time.sleep(0.02)
            os.close(fd)

    def _unusable(self, exc: OSError) -> LedgerError:
        return LedgerError(
            f"The record of signals under {self._folder} cannot be kept ({_cause(exc)}), so a second signal could not "
            "be ruled out; run with the rights of root (become: true)."
        )

    @staticmethod
    def _unlink(path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _same_file(fd: int, path: str) -> bool:
    try:
        return os.fstat(fd).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False


def _cause(exc: BaseException) -> str:
    return getattr(exc, "strerror", None) or type(exc).__name__

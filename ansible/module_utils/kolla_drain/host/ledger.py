"""What was sent to which process, on the managed host, so that no process is signalled twice.

One small file a container under /run, which a reboot empties with the processes it speaks of. An entry names the
process life (container id and StartedAt), when its stop began, its deadline, and when its signal was about to be sent
and was sent, in seconds on the boot clock. The entry is written before the signal and again after it; a run that died
in between leaves an intent, and the next one asks the engine's events what came of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace

from ..errors import LedgerBusy, LedgerError
from ..model import Container, Entry
from . import files
from .process import lives, myself

FOLDER = "/run/kolla-drain"

_NAMES = tuple(field.name for field in fields(Entry))


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
        self._folder, self._clock, self._wall = folder, clock, wall

    def begin(
        self,
        container: Container,
        timeout: float,
        signal: str,
        since: float | None = None,
        *,
        join: bool = True,
    ) -> tuple[Entry, bool]:
        """Open or join the stop of this process life; true when it was under way already.

        A stop under way keeps its deadline unless this one asks for a longer ``timeout`` (seconds, counted from the
        same start). It is under way when the signal went out, or when a run that waits still lives; runs that died
        before their signal have begun nothing. A deadline that has passed gives way to a new budget, but what was
        signalled stays signalled. In a later life the budget is new, and ends no earlier than that of a run that
        lives. A new budget counts from ``since``, where the lock kept this run out for a while. Without ``join`` the
        record of a stop under way is left as it is. Raises LedgerBusy.
        """
        begun, me = self._clock() if since is None else since, myself()
        new = Entry(
            container.id, container.name, container.started_at, begun, begun + timeout, signal, owners=me
        )
        with self.held(container.id):
            old = self.read(container.id)
            entry, joined = (new, False) if old is None else _join(old, new, self._clock())
            if join or not joined:
                self.write(entry)
        return entry, joined

    def intend(self, entry: Entry) -> Entry:
        """Keep that the signal is about to be sent; to be called with the lock held."""
        entry = replace(entry, intent=self._clock(), intent_wall=self._wall(), sender=myself())
        self.write(entry)
        return entry

    def sent(self, entry: Entry) -> Entry:
        """Keep that the engine took the signal; to be called with the lock held."""
        entry = replace(entry, signalled=self._clock())
        self.write(entry)
        return entry

    @staticmethod
    def on_its_way(entry: Entry) -> bool:
        """Whether another run is about to send the signal, or waits for what came of it."""
        return entry.sender != myself() and lives(entry.sender)

    @staticmethod
    def waited_for(entry: Entry) -> bool:
        """Return whether a run that waits for this stop still lives."""
        return bool(_living(entry.owners))

    @staticmethod
    def shared(entry: Entry) -> bool:
        """Return whether several runs that live wait for this stop."""
        return len(_living(entry.owners)) > 1

    @contextlib.contextmanager
    def held(self, container_id: str) -> Iterator[None]:
        """Hold the lock of one container; it is freed by the kernel when the run dies.

        Does not wait, for others may be waiting for the caller's next look: raises LedgerBusy at once.
        """
        fd = self._lock(self._path(container_id, "lock"))
        try:
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def asking(self, container_id: str, bound: float) -> Iterator[None]:
        """Hold the right to ask a container's processes; waits up to ``bound`` seconds for it. Raises LedgerBusy."""
        path = self._path(container_id, "asking")
        fd = self._lock(path, bound)
        try:
            yield
        finally:
            files.remove(path)  # under the lock, as in forget
            os.close(fd)

    @contextlib.contextmanager
    def exchanging(self, name: str) -> Iterator[None]:
        """Hold a name while its container is replaced; freed by the kernel when the run dies. Raises LedgerBusy."""
        path = self._path(name, "exchange")
        try:
            fd = self._lock(path)
        except LedgerBusy as exc:
            raise LedgerBusy(
                f"Another run is replacing or starting {name} just now; wait for it, then run this again "
                f"(find it with 'fuser {path}')."
            ) from exc
        try:
            yield
        finally:
            files.remove(path)  # under the lock, as in forget
            os.close(fd)

    def read(self, container_id: str) -> Entry | None:
        """The entry of a container, or None if no stop of it is known."""
        path = self._path(container_id, "json")
        try:
            with open(path, encoding="utf-8") as stream:
                known = json.load(stream)
            # A key of another version says nothing to this one.
            return Entry(**{name: known[name] for name in _NAMES if name in known})
        except FileNotFoundError:
            return None
        except PermissionError as exc:
            raise self._unusable(exc) from exc
        except (OSError, ValueError, TypeError) as exc:
            raise LedgerError(
                f"The record of signals {path} cannot be read ({_cause(exc)}); look whether a stop of this container "
                "is under way, then remove the file."
            ) from exc

    def signals(self, container: Container) -> bool:
        """Return whether a run has signalled this process life, or was about to. Raises LedgerError."""
        entry = self.read(container.id)
        return entry is not None and entry.life == container.life and entry.intent is not None

    def write(self, entry: Entry) -> None:
        """Keep an entry; a reader sees the old one or the new one, whole."""
        try:
            files.write(self._path(entry.container_id, "json"), json.dumps(asdict(entry)))
        except OSError as exc:
            raise self._unusable(exc) from exc

    def forget(self, container_id: str, life: tuple[str, str]) -> None:
        """Drop the entry of a process life that has ended; the entry of a later life stays."""
        with self.held(container_id):
            entry = self.read(container_id)
            if entry is not None and entry.life == life:
                files.remove(self._path(container_id, "json"))
                # Under the lock; whoever has it open sees the change of inode and takes the new one.
                files.remove(self._path(container_id, "lock"))

    def sweep(self, exists: Callable[[str], bool]) -> None:
        """Drop the entries of containers that are gone; one that is in use is left alone."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                container_id, _, kind = name.partition(".")
                if kind in ("json", "json.new", "lock") and not exists(container_id):
                    with contextlib.suppress(LedgerBusy), self.held(container_id):
                        files.remove(self._path(container_id, "json"))
                        files.remove(self._path(container_id, "lock"))

    def _path(self, container_id: str, kind: str) -> str:
        return os.path.join(self._folder, f"{container_id}.{kind}")

    def _lock(self, path: str, bound: float = 0.0) -> int:
        try:
            return files.lock(path, bound)
        except files.Busy:
            raise LedgerBusy(
                f"Another run holds {path} and does not let go of it; find it (fuser {path}) and end it, then try "
                "again."
            ) from None
        except OSError as exc:
            raise self._unusable(exc) from exc

    def _unusable(self, exc: OSError) -> LedgerError:
        return LedgerError(
            f"The record of signals under {self._folder} cannot be kept ({_cause(exc)}), so a second signal could not "
            "be ruled out; put that right, or run with the rights of root (become: true)."
        )


def _join(old: Entry, new: Entry, now: float) -> tuple[Entry, bool]:
    """What a new stop finds, and what becomes of both; true when it joins the old one."""
    living, same_life = _living(old.owners), old.life == new.life
    old = old if same_life else old.in_life(new.started_at)
    signalled = old.intent is not None
    owners = "\n".join(dict.fromkeys([*living, new.owners]))
    if old.deadline > now and same_life and (signalled or living):
        longer = old.begun + new.deadline - new.begun
        return replace(old, deadline=max(old.deadline, longer), owners=owners), True
    entry = replace(
        new,
        deadline=max(new.deadline, old.deadline) if living else new.deadline,
        owners=owners,
        signal=old.signal if signalled else new.signal,
        intent=old.intent,
        intent_wall=old.intent_wall,
        signalled=old.signalled,
        sender=old.sender,
    )
    return entry, signalled and same_life


def _living(owners: str) -> list[str]:
    return [owner for owner in owners.splitlines() if lives(owner)]


def _cause(exc: BaseException) -> str:
    return getattr(exc, "strerror", None) or type(exc).__name__

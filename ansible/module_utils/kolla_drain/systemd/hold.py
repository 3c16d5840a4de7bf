"""Holds systemd units still while their containers are drained, and lets go of them whatever becomes of the run.

A held unit neither starts its container again nor cuts or signals it, whatever its file says: a drop-in under /run sees
to that. Each run that holds a unit keeps a record of itself beside; the last one that lets go takes the drop-in
away. A transient unit waits for the end of the run's process and lets go in its place where that was killed. Each
step can be done again, in the order that a death between any two of them leaves nothing that nobody would undo.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..errors import UnitError
from ..host.process import lives
from .systemctl import Systemctl

DROP_INS = "/run/systemd/system"
RECORDS = "/run/kolla-drain/units"

# Drop-ins count in the order of their names; this one is to be the last.
DROP_IN = "zzzz-kolla-drain-hold.conf"

# `docker start -a` passes every signal on to the container, so a stop through systemd must not send one that means
# anything there. Whatever code the container ends with, its unit has not failed. One that has no process to wait for
# (RemainAfterExit) runs its ExecStopPost as soon as it is told to stop, and that is often another stop by the engine.
_CODES = " ".join(str(code) for code in range(1, 256))
HOLD = f"""\
# kolla-drain drains this unit's container. This file goes when that is done, or when the run that does it ends.
[Service]
Restart=no
RestartForceExitStatus=
RemainAfterExit=no
ExecStop=
ExecStopPost=
KillMode=process
KillSignal=SIGCONT
RestartKillSignal=SIGCONT
SendSIGHUP=no
SendSIGKILL=no
TimeoutStopSec=infinity
RuntimeMaxSec=infinity
SuccessExitStatus={_CODES} SIGHUP SIGINT SIGQUIT SIGPIPE SIGKILL SIGTERM
"""

# A lock is held for a reload of systemd at the most; one that is held for longer, in seconds, hangs.
LOCK_BOUND = 120.0


class Holds:
    """The held units of this host. Calls raise UnitError."""

    def __init__(self, ctl: Systemctl, drop_ins: str = DROP_INS, records: str = RECORDS) -> None:
        self._ctl, self._drop_ins, self._records = ctl, drop_ins, records

    def hold(self, units: Sequence[str], owner: str) -> None:
        """Hold these units for the process ``owner``, which somebody watches."""
        with self._locked():
            for unit in units:
                self._write(os.path.join(self._records, unit), owner.replace(" ", "-"), "")
                self._write(os.path.join(self._drop_ins, f"{unit}.d"), DROP_IN, HOLD)
            self._ctl("daemon-reload")

    def release(self, owner: str, units: Iterable[str] | None = None) -> None:
        """Let go of these units, or of all that this process holds; what others hold stays held."""
        with self._locked():
            mine = set(self._held() if units is None else units)
            self._drop(lambda unit, holder: (unit in mine and holder == owner) or not lives(holder))

    def take_over(
        self, owner: str, heir: str, wanted: Callable[[Sequence[str]], Sequence[str]]
    ) -> Sequence[str]:
        """Go on holding, for ``heir``, what this process held that has ended and what nobody else does that lives.

        Returns those of them that are ``wanted``; of several heirs one gets them.
        """
        with self._locked():
            units = [
                unit
                for unit, holders in self._held().items()
                if owner in holders and not any(map(lives, holders))
            ]
            taken = wanted(units)
            for unit in taken:
                self._write(os.path.join(self._records, unit), heir.replace(" ", "-"), "")
        return taken

    def sweep(self) -> None:
        """Let go of what processes hold that are gone, should their watcher be gone, too."""
        if not self._held():  # most runs find nothing, and need no lock for that
            return
        with self._locked():
            self._drop(lambda unit, holder: not lives(holder))

    def _drop(self, gone: Callable[[str, str], bool]) -> None:
        held = self._held()
        leaving = {
            unit: [holder for holder in holders if gone(unit, holder)] for unit, holders in held.items()
        }
        free = [unit for unit, holders in held.items() if len(leaving[unit]) == len(holders)]
        for unit in free:
            self._remove(os.path.join(self._drop_ins, f"{unit}.d"), DROP_IN)
        if free:
            self._ctl("daemon-reload")
        # Last of all: a run that dies before has not let go, and its watcher does all of it again.
        for unit, holders in leaving.items():
            for holder in holders:
                self._remove(os.path.join(self._records, unit), holder.replace(" ", "-"))
            if not holders:
                self._remove(os.path.join(self._records, unit), "")

    def _held(self) -> dict[str, list[str]]:
        """Who holds what; a folder without records is of a run that died early."""
        held: dict[str, list[str]] = {}
        for unit in _listed(self._records):
            if unit.endswith(".service"):
                names = _listed(os.path.join(self._records, unit))
                held[unit] = [name.replace("-", " ") for name in names]
        return held

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + LOCK_BOUND
        path = os.path.join(self._records, "lock")
        try:
            os.makedirs(self._records, mode=0o700, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise _unusable(path, exc) from exc
        try:
            while not _try_lock(fd):
                if time.monotonic() > deadline:
                    raise UnitError(
                        f"Another run holds {path} and does not let go of it; find it (fuser {path}) and end it, then "
                        "try again."
                    )
                time.sleep(0.05)
            yield
        finally:
            os.close(fd)

    @staticmethod
    def _write(folder: str, name: str, text: str) -> None:
        path = os.path.join(folder, name)
        try:
            os.makedirs(folder, mode=0o755, exist_ok=True)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as exc:
            raise _unusable(path, exc) from exc

    @staticmethod
    def _remove(folder: str, name: str) -> None:
        """Remove a file, and its folder if nothing else is in there."""
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if name:
                os.unlink(os.path.join(folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise _unusable(folder, exc) from exc


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unusable(path: str, exc: OSError) -> UnitError:
    return UnitError(
        f"{path} cannot be used ({exc.strerror}), so a unit cannot be kept from starting its container again; run "
        "with the rights of root (become: true)."
    )

"""Hold systemd units still while their containers are drained, and let go of them whatever becomes of the run.

A held unit neither starts its container again nor signals it, whatever its file says: a drop-in under /run sees to
that. Each run that holds a unit keeps a record of itself beside it, and the last one to let go removes the drop-in. If
the run is killed, a transient unit that waits for the end of its process lets go in its place. Every step can be
repeated, and the steps are in an order in which a death between any two of them leaves nothing that nobody undoes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

from ..errors import UnitError
from ..host import files
from ..host.process import lives
from .systemctl import Systemctl

DROP_INS = "/run/systemd/system"
RECORDS = "/run/kolla-drain/units"

# systemd reads drop-ins in the order of their names, and the last one counts.
DROP_IN = "zzzz-kolla-drain-hold.conf"

# `docker start -a` passes every signal on to the container, so a stop through systemd must not send one that means
# anything there. Whatever the container's exit code, the unit has not failed. A unit that stays active without a
# process (RemainAfterExit) would run its ExecStopPost as soon as it is told to stop, and that often runs another stop.
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

# Seconds after which a holder of the lock counts as hung: it holds it for a reload of systemd at most.
LOCK_BOUND = 120.0


class Holds:
    """The held units of this host. Every call raises UnitError."""

    def __init__(self, ctl: Systemctl, drop_ins: str = DROP_INS, records: str = RECORDS) -> None:
        self._ctl, self._drop_ins, self._records = ctl, drop_ins, records

    def hold(self, units: Sequence[str], owner: str) -> None:
        """Hold these units for the process ``owner``, which somebody watches already."""
        with self._locked():
            for unit in units:
                record, drop_in = self._record(unit, owner), self._drop_in(unit)
                with _usable(record):
                    files.write(record, "")
                with _usable(drop_in):
                    files.write(drop_in, HOLD, 0o644, 0o755)
            self._ctl("daemon-reload")

    def release(self, owner: str, units: Sequence[str] | None = None) -> None:
        """Let go of these units, or of all that the process holds; units that others hold stay held."""
        self._drop(
            lambda unit, holder: (holder == owner and (units is None or unit in units)) or not lives(holder)
        )

    def sweep(self) -> None:
        """Let go of what dead processes hold, in case their watchers are dead, too."""
        if self._held():  # most runs find nothing, and need no lock for that
            self._drop(lambda _, holder: not lives(holder))

    def _drop(self, gone: Callable[[str, str], bool]) -> None:
        with self._locked():
            held = self._held()
            leaving = {
                unit: [holder for holder in holders if gone(unit, holder)] for unit, holders in held.items()
            }
            free = [unit for unit, holders in held.items() if leaving[unit] == holders]
            for unit in free:
                files.remove_with_folder(self._drop_in(unit))
            if free:
                self._ctl("daemon-reload")
            # The records last: a run that dies before has not let go, and its watcher does all of it again.
            for unit, holders in leaving.items():
                for holder in holders or ["none"]:  # a run that died early leaves an empty folder
                    files.remove_with_folder(self._record(unit, holder))

    def _held(self) -> dict[str, list[str]]:
        """Return the holders of each unit; none for the folder of a run that died before it wrote its record."""
        return {
            unit: [name.replace("-", " ") for name in _listed(os.path.join(self._records, unit))]
            for unit in _listed(self._records)
            if unit.endswith(".service")
        }

    def _record(self, unit: str, owner: str) -> str:
        return os.path.join(self._records, unit, owner.replace(" ", "-"))

    def _drop_in(self, unit: str) -> str:
        return os.path.join(self._drop_ins, f"{unit}.d", DROP_IN)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        path = os.path.join(self._records, "lock")
        try:
            with _usable(path):
                fd = files.lock(path, LOCK_BOUND)
        except files.Busy:
            raise UnitError(
                f"Another run holds {path} and does not let go of it; find it (fuser {path}) and end it, then try "
                "again."
            ) from None
        try:
            yield
        finally:
            os.close(fd)


def _listed(folder: str) -> list[str]:
    with _usable(folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(os.listdir(folder))
    return []


@contextlib.contextmanager
def _usable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UnitError(
            f"{path} cannot be used ({exc.strerror}), so a unit cannot be kept from starting its container again; see "
            "to that, or run with the rights of root (become: true)."
        ) from exc

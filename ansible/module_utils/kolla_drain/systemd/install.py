"""The files of the units that own Kolla's containers: written, limited by a drop-in, and removed."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnitError
from ..host import files
from ..kolla import unit_name
from .unit_file import SLICE, SLICE_DROP_IN, WANTS, Author, Definition, author
from .units import Units

FOLDER = "/etc/systemd/system"
_DROP_IN = "kolla-drain.conf"
_OURS = re.compile(unit_name(".+"))


@dataclass(frozen=True)
class Change:
    """A unit's file before and after it was written or removed."""

    before: str = ""
    after: str = ""
    note: str = ""  # why the file was left alone, or what else there is to know
    writes: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # texts by path; without a text it is removed

    @property
    def changed(self) -> bool:
        """Whether the file is another one now."""
        return self.before != self.after


def definition(
    container: str, engine: str, options: Mapping[str, Any], timeout: float, window: int
) -> Definition | None:
    """Return the unit that these options of a container ask for; None when its policy starts nothing again.

    ``timeout`` and ``window`` are in seconds, as in Definition.
    """
    policy = options.get("restart_policy")
    if policy in (None, "no", "oneshot"):
        return None
    retries = options.get("restart_retries")
    program = shutil.which(engine) or f"/usr/bin/{engine}"
    retries = 10 if retries is None else int(retries)
    return Definition(container, engine, program, str(policy), math.ceil(timeout), retries, window)


class UnitFiles:
    """The unit files of this host; ``units`` are the same units at run time. Every call raises UnitError."""

    def __init__(self, units: Units | None = None, folder: str = FOLDER) -> None:
        self._units, self._folder = units or Units(), folder

    @property
    def booted(self) -> bool:
        """Whether systemd is the host's PID 1; where it is not, no unit is written."""
        return self._units.booted

    # --- wanted

    def planned(self, wanted: Definition) -> Change:
        """Return the change that ``ensure`` would make."""
        unit = unit_name(wanted.container)
        path, limit = self._path(unit), self._drop_in(unit)
        text, beside = _read(path), _read(limit) or ""
        if text is None and os.path.islink(path):
            return Change(note=f"{unit} is masked and was left so.")
        if text is None:
            there = self._units.of(wanted.container)
            if there is not None and there.path and os.path.dirname(there.path) != self._folder:
                return Change(
                    note=f"{unit} is {there.path}, which is not kolla_docker's to write; it was left."
                )
        whose, old = Author.KOLLA_DRAIN if text is None else author(text), text or ""
        if whose is Author.OPERATOR:
            return Change(
                old,
                old,
                f"{path} was written or changed by hand and was left as it is; remove it to have kolla_docker write "
                f"it, or put changes into a drop-in (systemctl edit {unit}).",
            )
        by_hand = bool(beside) and author(beside) is not Author.KOLLA_DRAIN
        note = f"{limit} was changed by hand and was left as it is." if by_hand else ""
        if whose is Author.KOLLA_ANSIBLE:
            # Their file itself stays, because kolla-ansible restarts a container whose file differs.
            new = beside if by_hand else wanted.render_limit(old)
            return Change(beside, new, note, {limit: new} if beside != new else {})
        new, stale = wanted.render(), "" if by_hand else beside
        # A drop-in of ours dates from when kolla-ansible's file was there, and would override this one.
        writes = {**({path: new} if text != new else {}), **({limit: ""} if stale else {})}
        return Change(old + stale, new, note, writes)

    def ensure(self, wanted: Definition) -> Change:
        """Write the container's unit, or give another's unit time enough for a stop. Nothing is restarted."""
        change, units = self.planned(wanted), [unit_name(wanted.container)]
        path = self._path(units[0])
        if path in change.writes and _read(path) is None:
            self._enable(units[0])
        for path, text in change.writes.items():
            _write(path, text) if text else files.remove_with_folder(path)
        if wanted.engine == "podman":
            units.append(SLICE)
            if _read(self._drop_in(SLICE)) is None:
                _write(self._drop_in(SLICE), SLICE_DROP_IN)
        if change.writes or self._unread(units):
            self._units.ctl("daemon-reload")
        return change

    def _enable(self, unit: str) -> None:
        """Do what ``systemctl enable`` does, but before there is a file.

        A run that dies in between leaves a link to nothing, and not a unit that looks as if its operator disabled it.
        """
        link = os.path.join(self._folder, WANTS, unit)
        with _writable(link):
            files.make_folder(os.path.dirname(link), 0o755)
            with contextlib.suppress(FileExistsError):
                os.symlink(self._path(unit), link)

    def _unread(self, units: Sequence[str]) -> bool:
        """Return whether systemd has not read the files yet, as after a run that died before its reload."""
        printed = self._units.ctl("show", "--property", "LoadState,NeedDaemonReload", "--", *units)
        return "NeedDaemonReload=yes" in printed or "LoadState=not-found" in printed.split("\n\n")[0]

    # --- not wanted any more

    def removable(self, container: str) -> bool:
        """Return whether there is a file that ``remove`` would remove."""
        return self.booted and _read(self._path(unit_name(container))) is not None

    def remove(self, containers: Iterable[str]) -> dict[str, str]:
        """Disable and remove the units of containers that are gone; return notes by container, of those with a unit."""
        there = [container for container in containers if self.removable(container)]
        # A unit that was about to start its container would try so without its file, and stay as failed.
        for unit in self._units.look(there).values():
            if not unit.at_rest:
                self._units.settle(unit, lambda: True)
        notes = dict.fromkeys(there, "")
        for container in there:
            path = self._path(unit_name(container))
            if author(_read(path) or "") is Author.OPERATOR:
                notes[container] = f"{path}, which was written or changed by hand, was removed."
        if there:
            self._delete(there)
        for container in there:
            with contextlib.suppress(UnitError):
                self._units.ctl("reset-failed", "--", unit_name(container))
        return notes

    def _delete(self, containers: Sequence[str]) -> None:
        for unit in map(unit_name, containers):
            self._units.ctl("disable", "--quiet", "--", unit)
            files.remove(self._path(unit))
            files.remove_with_folder(self._drop_in(unit))
        if not any(_OURS.fullmatch(name) for name in os.listdir(self._folder)):
            files.remove_with_folder(self._drop_in(SLICE))
        self._units.ctl("daemon-reload")

    def unwanted(self, container: str) -> Change:
        """Return the change that ``withdraw`` would make."""
        text = _read(self._path(unit_name(container)))
        if text is not None and author(text) is Author.KOLLA_DRAIN:
            return Change(text, "")
        unit = self._units.of(container)
        if unit is None or not unit.usable:
            return Change()
        return Change(
            note=f"{container} is to be left where it ends (restart_policy), and its unit {unit.path or unit.name}, "
            f"which kolla_docker did not write, was left; 'systemctl disable {unit.name}' and remove it if it is not "
            "wanted any more."
        )

    def withdraw(self, container: str) -> Change:
        """Remove the unit of a container that is to have none any more; nothing happens to the container.

        If it runs, its unit's process ends with it and starts nothing.
        """
        change = self.unwanted(container)
        if change.changed:
            self._delete([container])
        return change

    # --- paths

    def _path(self, unit: str) -> str:
        return os.path.join(self._folder, unit)

    def _drop_in(self, unit: str) -> str:
        return os.path.join(self._folder, f"{unit}.d", _DROP_IN)


def _read(path: str) -> str | None:
    """Return the text of a regular file; None when there is none, and for the link of a masked unit."""
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def _write(path: str, text: str) -> None:
    with _writable(path):
        files.write(path, text, 0o644, 0o755)


@contextlib.contextmanager
def _writable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UnitError(
            f"{path} cannot be written ({exc.strerror}); run with the rights of root (become: true)."
        ) from exc

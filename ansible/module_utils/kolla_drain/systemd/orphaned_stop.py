"""Sees a stop through that systemd was asked for while a run held the unit, once that run is dead.

A unit that is held only waits when it is told to stop (systemctl stop, a reboot): its run signals the container, in
its own time. If the run dies before, nobody would; the unit, let go of, would wait for its own time-out and fail, and
a reboot would go on to the engine, which kills. So its watcher does what the unit's file says, once, and lets go when
that is done. A container that a run has signalled, or may have, is not signalled again: it is waited for.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import KollaDrainError, LedgerBusy
from ..host.ledger import FOLDER, Entry, Ledger, boot_clock
from ..kolla import container_name
from .systemctl import Run, Systemctl
from .unit_file import MARGIN, engines_stop, grace

# After its container's end a unit ends at once; it is waited for so long, in seconds.
_SETTLE = 15.0
_LOOK = 0.5
_TRIES = 10


@dataclass(frozen=True)
class Stops:
    """Stops of held units that nobody sees to any more."""

    ctl: Systemctl
    ledger: Ledger = field(default_factory=Ledger)
    folder: str = FOLDER  # the ledger's
    run: Run = subprocess.run
    clock: Callable[[], float] = boot_clock
    wait: Callable[[float], None] = time.sleep

    def under_way(self, units: Sequence[str]) -> list[str]:
        """Those of them that systemd was told to stop. Raises UnitError."""
        if not units:
            return []
        shown = self.ctl("show", "--property", "ActiveState", "--", *units).strip().split("\n\n")
        return [unit for unit, state in zip(units, shown) if state.strip() == "ActiveState=deactivating"]

    def see_through(self, units: Sequence[str]) -> None:
        """Return when they are at rest, or when there is nothing more to wait for."""
        threads = [threading.Thread(target=self._one, args=(unit,)) for unit in units]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _one(self, unit: str) -> None:
        try:
            until = self._stop(unit)
            while self.clock() < until and self.under_way([unit]):
                self.wait(_LOOK)
        except LedgerBusy:
            print(
                f"{unit} was told to stop, which is left to the run that is at its container.",
                file=sys.stderr,
            )
        except (KollaDrainError, OSError, subprocess.SubprocessError) as exc:
            print(f"{unit} was told to stop, and its container could not be: {exc}", file=sys.stderr)

    def _stop(self, unit: str) -> float:
        """Do what its file says where nobody has signalled the container; returns until when to wait, boot clock."""
        command, entry = self._command(unit), self._entry(container_name(unit))
        if entry is None:  # no run came so far that it could have signalled it
            return self._run(command)
        with self._held(entry.container_id):
            entry = self.ledger.read(entry.container_id) or entry
            if entry.intent is not None:
                return entry.deadline
            if not command:
                return self.clock()
            self.ledger.intend(entry)
        until = self._run(command)
        with contextlib.suppress(KollaDrainError):  # its process life is over: a later run sweeps the entry
            self.ledger.forget(entry.container_id, entry.life)
        return until

    @contextlib.contextmanager
    def _held(self, container_id: str) -> Iterator[None]:
        """The ledger's lock, which a run holds for moments only. Raises LedgerBusy."""
        with contextlib.ExitStack() as stack:
            for last in (*[False] * _TRIES, True):
                try:
                    stack.enter_context(self.ledger.held(container_id))
                    break
                except LedgerBusy:
                    if last:
                        raise
                    self.wait(_LOOK)
            yield

    def _run(self, command: Sequence[str]) -> float:
        if not command:
            return self.clock()
        seconds = grace(" ".join(command)) or 0
        self.run(command, check=True, capture_output=True, text=True, timeout=seconds + MARGIN)
        return self.clock() + _SETTLE

    def _command(self, unit: str) -> list[str]:
        """The engine's stop in the unit's file and drop-ins; the hold, which shows none, is no file of the unit's."""
        shown = self.ctl("show", "--property", "FragmentPath,DropInPaths", "--", unit)
        said = dict(line.partition("=")[::2] for line in shown.strip().splitlines())
        paths = [said.get("FragmentPath", ""), *said.get("DropInPaths", "").split()]
        texts = []
        for path in paths:
            if path and not path.startswith("/run/"):
                with open(path, encoding="utf-8", errors="replace") as stream:
                    texts.append(stream.read())
        return engines_stop(texts, container_name(unit))

    def _entry(self, container: str) -> Entry | None:
        """What is known of a stop of the container of this name, signalled or not."""
        try:
            ids = [one.partition(".")[0] for one in os.listdir(self.folder) if one.endswith(".json")]
        except FileNotFoundError:
            return None
        entries = [entry for entry in map(self.ledger.read, sorted(ids)) if entry is not None]
        theirs = [entry for entry in entries if entry.name == container]
        # One of an earlier container of this name may be left: the one that tells of a signal counts.
        return max(theirs, key=lambda entry: (entry.intent is not None, entry.begun), default=None)

"""See a stop through that systemd was told to do while a run held the unit, once that run has died.

A held unit only waits when it is told to stop (systemctl stop, a reboot), because its run stops the container. If the
run dies before, nobody does: the unit, let go of, would wait for its own time-out and fail, and a reboot would go on to
the engine, which kills. So the watcher of the dead run does what the unit's file says, once. A container that the run
has signalled, or may have, is not signalled again: it is waited for.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..errors import KollaDrainError, LedgerBusy
from ..host.ledger import FOLDER, Ledger, boot_clock
from ..kolla import container_name
from ..model import Entry
from .systemctl import Run, Systemctl
from .unit_file import MARGIN, engines_stop, grace

# Seconds that a unit is waited for after its container's end, which ends it at once.
_SETTLE = 15.0
_LOOK = 0.5
_TRIES = 10


@dataclass(frozen=True)
class OrphanedStops:
    """Stops of held units whose run is dead. ``folder`` is the ledger's; ``clock`` is the boot clock."""

    ctl: Systemctl
    ledger: Ledger = field(default_factory=Ledger)
    folder: str = FOLDER
    run: Run = subprocess.run
    clock: Callable[[], float] = boot_clock
    wait: Callable[[float], None] = time.sleep

    def under_way(self, units: Sequence[str]) -> list[str]:
        """Return those units that systemd was told to stop. Raises UnitError."""
        if not units:
            return []
        shown = self.ctl("show", "--property", "ActiveState", "--", *units).strip().split("\n\n")
        return [unit for unit, state in zip(units, shown) if state.strip() == "ActiveState=deactivating"]

    def see_through(self, units: Sequence[str]) -> None:
        """Stop the containers of these units, and return when the units are at rest or nothing is left to wait for."""
        with ThreadPoolExecutor(len(units)) as pool:
            list(pool.map(self._see_through, units))

    def _see_through(self, unit: str) -> None:
        try:
            until = self._stop_when_free(unit)
            while self.clock() < until and self.under_way([unit]):
                self.wait(_LOOK)
        except LedgerBusy:
            print(
                f"{unit} was told to stop; that is left to the run that has its container.", file=sys.stderr
            )
        except (KollaDrainError, OSError, subprocess.SubprocessError) as exc:
            print(f"{unit} was told to stop, and its container could not be: {exc}", file=sys.stderr)

    def _stop_when_free(self, unit: str) -> float:
        for _ in range(_TRIES):
            with contextlib.suppress(LedgerBusy):  # a run locks a container's entry for moments only
                return self._stop(unit)
            self.wait(_LOOK)
        return self._stop(unit)

    def _stop(self, unit: str) -> float:
        """Run the stop of the unit's file, unless a run signalled the container. Return until when to wait."""
        command, entry = self._command(unit), self._entry(container_name(unit))
        if entry is not None:  # else no run came far enough to signal it
            with self.ledger.held(entry.container_id):
                entry = self.ledger.read(entry.container_id) or entry
                if entry.intent is not None:
                    return entry.deadline
                if command:
                    self.ledger.intend(entry)
        if not command:
            return self.clock()
        limit = (grace(" ".join(command)) or 0) + MARGIN
        self.run(command, check=True, capture_output=True, text=True, timeout=limit)
        if entry is not None:
            with contextlib.suppress(
                KollaDrainError
            ):  # this process life is over: a later run sweeps the entry
                self.ledger.forget(entry.container_id, entry.life)
        return self.clock() + _SETTLE

    def _command(self, unit: str) -> list[str]:
        """Return the engine's stop in the unit's file and drop-ins, without those under /run, such as the hold."""
        shown = self.ctl("show", "--property", "FragmentPath,DropInPaths", "--", unit)
        properties = dict(line.partition("=")[::2] for line in shown.strip().splitlines())
        paths = [properties.get("FragmentPath", ""), *properties.get("DropInPaths", "").split()]
        texts = []
        for path in paths:
            if path and not path.startswith("/run/"):
                with open(path, encoding="utf-8", errors="replace") as stream:
                    texts.append(stream.read())
        return engines_stop(texts, container_name(unit))

    def _entry(self, container: str) -> Entry | None:
        """Return the ledger's entry of the container of this name."""
        try:
            ids = [name.partition(".")[0] for name in os.listdir(self.folder) if name.endswith(".json")]
        except FileNotFoundError:
            return None
        entries = [entry for entry in map(self.ledger.read, sorted(ids)) if entry is not None]
        # An entry of an earlier container of this name may be left: the one with a signal counts.
        theirs = [entry for entry in entries if entry.name == container]
        return max(theirs, key=lambda entry: (entry.intent is not None, entry.begun), default=None)

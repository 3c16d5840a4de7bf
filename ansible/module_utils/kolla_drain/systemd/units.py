"""The systemd units that own Kolla's containers, while something is done with these: looked at, held, settled, started.

A host whose PID 1 is not systemd has no units, and nothing here does anything there. A systemd that does not answer is
an error, because what it would do with a container is then not known.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import EngineError, EngineUnreachable, SystemdSilent, UnitError
from ..host.process import myself
from ..kolla import unit_name
from ..model import Container
from .hold import DROP_IN, Holds
from .systemctl import PATIENCE, Systemctl, no_answer
from .unit import PROPERTIES, Unit, unit_of
from .watcher import watch

# Its presence says that systemd is the host's PID 1 (sd_booted(3)).
BOOTED = "/run/systemd/system"

# Seconds after its container's end in which a unit ends by itself; one that hangs on is then helped.
SETTLE = 15.0
_LOOK = 0.1

# Names of this process that are watched already: one at most, and another one after a fork.
_watched: set[str] = set()
_watching = threading.Lock()


@dataclass
class Hold:
    """Units that are held, and what they were before."""

    units: Mapping[str, Unit] = field(default_factory=dict)  # by container; held or not
    names: tuple[str, ...] = ()  # of those that are held
    calmed: bool = False  # one of them was about to start its container, and is not any more


class Units:
    """The units of this host. Every call raises UnitError."""

    def __init__(
        self,
        ctl: Systemctl | None = None,
        booted: str = BOOTED,
        holds: Holds | None = None,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ctl = ctl or Systemctl()
        self.booted = os.path.isdir(booted)
        self._holds = holds or Holds(self.ctl)
        self._wait, self._clock = wait, clock

    # --- looking

    def look(self, containers: Iterable[str]) -> dict[str, Unit]:
        """Return the units of these containers, by container; one without a unit is left out. Raises SystemdSilent."""
        wanted = list(containers)
        if not self.booted or not wanted:
            return {}
        printed = self.ctl("show", "--property", PROPERTIES, "--", *map(unit_name, wanted))
        blocks = printed.strip().split("\n\n")
        if len(blocks) != len(wanted) or not all("ActiveState=" in block for block in blocks):
            raise SystemdSilent(
                no_answer(f"systemctl show reported {printed.count('ActiveState=')} of {len(wanted)} units")
            )
        units = {}
        for container, block in zip(wanted, blocks):  # in the order of the question
            unit = unit_of(container, block)
            # One whose file is gone may still run, and end badly.
            if unit.load != "not-found" or unit.state != "inactive":
                units[container] = unit
        return units

    def of(self, container: str) -> Unit | None:
        """Return the unit of one container, None when it has none."""
        return self.look([container]).get(container)

    def startable(self, container: str) -> Unit | None:
        """Return the unit to start a container through, None when it has none. Raises UnitError if it cannot."""
        unit = self.of(container)
        if unit is None or unit.load == "not-found":
            return None
        if unit.usable:
            return unit
        way = f"be loaded ({unit.error or unit.load}); see 'systemctl status {unit.name}' and put it right"
        if unit.load == "masked":
            way = f"be started, because it is masked; run 'systemctl unmask {unit.name}' if that is no longer meant"
        raise UnitError(f"The unit {unit.name} of {container} cannot {way}.")

    # --- a stop

    def hold(self, containers: Sequence[str]) -> Hold:
        """Keep the units of these containers from touching them until ``lift``. Raises UnitError.

        A unit that was about to start its container again is brought to rest.
        """
        if not self.booted:
            return Hold()
        self._holds.sweep()
        units = self.look(containers)
        names = tuple(unit.name for unit in units.values() if unit.usable and not unit.at_rest)
        if not names:
            return Hold(units)
        owner, hold = myself(), Hold(units, names)
        with _watching:
            if owner not in _watched:
                watch(self.ctl, owner)
                _watched.add(owner)
        try:
            self._holds.hold(names, owner)
            held = self.look(containers)
            self._check_held(names, held)
            # A container may have ended while its unit was not held yet.
            self._calm([unit for unit in held.values() if unit.name in names or not unit.usable])
            hold.calmed = any(unit.waiting for unit in (*units.values(), *held.values()))
        except BaseException:
            self.lift(hold)
            raise
        return hold

    @staticmethod
    def _check_held(names: Sequence[str], units: Mapping[str, Unit]) -> None:
        for unit in units.values():
            overridden = not unit.held or unit.overriding or unit.restart != "no"
            if unit.name in names and unit.usable and overridden:
                others = ", ".join(unit.overriding or unit.drop_ins) or "another drop-in"
                raise UnitError(
                    f"The unit {unit.name} could not be kept from starting its container again, or from cutting its "
                    f"time, because {others} overrides {DROP_IN} under /run; give that file a name that comes before."
                )

    def _calm(self, units: Iterable[Unit]) -> None:
        waiting = [unit for unit in units if unit.waiting]
        deadline = self._clock() + SETTLE
        while waiting:
            # If it has started the container after all, a held unit only waits when it is stopped: the drain goes on.
            self.ctl("stop", "--no-block", "--", *(unit.name for unit in waiting))
            self._wait(_LOOK)
            waiting = [
                unit for unit in self.look(unit.container for unit in waiting).values() if unit.waiting
            ]
            if waiting and self._clock() > deadline:
                raise UnitError(
                    f"The unit {waiting[0].name} starts its container again and again, and could not be stopped; "
                    f"see 'systemctl status {waiting[0].name}'."
                )

    def lift(self, hold: Hold) -> str:
        """Let the units act again. Return why that failed, empty when it did not."""
        if not hold.names:
            return ""
        try:
            self._holds.release(myself(), hold.names)
            return ""
        except UnitError as exc:
            return f"{', '.join(hold.names)} could not be let go of, which is tried again at the end of this run: {exc}"

    def settle(self, unit: Unit, at_rest: Callable[[], bool]) -> Unit | None:
        """Wait until the unit of a stopped container is at rest, and not as failed; return it as it is then.

        ``at_rest`` tells whether the container still is: once it was started again, its unit is left alone.
        """
        begun, killed = self._clock(), False
        while True:
            now = self.of(unit.container)
            if now is None or now.state == "inactive":
                return now
            if now.state == "failed":
                self.ctl("reset-failed", "--", unit.name)
                return self.of(unit.container)
            if not at_rest():
                return now
            spent = self._clock() - begun
            if now.waiting or now.finished:
                self.ctl("stop", "--no-block", "--", unit.name)
            elif spent > SETTLE and not killed:
                # Its container has ended, so what hangs is the engine's client, and the signal reaches nothing else.
                self.ctl("kill", "--signal=SIGKILL", "--", unit.name)
                killed = True
            elif spent > 2 * SETTLE:
                raise UnitError(
                    f"The unit {unit.name} is still {now.state} although {unit.container} has stopped; see 'systemctl "
                    f"status {unit.name}'."
                )
            self._wait(_LOOK)

    # --- a start

    def attach(self, unit: Unit) -> Unit | None:
        """Start the unit of a running container, so that it owns it again; nothing happens to the container."""
        self._begin(unit)
        return self.of(unit.container)

    def _begin(self, unit: Unit, timeout: float = PATIENCE) -> None:
        # A unit that failed often, or was started often, refuses to start until its counter is reset.
        with contextlib.suppress(UnitError):
            self.ctl("reset-failed", "--", unit.name)
        self.ctl("start", "--", unit.name, timeout=timeout)

    def start(
        self, unit: Unit, before: Container, look: Callable[[], Container | None], timeout: float
    ) -> Container:
        """Start a container through its unit; return it once the engine has started it. Raises UnitError."""
        if unit.finished:
            self._end(unit, before, look)
        deadline = self._clock() + timeout
        self._begin(unit, timeout)
        while True:
            shown = self.of(before.name)
            # After its unit, because it may have been started and have ended in between.
            now = _look(before, look)
            if now is not None and (now.life != before.life or now.alive):
                return now
            why = ""
            if now is not None and (shown is None or shown.at_rest or shown.waiting):
                why = f"({shown.result if shown else 'it is gone'})"
            elif self._clock() > deadline:
                why = f"within {timeout:g} s"
            if why:
                raise UnitError(
                    f"Its unit {unit.name} did not start it {why}; see why with 'journalctl -u {unit.name}'."
                )
            self._wait(_LOOK)

    def _end(self, unit: Unit, before: Container, look: Callable[[], Container | None]) -> None:
        """Bring a unit to rest that still counts as active although its container has ended."""

        def at_rest() -> bool:
            now = _look(before, look)
            return now is not None and now.at_rest

        # Held, because its stop would signal the container if somebody starts that just now.
        hold = self.hold([unit.container])
        try:
            self.settle(unit, at_rest)
        finally:
            self.lift(hold)


def _look(before: Container, look: Callable[[], Container | None]) -> Container | None:
    """Return the container, None when the engine does not answer, which the caller's limit bounds."""
    try:
        now = look()
    except EngineUnreachable:
        return None
    if now is None:
        raise EngineError(f"{before.name} was removed by somebody else while it was being started.")
    return now

"""The systemd units that own Kolla's containers: what state they are in, and all that is done with them.

A host whose PID 1 is not systemd has none, and nothing here does anything there. One whose systemd does not answer is
an error, for what it would do with a container is then not known.
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
from .install import _OURS, DROP_IN_FILE, Change, _drop, _Plan, _write, read_rows, unwritten
from .systemctl import Systemctl, no_answer
from .unit import BOOTED, FOLDER, PROPERTIES, Unit, unit_of
from .unit_file import SLICE, SLICE_DROP_IN, WANTS, Author, Definition, author
from .watcher import watch

# After its container's end a unit ends at once; one that hangs on, in seconds, is helped.
SETTLE = 15.0
_LOOK = 0.1

# Processes of which this one knows that somebody lets go for them when they end: itself, or none.
_watched: set[str] = set()
_watching = threading.Lock()


@dataclass
class Hold:
    """Units that are held, and what they were before."""

    units: Mapping[str, Unit] = field(default_factory=dict)  # by container; held or not
    names: tuple[str, ...] = ()  # of those that are held
    calmed: bool = False  # one of them was about to start its container, and is not any more


class Units:
    """The units of this host. Calls raise UnitError."""

    def __init__(
        self,
        ctl: Systemctl | None = None,
        booted: str = BOOTED,
        folder: str = FOLDER,
        holds: Holds | None = None,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ctl = ctl or Systemctl()
        self.booted = os.path.isdir(booted)
        self._folder = folder
        self._holds = holds or Holds(self._ctl)
        self._wait, self._clock = wait, clock

    # --- looking

    def look(self, containers: Iterable[str]) -> dict[str, Unit]:
        """The units of these containers, by container; those that have none are left out. SystemdSilent."""
        wanted = list(containers)
        if not self.booted or not wanted:
            return {}
        printed = self._ctl("show", "--property", ",".join(PROPERTIES), "--", *map(unit_name, wanted))
        blocks = printed.strip().split("\n\n")
        if len(blocks) != len(wanted) or not all("ActiveState=" in block for block in blocks):
            raise SystemdSilent(
                no_answer(f"systemctl show told of {printed.count('ActiveState=')} of {len(wanted)} units")
            )
        found = {}
        for container, block in zip(wanted, blocks):  # in the order of the question
            said: dict[str, str] = {}
            for name, _, value in (line.partition("=") for line in block.strip().splitlines()):
                said[name] = f"{said.get(name, '')} {value}".strip()  # a line for each of several commands
            # One whose file is gone may still run, and end badly.
            if said["LoadState"] != "not-found" or said["ActiveState"] != "inactive":
                found[container] = unit_of(container, said)
        return found

    def of(self, container: str) -> Unit | None:
        """The unit of one container."""
        return self.look([container]).get(container)

    def startable(self, container: str) -> Unit | None:
        """The unit to start a container through, None where it has none. Raises UnitError for one that cannot be."""
        unit = self.of(container)
        if unit is None or unit.load == "not-found":
            return None
        if unit.load == "masked":
            raise UnitError(
                f"The unit {unit.name} is masked, so nobody may start {container}; run 'systemctl unmask {unit.name}' "
                "if that is no longer meant."
            )
        if not unit.usable:
            why = unit.error or unit.load
            raise UnitError(
                f"The unit {unit.name} cannot be loaded ({why}); see 'systemctl status {unit.name}' and put it right."
            )
        return unit

    # --- a stop

    def hold(self, containers: Sequence[str]) -> Hold:
        """See to it that the units of these containers leave them alone, until ``lift``. Raises UnitError.

        One that was about to start its container again is brought to rest.
        """
        if not self.booted:
            return Hold()
        self._holds.sweep()
        units = self.look(containers)
        names = tuple(unit.name for unit in units.values() if unit.usable and not unit.at_rest)
        if not names:
            return Hold(units)
        owner = myself()
        with _watching:
            if owner not in _watched:
                watch(self._ctl, owner)
                _watched.add(owner)
        hold = Hold(units, names)
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
                    f"time, for {others} overrides {DROP_IN} under /run; give that file a name that comes before."
                )

    def _calm(self, units: Iterable[Unit]) -> None:
        waiting = [unit.container for unit in units if unit.waiting]
        deadline = self._clock() + SETTLE
        while waiting:
            # Held, a stop of one that has started it after all only waits for it: the drain goes on.
            self._ctl("stop", "--no-block", "--", *(unit_name(one) for one in waiting))
            self._wait(_LOOK)
            now = self.look(waiting)
            waiting = [one for one in waiting if one in now and now[one].waiting]
            if waiting and self._clock() > deadline:
                raise UnitError(
                    f"The unit {unit_name(waiting[0])} starts its container again and again, and could not be stopped; "
                    f"see 'systemctl status {unit_name(waiting[0])}'."
                )

    def lift(self, hold: Hold) -> str:
        """Let the units act again; why that could not be, empty when it could."""
        if not hold.names:
            return ""
        try:
            self._holds.release(myself(), hold.names)
        except UnitError as exc:
            return f"{', '.join(hold.names)} could not be let go of, which is tried again at the end of this run: {exc}"
        return ""

    def settle(self, unit: Unit, at_rest: Callable[[], bool]) -> Unit | None:
        """See the unit of a container that has stopped come to rest, never as failed; returns it as it is then.

        ``at_rest`` tells whether the container still is; one that was started again meanwhile is let be.
        """
        begun, killed = self._clock(), False
        while True:
            now = self.of(unit.container)
            if now is None or now.state == "inactive":
                return now
            if now.state == "failed":
                self._ctl("reset-failed", "--", unit.name)
                return self.of(unit.container)
            if not at_rest():
                return now
            spent = self._clock() - begun
            if now.waiting or now.finished:
                self._ctl("stop", "--no-block", "--", unit.name)
            elif spent > SETTLE and not killed:
                # It is left without a container: what hangs is the engine's client, and no signal reaches beyond it.
                self._ctl("kill", "--signal=SIGKILL", "--", unit.name)
                killed = True
            elif spent > 2 * SETTLE:
                raise UnitError(
                    f"The unit {unit.name} is still {now.state} although {unit.container} has stopped; see 'systemctl "
                    f"status {unit.name}'."
                )
            self._wait(_LOOK)

    # --- a start

    def attach(self, unit: Unit) -> Unit | None:
        """Start the unit of a container that runs, which then belongs to it again; nothing happens to the container."""
        with contextlib.suppress(UnitError):
            self._ctl("reset-failed", "--", unit.name)
        self._ctl("start", "--", unit.name)
        return self.of(unit.container)

    def start(
        self, unit: Unit, before: Container, look: Callable[[], Container | None], timeout: float
    ) -> Container:
        """Start a container through its unit; returns it as soon as the engine has started it. Raises UnitError."""
        if unit.finished:
            self._end(unit, before, look)
        # A unit that failed often, or was started often, refuses until its count is gone.
        with contextlib.suppress(UnitError):
            self._ctl("reset-failed", "--", unit.name)
        deadline = self._clock() + timeout
        self._ctl("start", "--", unit.name, timeout=timeout)
        while True:
            shown = self.of(before.name)
            # Looked at after its unit: it may have been started and have ended meanwhile.
            now = _look(before, look)
            if now is not None and (now.life != before.life or now.alive):
                return now
            if now is not None and (shown is None or shown.at_rest or shown.waiting):
                why = shown.result if shown else "it is gone"
                raise UnitError(
                    f"Its unit {unit.name} did not start it ({why}); see why with 'journalctl -u {unit.name}'."
                )
            if self._clock() > deadline:
                raise UnitError(
                    f"Its unit {unit.name} did not start it within {timeout:g} s; see why with 'journalctl -u "
                    f"{unit.name}'."
                )
            self._wait(_LOOK)

    def _end(self, unit: Unit, before: Container, look: Callable[[], Container | None]) -> None:
        """Bring to rest one that takes a container which has ended for one that runs."""

        def at_rest() -> bool:
            now = _look(before, look)
            return now is not None and now.at_rest

        # Held, its stop signals nobody, should somebody start the container just now.
        hold = self.hold([unit.container])
        try:
            self.settle(unit, at_rest)
        finally:
            self.lift(hold)

    # --- files

    def planned(self, wanted: Definition) -> Change:
        """What ``ensure`` would do."""
        return self._plan(wanted).change

    def ensure(self, wanted: Definition) -> Change:
        """See to it that a container has its unit, and that this gives a stop time enough. Nothing is restarted."""
        plan = self._plan(wanted)
        known = [unit_name(wanted.container)]
        if plan.new:
            self._enable(known[0])
        for path, text in plan.writes.items():
            _write(path, text)
        if plan.stale:
            _drop(plan.stale)
        if wanted.engine == "podman":
            known.append(SLICE)
            if read_rows(self._slice_path) is None:
                _write(self._slice_path, SLICE_DROP_IN)
        if plan.writes or plan.stale or self._unread(known, ours=plan.ours):
            self._ctl("daemon-reload")
        return plan.change

    def _enable(self, unit: str) -> None:
        """What ``systemctl enable`` does, which takes none whose file is not there yet.

        A run that dies between the two leaves a link to nothing, and the next one writes a new file; the other way
        round it would leave a unit that looks like one that its operator has disabled.
        """
        link = os.path.join(self._folder, WANTS, unit)
        try:
            os.makedirs(os.path.dirname(link), mode=0o755, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.symlink(os.path.join(self._folder, unit), link)
        except OSError as exc:
            raise unwritten(link, exc) from exc

    def _unread(self, units: Sequence[str], *, ours: bool) -> bool:
        """Whether systemd does not know yet what lies there, as after a run that died before its reload."""
        wanted = units if ours else units[1:]
        if not wanted:
            return False
        printed = self._ctl("show", "--property", "LoadState,NeedDaemonReload", "--", *wanted)
        return "NeedDaemonReload=yes" in printed or (
            ours and "LoadState=not-found" in printed.split("\n\n")[0]
        )

    @property
    def _slice_path(self) -> str:
        return os.path.join(self._folder, f"{SLICE}.d", DROP_IN_FILE)

    def _plan(self, wanted: Definition) -> _Plan:
        unit = unit_name(wanted.container)
        path = os.path.join(self._folder, unit)
        text = read_rows(path)
        if os.path.islink(path) and text is None:
            return _Plan(Change(note=f"{unit} is masked and was left so."))
        if text is None:
            found = self.of(wanted.container)
            if found is not None and found.path and os.path.dirname(found.path) != self._folder:
                return _Plan(
                    Change(note=f"{unit} is {found.path}, which is not kolla_docker's to write; it was left.")
                )
            return self._plan_own(wanted, path, None)
        whose = author(text)
        if whose is Author.KOLLA_DRAIN:
            return self._plan_own(wanted, path, text)
        if whose is Author.KOLLA_ANSIBLE:
            return self._plan_limit(wanted, text)
        return _Plan(
            Change(
                text,
                text,
                f"{path} was written or changed by hand and was left as it is; remove it to have kolla_docker write "
                f"it, or put changes into a drop-in (systemctl edit {unit}).",
            )
        )

    def _plan_own(self, wanted: Definition, path: str, text: str | None) -> _Plan:
        """A drop-in of ours beside it is from the time when kolla-ansible's file lay there, and would override it."""
        limit, new = self._limit_path(wanted.container), wanted.render()
        beside = read_rows(limit) or ""
        by_hand = bool(beside) and author(beside) is not Author.KOLLA_DRAIN
        note = f"{limit} was changed by hand and was left as it is." if by_hand else ""
        stale = beside if not by_hand else ""
        return _Plan(
            Change((text or "") + stale, new, note),
            writes={path: new} if text != new else {},
            new=text is None,
            stale=limit if stale else "",
            ours=True,
        )

    def _plan_limit(self, wanted: Definition, beside: str) -> _Plan:
        """kolla-ansible compares its file with what it would write, and restarts what differs: it stays as it is."""
        path, new = self._limit_path(wanted.container), wanted.render_limit(beside)
        text = read_rows(path) or ""
        if text and author(text) is not Author.KOLLA_DRAIN:
            return _Plan(Change(text, text, f"{path} was changed by hand and was left as it is."))
        return _Plan(Change(text, new), writes={path: new} if text != new else {}, ours=True)

    def _limit_path(self, container: str) -> str:
        return os.path.join(self._folder, f"{unit_name(container)}.d", DROP_IN_FILE)

    def removable(self, container: str) -> bool:
        """Whether there is a file that ``remove`` would remove."""
        return self.booted and read_rows(os.path.join(self._folder, unit_name(container))) is not None

    def remove(self, containers: Iterable[str]) -> dict[str, str]:
        """Disable and remove the units of containers that are gone; notes by container, of those that had one."""
        there = [one for one in containers if self.removable(one)]
        # One that was about to start its container would be tried again without its file, and stay there as failed.
        for unit in self.look(there).values():
            if not unit.at_rest:
                self.settle(unit, lambda: True)
        notes = {}
        for container in there:
            path = os.path.join(self._folder, unit_name(container))
            by_hand = author(read_rows(path) or "") is Author.OPERATOR
            notes[container] = (
                f"{path}, which was written or changed by hand, was removed." if by_hand else ""
            )
        self._delete(there)
        for container in there:
            with contextlib.suppress(UnitError):
                self._ctl("reset-failed", "--", unit_name(container))
        return notes

    def _delete(self, containers: Sequence[str]) -> None:
        for container in containers:
            unit = unit_name(container)
            self._ctl("disable", "--quiet", "--", unit)
            for file in (os.path.join(self._folder, unit), self._limit_path(container)):
                _drop(file)
        if containers:
            if not any(_OURS.fullmatch(name) for name in os.listdir(self._folder)):
                _drop(self._slice_path)
            self._ctl("daemon-reload")

    def unwanted(self, container: str) -> Change:
        """What ``withdraw`` would do."""
        path = os.path.join(self._folder, unit_name(container))
        text = read_rows(path)
        if text is not None and author(text) is Author.KOLLA_DRAIN:
            return Change(text, "")
        found = self.of(container)
        if found is None or not found.usable:
            return Change()
        return Change(
            note=f"{container} is to be left where it ends (restart_policy), and its unit {found.path or found.name}, "
            f"which kolla_docker did not write, was left; 'systemctl disable {found.name}' and remove it if it is not "
            "wanted any more."
        )

    def withdraw(self, container: str) -> Change:
        """Remove the unit of a container that is to have none any more; nothing happens to the container.

        Where it runs, what is left of its unit ends with it and starts nothing.
        """
        change = self.unwanted(container)
        if change.changed:
            self._delete([container])
        return change


def _look(before: Container, look: Callable[[], Container | None]) -> Container | None:
    """The container; None where the engine does not answer, which the caller's limit bounds."""
    try:
        now = look()
    except EngineUnreachable:
        return None
    if now is None:
        raise EngineError(f"{before.name} was removed by somebody else while it was being started.")
    return now

"""The systemd units that own Kolla's containers: what state they are in, and all that is done with them.

A host whose PID 1 is not systemd has none, and nothing here does anything there. One whose systemd does not answer is
an error, for what it would do with a container is then not known.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import EngineError, EngineUnreachable, SystemdSilent, UnitError
from .model import Container
from .processes import myself
from .systemctl import Systemctl, no_answer, parse_time_span
from .unit_file import SLICE, SLICE_DROP_IN, WANTS, Author, Definition, author, grace, unit_name
from .unit_hold import DROP_IN, Holds, watch

# Its presence says that systemd is the host's PID 1 (sd_booted(3)).
BOOTED = "/run/systemd/system"
FOLDER = "/etc/systemd/system"
DROP_IN_FILE = "kolla-drain.conf"
_OURS = re.compile(unit_name(".+"))
# A command as ``systemctl show`` prints it.
_COMMAND = re.compile(r"argv\[\]=(.*?) ;")

# After its container's end a unit ends at once; one that hangs on, in seconds, is helped.
SETTLE = 15.0
_LOOK = 0.1

_PROPERTIES = (
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "TimeoutStopUSec",
    "ExecStop",
    "ExecStopPost",
    "Restart",
    "Result",
)

# Processes of which this one knows that somebody lets go for them when they end: itself, or none.
_watched: set[str] = set()
_watching = threading.Lock()


@dataclass(frozen=True)
class Unit:
    """One look at a container's unit."""

    name: str
    container: str
    load: str = "loaded"  # not-found, masked, bad-setting, error
    state: str = "inactive"  # ActiveState
    sub: str = ""
    enabled: str = ""
    path: str = ""
    drop_ins: tuple[str, ...] = ()  # without a hold
    # Seconds until a stop by systemd kills: systemd itself, or the engine's stop that it runs; None is infinity.
    stop_timeout: float | None = None
    restart: str = "no"
    result: str = ""
    error: str = ""
    held: bool = False
    overriding: tuple[str, ...] = ()  # drop-ins that come after a hold
    cleans_up: bool = False  # runs something once it has stopped (ExecStopPost)

    @property
    def at_rest(self) -> bool:
        """Whether it does nothing and is about to do nothing."""
        return self.state in ("inactive", "failed")

    @property
    def usable(self) -> bool:
        """Whether its container can be started through it."""
        return self.load == "loaded"

    @property
    def waiting(self) -> bool:
        """Whether it is about to start its container again."""
        return self.sub.startswith("auto-restart")  # auto-restart-queued since systemd 254

    @property
    def finished(self) -> bool:
        """Whether it has no process and counts as active all the same (RemainAfterExit): a start of it does nothing."""
        return self.sub == "exited"

    @property
    def said(self) -> dict[str, Any]:
        """It as the module returns it."""
        return {
            "name": self.name,
            "state": self.state,
            "enabled": self.enabled or self.load,
            "restart": self.restart,
            "stop_timeout": self.stop_timeout,
            "drop_ins": list(self.drop_ins),
            "held": self.held,
        }


@dataclass
class Hold:
    """Units that are held, and what they were before."""

    units: Mapping[str, Unit] = field(default_factory=dict)  # by container; held or not
    names: tuple[str, ...] = ()  # of those that are held
    calmed: bool = False  # one of them was about to start its container, and is not any more


@dataclass(frozen=True)
class Change:
    """What came of writing or removing a unit's file."""

    before: str = ""  # the old file
    after: str = ""
    note: str = ""  # why it was left as it is, or what else there is to know

    @property
    def changed(self) -> bool:
        """Whether the file is another one now."""
        return self.before != self.after


@dataclass(frozen=True)
class _Plan:
    """What becomes of a unit's files, and what is told of it."""

    change: Change
    writes: Mapping[str, str] = field(default_factory=dict)  # texts by path
    new: bool = False  # there was no unit, so it is enabled, too
    stale: str = ""  # a drop-in that goes
    ours: bool = False  # what lies there is ours, so systemd is to know it


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
        printed = self._ctl("show", "--property", ",".join(_PROPERTIES), "--", *map(unit_name, wanted))
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
                found[container] = _unit(container, said)
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
            if _read(self._slice_path) is None:
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
            raise _unwritten(link, exc) from exc

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
        text = _read(path)
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
        beside = _read(limit) or ""
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
        text = _read(path) or ""
        if text and author(text) is not Author.KOLLA_DRAIN:
            return _Plan(Change(text, text, f"{path} was changed by hand and was left as it is."))
        return _Plan(Change(text, new), writes={path: new} if text != new else {}, ours=True)

    def _limit_path(self, container: str) -> str:
        return os.path.join(self._folder, f"{unit_name(container)}.d", DROP_IN_FILE)

    def removable(self, container: str) -> bool:
        """Whether there is a file that ``remove`` would remove."""
        return self.booted and _read(os.path.join(self._folder, unit_name(container))) is not None

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
            by_hand = author(_read(path) or "") is Author.OPERATOR
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
        text = _read(path)
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


def definition(
    container: str, engine: str, options: Mapping[str, Any], timeout: float, window: int
) -> Definition | None:
    """The unit that these options of a container ask for; None where its policy leaves it where it ends."""
    policy = options.get("restart_policy")
    if policy in (None, "no", "oneshot"):
        return None
    retries = options.get("restart_retries")
    program = shutil.which(engine) or f"/usr/bin/{engine}"
    return Definition(
        container,
        engine,
        program,
        str(policy),
        math.ceil(timeout),
        10 if retries is None else int(retries),
        window,
    )


def _look(before: Container, look: Callable[[], Container | None]) -> Container | None:
    """The container; None where the engine does not answer, which the caller's limit bounds."""
    try:
        now = look()
    except EngineUnreachable:
        return None
    if now is None:
        raise EngineError(f"{before.name} was removed by somebody else while it was being started.")
    return now


def _unit(container: str, said: Mapping[str, str]) -> Unit:
    drop_ins = said.get("DropInPaths", "").split()
    held = [place for place, one in enumerate(drop_ins, 1) if os.path.basename(one) == DROP_IN]
    try:
        limit = parse_time_span(said.get("TimeoutStopUSec", "infinity"))
    except ValueError:
        limit = None
    limits = [limit, *map(grace, _COMMAND.findall(said.get("ExecStop", "")))]
    return Unit(
        name=unit_name(container),
        container=container,
        load=said["LoadState"],
        state=said["ActiveState"],
        sub=said.get("SubState", ""),
        enabled=said.get("UnitFileState", ""),
        path=said.get("FragmentPath", ""),
        drop_ins=tuple(one for one in drop_ins if os.path.basename(one) != DROP_IN),
        stop_timeout=min((one for one in limits if one is not None), default=None),
        restart=said.get("Restart", "no"),
        result=said.get("Result", ""),
        error=said.get("LoadError", "").strip('"'),
        held=bool(held),
        overriding=tuple(drop_ins[held[-1] :]) if held else (),
        cleans_up=bool(said.get("ExecStopPost")),
    )


def _read(path: str) -> str | None:
    """The text of a regular file; None where there is none, and for the link of a masked unit."""
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def _drop(path: str) -> None:
    """Remove a file; its folder goes with it, unless that is systemd's own or holds an operator's drop-ins."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if os.path.dirname(path).endswith(".d"):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))


def _write(path: str, text: str) -> None:
    """A reader sees the old file or the new one, whole."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(f"{path}.new", 0o644)
        os.replace(f"{path}.new", path)
    except OSError as exc:
        raise _unwritten(path, exc) from exc


def _unwritten(path: str, exc: OSError) -> UnitError:
    return UnitError(
        f"{path} cannot be written ({exc.strerror}); run with the rights of root (become: true)."
    )

"""Systemd units beside what is done with their containers: held for a stop, brought to rest after it, told, removed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ..engine.port import Engine
from ..errors import KollaDrainError, Refused, UnitError
from ..kolla import unit_name
from ..model import Verdict
from ..systemd.install import Change, UnitFiles, definition
from ..systemd.unit import Unit
from ..systemd.unit_file import Definition
from ..systemd.units import Hold, Units
from .options import Options
from .results import Each


class Owning:
    """The units of some containers in one stop. ``names`` are the containers', in the order of the results."""

    def __init__(self, names: Sequence[str], units: Units | None = None) -> None:
        self._names = list(names)
        self._units = units or Units()
        self._hold = Hold()
        self._left = ""  # why the units could not be let go of

    def refuse_unstartable(self) -> None:
        """Raise Refused for a container that could not be started again."""
        for name in self._names:
            with self._untouched(name):
                self._units.startable(name)

    @contextlib.contextmanager
    def held(self, at_rest: Collection[str]) -> Iterator[bool]:
        """Keep the units from interfering. ``at_rest`` are the containers that were found so before.

        True if they have to be looked at again: the unit of one was about to start it, or may have done so.
        """
        with self._untouched(", ".join(self._names)):
            self._hold = self._units.hold(self._names)
        try:
            yield self._hold.calmed or any(unit_name(one) in self._hold.names for one in at_rest)
        finally:
            self._left = self._units.lift(self._hold)

    def undecided(self, at_rest: Collection[str]) -> bool:
        """Whether the unit of one of these containers still starts it, or has not seen its end yet."""
        units = self._units.look(at_rest).values()
        return any(not unit.at_rest and not unit.finished for unit in units)

    @contextlib.contextmanager
    def _untouched(self, who: str) -> Iterator[None]:
        try:
            yield
        except UnitError as exc:
            raise Refused(f"Nothing was done with {who}: {exc}") from exc

    def warn(self, each_one: Sequence[Each]) -> None:
        """Say what could not be let go of."""
        if self._left and each_one:
            each_one[0].warnings.append(f"{self._left}")

    # --- after a stop

    def settle(self, each_one: Sequence[Each], engine: Engine) -> None:
        """Bring the units of containers that have stopped to rest, and see that the others run on."""
        for name, each in zip(self._names, each_one):
            unit = self._hold.units.get(name)
            if unit is None:
                continue
            try:
                now = self._settled(name, unit, each, engine)
            except KollaDrainError as exc:
                each.warnings.append(str(exc))
                now = unit
            # What its file says is what it said before: a hold overrides it just now.
            gone = {"state": "inactive", "enabled": "not-found"}
            state = {"state": now.state, "enabled": now.enabled or now.load} if now else gone
            each.result["unit"] = {**unit.said, **state, "before": unit.state}

    def _settled(self, name: str, unit: Unit, each: Each, engine: Engine) -> Unit | None:
        absent, stopped = each.container is None, each.result.get("verdict")
        found_at_rest = absent or stopped == Verdict.ALREADY_STOPPED.value
        if found_at_rest and unit.at_rest:
            return unit  # it may have failed, which is for its operator to see
        if found_at_rest:
            each.result["changed"] = True
            each.result["reason"] = (
                f"{each.result.get('reason', '')}, and its unit was brought to rest".lstrip(", ")
            )
        if found_at_rest or each.at_rest:
            now = self._units.settle(unit, lambda: _at_rest(engine, name))
            if now is not None and not now.at_rest:
                each.warnings.append(
                    f"{name} has stopped and runs again, for its unit {now.name} or somebody else has started it "
                    f"since; see who with 'journalctl -u {now.name}', and stop it again."
                )
            elif unit.cleans_up and unit.name in self._hold.names:
                each.warnings.append(
                    f"{name}: the ExecStopPost of its unit {unit.name} was not run, for it could signal a container "
                    "that drains; run it by hand if it is needed after this stop."
                )
            return now
        now = self._units.of(name)
        if now is not None and now.at_rest and not unit.at_rest and now.usable and not _at_rest(engine, name):
            return self._units.attach(now)  # its client ended, say with the engine; the container runs on
        return now

    # --- without a stop

    def tell(self, each_one: Sequence[Each]) -> None:
        """Put into each result what its unit is."""
        try:
            found = self._units.look(self._names)
        except UnitError as exc:
            for name, each in zip(self._names, each_one):
                each.result["unit"] = {"name": unit_name(name), "state": "unknown", "why": str(exc)}
            if each_one:
                each_one[0].warnings.append(str(exc))
            return
        for name, each in zip(self._names, each_one):
            if name in found:
                before = each.result.get("unit", {}).get("before")
                each.result["unit"] = {**found[name].said, **({"before": before} if before else {})}

    def plan(self, each_one: Sequence[Each]) -> None:
        """The same for a stop that is only planned: a unit that is not at rest would be."""
        self.tell(each_one)
        for each in each_one:
            state = each.result.get("unit", {}).get("state", "inactive")
            if state not in ("inactive", "failed", "unknown") and not each.failure:
                each.result["changed"] = True


# --- written


def wanted_unit(options: Options, files: UnitFiles) -> Definition | None:
    """The unit that the container asked for is to have; None where systemd is not there, or has no part in it."""
    if not files.booted or not options.detach:
        return None
    return definition(
        options.names[0],
        options.container_engine,
        options.container,
        options.request.timeout,
        options.client_timeout,
    )


def write_unit(options: Options, files: UnitFiles | None = None) -> Change:
    """See to it that the container asked for has its unit; in check mode tell what would be written. UnitError."""
    files = files or UnitFiles()
    wanted = wanted_unit(options, files)
    if wanted is None:
        return Change()
    return files.planned(wanted) if options.check_mode else files.ensure(wanted)


def withdraw_unit(options: Options, files: UnitFiles | None = None) -> Change:
    """See to it that the container asked for has no unit of ours where its policy asks for none."""
    files = files or UnitFiles()
    if not files.booted or not options.detach or wanted_unit(options, files) is not None:
        return Change()
    name = options.names[0]
    try:
        return files.unwanted(name) if options.check_mode else files.withdraw(name)
    except UnitError as exc:  # its container is as wanted by now, and the result tells of that
        return Change(note=f"The unit of {name}, which is to have none, could not be removed: {exc}")


def note_unit(options: Options, result: dict[str, Any], change: Change) -> dict[str, Any]:
    """Put into a whole result what came of writing the unit, or of removing it."""
    if change.note:
        result["warnings"] = [*result["warnings"], change.note]
    if change.changed:
        name = unit_name(options.names[0])
        diff = {
            "before_header": name,
            "after_header": name,
            "before": change.before,
            "after": change.after,
        }
        result.update(changed=True, diff=[*result["diff"], diff])
        if change.after:
            result["unit_written"] = True
            return result
        for one in (result, *result.get("containers", ())):
            one["unit"] = {**(one.get("unit") or {"name": name}), "removed": True}
    return result


def _at_rest(engine: Engine, name: str) -> bool:
    now = engine.inspect(name)
    return now is None or now.at_rest


def remove_units(options: Options, removed: Sequence[Each], files: UnitFiles | None = None) -> None:
    """Remove the units of containers that were removed, or that were not there to begin with."""
    files = files or UnitFiles()
    by_name = {each.result["name"]: each for each in removed if each.result.get("removed", True)}
    theirs = [name for name in by_name if files.removable(name)]
    try:
        notes: dict[str, str] = dict.fromkeys(theirs, "") if options.check_mode else files.remove(theirs)
    except UnitError as exc:
        for name in theirs:
            by_name[name].warnings.append(f"The unit of {name} could not be removed: {exc}")
        return
    for name, note in notes.items():
        each = by_name[name]
        told: dict[str, Any] = each.result.get("unit") or {"name": unit_name(name)}
        each.result.update(changed=True, unit={**told, "removed": True})
        if note:
            each.warnings.append(note)

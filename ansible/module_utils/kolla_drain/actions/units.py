"""The systemd units of the containers of one call: held during a stop, settled after it, reported, written, removed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from ..engine.port import Engine
from ..errors import KollaDrainError, Refused, UnitError
from ..kolla import unit_name
from ..model import Verdict
from ..systemd.install import Change, UnitFiles, definition
from ..systemd.unit import Unit
from ..systemd.unit_file import Definition
from ..systemd.units import Hold, Units
from .options import Options
from .results import ActionResult, ContainerResult, Diff, UnitReport


class ContainerUnits:
    """The units of some containers. ``names`` are the containers', in the order of the results."""

    def __init__(self, names: Sequence[str], units: Units | None = None) -> None:
        self._names = list(names)
        self._units = units or Units()
        self._hold = Hold()
        self._results: Sequence[ContainerResult] = ()

    def refuse_unstartable(self) -> None:
        """Raise Refused for a container that could not be started again."""
        for name in self._names:
            with self._untouched(name):
                self._units.startable(name)

    @contextlib.contextmanager
    def held(self, at_rest: Collection[str]) -> Iterator[bool]:
        """Hold the units, so that they do not interfere. ``at_rest`` are the containers that were found at rest.

        True if the containers have to be looked at again, because the unit of one was about to start it or may
        have done so.
        """
        with self._untouched(", ".join(self._names)):
            self._hold = self._units.hold(self._names)
        try:
            yield self._hold.calmed or any(unit_name(name) in self._hold.names for name in at_rest)
        finally:
            why_not_released = self._units.lift(self._hold)
        if why_not_released and self._results:
            self._results[0].warnings.append(why_not_released)

    def undecided(self, at_rest: Collection[str]) -> bool:
        """Whether the unit of one of these containers still starts it, or has not seen its end yet."""
        units = self._units.look(at_rest).values()
        return any(not unit.at_rest and not unit.finished for unit in units)

    @contextlib.contextmanager
    def _untouched(self, names: str) -> Iterator[None]:
        try:
            yield
        except UnitError as exc:
            raise Refused(f"Nothing was done with {names}: {exc}") from exc

    # --- after a stop

    def settle(self, results: Sequence[ContainerResult], engine: Engine) -> None:
        """Bring the units of stopped containers to rest, and see that those of the others run on."""
        self._results = results
        for name, result in zip(self._names, results):
            unit = self._hold.units.get(name)
            if unit is None:
                continue
            try:
                now = self._settled(name, unit, result, engine)
            except KollaDrainError as exc:
                result.warnings.append(str(exc))
                now = unit
            # The rest is as before the stop, because the hold overrides what the unit's file says.
            state = (now.state, now.enabled or now.load) if now else ("inactive", "not-found")
            seen = replace(unit, state=state[0], enabled=state[1])
            result.unit = UnitReport(unit.name, seen, before=unit.state)

    def _settled(self, name: str, unit: Unit, result: ContainerResult, engine: Engine) -> Unit | None:
        found_at_rest = result.container is None or (
            result.stop is not None and result.stop.verdict is Verdict.ALREADY_STOPPED
        )
        if found_at_rest and unit.at_rest:
            return unit  # it may have failed, which its operator is to see
        if found_at_rest:
            result.changed = True
            if result.stop is not None:
                reason = f"{result.stop.reason}, and its unit was brought to rest"
                result.stop = replace(result.stop, reason=reason)
        if found_at_rest or result.at_rest:
            return self._brought_to_rest(name, unit, result, engine)
        now = self._units.of(name)
        if now is not None and now.at_rest and not unit.at_rest and now.usable and not _at_rest(engine, name):
            # Its client ended, with the engine for example, and the container runs on.
            return self._units.attach(now)
        return now

    def _brought_to_rest(self, name: str, unit: Unit, result: ContainerResult, engine: Engine) -> Unit | None:
        now = self._units.settle(unit, lambda: _at_rest(engine, name))
        if now is not None and not now.at_rest:
            result.warnings.append(
                f"{name} has stopped and runs again, because its unit {now.name} or somebody else has started it "
                f"since; see who with 'journalctl -u {now.name}', and stop it again."
            )
        elif unit.cleans_up and unit.name in self._hold.names:
            result.warnings.append(
                f"{name}: the ExecStopPost of its unit {unit.name} was not run, because it could signal a container "
                "that drains; run it by hand if it is needed after this stop."
            )
        return now

    # --- without a stop

    def report(self, results: Sequence[ContainerResult]) -> None:
        """Put the state of its unit into each result."""
        try:
            units = self._units.look(self._names)
        except UnitError as exc:
            for name, result in zip(self._names, results):
                result.unit = UnitReport(unit_name(name), unknown=str(exc))
            if results:
                results[0].warnings.append(str(exc))
            return
        for name, result in zip(self._names, results):
            if name in units:
                before = result.unit.before if result.unit else ""
                result.unit = UnitReport(units[name].name, units[name], before=before)


# --- files


def wanted_unit(options: Options, files: UnitFiles) -> Definition | None:
    """Return the unit that the described container is to have.

    None without systemd, for a container that runs once, and where the restart policy asks for no unit.
    """
    if not files.booted or not options.detach:
        return None
    timeout, window = options.request.timeout, options.client_timeout
    return definition(options.name, options.container_engine, options.container, timeout, window)


def write_unit(options: Options, files: UnitFiles | None = None) -> Change:
    """Give the described container its unit; in check mode return what would be written. Raises UnitError."""
    files = files or UnitFiles()
    wanted = wanted_unit(options, files)
    if wanted is None:
        return Change()
    return files.planned(wanted) if options.check_mode else files.ensure(wanted)


def withdraw_unit(options: Options, files: UnitFiles | None = None) -> Change:
    """Remove a unit of ours where the restart policy asks for none; in check mode return what would be removed."""
    files = files or UnitFiles()
    if not files.booted or not options.detach or wanted_unit(options, files) is not None:
        return Change()
    try:
        return files.unwanted(options.name) if options.check_mode else files.withdraw(options.name)
    except UnitError as exc:  # the container is as wanted by now, and the result is about that
        return Change(note=f"The unit of {options.name}, which is to have none, could not be removed: {exc}")


def note_unit(name: str, result: ActionResult, change: Change) -> ActionResult:
    """Put into a result that a container's unit was written or removed."""
    if change.note:
        result.warnings.append(change.note)
    if change.changed:
        result.changed = True
        result.diffs.append(Diff(change.before, change.after, unit_name(name)))
        result.unit_written = True if change.after else result.unit_written
        if not change.after:
            for container in result.containers:
                container.unit = _removed(container.unit, name)
    return result


def remove_units(
    results: Sequence[ContainerResult], *, check_mode: bool, files: UnitFiles | None = None
) -> None:
    """Remove the units of containers that were removed, or that did not exist to begin with."""
    files = files or UnitFiles()
    by_name = {result.name: result for result in results if result.removed is not False}
    removable = [name for name in by_name if files.removable(name)]
    try:
        notes = dict.fromkeys(removable, "") if check_mode else dict(files.remove(removable))
    except UnitError as exc:
        for name in removable:
            by_name[name].warnings.append(f"The unit of {name} could not be removed: {exc}")
        return
    for name, note in notes.items():
        result = by_name[name]
        result.changed, result.unit = True, _removed(result.unit, name)
        if note:
            result.warnings.append(note)


def _removed(report: UnitReport | None, container: str) -> UnitReport:
    return replace(report or UnitReport(unit_name(container)), removed=True)


def _at_rest(engine: Engine, name: str) -> bool:
    container = engine.inspect(name)
    return container is None or container.at_rest

"""The files of the systemd units that a call's containers are to have: written, withdrawn, removed with a container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import UnitError
from ..kolla import unit_name
from ..systemd.install import Change, UnitFiles, definition
from ..systemd.unit_file import Definition
from .options import Options
from .results import ActionResult, ContainerResult, Diff, UnitReport


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

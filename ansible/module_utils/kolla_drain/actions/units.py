"""The systemd units of the containers of one call: held during a stop, settled after it, reported."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from ..engine.port import Engine
from ..errors import KollaDrainError, Refused, UnitError
from ..kolla import unit_name
from ..model import Verdict
from ..systemd.unit import Unit
from ..systemd.units import Hold, Units
from .results import ContainerResult, UnitReport


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


def _at_rest(engine: Engine, name: str) -> bool:
    container = engine.inspect(name)
    return container is None or container.at_rest

"""What a stop would do and what is in flight: for drain_status and for check mode."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..container.spec import ONE_OFF_LABEL, OWN_LABELS
from ..drain.plan import Plan
from ..engine.port import Engine
from ..host.ledger import Ledger
from ..kolla import KOLLA_LABEL, UNIT, UNITS
from ..model import Container, ContainerStatus, Reading, Verdict
from .intent import LOOK_INTO
from .options import Options
from .results import ActionResult, ContainerResult, Forecast, compose
from .survey import Survey, Surveys, survey_all
from .units import ContainerUnits

# Ends of the names that an exchange leaves beside the container that has the name.
_LEFT_ASIDE = (".new", ".old", ".failed")


def status(options: Options, engine: Engine) -> ActionResult:
    """Return the plan for each container, or for all of Kolla's when none is named; nothing is touched."""
    if not options.names:
        options = replace(options, names=kolla_names(engine))
    surveys = survey_all(options, engine, Ledger(), LOOK_INTO)
    planned = [replace(result, changed=False, after="") for result in forecasts(options, surveys)]
    for result in planned:
        if result.forecast is not None:  # no stop was asked for, so there is no verdict
            result.forecast = replace(result.forecast, verdict=None)
    results = surveys.in_order(options, engine, planned, LOOK_INTO)
    ContainerUnits(surveys.names).report(results)
    return compose(results)


def forecasts(options: Options, surveys: Surveys) -> Sequence[ContainerResult]:
    """Read the evidence once and return what a stop would do with each container that exists."""
    readings = surveys.readings()
    return [_forecast(options, one, readings.get(one.container.id)) for one in surveys.existing]


def _forecast(options: Options, surveyed: Survey, reading: Reading | None) -> ContainerResult:
    container, at_rest = surveyed.container, surveyed.container.at_rest
    plan = surveyed.plan if options.graceful_shutdown else _plain_plan(container, options.request.timeout)
    return ContainerResult(
        container.name,
        container.id,
        container,
        changed=not at_rest,
        warnings=[finding.text for finding in surveyed.findings],
        after="" if at_rest else ContainerStatus.EXITED.value,
        forecast=Forecast(
            status=container.status,
            service=surveyed.profile.name,
            plan=None if at_rest else plan,
            draining=surveyed.draining,
            findings=surveyed.findings,
            notes=surveyed.notes,
            reading=reading,
            missing=surveyed.missing,
            verdict=Verdict.ALREADY_STOPPED if at_rest else None,
        ),
    )


def _plain_plan(container: Container, timeout: float) -> Plan:
    why = f"graceful_shutdown is off: the engine's plain stop, SIGKILL after {timeout:g} s whatever is in flight"
    return Plan(plain_signal(container), timeout, 0.0, timeout, why)


def plain_signal(container: Container) -> str:
    """Return the signal that the engine's plain stop sends."""
    return container.stop_signal or "SIGTERM"


# --- all of Kolla's containers


def kolla_names(engine: Engine, units: str = UNITS) -> tuple[str, ...]:
    """Return the names of Kolla's containers and of ours: by their labels, or by the units that own them.

    Containers that run once, and those that an exchange put aside, are left out.
    """
    owned = _owned(units)
    return tuple(
        sorted(
            name
            for name, labels in engine.everything().items()
            if (name in owned or _ours(labels))
            and ONE_OFF_LABEL not in labels
            and not name.endswith(_LEFT_ASIDE)
        )
    )


def _ours(labels: Mapping[str, str]) -> bool:
    return KOLLA_LABEL in labels or any(label.startswith(OWN_LABELS) for label in labels)


def _owned(units: str) -> set[str]:
    try:
        files = os.listdir(units)
    except OSError:  # no systemd here
        return set()
    return {match.group(1) for match in map(UNIT.match, files) if match}

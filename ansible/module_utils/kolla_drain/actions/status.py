"""Which of a host's containers are Kolla's: all of them are meant where none is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..container.spec import ONE_OFF_LABEL, OWN_LABELS
from ..drain.plan import Plan
from ..engine.port import Engine
from ..host.ledger import Ledger
from ..kolla import KOLLA_LABEL, UNIT, UNITS
from ..model import Container, ContainerStatus, Reading, Verdict
from . import report, survey
from .options import Options
from .results import Each, compose
from .survey import Known, in_order, look_at
from .units import Owning

# What an exchange leaves beside the container that bears the name.
_LEFT_ASIDE = (".new", ".old", ".failed")


def kolla_names(engine: Engine, units: str = UNITS) -> tuple[str, ...]:
    """The containers that are Kolla's or ours, by name: by a label, or by the unit that owns them.

    Those that are run once to their end, and those that an exchange put aside, are not among them.
    """
    owned = _owned(units)
    return tuple(
        sorted(
            name
            for name, labels in engine.everything().items()
            if (name in owned or _ours(labels)) and ONE_OFF_LABEL not in labels and not _aside(name)
        )
    )


def _ours(labels: Mapping[str, str]) -> bool:
    return KOLLA_LABEL in labels or any(label.startswith(OWN_LABELS) for label in labels)


def _aside(name: str) -> bool:
    return name.endswith(_LEFT_ASIDE)


def _owned(units: str) -> set[str]:
    try:
        files = os.listdir(units)
    except OSError:  # no systemd here
        return set()
    return {match.group(1) for match in map(UNIT.match, files) if match}


def unit_names(found: Mapping[str, Container | None]) -> list[str]:
    """The names that units go by, in the order of what was asked for; a container may have been asked for by its id."""
    return [name if one is None else one.name for name, one in found.items()]


def own_signal(container: Container) -> str:
    return container.stop_signal or "SIGTERM"


# --- the plan: check mode and drain_status


def status(options: Options, engine: Engine) -> dict[str, Any]:
    if not options.names:
        options = replace(options, names=kolla_names(engine))
    found, known = look_at(options, engine, Ledger())
    readings = survey.readings(known)
    plans = [_plan(options, one, readings.get(one.container.id)) for one in known]
    for each in plans:
        each.result["changed"], each.after = False, ""
    each_one = in_order(options, engine, found, plans, "look into")
    Owning(unit_names(found)).tell(each_one)
    return compose(each_one)


def _plan(options: Options, known: Known, reading: Reading | None) -> Each:
    """What would be done, what is in flight now, and what preflight finds; nothing is touched."""
    container = known.container
    plan = known.plan if options.graceful_shutdown else _plain_plan(known, options.request.timeout)
    result = {
        "name": container.name,
        "id": container.id,
        "changed": not container.at_rest,
        "failed": False,
        "status": container.status.value,
        "draining": known.draining,
        "service": known.profile.name,
        "plan": report.plan(plan),
        "preflight": report.findings(known.findings),
        "notes": report.findings(known.notes),
        **report.reading(reading, known.missing),
    }
    if container.at_rest:
        result["plan"] = {}
        if options.action != "drain_status":
            result["verdict"] = Verdict.ALREADY_STOPPED.value
    after = "" if container.at_rest else ContainerStatus.EXITED.value
    return Each(result, [finding.text for finding in known.findings], container=container, after=after)


def _plain_plan(known: Known, timeout: float) -> Plan:
    why = f"graceful_shutdown is off: the engine's plain stop, SIGKILL after {timeout:g} s whatever is in flight"
    return Plan(own_signal(known.container), timeout, 0.0, timeout, why)

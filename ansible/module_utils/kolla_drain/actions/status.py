"""What a stop would do and what is in flight: for drain_status and for check mode."""

from __future__ import annotations

import os
from dataclasses import replace

from ..container.spec import ONE_OFF_LABEL, OWN_LABELS
from ..engine.port import Engine
from ..host.ledger import Ledger
from ..kolla import KOLLA_LABEL, UNIT, UNITS
from .options import LOOK_INTO, Options
from .results import ActionResult, ContainerResult, compose, in_order
from .survey import Surveys, survey_all
from .units import ContainerUnits

# Ends of the names that an exchange leaves beside the container that has the name.
_LEFT_ASIDE = (".new", ".old", ".failed")


def status(options: Options, engine: Engine) -> ActionResult:
    """Return the plan for each container, or for all of Kolla's when none is named; nothing is touched."""
    options = replace(options, names=options.names or kolla_names(engine))
    surveys = survey_all(options, engine, Ledger(), LOOK_INTO)
    results = in_order(surveys, options, engine, looked_at(surveys), LOOK_INTO)
    ContainerUnits(surveys.names).report(results)
    return compose(results)


def looked_at(surveys: Surveys) -> list[ContainerResult]:
    """Read the evidence once; return what is known of each container that exists."""
    readings = surveys.readings()
    return [
        ContainerResult.of(
            one.container,
            warnings=[finding.text for finding in one.warned_of],
            survey=one,
            reading=readings.get(one.container.id),
        )
        for one in surveys.existing
    ]


def kolla_names(engine: Engine, units: str = UNITS) -> tuple[str, ...]:
    """Return the names of Kolla's containers and of ours: by their labels, or by the units that own them.

    Containers that run once, and those that an exchange put aside, are left out.
    """
    try:
        owned = {match[1] for match in map(UNIT.match, os.listdir(units)) if match}
    except OSError:  # no systemd here
        owned = set()
    return tuple(
        sorted(
            name
            for name, labels in engine.everything().items()
            if (
                name in owned
                or KOLLA_LABEL in labels
                or any(label.startswith(OWN_LABELS) for label in labels)
            )
            and ONE_OFF_LABEL not in labels
            and not name.endswith(_LEFT_ASIDE)
        )
    )

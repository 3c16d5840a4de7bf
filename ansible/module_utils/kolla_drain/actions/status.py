"""What a stop would do and what is in flight: for drain_status and for check mode."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from ..container.spec import ONE_OFF_LABEL, OWN_LABELS
from ..drain import story
from ..drain.result import Event
from ..engine.port import Engine
from ..host.ledger import Ledger, boot_clock
from ..host.stories import Stories
from ..kolla import KOLLA_LABEL, UNIT, UNITS, is_side_container
from ..model import Finding, Reading
from .options import LOOK_INTO, Options
from .results import ActionResult, ContainerResult, compose, in_order
from .survey import Survey, Surveys, survey_all
from .units import ContainerUnits

# Ends of the names that an exchange leaves beside the container that has the name.
_LEFT_ASIDE = (".new", ".old", ".failed")


def status(options: Options, engine: Engine) -> ActionResult:
    """Return the plan for each container, or for all of Kolla's when none is named; nothing is touched."""
    options = replace(options, names=options.names or kolla_names(engine))
    ledger = Ledger()
    surveys = survey_all(options, engine, ledger, LOOK_INTO)
    results = in_order(surveys, options, engine, looked_at(surveys), LOOK_INTO)
    for result in results:
        _recall(result, options.stories, ledger)
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
            notes=tuple(not_serving(one, readings.get(one.container.id))),
        )
        for one in surveys.existing
    ]


def _recall(result: ContainerResult, stories: Stories, ledger: Ledger) -> None:
    """Put into a result what runs have kept of a stop that is under way, or whose end nobody has heard of."""
    container, now = result.container, boot_clock()
    if container is None or result.survey is None:
        return
    kept = stories.of(container.life)
    if container.at_rest:
        outcome = story.past(story.of_its_end(kept)).outcome
        if outcome is not None:
            text = f"{container.name}: {story.said(outcome, now)}; stop it again to have the whole result."
            result.notes += (Finding("result_not_taken", text),)
        return
    entry = ledger.read(container.id)
    if not result.survey.draining or entry is None or entry.life != container.life:
        return
    events = story.past(story.of_this_stop(kept, entry.begun)).events
    result.timeline = tuple(Event(round(at - now, 2), event) for at, _, event in events) or None
    if not ledger.waited_for(entry):
        text = (
            f"{container.name}: no run waits for this stop any more, so nobody is there at its deadline; stop it "
            "again, which joins the stop."
        )
        result.notes += (Finding("not_waited_for", text),)


def not_serving(survey: Survey, reading: Reading | None) -> Iterator[Finding]:
    """Yield what does not serve now, before any stop, so that nobody waits for it after the next start."""
    name, later = survey.container.name, "now, so it is not waited for after a restart or an upgrade either"
    if survey.unhealthy:
        yield Finding("unhealthy", f"{name}: its healthcheck says unhealthy {later}.")
    rows = (
        reading.heartbeats if reading is not None and survey.container.alive and not survey.draining else ()
    )
    silent = [row for row in rows if not row.up]
    for row in silent if len(silent) < len(rows) else ():
        ago = "ever" if row.age is None else _spelt(row.age)
        yield Finding("silent", f"{name}: the heartbeat of {row.host} has been silent for {ago} {later}.")


def _spelt(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def kolla_names(engine: Engine, units: str = UNITS) -> tuple[str, ...]:
    """Return the names of Kolla's containers and of ours: by their labels, or by the units that own them.

    Containers that run once, those that an exchange put aside, and those that another one starts and ends are left out.
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
            and not is_side_container(name)
        )
    )

"""Work of other processes that a start would set to error, where they share the container's row of ``services``.

At its start a cinder-volume takes all that is claimed in its row's name for work that its last life left behind.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

from ..engine.inspected import epoch
from ..errors import KollaDrainError, Refused
from ..model import Container, Heartbeat, Operation, Reading
from ..preflight import checks
from . import survey
from .options import REPLACE, RESTART, STOP, Intent, Options
from .results import ContainerResult
from .sources import evidence_for
from .survey import Surveys

# Seconds for one reading, which makes a restart's gap longer where the database does not answer.
READ = 6.0

# Seconds by which the clocks of the host and of the database may differ, as is usual.
CLOCKS = 5.0


class Siblings(NamedTuple):
    """Other processes that report, or may, in a container's rows, and what they may be working on."""

    hosts: tuple[str, ...] = ()  # of the shared rows
    operations: tuple[Operation, ...] = ()  # that a start sets to error


def siblings(container: Container, reading: Reading | None) -> Siblings:
    """Return what a reading tells of them; a container at rest is none of those that have reported since."""
    shared = tuple(beat.host for beat in reading.heartbeats if _is_shared(container, beat)) if reading else ()
    if reading is None or not shared:
        return Siblings()
    return Siblings(shared, tuple(op for op in reading.operations if op.ended_by_start))


def _is_shared(container: Container, beat: Heartbeat) -> bool:
    if container.at_rest and not beat.up:
        return False
    ended = epoch(container.finished_at) if container.at_rest else 0.0
    reported_since = bool(ended) and beat.age is not None and time.time() - ended > beat.age + CLOCKS
    return reported_since or beat.shared is not False


def told(surveys: Surveys, intent: Intent, preflight: str) -> Surveys:
    """Return the surveys with what preflight finds of siblings, for containers that are or may be started again.

    A stop alone does no harm, so there it is noted, and no fault: kolla-ansible starts again what was stopped here.
    """
    sources = {
        one.container.id: one.source
        for one in surveys.existing
        if one.source is not None and one.source.evidence.PROFILE.start_ends_claims
    }
    if intent not in (STOP, RESTART, REPLACE) or preflight == "off" or not sources:
        return surveys
    readings = survey.read(sources, READ)
    existing = []
    for one in surveys.existing:
        found = siblings(one.container, readings.get(one.container.id))
        findings, notes = checks.before_start(one.container.name, found.hosts, found.operations)
        if not intent.needs_restart:
            findings, notes = (), findings + notes
        existing.append(replace(one, findings=one.findings + findings, notes=one.notes + notes))
    return replace(surveys, existing=tuple(existing))


def before_start(options: Options, container: Container, last: Container) -> Siblings:
    """Return the siblings of a container that is about to be started; none where that cannot be read.

    ``last`` is the one that ran before, the container itself or its predecessor.
    """
    try:
        _, source, _ = evidence_for(options.evidence, container)
    except KollaDrainError:  # what is wrong with it is said by the proof that the container serves
        return Siblings()
    if source is None or not source.evidence.PROFILE.start_ends_claims:
        return Siblings()
    return siblings(last, survey.read({"": source}, READ)[""])


def warn(options: Options, container: Container, result: ContainerResult) -> None:
    """Tell what a start would end, in check mode. Raises Refused for that if preflight is strict."""
    if options.preflight == "off" or not (options.check_mode or options.preflight == "strict"):
        return
    found = before_start(options, container, container)
    findings, _ = checks.before_start(container.name, found.hosts, found.operations)
    if findings and options.preflight == "strict":
        raise Refused(f"Preflight found 1 fault, and nothing was touched: {findings[0].text}")
    if options.check_mode:
        result.warnings += [finding.text for finding in findings]


def count(options: Options, container: Container, last: Container, result: ContainerResult) -> None:
    """Put into the result what of theirs is in flight at the start, which comes next, and warn of it."""
    if not result.evidence_was_read:
        return
    found = before_start(options, container, last)
    stopped = result.stop.endings if result.stop else ()
    own = {ending.operation.key for ending in stopped if not ending.operation.unattributed}
    theirs = tuple(op for op in found.operations if op.key not in own)
    if found.hosts:
        result.unattributed_at_start = theirs
    if theirs:
        result.warnings.append(checks.at_start(container.name, found.hosts, theirs))

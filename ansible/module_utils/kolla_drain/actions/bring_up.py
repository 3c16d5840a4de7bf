"""Starts containers that exist, restarts them, and sees that they serve."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from ..engine.inspected import epoch
from ..engine.port import Engine
from ..errors import EngineUnreachable, KollaDrainError
from ..model import Container, ContainerStatus, Reading
from ..start.readiness import Readiness, await_ready
from ..systemd.units import Units
from . import survey
from .options import Options
from .report import heartbeat
from .results import Each, compose
from .units import Owning


def start_existing(options: Options, engine: Engine, container: Container) -> dict[str, Any]:
    """Let it run: start it, or unpause it; one that runs is left as it is."""
    each = Each(
        {"name": container.name, "id": container.id, "changed": False, "failed": False}, container=container
    )
    if container.status in (ContainerStatus.RUNNING, ContainerStatus.RESTARTING):
        _see_to_unit(options, each, container)
        return compose([each])
    each.result["changed"], each.after = True, ContainerStatus.RUNNING.value
    if not options.check_mode:
        if container.status is ContainerStatus.PAUSED:
            engine.unpause(container.id)
        else:
            run_again(options, engine, container, each)
    return compose([each])


def _see_to_unit(options: Options, each: Each, container: Container) -> None:
    """A container that runs although its unit does not would have nobody who starts it again, nor stops it in time."""
    units = Units()
    unit = units.of(container.name)
    if unit is None:
        return
    each.result["unit"] = unit.said
    if not unit.at_rest or not unit.usable or container.status is not ContainerStatus.RUNNING:
        return
    each.result["changed"], each.after = True, "running under its unit"
    if not options.check_mode:
        now = units.attach(unit)
        each.result["unit"] = {**(now or unit).said, "before": unit.state}


def run_again(
    options: Options,
    engine: Engine,
    container: Container,
    each: Each,
    *,
    evidence_was_read: bool = True,
) -> bool:
    """Start a stopped container and see that it serves; true if it does."""
    name = container.name
    try:
        found = start_and_prove(options, engine, container.id)
    except KollaDrainError as exc:
        each.failure = f"{name} is stopped and could not be started: {exc}"
    else:
        if not note_readiness(each, name, found, evidence_was_read=evidence_was_read):
            each.failure = f"{name} was started and {found.why}; see why with '{engine.command} logs {name}'."
    if each.failure:
        now = engine.inspect(container.id)
        each.result["failed"] = True
        each.after = now.status.value if now else "removed"
    return not each.failure


def start_and_prove(options: Options, engine: Engine, container_id: str) -> Readiness:
    """Start it, through its unit if it has one, and wait until it serves. Raises KollaDrainError."""
    units, before = Units(), engine.inspect(container_id)
    unit = units.startable(before.name) if before is not None else None
    if before is not None and unit is not None:
        since = units.start(unit, before, lambda: engine.inspect(container_id), options.client_timeout)
        return prove(options, engine, container_id, since=since)
    # It may have been started although no answer came: the proof tells.
    with contextlib.suppress(EngineUnreachable):
        engine.start(container_id)
    return prove(options, engine, container_id)


def prove(options: Options, engine: Engine, container_id: str, since: Container | None = None) -> Readiness:
    """Wait until a started container serves. Raises KollaDrainError."""
    container = engine.inspect(container_id)
    source = survey.evidence_for(options.given, container)[1] if container is not None else None

    def read() -> Reading:
        assert source is not None
        return survey.read({container_id: source})[container_id]

    return await_ready(
        container_id,
        engine=engine,
        read=read if source is not None else None,
        timeout=options.ready_timeout,
        poll_interval=min(options.request.poll_interval, options.ready_timeout / 10),
        clock=time.monotonic,
        wait=time.sleep,
        since=since,
    )


def note_readiness(each: Each, name: str, found: Readiness, *, evidence_was_read: bool) -> bool:
    """Keep in the result how it was proved; true if it serves, or if nothing more could ever have told.

    Evidence that could not be read before cannot be held against the container that was started now.
    """
    Owning([name]).tell([each])
    blind = found.unread and not evidence_was_read
    if found.heartbeats:
        each.result["heartbeat"] = heartbeat(found.heartbeats)
    if found.ready or blind:
        how = f"it {found.why}" if blind else found.how
        each.result.update(ready_after=round(found.seconds, 1), ready_by=how)
        if blind:
            each.warnings.append(f"{name}: whether it serves was not proved: {how}.")
    return found.ready or blind


def note_gap(options: Options, each: Each, finished_at: str, started: Container) -> None:
    """Keep the seconds from the old process's exit to the new one's start, and warn when they were many."""
    if not epoch(finished_at):
        return
    gap = max(0.0, round(epoch(started.started_at) - epoch(finished_at), 2))
    each.result["gap"] = gap
    config = survey.evidence_for(options.given, started)[0]
    limit = config.service_down_time if config is not None else None
    if limit is not None and gap > limit:
        each.warnings.append(
            f"{started.name}: it was away for {gap:g} s, longer than its service_down_time of {limit:g} s: others took "
            "it for dead meanwhile."
        )

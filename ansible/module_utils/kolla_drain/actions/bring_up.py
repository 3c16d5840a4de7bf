"""Start containers that exist, and see that they serve."""

from __future__ import annotations

import contextlib
import time

from ..engine.inspected import epoch
from ..engine.port import Engine
from ..errors import EngineUnreachable, KollaDrainError
from ..model import Container, ContainerStatus, Reading
from ..start.readiness import Readiness, await_ready
from ..systemd.units import Units
from . import survey
from .options import Options
from .results import ContainerResult, UnitReport
from .units import ContainerUnits


class BringUp:
    """Starts containers with the options of one call."""

    def __init__(self, options: Options, engine: Engine) -> None:
        self._options = options
        self._engine = engine

    def start_existing(self, container: Container) -> ContainerResult:
        """Start the container, or let a paused one run again; one that runs is left alone."""
        result = ContainerResult.of(container)
        if container.status in (ContainerStatus.RUNNING, ContainerStatus.RESTARTING):
            self._attach_unit(container, result)
            return result
        result.changed, result.after = True, ContainerStatus.RUNNING.value
        if self._options.check_mode:
            return result
        if container.status is ContainerStatus.PAUSED:
            self._engine.unpause(container.id)
        else:
            self.run_again(container, result)
        return result

    def _attach_unit(self, container: Container, result: ContainerResult) -> None:
        """Start the unit of a running container, which nothing would otherwise start again or stop in time."""
        units = Units()
        unit = units.of(container.name)
        if unit is None:
            return
        result.unit = UnitReport(unit.name, unit)
        if unit.at_rest and unit.usable and container.status is ContainerStatus.RUNNING:
            result.changed, result.after = True, "running under its unit"
            if not self._options.check_mode:
                result.unit = UnitReport(unit.name, units.attach(unit) or unit, before=unit.state)

    def run_again(
        self,
        container: Container,
        result: ContainerResult,
        *,
        evidence_was_read: bool = True,
        expected: frozenset[str] | None = None,
    ) -> bool:
        """Start a stopped container and see that it serves; return whether it does.

        ``expected`` are the hosts whose heartbeat has to move, all of them where that is None.
        """
        name = container.name
        try:
            readiness = self.start_and_prove(container.id, expected)
        except KollaDrainError as exc:
            result.failure = f"{name} is stopped and could not be started: {exc}"
        else:
            if not note_readiness(result, name, readiness, evidence_was_read=evidence_was_read):
                logs = f"{self._engine.command} logs {name}"
                result.failure = f"{name} was started and {readiness.why}; see why with '{logs}'."
        if result.failure:
            now = self._engine.inspect(container.id)
            result.after = now.status.value if now else "removed"
        return not result.failure

    def start_and_prove(self, container_id: str, expected: frozenset[str] | None) -> Readiness:
        """Start a container, through its unit if it has one, and wait until it serves. Raises KollaDrainError."""
        engine, units = self._engine, Units()
        before = engine.inspect(container_id)
        unit = units.startable(before.name) if before is not None else None
        if before is not None and unit is not None:
            since = units.start(
                unit, before, lambda: engine.inspect(container_id), self._options.client_timeout
            )
            return self.prove(container_id, expected, since=since)
        # It may have been started although no answer came; the proof tells.
        with contextlib.suppress(EngineUnreachable):
            engine.start(container_id)
        return self.prove(container_id, expected)

    def prove(
        self, container_id: str, expected: frozenset[str] | None, since: Container | None = None
    ) -> Readiness:
        """Wait until a started container serves. Raises KollaDrainError."""
        container, options = self._engine.inspect(container_id), self._options
        source = survey.evidence_for(options.evidence, container)[1] if container is not None else None

        def read() -> Reading:
            assert source is not None
            return survey.read({container_id: source})[container_id]

        return await_ready(
            container_id,
            engine=self._engine,
            read=read if source is not None else None,
            timeout=options.ready_timeout,
            poll_interval=min(options.request.poll_interval, options.ready_timeout / 10),
            clock=time.monotonic,
            wait=time.sleep,
            since=since,
            expected=expected,
        )

    def note_gap(self, result: ContainerResult, old_id: str, new_id: str) -> None:
        """Put into the result the seconds from the old process's exit to the new one's start; warn when it was long."""
        old, new = self._engine.inspect(old_id), self._engine.inspect(new_id)
        if old is None or new is None or not epoch(old.finished_at):
            return
        gap = result.gap = max(0.0, round(epoch(new.started_at) - epoch(old.finished_at), 2))
        config = survey.evidence_for(self._options.evidence, new)[0]
        limit = config.service_down_time if config is not None else None
        if limit is not None and gap > limit:
            result.warnings.append(
                f"{new.name}: it was away for {gap:g} s, longer than its service_down_time of {limit:g} s, so "
                "others took it for dead meanwhile."
            )


def note_readiness(
    result: ContainerResult, name: str, readiness: Readiness, *, evidence_was_read: bool
) -> bool:
    """Put into the result how the container was seen to serve; return whether it does.

    Evidence that could not be read before the start proves nothing against the container, so it counts as serving.
    """
    ContainerUnits([name]).report([result])
    blind = readiness.unread and not evidence_was_read
    result.heartbeats = readiness.heartbeats or result.heartbeats
    if readiness.silent:
        result.warnings.append(
            f"{name}: the heartbeat of {', '.join(readiness.silent)} did not move, and was down before, too; see to it."
        )
    if readiness.ready or blind:
        result.ready_after = readiness.seconds
        result.ready_by = f"it {readiness.why}" if blind else readiness.how
        if blind:
            result.warnings.append(f"{name}: nothing proved that it serves: {result.ready_by}.")
    return readiness.ready or blind

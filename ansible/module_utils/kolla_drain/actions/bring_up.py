"""Start containers that exist, and see that they serve."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from ..engine.inspected import epoch
from ..engine.port import Engine
from ..errors import EngineUnreachable, KollaDrainError
from ..model import Container, ContainerStatus, Reading
from ..start.readiness import NOTHING_KNOWN, Before, Readiness, await_ready
from ..systemd.units import Units
from . import siblings, survey
from .options import Options
from .results import ContainerResult, UnitReport
from .sources import evidence_for
from .units import ContainerUnits

# The time to become ready is this many of the service's report_intervals at least: the first heartbeat comes one of
# them after the service has initialised, which may itself take long.
REPORTS = 3


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
        if container.at_rest:
            siblings.warn(self._options, container, result)
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
        before: Before = NOTHING_KNOWN,
    ) -> bool:
        """Start a stopped container and see that it serves as before; return whether it does."""
        name = container.name
        try:
            siblings.count(self._options, container, self._engine.inspect(container.id) or container, result)
            readiness = self.start_and_prove(container.id, before)
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

    def start_and_prove(self, container_id: str, before: Before) -> Readiness:
        """Start a container, through its unit if it has one, and wait until it serves. Raises KollaDrainError."""
        engine, units = self._engine, Units()
        self._options.stories.step(self._options.name, "start", "starting it")
        now = time.monotonic()
        found = engine.inspect(container_id)
        rested_at = now if found is not None and found.at_rest else None
        unit = units.startable(found.name) if found is not None else None
        if found is not None and unit is not None:
            since = units.start(
                unit, found, lambda: engine.inspect(container_id), self._options.client_timeout
            )
            return self.prove(container_id, before, since=since, rested_at=rested_at)
        # It may have been started although no answer came; the proof tells.
        with contextlib.suppress(EngineUnreachable):
            engine.start(container_id)
        return self.prove(container_id, before, rested_at=rested_at)

    def prove(
        self,
        container_id: str,
        before: Before,
        *,
        since: Container | None = None,
        rested_at: float | None = None,
    ) -> Readiness:
        """Wait until a started container serves. Raises KollaDrainError.

        ``rested_at`` is a moment on the monotonic clock at which its process had not been started yet.
        """
        container, options = self._engine.inspect(container_id), self._options
        config, source = None, None
        if container is not None:
            config, source, _ = evidence_for(options.evidence, container)
        timeout, reports_from = options.ready_timeout, None
        if config is not None and source is not None:
            if "report_interval" in config.stated:
                timeout = max(timeout, float(REPORTS * config.report_interval))
            if rested_at is not None and source.evidence.PROFILE.first_report_waits:
                reports_from = rested_at + config.report_interval
            if before.heartbeats:
                source.evidence.await_first_report()

        stories = options.stories
        stories.step(options.name, "ready", "waits until it serves", seconds=timeout)

        def read() -> Reading:
            assert source is not None
            return survey.read({container_id: source})[container_id]

        readiness = await_ready(
            container_id,
            engine=self._engine,
            read=read if source is not None and source.evidence.BEATS else None,
            timeout=timeout,
            poll_interval=min(options.request.poll_interval, timeout / 10),
            clock=time.monotonic,
            wait=time.sleep,
            since=since,
            before=before,
            reports_from=reports_from,
        )
        serves = f"serves: {readiness.how}" if readiness.ready else f"does not serve: {readiness.why}"
        stories.step(options.name, "ready", f"{serves}, after {readiness.seconds:.1f} s", done=True)
        if config is None or timeout == options.ready_timeout:
            return readiness
        doubts = readiness.doubts
        if readiness.seconds > options.ready_timeout:
            doubts += (
                f"it was given {timeout:g} s to serve instead of the {options.ready_timeout:g} s of ready_timeout, "
                f"which are fewer than {REPORTS} times its report_interval of {config.report_interval:g} s",
            )
        return replace(readiness, extended=timeout, doubts=doubts)

    def note_gap(self, result: ContainerResult, old_id: str, new_id: str) -> None:
        """Put into the result the seconds from the old process's exit to the new one's start; warn when it was long."""
        old, new = self._engine.inspect(old_id), self._engine.inspect(new_id)
        if old is None or new is None or not epoch(old.finished_at):
            return
        gap = result.gap = max(0.0, round(epoch(new.started_at) - epoch(old.finished_at), 2))
        config = evidence_for(self._options.evidence, new)[0]
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
    result.ready_timeout = readiness.extended
    result.warnings += [f"{name}: {doubt}." for doubt in readiness.doubts]
    if readiness.ready or blind:
        result.ready_after = readiness.seconds
        result.ready_by = f"it {readiness.why}" if blind else readiness.how
        if blind:
            result.warnings.append(f"{name}: nothing proved that it serves: {result.ready_by}.")
    return readiness.ready or blind

"""What is known of a container before anything is done with it: service, configuration, plan, evidence, faults.

Nothing is touched here, and every fault of the input is found here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import evidence
from ..drain.baseline import NO_BASELINE, Baseline
from ..drain.one_signal import stop_signals
from ..drain.plan import Plan
from ..drain.plan import plan as make_plan
from ..drain.result import Target
from ..engine.inspected import epoch
from ..engine.port import Engine
from ..errors import KollaDrainError, Refused, UnitError
from ..evidence.weighing import Scale
from ..host.ledger import Ledger, boot_clock
from ..host.process import begun, guests_in_container
from ..model import (
    NO_PROFILE,
    Answer,
    Container,
    ContainerStatus,
    Finding,
    Operation,
    Profile,
    Reading,
    StopRequest,
)
from ..preflight import checks
from ..preflight.process import read_process
from ..profiles import command
from ..profiles.others import SIGNALS
from ..service.release import release_of
from ..systemd.units import Units
from .options import Intent, Options
from .side_by_side import side_by_side

if TYPE_CHECKING:
    from ..evidence.inside import Inside
    from ..evidence.reader import EvidenceReader, Source
    from ..service.config import ServiceConfig


@dataclass(frozen=True)
class Survey:
    """One container with its profile, configuration, plan and findings."""

    container: Container
    profile: Profile
    plan: Plan
    config: ServiceConfig | None
    source: Source | None
    missing: str  # why its evidence has no source
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    draining: str  # by whom and since when it is being stopped
    stopping_unit: str = ""  # its systemd unit, if that is stopping it
    baseline: Baseline = NO_BASELINE

    @property
    def unhealthy(self) -> bool:
        """Whether its healthcheck says so of a service that should serve.

        The engine also calls a container unhealthy that is paused or has stopped, and one that drains answers nobody.
        """
        runs = self.container.status is ContainerStatus.RUNNING and not self.draining
        return runs and self.container.health == "unhealthy"

    @property
    def warned_of(self) -> tuple[Finding, ...]:
        """What is wrong, and what will be at the next start."""
        return self.findings + tuple(note for note in self.notes if note.code == checks.ENDED_BY_START)

    def target(self, request: StopRequest) -> Target:
        """Return the container as the drain takes it."""
        down = float(self.config.service_down_time) if self.config else 60.0
        return Target(
            self.container,
            request,
            self.profile,
            self.plan,
            down,
            self.missing,
            self.findings,
            self.baseline,
            self.stopping_unit,
        )


class NoReader:
    """Stands for the reader where no container has evidence, so that nothing of it is imported."""

    def ask(self, asks: Mapping[str, tuple[Operation, ...]]) -> int:
        return 0

    def answers(self) -> tuple[Answer, ...]:
        return ()

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Surveys:
    """All containers of a call: each by the name that was asked for, and the surveys of those that exist."""

    containers: Mapping[str, Container | None]
    existing: tuple[Survey, ...]

    @property
    def names(self) -> list[str]:
        """The containers' own names, in the order asked for; a container may have been asked for by its id."""
        return [container.name if container else name for name, container in self.containers.items()]

    @property
    def at_rest(self) -> list[str]:
        """The names of those that do not run, or do not exist."""
        pairs = zip(self.names, self.containers.values())
        return [name for name, container in pairs if container is None or container.at_rest]

    @property
    def sources(self) -> dict[str, Source]:
        """Where evidence is read, by container id."""
        return {one.container.id: one.source for one in self.existing if one.source is not None}

    def reader(self, wake: Callable[[], None]) -> EvidenceReader | NoReader:
        """Return what reads the evidence in the background, and calls ``wake`` when something came in."""
        if not self.sources:
            return NoReader()
        from ..evidence.reader import EvidenceReader

        return EvidenceReader(self.sources, wake)

    def readings(self) -> dict[str, Reading]:
        """Read what is in flight now, by container id; containers without evidence are left out."""
        readings, now = read(self.sources), boot_clock()
        baselines = {one.container.id: one.baseline for one in self.existing}
        return {key: baselines[key].judged(reading, now) for key, reading in readings.items()}


def survey_all(options: Options, engine: Engine, ledger: Ledger, intent: Intent) -> Surveys:
    """Survey every container of a call. Raises Refused."""
    containers = dict(zip(options.names, side_by_side(engine.inspect, options.names)))
    by_id: dict[str, str] = {}
    for name, container in containers.items():
        if (
            container is not None and by_id.setdefault(container.id, name) != name
        ):  # it would be stopped twice
            raise Refused(f"{by_id[container.id]} and {name} are the same container; name it once.")
    existing = [container for container in containers.values() if container is not None]
    options.evidence.check(existing)
    units = _units(container.name for container in existing)

    def survey_one(container: Container) -> Survey:
        try:
            return survey(options, engine, ledger, container, units.get(container.name))
        except KollaDrainError as exc:
            state = "cannot be looked into" if intent.only_looks else "was not touched"
            raise Refused(f"{container.name} {state}: {str(exc).rstrip('.')}.", code=exc.code) from exc

    return Surveys(containers, tuple(side_by_side(survey_one, existing)))


def survey(
    options: Options, engine: Engine, ledger: Ledger, container: Container, unit: checks.UnitFacts | None
) -> Survey:
    """Gather what is known of one container. Raises KollaDrainError for unusable input."""
    service, process = options.evidence.service_in(container), read_process(container)
    config, source, missing = None, None, ""
    if service != NO_PROFILE.name:
        from .sources import evidence_for

        config, source, missing = evidence_for(options.evidence, container)
    release = release_of(service, container, process.innermost.argv if process else ())
    profile = evidence.profile_for(service, container.env, release, config)
    if process is not None and not profile.signal:
        # By the program and not by the name, because a container of this name runs another one in other releases.
        profile = replace(profile, signal=SIGNALS.get(process.innermost.name, ""))
    manager = config.manager_shutdown_timeout if config else None
    plan = make_plan(options.request, profile, container.stop_signal, manager)
    draining, stopping_unit, unclear = _draining(engine, ledger, container, unit)
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    if options.preflight != "off":
        facts = checks.Facts(
            container=container,
            signal=plan.signal,
            timeout=plan.timeout,
            # One that drops its work at the signal gives nothing up later.
            service_timeout=_certain(config, "graceful_shutdown_timeout") if profile.keeps_work else None,
            manager_timeout=_certain(config, "manager_shutdown_timeout"),
            process=process,
            unit=unit,
            draining=draining,
            guests=guests_in_container(container.id) if container.alive else 0,
        )
        findings, notes = checks.check(facts), checks.inform(facts) + unclear
    if not options.graceful_shutdown:
        limit = options.request.timeout
        why = f"graceful_shutdown is off: the engine's plain stop, SIGKILL after {limit:g} s whatever is in flight"
        plan = Plan(plain_signal(container), limit, 0.0, limit, why)
    baseline = Baseline(_began(container), frozenset(options.ignore_operations))
    if source is not None and profile.reports and not container.at_rest:
        source = source._replace(
            local=_inside(options, engine, ledger, container, Scale(profile, baseline), config)
        )
    return Survey(
        container, profile, plan, config, source, missing, findings, notes, draining, stopping_unit, baseline
    )


def _began(container: Container) -> float | None:
    """Return when the container's process began, in seconds since the boot; None for a container at rest.

    The earlier of what the engine and the kernel say counts: a host's clock may have been set since, and the process
    of this number may be another host's.
    """
    if container.at_rest:
        return None
    said = boot_clock() - (time.time() - epoch(container.started_at))
    seen = begun(container.pid) if container.pid else None
    return said if seen is None else min(said, seen)


def plain_signal(container: Container) -> str:
    """Return the signal that the engine's plain stop sends."""
    return container.stop_signal or "SIGTERM"


def _units(containers: Iterable[str]) -> dict[str, checks.UnitFacts]:
    """Return the containers' units that can be read; what is wrong with one is said at the stop itself."""
    try:
        units = Units().look(containers)
    except UnitError:
        return {}
    return {
        container: checks.UnitFacts(unit.name, unit.stop_timeout, unit.state == "deactivating")
        for container, unit in units.items()
        if unit.usable
    }


def _certain(config: ServiceConfig | None, name: str) -> float | None:
    """Return a time of the service's own. Nova's defaults change between releases, so only stated values count."""
    if config is None or (config.service.startswith("nova-") and name not in config.stated):
        return None
    value: float | None = getattr(config, name)
    return value


def _inside(
    options: Options,
    engine: Engine,
    ledger: Ledger,
    container: Container,
    scale: Scale,
    config: ServiceConfig | None,
) -> Inside:
    from ..evidence.inside import ALL_WITHIN, Inside, in_folder

    folder = config.report_folder if config else ""

    def log(since: int) -> Iterable[str]:
        if folder:
            return in_folder(f"/proc/{container.pid}/root", folder, since)
        return engine.log(container.id, since)

    def why_not() -> str:
        if options.check_mode:
            return "its processes are asked by a signal, and check mode sends none"
        if config and config.report_event:
            return (
                "[oslo_reports]/file_event_handler has it report when a file changes, which its workers do not notice; "
                "remove that option, and it reports at SIGUSR2"
            )
        # One that shuts down may not handle it any more.
        if ledger.signals(container) or stop_signals(container) & set(engine.sent(container).signals):
            return "its processes have had their stop signal"
        return ""

    return Inside(
        container.id,
        command(scale.profile.name),
        scale,
        log,
        why_not,
        boot_clock,
        lambda: ledger.asking(container.id, ALL_WITHIN),
    )


# --- a stop that is under way


def _draining(
    engine: Engine, ledger: Ledger, container: Container, unit: checks.UnitFacts | None
) -> tuple[str, str, tuple[Finding, ...]]:
    """Return since when and by whom this process life is being stopped, and the unit if that is it; empty if it is not.

    The findings are about signals whose names the engine does not keep: they may have been stop signals.
    """
    if not container.alive:
        return "", "", ()
    entry = ledger.read(container.id)
    now = boot_clock()
    if entry is not None and entry.life == container.life:
        sent = f"{entry.signal} sent {now - entry.signalled:.0f} s ago" if entry.signalled else "quiescing"
        left = entry.deadline - now
        when = f"{left:.0f} s to its deadline" if left > 0 else f"its deadline passed {-left:.0f} s ago"
        if entry.signalled or (left > 0 and ledger.waited_for(entry)):
            return f"by kolla_docker, begun {now - entry.begun:.0f} s ago ({sent}, {when})", "", ()
    had, counted = engine.sent(container), stop_signals(container)
    others = [signal for signal in had.signals if signal in counted]
    if others:
        return f"by somebody else, who sent {others[0]}", "", ()
    # Where there is an entry, a run has taken the unit's own stop away.
    if unit is not None and unit.stopping and (entry is None or entry.life != container.life):
        return f"by its unit {unit.name}, which is deactivating", unit.name, ()
    found = []
    if had.unnamed:
        text = (
            f"{container.name} was sent a signal {time.time() - had.unnamed[-1]:.0f} s ago, and the engine does not "
            "keep which; it is not taken for a stop."
        )
        found.append(Finding("signal_without_name", text))
    if had.horizon is not None:
        text = (
            f"{container.name}: the engine remembers the last {had.horizon:.0f} s only, so a stop signal that somebody "
            "sent before is not known"
        )
        if had.forgotten is not None:
            text += f"; it did send a signal, {had.forgotten:.0f} s ago or before, and does not know which"
        found.append(Finding("signals_forgotten", f"{text}."))
    return "", "", tuple(found)


# --- reading


def read(sources: Mapping[str, Source], timeout: float = 30.0) -> dict[str, Reading]:
    """Read each source once, by its key, within ``timeout`` seconds."""
    if not sources:
        return {}
    from ..evidence.reader import EvidenceReader

    with contextlib.closing(EvidenceReader(sources, lambda: None)) as reader:
        return reader.readings_once(sources, timeout)

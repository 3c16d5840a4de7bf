"""What is known of a container before it is stopped: its service, configuration, plan and faults.

Nothing is touched in here, and whatever is wrong with the input is found here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .. import evidence, kolla
from ..database import connection
from ..database.target import target as make_target
from ..drain.one_signal import stop_signals
from ..drain.plan import Plan
from ..drain.plan import plan as make_plan
from ..drain.result import Target
from ..engine.port import Engine
from ..errors import KollaDrainError, Refused, UnitError
from ..evidence import broker
from ..evidence.reader import Batch, Source
from ..host.ledger import Ledger, boot_clock
from ..model import (
    NO_PROFILE,
    Container,
    EvidenceState,
    Exit,
    Finding,
    Profile,
    Reading,
    StopRequest,
    Verdict,
)
from ..preflight import checks
from ..preflight.process import read_process
from ..service.config import ServiceConfig, load
from ..start.exchange import Swap
from ..systemd.units import Units
from .options import Given, Options
from .results import Each, missing


@dataclass(frozen=True)
class Known:
    """A container with its profile, configuration, plan and findings."""

    container: Container
    profile: Profile
    plan: Plan
    config: ServiceConfig | None
    source: Source | None
    missing: str  # why its evidence cannot even be asked for
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    draining: str  # by whom and since when it is being stopped

    def target(self, request: StopRequest) -> Target:
        """The container as the loop takes it."""
        down = float(self.config.service_down_time) if self.config else 60.0
        return Target(self.container, request, self.profile, self.plan, down, self.missing, self.findings)


def look(
    given: Given,
    request: StopRequest,
    engine: Engine,
    ledger: Ledger,
    container: Container,
    *,
    checked: bool = True,
) -> Known:
    """Gather all that is known; preflight's findings if ``checked``. Raises KollaDrainError for unusable input."""
    config, source, missing = evidence_for(given, container)
    profile = evidence.profile_for(given.service_of(container), container.env)
    profile = evidence.configured(profile, config)
    if request.exit is Exit.FREEZE and not profile.freezable:
        raise Refused(
            f"exit=freeze ends a service only where its evidence shows every request that was accepted, and that of "
            f"{profile.name} does not; use exit=auto, which freezes where it can be done."
            if profile is not NO_PROFILE
            else "exit=freeze needs evidence, and this container has none; use exit=auto, or name its service."
        )
    manager = config.manager_shutdown_timeout if config else None
    plan = make_plan(request, profile, container.stop_signal, manager)
    draining, unclear = _draining(engine, ledger, container)
    facts = checks.Facts(
        container=container,
        signal=plan.signal,
        timeout=plan.timeout,
        service_timeout=_certain(config, "graceful_shutdown_timeout"),
        manager_timeout=_certain(config, "manager_shutdown_timeout"),
        process=read_process(container) if checked else None,
        unit=_unit(container) if checked else None,
        draining=draining,
    )
    findings, notes = (checks.check(facts), checks.inform(facts) + unclear) if checked else ((), ())
    return Known(container, profile, plan, config, source, missing, findings, notes, draining)


def _unit(container: Container) -> checks.UnitFacts | None:
    """The limit of its unit, where that can be had; who stops or starts through the unit hears what is wrong."""
    try:
        unit = Units().of(container.name)
    except UnitError:
        return None
    return checks.UnitFacts(unit.name, unit.stop_timeout) if unit is not None and unit.usable else None


def evidence_for(given: Given, container: Container) -> tuple[ServiceConfig | None, Source | None, str]:
    """The service's configuration and where its evidence is read, or why there is none. Raises KollaDrainError."""
    service = given.service_of(container)
    config, missing, source = None, "", None
    if service != NO_PROFILE.name:
        evidence.evidence_of(service)  # one that is not known is an error, with or without configuration
        config, missing = _configuration(given.service_config, container, service)
    if config is not None:
        source, missing = _source(given, service, config)
    return config, source, missing


def _certain(config: ServiceConfig | None, name: str) -> float | None:
    """A time of the service's own. Nova's defaults differ from one release to the next: they prove nothing."""
    if config is None or (config.service.startswith("nova-") and name not in config.stated):
        return None
    value: float | None = getattr(config, name)
    return value


def _configuration(
    files: Sequence[str], container: Container, service: str
) -> tuple[ServiceConfig | None, str]:
    """The service's configuration, or why there is none. A file that is named and unusable is an error."""
    if not files:
        files = kolla.default_files(container.name) or kolla.default_files(service.replace("-", "_"))
        if not any(os.path.exists(path) for path in files):
            where = " or ".join(files)
            return (
                None,
                f"its configuration {where} is not on this host; give service_config, or service=none",
            )
    return load(files, service), ""


def _source(given: Given, service: str, config: ServiceConfig) -> tuple[Source | None, str]:
    parts = dict(given.database)
    url = parts.pop("url", None)
    inherited = None if url else config.database or _conductors_database(config)
    if not (url or inherited or parts.get("host") or parts.get("unix_socket")):
        return None, "its configuration names no [database] connection; give database"
    connection.client()  # a library that is missing is said now, not after the signal
    target = make_target(url or inherited, inherited=bool(inherited), **parts)
    queues = broker.target(config, broker.options(given.broker))
    return Source(_watched(service), config, target, queues), ""


def _watched(service: str) -> evidence.ServiceEvidence:
    """The evidence of one container, which may have to remember from one look to the next."""
    found = evidence.evidence_of(service)
    watch = getattr(found, "Watch", None)
    return watch() if watch is not None else found


def _conductors_database(config: ServiceConfig) -> str | None:
    """FACTS 4: nova-compute's configuration holds no [database]; nova-conductor's may lie on the same host.

    Where Kolla puts it, beside nova-compute's: in whatever folder that is.
    """
    if config.service != "nova-compute":
        return None
    folder = os.path.dirname(os.path.dirname(config.files[0]))
    beside = os.path.join(folder, "nova-conductor", "nova.conf")
    for files in ([beside], kolla.default_files("nova_conductor")):
        if all(os.access(path, os.R_OK) for path in files):
            return load(files, "nova-conductor").database
    return None


def _draining(engine: Engine, ledger: Ledger, container: Container) -> tuple[str, tuple[Finding, ...]]:
    """Since when and by whom a stop of this process life is under way; empty when there is none.

    And what was sent to it, where that may have been a stop and nobody can tell.
    """
    if not container.alive:
        return "", ()
    entry = ledger.read(container.id)
    now = boot_clock()
    if entry is not None and entry.life == container.life:
        sent = f"{entry.signal} sent {now - entry.signalled:.0f} s ago" if entry.signalled else "quiescing"
        left = entry.deadline - now
        when = f"{left:.0f} s to its deadline" if left > 0 else f"its deadline passed {-left:.0f} s ago"
        if entry.signalled or (left > 0 and entry.waited_for):
            return f"by kolla_docker, begun {now - entry.begun:.0f} s ago ({sent}, {when})", ()
    had, counted = engine.sent(container), stop_signals(container)
    others = [signal for signal in had.signals if signal in counted]
    if others:
        return f"by somebody else, who sent {others[0]}", ()
    return "", tuple(_unclear(container, at) for at in had.unnamed[-1:])


def _unclear(container: Container, at: float) -> Finding:
    return Finding(
        "signal_without_name",
        f"{container.name} was sent a signal {time.time() - at:.0f} s ago, and the engine does not keep which; it is "
        "not taken for a stop.",
    )


def readings(known: Iterable[Known]) -> dict[str, Reading]:
    """What is in flight now, by container id; nothing for those without evidence."""
    return read({one.container.id: one.source for one in known if one.source is not None})


def read(sources: Mapping[str, Source]) -> dict[str, Reading]:
    """One reading of each source, by its key."""
    if not sources:
        return {}
    batch = Batch(sources)
    try:
        return batch.readings_once(sources)
    finally:
        batch.close()


def unreadable(known: Known, reading: Reading | None) -> tuple[Finding, ...]:
    """The finding for a container that has evidence which cannot be read."""
    why = known.missing
    if reading is not None and reading.state is EvidenceState.UNAVAILABLE:
        why = reading.why
    if not why or known.container.at_rest:
        return ()
    text = f"{known.container.name}: its evidence cannot be read, so nobody would see work in flight: {why}."
    return (Finding("evidence_unavailable", text),)


def refused(container: Container, exc: KollaDrainError, *, would_touch: bool) -> Refused:
    """An error of ``look`` as the user is told it: with the container's name, and that it is as it was."""
    state = "was not touched" if would_touch else "cannot be looked into"
    return Refused(f"{container.name} {state}: {str(exc).rstrip('.')}.")


def look_at(
    options: Options, engine: Engine, ledger: Ledger
) -> tuple[dict[str, Container | None], list[Known]]:
    """Every container by its name, and all that is known of those that are there."""
    found = {name: engine.inspect(name) for name in options.names}
    there = [one for one in found.values() if one is not None]
    _refuse_aliases(found)
    options.given.check(there)
    known = []
    for one in there:
        try:
            known.append(
                look(
                    options.given,
                    options.request,
                    engine,
                    ledger,
                    one,
                    checked=options.preflight != "off",
                )
            )
        except KollaDrainError as exc:
            would_touch = options.action != "drain_status"
            raise refused(one, exc, would_touch=would_touch) from exc
    return found, known


def _refuse_aliases(found: Mapping[str, Container | None]) -> None:
    """One container under two names, say its name and its id, would be stopped twice."""
    by_id: dict[str, str] = {}
    for name, one in found.items():
        if one is not None and by_id.setdefault(one.id, name) != name:
            raise Refused(f"{by_id[one.id]} and {name} are the same container; name it once.")


def in_order(
    options: Options,
    engine: Engine,
    found: Mapping[str, Container | None],
    outcomes: Sequence[Each],
    wanted_for: str,
) -> list[Each]:
    """The outcomes in the order of the names, with those that are absent."""
    by_id = {each.result["id"]: each for each in outcomes}
    return [
        by_id[one.id] if one is not None else absent(options, engine, name, wanted_for)
        for name, one in found.items()
    ]


def absent(options: Options, engine: Engine, name: str, wanted_for: str) -> Each:
    """A container that is not there: what stop_and_remove_container wants, and else an error."""
    result = {"name": name, "id": "", "changed": False, "failed": False, "verdict": Verdict.ABSENT.value}
    result["reason"] = "the engine has no such container"
    left = Swap(name, engine).left_behind()
    hint = f"{left}: action=start_container puts it right" if left else ""
    if options.ignore_missing or options.action == "stop_and_remove_container":
        return Each(result, [f"There is no container {name}, but {hint}."] if hint else [])
    result.update(failed=True, verdict=None)
    failure = (
        f"There is no container {name} to {wanted_for}, but {hint}."
        if hint
        else missing(engine, name, wanted_for)
    )
    return Each(result, failure=failure)

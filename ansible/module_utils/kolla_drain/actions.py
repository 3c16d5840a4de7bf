"""What each action of the module does: options in, plain results out. No Ansible in here.

Everything that can be wrong with the input is found before anything is touched.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from . import evidence, policy, preflight, report
from .drain import StopResult, Target, stop_all
from .engine.docker import DockerEngine, epoch
from .errors import KollaDrainError
from .evidence import database
from .evidence.batch import Batch, Source
from .ledger import Ledger, boot_clock
from .model import NO_PROFILE, Container, ContainerStatus, Finding, Profile, Reading, StopRequest, Verdict
from .service_config import ServiceConfig, load
from .signals import normalise

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")  # what the Docker Engine takes for a name
_SECRET = re.compile(r"pass|secret|token|credential|private|api_?key", re.IGNORECASE)
MASK = "********"

# Actions that take several names at once; all the others take one.
MANY = ("stop_container", "stop_and_remove_container", "drain_status")


@dataclass(frozen=True)
class Options:
    """What the module was asked to do; one field an option, see its documentation."""

    action: str
    names: tuple[str, ...]
    request: StopRequest
    graceful_shutdown: bool = True
    service: str | None = None
    service_config: tuple[str, ...] = ()
    database: Mapping[str, Any] = field(default_factory=dict, repr=False)
    preflight: str = "warn"
    ignore_missing: bool = False
    client_timeout: int = 120
    check_mode: bool = False


class Refused(KollaDrainError):
    """The input cannot be acted on; nothing was touched."""


def run(options: Options) -> dict[str, Any]:
    """Do what was asked. Returns the module's result, with ``failed`` and ``warnings`` in it.

    Raises KollaDrainError, with one sentence, when the input is wrong or the engine cannot be used.
    """
    _check_names(options)
    options = replace(options, request=_checked(options.request))
    engine = DockerEngine(options.client_timeout)
    return ACTIONS[options.action](options, engine)


# --- input


def _check_names(options: Options) -> None:
    names = options.names
    if not names:
        raise Refused("No container is named; give name, one or several.")
    for name in names:
        if not _NAME.match(name):
            raise Refused(
                f"{name!r} is no container name; it may hold letters, digits, '_', '.' and '-' only."
            )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise Refused(f"{twice[0]} is named twice; name each container once.")
    if len(names) > 1 and options.action not in MANY:
        raise Refused(
            f"{options.action} takes one container, not {len(names)}; only {', '.join(MANY)} take several."
        )


def _checked(request: StopRequest) -> StopRequest:
    if request.timeout < 1:
        raise Refused(f"graceful_shutdown_timeout is {request.timeout:g}; it is seconds, at least 1.")
    if request.poll_interval < 0.1:
        raise Refused(f"poll_interval is {request.poll_interval:g}; it is seconds, at least 0.1.")
    if request.idle_limit is not None and request.idle_limit < 1:
        raise Refused(f"idle_limit is {request.idle_limit:g}; it is seconds, at least 1.")
    if not request.signal:
        return request
    try:
        signal = normalise(request.signal)
    except ValueError as exc:
        raise Refused(f"stop_signal: {exc}.") from exc
    if signal in ("SIGKILL", "SIGSTOP"):
        raise Refused(
            f"stop_signal is {signal}, which no process can handle; give one that the service drains on."
        )
    return replace(request, signal=signal)


def _find(options: Options, engine: DockerEngine, name: str, wanted_for: str) -> Container:
    found = engine.inspect(name)
    if found is None:
        raise Refused(f"There is no container {name} to {wanted_for}; see the names with 'docker ps --all'.")
    return found


# --- what is known of one container before it is stopped


@dataclass(frozen=True)
class _Known:
    """A container with its profile, configuration, plan and findings."""

    container: Container
    profile: Profile
    plan: policy.Plan
    config: ServiceConfig | None
    source: Source | None
    missing: str
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    draining: str

    def target(self, request: StopRequest) -> Target:
        down = float(self.config.service_down_time) if self.config else 60.0
        return Target(self.container, request, self.profile, self.plan, down, self.missing, self.findings)


def _look(options: Options, engine: DockerEngine, ledger: Ledger, container: Container) -> _Known:
    """All that is known beforehand; what is wrong with the input is said with the container's name."""
    try:
        return _known(options, engine, ledger, container)
    except KollaDrainError as exc:
        raise Refused(f"{container.name} was not touched: {str(exc).rstrip('.')}.") from exc


def _known(options: Options, engine: DockerEngine, ledger: Ledger, container: Container) -> _Known:
    service = options.service or evidence.service_of(container.name) or "none"
    if service != "none" and service not in evidence.SERVICES:
        known = ", ".join(sorted(evidence.SERVICES))
        raise Refused(f"service is {service}, of which nothing is known; give one of {known}, or none.")
    profile = NO_PROFILE if service == "none" else evidence.profile_for(service, container.env)
    config, missing = (None, "") if service == "none" else _configuration(options, container, service)
    source = None
    if config is not None:
        source, missing = _source(options, service, config)
    manager = config.manager_shutdown_timeout if config else None
    plan = policy.plan(options.request, profile, container.stop_signal, manager)
    draining = _draining(engine, ledger, container, plan)
    facts = preflight.Facts(
        container=container,
        signal=plan.signal,
        timeout=plan.timeout,
        service_timeout=config.graceful_shutdown_timeout if config else None,
        manager_timeout=manager,
        process=preflight.read_process(container),
        unit=preflight.read_unit(container.name),
        draining=draining,
    )
    wanted = options.preflight != "off"
    return _Known(
        container,
        profile,
        plan,
        config,
        source,
        missing,
        preflight.check(facts) if wanted else (),
        preflight.inform(facts) if wanted else (),
        draining,
    )


def _configuration(options: Options, container: Container, service: str) -> tuple[ServiceConfig | None, str]:
    """The service's configuration, or why there is none. A file that is named and unusable is an error."""
    files: Sequence[str] = options.service_config
    if not files:
        files = evidence.default_files(container.name) or evidence.default_files(service.replace("-", "_"))
        if not any(os.path.exists(path) for path in files):
            where = " or ".join(files)
            return (
                None,
                f"its configuration {where} is not on this host; give service_config, or service=none",
            )
    return load(files, service), ""


def _source(options: Options, service: str, config: ServiceConfig) -> tuple[Source | None, str]:
    given = dict(options.database)
    url = given.pop("url", None)
    inherited = None if url else config.database or _conductors_database(service)
    if not (url or inherited or given.get("host") or given.get("unix_socket")):
        return None, "its configuration names no [database] connection; give database"
    database.client()  # a library that is missing is said now, not after the signal
    target = database.target(url or inherited, inherited=bool(inherited), **given)
    return Source(evidence.evidence_of(service), config, target), ""


def _conductors_database(service: str) -> str | None:
    """FACTS 4: nova-compute's configuration holds no [database]; nova-conductor's may lie on the same host."""
    files = evidence.default_files("nova_conductor")
    if service != "nova-compute" or not all(os.access(path, os.R_OK) for path in files):
        return None
    return load(files, "nova-conductor").database


def _draining(engine: DockerEngine, ledger: Ledger, container: Container, plan: policy.Plan) -> str:
    """Since when and by whom a stop of this process life is under way; empty when there is none."""
    if not container.alive:
        return ""
    entry = ledger.read(container.id)
    now = boot_clock()
    if entry is not None and entry.life == container.life:
        sent = f"{entry.signal} sent {now - entry.signalled:.0f} s ago" if entry.signalled else "quiescing"
        left = entry.deadline - now
        when = f"{left:.0f} s to its deadline" if left > 0 else f"its deadline passed {-left:.0f} s ago"
        if entry.signalled or left > 0:
            return f"by kolla_docker, begun {now - entry.begun:.0f} s ago ({sent}, {when})"
    known = {plan.signal, container.stop_signal or "SIGTERM", "SIGTERM"}
    others = [signal for signal in engine.sent(container).signals if signal in known]
    return f"by somebody else, who sent {others[0]}" if others else ""


def _refuse_by_preflight(options: Options, known: Sequence[_Known]) -> None:
    found = [finding.text for one in known for finding in one.findings]
    if options.preflight == "strict" and found:
        faults = f"{len(found)} fault{'s' if len(found) > 1 else ''}"
        raise Refused(f"Preflight found {faults}, and nothing was touched: {' '.join(found)}")


# --- stop


def _stop(options: Options, engine: DockerEngine) -> dict[str, Any]:
    return _compose(options, _stop_each(options, engine))


@dataclass
class _Each:
    """One container's part of the result."""

    result: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    failure: str = ""
    container: Container | None = None

    @property
    def at_rest(self) -> bool:
        """Whether the container has stopped, one way or the other."""
        return not self.failure and self.result.get("verdict") not in (None, "absent", "left_running")


def _stop_each(options: Options, engine: DockerEngine) -> list[_Each]:
    ledger = Ledger()
    found = {name: engine.inspect(name) for name in options.names}
    if len(found) == 1 and None in found.values() and not options.ignore_missing:
        _find(options, engine, options.names[0], "stop")
    _refuse_aliases(found)
    known = {name: _look(options, engine, ledger, one) for name, one in found.items() if one is not None}
    _refuse_by_preflight(options, list(known.values()))
    if options.check_mode:
        outcomes = _plans(options, list(known.values()), ledger)
    elif options.graceful_shutdown:
        outcomes = _drain(options, engine, ledger, list(known.values()))
    else:
        outcomes = _plain_stops(options, engine, list(known.values()))
    by_id = {each.result["id"]: each for each in outcomes}
    return [by_id[one.id] if one is not None else _absent(options, name) for name, one in found.items()]


def _refuse_aliases(found: Mapping[str, Container | None]) -> None:
    """One container under two names, say its name and its id, would be stopped twice."""
    by_id: dict[str, str] = {}
    for name, one in found.items():
        if one is not None and by_id.setdefault(one.id, name) != name:
            raise Refused(f"{by_id[one.id]} and {name} are the same container; name it once.")


def _absent(options: Options, name: str) -> _Each:
    result = {"name": name, "id": "", "changed": False, "failed": False, "verdict": Verdict.ABSENT.value}
    result["reason"] = "the engine has no such container"
    if options.ignore_missing or options.action == "stop_and_remove_container":
        return _Each(result)
    result.update(failed=True, verdict=None)
    return _Each(
        result, failure=f"There is no container {name} to stop; see the names with 'docker ps --all'."
    )


def _drain(options: Options, engine: DockerEngine, ledger: Ledger, known: Sequence[_Known]) -> list[_Each]:
    woken = threading.Event()
    sources = {one.container.id: one.source for one in known if one.source is not None}
    batch = Batch(sources, woken.set)
    watcher = engine.watch([one.container.id for one in known], woken.set)

    def wait(seconds: float) -> None:
        woken.wait(seconds)
        woken.clear()

    try:
        results = stop_all(
            [one.target(options.request) for one in known],
            engine=engine,
            evidence=batch,
            ledger=ledger,
            clock=boot_clock,
            wait=wait,
        )
    finally:
        watcher.close()
        batch.close()
    return [_drained(one, result) for one, result in zip(known, results)]


def _drained(known: _Known, result: StopResult) -> _Each:
    said = report.stop_result(result)
    said["notes"] = report.findings(known.notes)
    warnings = [finding.text for finding in known.findings] + report.warnings(result)
    failure = report.failure(result) if result.failed else ""
    return _Each(said, warnings, failure, known.container)


def _plain_stops(options: Options, engine: DockerEngine, known: Sequence[_Known]) -> list[_Each]:
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as pool:
        return list(pool.map(lambda one: _plain_stop(options, engine, one), known))


def _plain_stop(options: Options, engine: DockerEngine, known: _Known) -> _Each:
    """The engine's own stop: no evidence is read, so none is judged by."""
    container = known.container
    result: dict[str, Any] = {"name": container.name, "id": container.id, "failed": False, "changed": False}
    if container.at_rest:
        result.update(
            verdict=Verdict.ALREADY_STOPPED.value, reason=f"the container is {container.status.value}"
        )
        return _Each(result, container=container)
    begun = time.monotonic()
    try:
        engine.stop(container.id, int(options.request.timeout))
        after = engine.inspect(container.id)
    except KollaDrainError as exc:
        result.update(failed=True, verdict=None, reason=str(exc))
        return _Each(result, failure=f"{container.name} could not be stopped: {exc}")
    code = after.exit_code if after else None
    killed = code == 137 and after is not None and not after.oom_killed
    result.update(
        changed=True,
        verdict=(Verdict.KILLED if killed else Verdict.UNVERIFIED).value,
        reason=f"the engine's plain stop, exit code {code}; graceful_shutdown is off, so nothing was verified",
        exit_code=code,
        drained=round(time.monotonic() - begun, 1),
        timeout=options.request.timeout,
    )
    return _Each(result, [f"{container.name}: {result['reason']}."] if killed else [], container=container)


# --- the plan: check mode and drain_status


def _status(options: Options, engine: DockerEngine) -> dict[str, Any]:
    ledger = Ledger()
    found = {name: engine.inspect(name) for name in options.names}
    if len(found) == 1 and None in found.values() and not options.ignore_missing:
        _find(options, engine, options.names[0], "read")
    known = [_look(options, engine, ledger, one) for one in found.values() if one is not None]
    plans = {each.result["id"]: each for each in _plans(options, known, ledger)}
    each_one = []
    for name, one in found.items():
        each = plans[one.id] if one is not None else _absent(options, name)
        each.result["changed"] = False
        each_one.append(each)
    return _compose(options, each_one)


def _plans(options: Options, known: Sequence[_Known], ledger: Ledger) -> list[_Each]:
    """What would be done, what is in flight now, and what preflight finds; nothing is touched."""
    sources = {
        one.container.id: one.source for one in known if one.source is not None and not one.container.at_rest
    }
    readings: Mapping[str, Reading] = {}
    if sources:
        batch = Batch(sources, lambda: None)
        try:
            readings = batch.readings_once(sources)
        finally:
            batch.close()
    return [_plan(options, one, readings.get(one.container.id)) for one in known]


def _plan(options: Options, known: _Known, reading: Reading | None) -> _Each:
    container = known.container
    result = {
        "name": container.name,
        "id": container.id,
        "changed": not container.at_rest,
        "failed": False,
        "status": container.status.value,
        "draining": known.draining,
        "service": known.profile.name,
        "plan": report.plan(known.plan),
        "preflight": report.findings(known.findings),
        "notes": report.findings(known.notes),
        **report.reading(reading, known.missing),
    }
    if container.at_rest:
        result["plan"] = {}
        if options.action != "drain_status":
            result["verdict"] = Verdict.ALREADY_STOPPED.value
    return _Each(result, [finding.text for finding in known.findings], container=container)


def _compose(options: Options, each_one: Sequence[_Each]) -> dict[str, Any]:
    """The module's result: every container, and a single one at the top level too."""
    containers = [each.result for each in each_one]
    failures = [each.failure for each in each_one if each.failure]
    result: dict[str, Any] = dict(containers[0]) if len(containers) == 1 else {}
    result.update(
        changed=any(one["changed"] for one in containers),
        failed=bool(failures),
        containers=containers,
        warnings=[text for each in each_one for text in each.warnings],
    )
    if failures:
        result["msg"] = " ".join(failures)
    return result


# --- the other actions


def _stop_and_remove(options: Options, engine: DockerEngine) -> dict[str, Any]:
    each_one = _stop_each(options, engine)
    for each in each_one:
        if each.container is None or (each.failure and not options.check_mode):
            continue
        each.result["changed"] = True
        if options.check_mode or not each.at_rest:
            continue
        try:
            engine.remove(each.container.id)
            each.result["removed"] = True
        except KollaDrainError as exc:
            each.result.update(failed=True, removed=False)
            each.failure = f"{each.container.name} was stopped but could not be removed: {exc}"
    return _compose(options, each_one)


def _restart(options: Options, engine: DockerEngine) -> dict[str, Any]:
    _find(options, engine, options.names[0], "restart")
    (each,) = _stop_each(replace(options, ignore_missing=False), engine)
    if each.container is None or each.failure:
        return _compose(options, [each])
    each.result["changed"] = True
    if not options.check_mode:
        _run_again(engine, each.container, each)
    return _compose(options, [each])


def _run_again(engine: DockerEngine, container: Container, each: _Each) -> None:
    """Start a stopped container and see that its process lives; tell the gap, by the engine's own clock."""
    name = container.name
    try:
        engine.start(container.id)
        now = engine.inspect(container.id)
    except KollaDrainError as exc:
        each.failure = f"{name} was stopped and could not be started again: {exc}"
    else:
        if now is None or not now.alive:
            code = "" if now is None or now.exit_code is None else f" with exit code {now.exit_code}"
            each.failure = f"{name} was started and ended at once{code}; see why with 'docker logs {name}'."
        elif epoch(now.finished_at):
            each.result["gap"] = round(epoch(now.started_at) - epoch(now.finished_at), 2)
    each.result["failed"] = bool(each.failure)


def _start(options: Options, engine: DockerEngine) -> dict[str, Any]:
    container = _find(options, engine, options.names[0], "start")
    each = _Each(
        {"name": container.name, "id": container.id, "changed": False, "failed": False}, container=container
    )
    if container.status in (ContainerStatus.RUNNING, ContainerStatus.RESTARTING):
        return _compose(options, [each])
    each.result["changed"] = True
    if not options.check_mode:
        if container.status is ContainerStatus.PAUSED:
            engine.thaw(container.id)
        else:
            _run_again(engine, container, each)
    return _compose(options, [each])


def _remove(options: Options, engine: DockerEngine) -> dict[str, Any]:
    name = options.names[0]
    container = engine.inspect(name)
    if container is None:
        return {
            "changed": False,
            "failed": False,
            "name": name,
            "verdict": Verdict.ABSENT.value,
            "warnings": [],
        }
    if not container.at_rest:
        raise Refused(
            f"{name} is {container.status.value} and is not removed, for that would kill its work; "
            "use action=stop_and_remove_container, which drains it first."
        )
    if not options.check_mode:
        engine.remove(container.id)
    return {"changed": True, "failed": False, "name": name, "id": container.id, "warnings": []}


def _state(options: Options, engine: DockerEngine) -> dict[str, Any]:
    container = _find(options, engine, options.names[0], "read")
    state = engine.state(container.id)
    return {"changed": False, "failed": False, "name": container.name, "state": state, "warnings": []}


def _env(options: Options, engine: DockerEngine) -> dict[str, Any]:
    container = _find(options, engine, options.names[0], "read")
    env = {key: MASK if _SECRET.search(key) and value else value for key, value in container.env.items()}
    return {"changed": False, "failed": False, "name": container.name, "env": env, "warnings": []}


ACTIONS: dict[str, Callable[[Options, DockerEngine], dict[str, Any]]] = {
    "stop_container": _stop,
    "stop_and_remove_container": _stop_and_remove,
    "restart_container": _restart,
    "start_container": _start,
    "remove_container": _remove,
    "get_container_state": _state,
    "get_container_env": _env,
    "drain_status": _status,
}

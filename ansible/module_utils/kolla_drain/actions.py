"""What each action of the module does: options in, plain results out. No Ansible in here.

Everything that can be wrong with the input is found before anything is touched.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from . import lookup, report
from .drain import StopResult, stop_all
from .engine.docker import DockerEngine, epoch
from .errors import KollaDrainError, Refused
from .evidence.batch import Batch
from .ledger import Ledger, boot_clock
from .lookup import Known
from .model import Container, ContainerStatus, OnTimeout, Quiesce, Reading, StopRequest, Verdict
from .policy import Plan
from .signals import normalise

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")  # what the Docker Engine takes for a name
_SECRET_NAME = re.compile(
    r"pass(?:w(?:or)?d|phrase)?s?(?![a-z])|(?:secret|token)s?(?![a-z])|credential|private|(?<![a-z])(?:api)?keys?(?![a-z])",
    re.IGNORECASE,
)
_SECRET_IN_URL = re.compile(r"(://[^:/@\s]*):\S+@")
MASK = "********"

# After a start the container is looked at for this long, in seconds: what is broken mostly ends at once.
SETTLE = 1.0

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

    @property
    def given(self) -> lookup.Given:
        """The part that tells where the service's evidence is."""
        return lookup.Given(self.service, self.service_config, self.database)


def run(options: Options) -> dict[str, Any]:
    """Do what was asked. Returns the module's result, with ``failed``, ``warnings`` and ``diff`` in it.

    Raises KollaDrainError, with one sentence, when the input is wrong or the engine cannot be used.
    """
    _check_names(options)
    options = replace(options, request=_checked(options.request))
    if options.client_timeout < 1:
        raise Refused(f"client_timeout is {options.client_timeout}; it is seconds, at least 1.")
    if not options.graceful_shutdown:
        _check_plain(options.request)
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
    limits = {
        "graceful_shutdown_timeout": (request.timeout, 1),
        "poll_interval": (request.poll_interval, 0.1),
        "idle_limit": (request.idle_limit, 1),
    }
    for name, (value, least) in limits.items():
        if value is not None and not (math.isfinite(value) and value >= least):
            raise Refused(f"{name} is {value:g}; it is seconds, at least {least:g}.")
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


def _check_plain(request: StopRequest) -> None:
    """The engine's plain stop knows its own signal and its own SIGKILL, and nothing else."""
    asked = {
        "on_timeout=leave": request.on_timeout is OnTimeout.LEAVE,
        "quiesce=always": request.quiesce is Quiesce.ALWAYS,
        "stop_signal": bool(request.signal),
        "idle_limit": request.idle_limit is not None,
    }
    for option, is_asked in asked.items():
        if is_asked:
            raise Refused(
                f"{option} cannot be had with graceful_shutdown=false, which is the engine's plain stop; "
                "leave one of the two out."
            )


def _container(engine: DockerEngine, name: str, wanted_for: str) -> Container:
    found = engine.inspect(name)
    if found is None:
        raise Refused(_missing(name, wanted_for))
    return found


def _missing(name: str, wanted_for: str) -> str:
    return f"There is no container {name} to {wanted_for}; see the names with 'docker ps --all'."


# --- stop


@dataclass
class _Each:
    """One container's part of the result."""

    result: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    failure: str = ""
    container: Container | None = None  # as it was found; None for one that is not there
    after: str = ""  # what has become of it, if anything: its part of the diff

    @property
    def at_rest(self) -> bool:
        """Whether the container has stopped, one way or the other."""
        return not self.failure and self.result.get("verdict") not in (None, "absent", "left_running")


def _stop(options: Options, engine: DockerEngine) -> dict[str, Any]:
    return _compose(_stop_each(options, engine))


def _stop_each(options: Options, engine: DockerEngine, wanted_for: str = "stop") -> list[_Each]:
    ledger = Ledger()
    found, known = _look_at(options, engine, ledger)
    strict = options.preflight == "strict"
    readings = lookup.readings(known) if options.check_mode or strict else {}
    if strict:
        _refuse_by_preflight(known, readings)
    if options.check_mode:
        outcomes = [_plan(options, one, readings.get(one.container.id)) for one in known]
    else:
        with contextlib.suppress(KollaDrainError):  # tidying up is nobody's reason to fail
            ledger.sweep(lambda container_id: engine.inspect(container_id) is not None)
        outcomes = (_drain if options.graceful_shutdown else _plain_stops)(options, engine, ledger, known)
    return _in_order(options, found, outcomes, wanted_for)


def _look_at(
    options: Options, engine: DockerEngine, ledger: Ledger
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
                lookup.look(
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
            raise lookup.refused(one, exc, would_touch=would_touch) from exc
    return found, known


def _refuse_aliases(found: Mapping[str, Container | None]) -> None:
    """One container under two names, say its name and its id, would be stopped twice."""
    by_id: dict[str, str] = {}
    for name, one in found.items():
        if one is not None and by_id.setdefault(one.id, name) != name:
            raise Refused(f"{by_id[one.id]} and {name} are the same container; name it once.")


def _refuse_by_preflight(known: Sequence[Known], readings: Mapping[str, Reading]) -> None:
    found = [
        finding.text
        for one in known
        for finding in (*one.findings, *lookup.unreadable(one, readings.get(one.container.id)))
    ]
    if found:
        faults = f"{len(found)} fault{'s' if len(found) > 1 else ''}"
        raise Refused(f"Preflight found {faults}, and nothing was touched: {' '.join(found)}")


def _in_order(
    options: Options, found: Mapping[str, Container | None], outcomes: Sequence[_Each], wanted_for: str
) -> list[_Each]:
    """The outcomes in the order of the names, with those that are absent."""
    by_id = {each.result["id"]: each for each in outcomes}
    return [
        by_id[one.id] if one is not None else _absent(options, name, wanted_for)
        for name, one in found.items()
    ]


def _absent(options: Options, name: str, wanted_for: str) -> _Each:
    """A container that is not there: what stop_and_remove_container wants, and else an error."""
    result = {"name": name, "id": "", "changed": False, "failed": False, "verdict": Verdict.ABSENT.value}
    result["reason"] = "the engine has no such container"
    if options.ignore_missing or options.action == "stop_and_remove_container":
        return _Each(result)
    result.update(failed=True, verdict=None)
    return _Each(result, failure=_missing(name, wanted_for))


def _drain(options: Options, engine: DockerEngine, ledger: Ledger, known: Sequence[Known]) -> list[_Each]:
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


def _drained(known: Known, result: StopResult) -> _Each:
    said = report.stop_result(result)
    said["notes"] = report.findings(known.notes)
    warnings = [finding.text for finding in known.findings] + report.warnings(result)
    each = _Each(said, warnings, report.failure(result) if result.failed else "", known.container)
    if each.at_rest and result.changed:
        each.after = ContainerStatus.EXITED.value
    return each


# --- the engine's plain stop


def _plain_stops(
    options: Options, engine: DockerEngine, ledger: Ledger, known: Sequence[Known]
) -> list[_Each]:
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as pool:
        return list(pool.map(lambda one: _plain_stop(options, engine, ledger, one), known))


def _plain_stop(options: Options, engine: DockerEngine, ledger: Ledger, known: Known) -> _Each:
    """The engine's own stop: no evidence is read, so none is judged by. It signals once, too."""
    container, timeout = known.container, options.request.timeout
    result: dict[str, Any] = {"name": container.name, "id": container.id, "failed": False, "changed": False}
    if container.at_rest:
        result.update(
            verdict=Verdict.ALREADY_STOPPED.value, reason=f"the container is {container.status.value}"
        )
        return _Each(result, container=container)
    begun = time.monotonic()
    try:
        _announce(ledger, known, timeout)
        result["changed"] = True
        engine.stop(container.id, int(timeout))
        after = engine.inspect(container.id)
    except KollaDrainError as exc:
        result.update(failed=True, verdict=None, reason=str(exc))
        return _Each(result, failure=f"{container.name} could not be stopped: {exc}", container=container)
    with contextlib.suppress(KollaDrainError):  # its process life is over: a later run sweeps the entry
        ledger.forget(container.id, container.life)
    code = after.exit_code if after else None
    killed = code == 137 and after is not None and not after.oom_killed
    result.update(
        verdict=(Verdict.KILLED if killed else Verdict.UNVERIFIED).value,
        reason=f"the engine's plain stop, exit code {code}; graceful_shutdown is off, so nothing was verified",
        exit_code=code,
        drained=round(time.monotonic() - begun, 1),
        timeout=timeout,
    )
    warnings = [f"{container.name}: {result['reason']}."] if killed else []
    return _Each(result, warnings, container=container, after=ContainerStatus.EXITED.value)


def _announce(ledger: Ledger, known: Known, timeout: float) -> None:
    """Keep that the engine is about to signal it, unless a stop is under way already."""
    under_way = known.draining
    if not under_way:  # what is refused leaves nothing in the ledger, and makes no deadline longer
        entry, joined = ledger.begin(known.container, timeout, _own_signal(known.container))
        under_way = "by another run" if joined else ""
    if under_way:
        raise Refused(
            f"it is being stopped already ({under_way}), and a second signal would cut its work; "
            "join that stop with graceful_shutdown=true, or wait for it to end."
        )
    with ledger.held(known.container.id):
        ledger.intend(entry)


def _own_signal(container: Container) -> str:
    return container.stop_signal or "SIGTERM"


# --- the plan: check mode and drain_status


def _status(options: Options, engine: DockerEngine) -> dict[str, Any]:
    found, known = _look_at(options, engine, Ledger())
    readings = lookup.readings(known)
    plans = [_plan(options, one, readings.get(one.container.id)) for one in known]
    for each in plans:
        each.result["changed"], each.after = False, ""
    return _compose(_in_order(options, found, plans, "look into"))


def _plan(options: Options, known: Known, reading: Reading | None) -> _Each:
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
    return _Each(result, [finding.text for finding in known.findings], container=container, after=after)


def _plain_plan(known: Known, timeout: float) -> Plan:
    why = f"graceful_shutdown is off: the engine's plain stop, SIGKILL after {timeout:g} s whatever is in flight"
    return Plan(_own_signal(known.container), timeout, 0.0, timeout, why)


def _compose(each_one: Sequence[_Each]) -> dict[str, Any]:
    """The module's result: every container, and a single one at the top level too."""
    containers = [each.result for each in each_one]
    failures = [each.failure for each in each_one if each.failure]
    result: dict[str, Any] = dict(containers[0]) if len(containers) == 1 else {}
    result.update(
        changed=any(one["changed"] for one in containers),
        failed=bool(failures),
        containers=containers,
        warnings=[text for each in each_one for text in each.warnings],
        diff=[_difference(each.container, each.after) for each in each_one if each.container and each.after],
    )
    if failures:
        result["msg"] = " ".join(failures)
    return result


def _difference(container: Container, after: str) -> dict[str, str]:
    """Ansible's form of a diff."""
    return {
        "before_header": container.name,
        "after_header": container.name,
        "before": f"{container.status.value}\n",
        "after": f"{after}\n",
    }


# --- the other actions


def _stop_and_remove(options: Options, engine: DockerEngine) -> dict[str, Any]:
    each_one = _stop_each(options, engine)
    for each in each_one:
        if each.container is None or each.failure:
            continue
        if options.check_mode:
            each.result["changed"], each.after = True, "removed"
        elif each.at_rest:
            try:
                engine.remove(each.container.id)
                each.result.update(changed=True, removed=True)
                each.after = "removed"
            except KollaDrainError as exc:
                each.result.update(failed=True, removed=False)
                each.failure = f"{each.container.name} was stopped but could not be removed: {exc}"
    return _compose(each_one)


def _restart(options: Options, engine: DockerEngine) -> dict[str, Any]:
    (each,) = _stop_each(options, engine, "restart")
    if each.container is None or each.failure:
        return _compose([each])
    each.result["changed"], each.after = True, "restarted"
    if not options.check_mode and _run_again(engine, each.container, each):
        now = engine.inspect(each.container.id)
        if now is not None and epoch(now.finished_at):
            each.result["gap"] = round(epoch(now.started_at) - epoch(now.finished_at), 2)
    return _compose([each])


def _start(options: Options, engine: DockerEngine) -> dict[str, Any]:
    container = _container(engine, options.names[0], "start")
    each = _Each(
        {"name": container.name, "id": container.id, "changed": False, "failed": False}, container=container
    )
    if container.status in (ContainerStatus.RUNNING, ContainerStatus.RESTARTING):
        return _compose([each])
    each.result["changed"], each.after = True, ContainerStatus.RUNNING.value
    if not options.check_mode:
        if container.status is ContainerStatus.PAUSED:
            engine.thaw(container.id)
        else:
            _run_again(engine, container, each)
    return _compose([each])


def _run_again(engine: DockerEngine, container: Container, each: _Each) -> bool:
    """Start a stopped container and see that its process stays; true if it does."""
    name = container.name
    try:
        engine.start(container.id)
        now = _settled(engine, container.id)
    except KollaDrainError as exc:
        each.failure = f"{name} is stopped and could not be started: {exc}"
    else:
        if now is None or not now.alive:
            code = "" if now is None or now.exit_code is None else f" with exit code {now.exit_code}"
            each.failure = f"{name} was started and ended at once{code}; see why with 'docker logs {name}'."
    if each.failure:
        each.result["failed"], each.after = True, ContainerStatus.EXITED.value
    return not each.failure


def _settled(engine: DockerEngine, container_id: str) -> Container | None:
    """The container SETTLE seconds after its start, or as soon as it has ended."""
    until = time.monotonic() + SETTLE
    now = engine.inspect(container_id)
    while now is not None and now.alive and time.monotonic() < until:
        time.sleep(0.1)
        now = engine.inspect(container_id)
    return now


def _remove(options: Options, engine: DockerEngine) -> dict[str, Any]:
    name = options.names[0]
    container = engine.inspect(name)
    if container is None:
        return _compose([_absent(replace(options, ignore_missing=True), name, "remove")])
    if not container.at_rest:
        raise Refused(
            f"{name} is {container.status.value} and is not removed, for that would kill its work; "
            "use action=stop_and_remove_container, which drains it first."
        )
    if not options.check_mode:
        engine.remove(container.id)
    result = {"name": container.name, "id": container.id, "changed": True, "failed": False}
    return _compose([_Each(result, container=container, after="removed")])


def _state(options: Options, engine: DockerEngine) -> dict[str, Any]:
    container = _container(engine, options.names[0], "read")
    return _found(container, state=engine.state(container.id))


def _env(options: Options, engine: DockerEngine) -> dict[str, Any]:
    container = _container(engine, options.names[0], "read")
    return _found(container, env={key: masked(key, value) for key, value in container.env.items()})


def masked(name: str, value: str) -> str:
    """The value of a variable without its secret: all of it by the name, else the password of a URL in it."""
    if value and _SECRET_NAME.search(name):
        return MASK
    return _SECRET_IN_URL.sub(rf"\1:{MASK}@", value)


def _found(container: Container, **what: Any) -> dict[str, Any]:
    return {"changed": False, "failed": False, "name": container.name, "warnings": [], "diff": [], **what}


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

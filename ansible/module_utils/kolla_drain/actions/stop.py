"""Stops containers, each to a verdict of its own, or tells what a stop would do. No Ansible in here."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..drain.loop import stop_all
from ..drain.result import StopResult
from ..engine.port import Engine
from ..errors import KollaDrainError, Refused
from ..evidence.reader import Batch
from ..host.ledger import Ledger, boot_clock
from ..host.process import any_in_container
from ..model import Container, ContainerStatus, Finding, Reading, Verdict
from ..systemd.units import SETTLE
from . import report, survey
from .options import Options
from .results import Each, compose
from .status import _plan, own_signal, unit_names
from .survey import Known, in_order, look_at
from .units import Owning, remove_units

# A stop for one of these is begun only where the container can be started again.
_TO_START_AGAIN = ("restart", "replace")

# What a unit is about to do with a container that is at rest shows soon; it is looked at this often, in seconds.
LOOK_AGAIN = 0.2


def stop(options: Options, engine: Engine) -> dict[str, Any]:
    return compose(stop_each(options, engine))


def stop_each(options: Options, engine: Engine, wanted_for: str = "stop") -> list[Each]:
    ledger = Ledger()
    found, known = look_at(options, engine, ledger)
    strict = options.preflight == "strict"
    readings = survey.readings(known) if options.check_mode or strict else {}
    if strict:
        _refuse_by_preflight(known, readings)
    owning = Owning(unit_names(found))
    if wanted_for in _TO_START_AGAIN:
        owning.refuse_unstartable()
    if options.check_mode:
        outcomes = [_plan(options, one, readings.get(one.container.id)) for one in known]
        planned = in_order(options, engine, found, outcomes, wanted_for)
        owning.plan(planned)
        return planned
    with contextlib.suppress(KollaDrainError):  # tidying up is nobody's reason to fail
        # An entry may be of a container of another engine on this host: the kernel knows them all.
        ledger.sweep(lambda found: engine.inspect(found) is not None or any_in_container(found))
    stops = _drain if options.graceful_shutdown else _plain_stops
    with owning.held(_at_rest(found)) as stirred:
        until = boot_clock() + SETTLE
        while stirred:
            found, known = look_at(options, engine, ledger)
            stirred = owning.undecided(_at_rest(found)) and boot_clock() < until
            time.sleep(LOOK_AGAIN if stirred else 0.0)
        outcomes = stops(options, engine, ledger, known)
        each_one = in_order(options, engine, found, outcomes, wanted_for)
        owning.settle(each_one, engine)
    owning.warn(each_one)
    return each_one


def _at_rest(found: Mapping[str, Container | None]) -> list[str]:
    return [name for name, one in zip(unit_names(found), found.values()) if one is None or one.at_rest]


def _refuse_by_preflight(known: Sequence[Known], readings: Mapping[str, Reading]) -> None:
    found = [
        finding.text
        for one in known
        for finding in (*one.findings, *survey.unreadable(one, readings.get(one.container.id)))
    ]
    if found:
        faults = f"{len(found)} fault{'s' if len(found) > 1 else ''}"
        raise Refused(f"Preflight found {faults}, and nothing was touched: {' '.join(found)}")


def _drain(options: Options, engine: Engine, ledger: Ledger, known: Sequence[Known]) -> list[Each]:
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
        notes = batch.notes()
        batch.close()
    return [_drained(one, result, notes.get(one.container.id, "")) for one, result in zip(known, results)]


def _drained(known: Known, result: StopResult, broker_note: str) -> Each:
    said = report.stop_result(result)
    queues = (Finding("broker_not_asked", f"{result.name}: {broker_note}."),) if broker_note else ()
    said["notes"] = report.findings((*known.notes, *queues))
    warnings = [finding.text for finding in known.findings] + report.warnings(result)
    each = Each(said, warnings, report.failure(result) if result.failed else "", known.container)
    if each.at_rest and result.changed:
        each.after = ContainerStatus.EXITED.value
    return each


# --- the engine's plain stop


def _plain_stops(options: Options, engine: Engine, ledger: Ledger, known: Sequence[Known]) -> list[Each]:
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as pool:
        return list(pool.map(lambda one: _plain_stop(options, engine, ledger, one), known))


def _plain_stop(options: Options, engine: Engine, ledger: Ledger, known: Known) -> Each:
    """The engine's own stop: no evidence is read, so none is judged by. It signals once, too."""
    container, timeout = known.container, options.request.timeout
    result: dict[str, Any] = {"name": container.name, "id": container.id, "failed": False, "changed": False}
    if container.at_rest:
        result.update(
            verdict=Verdict.ALREADY_STOPPED.value, reason=f"the container is {container.status.value}"
        )
        return Each(result, container=container)
    begun = time.monotonic()
    try:
        _announce(ledger, known, timeout)
        result["changed"] = True
        engine.stop(container.id, int(timeout))
        after = engine.inspect(container.id)
    except KollaDrainError as exc:
        result.update(failed=True, verdict=None, reason=str(exc))
        return Each(result, failure=f"{container.name} could not be stopped: {exc}", container=container)
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
    return Each(result, warnings, container=container, after=ContainerStatus.EXITED.value)


def _announce(ledger: Ledger, known: Known, timeout: float) -> None:
    """Keep that the engine is about to signal it, unless a stop is under way already."""
    under_way = known.draining
    if not under_way:  # what is refused leaves nothing in the ledger, and makes no deadline longer
        entry, joined = ledger.begin(known.container, timeout, own_signal(known.container))
        under_way = "by another run" if joined else ""
    if under_way:
        raise Refused(
            f"it is being stopped already ({under_way}), and a second signal would cut its work; "
            "join that stop with graceful_shutdown=true, or wait for it to end."
        )
    with ledger.held(known.container.id):
        ledger.intend(entry)


def stop_and_remove(options: Options, engine: Engine) -> dict[str, Any]:
    each_one = stop_each(options, engine)
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
    remove_units(options, [each for each in each_one if not each.failure])
    return compose(each_one)

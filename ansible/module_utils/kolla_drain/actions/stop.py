"""Stop containers, each to a verdict of its own, or in check mode return what a stop would do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ..drain.loop import stop_all
from ..drain.result import StopResult
from ..engine.port import Engine
from ..errors import KollaDrainError, Refused
from ..host.ledger import Ledger, boot_clock
from ..host.process import any_in_container
from ..model import ContainerStatus, StopRequest, Verdict
from ..systemd.units import SETTLE
from . import intent as intents
from . import report
from .intent import Intent
from .options import Options
from .parallel import side_by_side
from .results import ActionResult, ContainerResult, PlainEnd, PlainStop, compose
from .status import forecasts, plain_signal
from .survey import Survey, Surveys, reader, survey_all, unreadable
from .units import ContainerUnits, remove_units

# Seconds between looks at a unit that is about to start a container at rest; it decides within a moment.
LOOK_AGAIN = 0.2

_KILLED = 128 + 9  # exit code of a process that SIGKILL ended


def stop(options: Options, engine: Engine) -> ActionResult:
    """Stop the containers."""
    return compose(stop_each(options, engine, intents.STOP))


def stop_and_remove(options: Options, engine: Engine) -> ActionResult:
    """Stop the containers and remove those that have stopped, with their units."""
    results = stop_each(options, engine, intents.STOP_AND_REMOVE)
    for result in results:
        if result.container is None or result.failure:
            continue
        if options.check_mode:
            result.changed, result.after = True, "removed"
        elif result.at_rest:
            try:
                engine.remove(result.container.id)
            except KollaDrainError as exc:
                result.removed = False
                result.failure = f"{result.name} was stopped but could not be removed: {exc}"
            else:
                result.changed, result.removed, result.after = True, True, "removed"
    remove_units([result for result in results if not result.failure], check_mode=options.check_mode)
    return compose(results)


def stop_each(options: Options, engine: Engine, intent: Intent) -> list[ContainerResult]:
    """Stop the containers for what is to become of them; in check mode return what would be done.

    Raises Refused, with nothing touched.
    """
    ledger = Ledger()
    surveys = survey_all(options, engine, ledger, intent)
    if options.preflight == "strict":
        _refuse_by_preflight(surveys)
    units = ContainerUnits(surveys.names)
    if intent.needs_restart:
        units.refuse_unstartable()
    if options.check_mode:
        planned = surveys.in_order(options, engine, forecasts(options, surveys), intent)
        units.plan(planned)
        return planned
    with contextlib.suppress(KollaDrainError):  # a record that cannot be tidied up does not fail a stop
        # A container that this engine does not know may be another engine's.
        ledger.sweep(
            lambda container_id: engine.inspect(container_id) is not None or any_in_container(container_id)
        )
    with units.held(surveys.at_rest) as to_look_again:
        if to_look_again:
            surveys = _decided(lambda: survey_all(options, engine, ledger, intent), units)
        if options.graceful_shutdown:
            stopped = _drain(options.request, engine, ledger, surveys)
        else:
            stopped = _plain_stops(options, ledger, surveys)
        results = surveys.in_order(options, engine, stopped, intent)
        units.settle(results, engine)
    units.warn(results)
    return results


def _decided(look: Callable[[], Surveys], units: ContainerUnits) -> Surveys:
    """Look until no unit is about to start its container, for SETTLE seconds at the most."""
    until = boot_clock() + SETTLE
    while True:
        surveys = look()
        if not units.undecided(surveys.at_rest) or boot_clock() >= until:
            return surveys
        time.sleep(LOOK_AGAIN)


def _refuse_by_preflight(surveys: Surveys) -> None:
    readings = surveys.readings()
    faults = [
        finding.text
        for one in surveys.existing
        for finding in (*one.findings, *unreadable(one, readings.get(one.container.id)))
    ]
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise Refused(f"Preflight found {count}, and nothing was touched: {' '.join(faults)}")


# --- the drain


def _drain(request: StopRequest, engine: Engine, ledger: Ledger, surveys: Surveys) -> list[ContainerResult]:
    woken = threading.Event()
    evidence = reader(surveys.sources, woken.set)
    watcher = engine.watch([one.container.id for one in surveys.existing], woken.set)

    def wait(seconds: float) -> None:
        woken.wait(seconds)
        woken.clear()

    try:
        results = stop_all(
            [one.target(request) for one in surveys.existing],
            engine=engine,
            evidence=evidence,
            ledger=ledger,
            clock=boot_clock,
            wait=wait,
        )
    finally:
        watcher.close()
        evidence.close()
    return [_drained(one, result) for one, result in zip(surveys.existing, results)]


def _drained(surveyed: Survey, stopped: StopResult) -> ContainerResult:
    result = replace(ContainerResult.of(surveyed.container), changed=stopped.changed, stop=stopped)
    result.notes = surveyed.notes
    result.warnings = [finding.text for finding in surveyed.findings] + report.warnings(stopped)
    result.failure = report.failure(stopped) if stopped.failed else ""
    if result.at_rest and stopped.changed:
        result.after = ContainerStatus.EXITED.value
    return result


# --- the engine's plain stop


def _plain_stops(options: Options, ledger: Ledger, surveys: Surveys) -> list[ContainerResult]:
    def stop_one(one: Survey, connect: Callable[[], Engine]) -> ContainerResult:
        return _plain_stop(one, connect, ledger, options.request.timeout)

    return side_by_side(options, stop_one, surveys.existing)


def _plain_stop(
    surveyed: Survey, connect: Callable[[], Engine], ledger: Ledger, timeout: float
) -> ContainerResult:
    """Stop with the engine's own stop, which reads no evidence. It, too, signals once."""
    container, result = surveyed.container, ContainerResult.of(surveyed.container)
    if container.at_rest:
        result.stop = PlainStop(Verdict.ALREADY_STOPPED, f"the container is {container.status.value}")
        return result
    begun = time.monotonic()
    try:
        engine = connect()
        _announce(ledger, surveyed, timeout)
        result.changed = True
        engine.stop(container.id, int(timeout))
        after = engine.inspect(container.id)
    except KollaDrainError as exc:
        result.stop = PlainStop(None, str(exc))
        result.failure = f"{container.name} could not be stopped: {exc}"
        return result
    with contextlib.suppress(KollaDrainError):  # its process life is over, so a later run sweeps the entry
        ledger.forget(container.id, container.life)
    code = after.exit_code if after else None
    killed = code == _KILLED and after is not None and not after.oom_killed
    reason = f"the engine's plain stop, exit code {code}; graceful_shutdown is off, so nothing was verified"
    end = PlainEnd(code, time.monotonic() - begun, timeout)
    result.stop = PlainStop(Verdict.KILLED if killed else Verdict.UNVERIFIED, reason, end)
    result.warnings = [f"{container.name}: {reason}."] if killed else []
    result.after = ContainerStatus.EXITED.value
    return result


def _announce(ledger: Ledger, surveyed: Survey, timeout: float) -> None:
    """Record that the engine is about to signal the container. Raises Refused while it is being stopped already.

    A refusal leaves the ledger as it was, so that no other run's deadline changes.
    """
    container, under_way = surveyed.container, surveyed.draining
    if not under_way:
        entry, joined = ledger.begin(container, timeout, plain_signal(container), join=False)
        under_way = "by another run" if joined else ""
    if under_way:
        raise Refused(
            f"it is being stopped already ({under_way}), and a second signal would cut its work; "
            "join that stop with graceful_shutdown=true, or wait for it to end."
        )
    with ledger.held(container.id):
        ledger.intend(entry)

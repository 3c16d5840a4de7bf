"""Stop containers, each to a verdict of its own, or in check mode return what a stop would do."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from dataclasses import replace

from ..drain.loop import stop_all
from ..drain.result import StopResult
from ..drain.verdict import KILLED_CODE
from ..engine.port import Engine
from ..errors import KollaDrainError, Refused
from ..host.ledger import Ledger, boot_clock
from ..host.process import any_in_container
from ..model import ContainerStatus, EvidenceState, Reading, Verdict
from ..systemd.units import SETTLE
from . import options as intents
from . import report
from .options import Intent, Options
from .results import ActionResult, ContainerResult, compose, in_order
from .side_by_side import at_once, side_by_side
from .survey import Survey, Surveys, plain_signal, survey_all
from .units import ContainerUnits

# Seconds between looks at a unit that is about to start a container at rest; it decides within a moment.
LOOK_AGAIN = 0.2


def stop(options: Options, engine: Engine) -> ActionResult:
    """Stop the containers."""
    return compose(stop_each(options, engine, intents.STOP))


def stop_and_remove(options: Options, engine: Engine) -> ActionResult:
    """Stop the containers and remove those that have stopped, with their units."""
    from .unit_files import remove_units

    results = stop_each(options, engine, intents.STOP_AND_REMOVE)
    for result in results:
        container = result.container
        if container is None or result.failure or not (options.check_mode or result.at_rest):
            continue
        try:
            if not options.check_mode:
                engine.remove(container.id)
                result.removed = True
            result.changed, result.after = True, "removed"
        except KollaDrainError as exc:
            result.removed = False
            result.failure = f"{result.name} was stopped but could not be removed: {exc}"
    remove_units([result for result in results if not result.failure], check_mode=options.check_mode)
    return compose(results)


def stop_each(options: Options, engine: Engine, intent: Intent) -> list[ContainerResult]:
    """Stop the containers for what is to become of them; in check mode return what would be done.

    Raises Refused, with nothing touched.
    """
    ledger = Ledger()
    surveys = survey_all(options, engine, ledger, intent)
    if surveys.sources:
        from . import siblings

        surveys = siblings.told(surveys, intent, options.preflight)
    if options.preflight == "strict":
        _refuse_by_preflight(surveys)
    units = ContainerUnits(surveys.names)
    if intent.needs_restart:
        units.refuse_unstartable()
    if options.check_mode:
        from .status import looked_at

        planned = in_order(surveys, options, engine, looked_at(surveys), intent)
        units.report(planned)
        for result in planned:
            _foresee(result)
        return planned
    with contextlib.suppress(KollaDrainError):  # a record that cannot be tidied up does not fail a stop
        # A container that this engine does not know may be another engine's.
        ledger.sweep(
            lambda container_id: engine.inspect(container_id) is not None or any_in_container(container_id)
        )
    with units.held(surveys.at_rest) as to_look_again:
        until = boot_clock() + SETTLE
        while to_look_again:  # until no unit is about to start its container
            surveys = survey_all(options, engine, ledger, intent)
            to_look_again = units.undecided(surveys.at_rest) and boot_clock() < until
            if to_look_again:
                time.sleep(LOOK_AGAIN)
        if options.graceful_shutdown:
            stopped = _drain(options, engine, ledger, surveys)
        else:
            stopped = side_by_side(lambda one: _plain_stop(options, ledger, one), surveys.existing)
        results = in_order(surveys, options, engine, stopped, intent)
        units.settle(results, engine)
    return results


def _foresee(result: ContainerResult) -> None:
    """Put into a result what a stop would change: a container that runs, or a unit that is not at rest."""
    container, unit = result.container, result.unit.unit if result.unit else None
    if container is not None and container.at_rest:
        result.foreseen = Verdict.ALREADY_STOPPED
    elif container is not None:
        result.changed, result.after = True, ContainerStatus.EXITED.value
    if unit is not None and not unit.at_rest and not result.failure:
        result.changed = True


def _refuse_by_preflight(surveys: Surveys) -> None:
    readings = surveys.readings()
    faults = []
    for one in surveys.existing:
        container = one.container
        faults += [finding.text for finding in one.findings]
        reading = readings.get(container.id, Reading(EvidenceState.UNAVAILABLE, one.missing))
        why = reading.why if reading.state is EvidenceState.UNAVAILABLE else ""
        if why and not container.at_rest:
            faults.append(
                f"{container.name}: its evidence cannot be read, so work in flight would go unseen: {why}."
            )
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise Refused(f"Preflight found {count}, and nothing was touched: {' '.join(faults)}")


def _drain(options: Options, engine: Engine, ledger: Ledger, surveys: Surveys) -> list[ContainerResult]:
    woken = threading.Event()

    def wait(seconds: float) -> None:
        woken.wait(seconds)
        woken.clear()

    with contextlib.closing(surveys.reader(woken.set)) as evidence:
        with contextlib.closing(engine.watch([one.container.id for one in surveys.existing], woken.set)):
            results = stop_all(
                [one.target(options.request) for one in surveys.existing],
                engine=engine,
                evidence=evidence,
                ledger=ledger,
                stories=options.stories,
                clock=boot_clock,
                wait=wait,
                at_once=at_once,
                chance=random.random,
            )
    return [_drained(one, result) for one, result in zip(surveys.existing, results)]


def _drained(surveyed: Survey, stopped: StopResult) -> ContainerResult:
    result = ContainerResult.of(
        surveyed.container,
        changed=stopped.changed,
        stop=stopped,
        was_unhealthy=surveyed.unhealthy,
        notes=surveyed.notes,
        warnings=[finding.text for finding in surveyed.warned_of] + report.warnings(stopped),
        failure=report.failure(stopped) if stopped.failed else "",
    )
    if result.at_rest and stopped.changed:
        result.after = ContainerStatus.EXITED.value
    return result


# --- the engine's plain stop


def _plain_stop(options: Options, ledger: Ledger, surveyed: Survey) -> ContainerResult:
    """Stop with the engine's own stop, which reads no evidence. It, too, signals once."""
    container, timeout = surveyed.container, options.request.timeout
    result = ContainerResult.of(container, plain=True, was_unhealthy=surveyed.unhealthy)
    stopped = StopResult(container.name, container.id, None, "")
    begun = time.monotonic()
    if container.at_rest:
        reason = f"the container is {container.status.value}"
        result.stop = replace(stopped, verdict=Verdict.ALREADY_STOPPED, reason=reason)
        return result
    try:
        engine = options.connect()
        _announce(ledger, surveyed, timeout)
        options.stories.step(
            container.name, "stop", "the engine's plain stop, which reads no evidence", seconds=timeout
        )
        result.changed = True
        engine.stop(container.id, int(timeout))
        after = engine.inspect(container.id)
    except KollaDrainError as exc:
        result.stop = replace(stopped, reason=str(exc))
        result.failure = f"{container.name} could not be stopped: {exc}"
        return result
    with contextlib.suppress(KollaDrainError):  # its process life is over, so a later run sweeps the entry
        ledger.forget(container.id, container.life)
    code = after.exit_code if after else None
    killed = code == KILLED_CODE and after is not None and not after.oom_killed
    options.stories.step(container.name, "stop", f"ended with exit code {code}", done=True)
    reason = f"the engine's plain stop, exit code {code}; graceful_shutdown is off, so nothing was verified"
    result.stop = replace(
        stopped,
        verdict=Verdict.KILLED if killed else Verdict.UNVERIFIED,
        reason=reason,
        exit_code=code,
        drained=time.monotonic() - begun,
        timeout=timeout,
    )
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

"""Ask services to read their configuration again, where their process handles that, and see that they serve on.

The signal would end a process that does not handle it, so it is sent only to one that does. Some services replace
their workers at this signal and drop what these work on, such as Cinder on native threads. Those are signalled only
when nothing is in flight.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import replace

from ..drain.baseline import NO_BASELINE, Baseline
from ..drain.policy import EMPTY_READINGS
from ..engine.port import Engine
from ..errors import KollaDrainError, Refused
from ..evidence.reader import EvidenceReader, Source
from ..host.ledger import Ledger, boot_clock
from ..model import Container, ContainerStatus, EvidenceState, Reading
from ..preflight import checks
from ..preflight.process import read_process
from ..signals import number
from ..start.readiness import Before
from . import survey
from .bring_up import BringUp, note_readiness
from .options import RELOAD, Options
from .results import ActionResult, ContainerResult, Reload, compose, in_order
from .side_by_side import side_by_side
from .start import restart_one
from .survey import Survey


def reload_container(options: Options, engine: Engine) -> ActionResult:
    """Reload every named container, side by side; one that fails does not stop the others."""
    surveys = survey.survey_all(options, engine, Ledger(), RELOAD)
    readings = surveys.readings()

    def reload_one(surveyed: Survey) -> ContainerResult:
        name, reading = surveyed.container.name, readings.get(surveyed.container.id)
        result = ContainerResult.of(surveyed.container, survey=surveyed, reading=reading, reload=Reload())
        try:
            return _reload_or_restart(replace(options, names=(name,)), surveyed, result)
        except KollaDrainError as exc:
            result.failure = f"{name} could not be reloaded: {exc}"
        return result

    results = side_by_side(reload_one, surveys.existing)
    return compose(in_order(surveys, options, engine, results, RELOAD))


def _reload_or_restart(options: Options, surveyed: Survey, result: ContainerResult) -> ContainerResult:
    """Reload the container, restart it, or say why neither. Raises KollaDrainError."""
    container, reload, signal = surveyed.container, result.reload, surveyed.profile.reload_signal
    assert reload is not None
    refusal = _refusal(surveyed)
    if refusal:
        result.failure = f"{container.name} was not reloaded: {refusal}"
        return result
    unhandled = surveyed.profile.no_reload or checks.unhandled(container, signal, read_process(container))
    restarts = bool(unhandled) and options.reload_fallback == "restart"
    how = "restart" if restarts else "reload"
    if options.check_mode:
        result.would = how
    else:
        reload.how = how
    if unhandled and not restarts:
        result.failure = (
            f"{container.name} was not reloaded: {unhandled}; use reload_fallback=restart to have it restarted "
            "gracefully instead."
        )
    elif options.check_mode:
        result.changed, result.after = True, "restarted" if restarts else f"reloaded with {signal}"
    elif restarts:
        restarted = restart_one(options, options.connect())
        reload.restarted, reload.reason = not restarted.failure, unhandled
        # It may have been removed meanwhile, and stays the container that was asked for.
        restarted.id, restarted.container, restarted.after = container.id, container, "restarted"
        restarted.survey, restarted.reading, restarted.reload = surveyed, result.reading, reload
        return restarted
    else:
        _signal_and_prove(options, options.connect(), surveyed, result, reload)
    return result


def _refusal(surveyed: Survey) -> str:
    status = surveyed.container.status
    if status is not ContainerStatus.RUNNING:
        return f"it is {status.value}; only a running container can be, start it with action=start_container."
    return f"it is being stopped ({surveyed.draining}); wait for that." if surveyed.draining else ""


def _signal_and_prove(
    options: Options, engine: Engine, surveyed: Survey, result: ContainerResult, reload: Reload
) -> None:
    before, signal, reading = surveyed.container, surveyed.profile.reload_signal, result.reading
    in_flight = reading.working if reading is not None else ()
    if not surveyed.profile.reload_keeps_work:
        busy = _busy_at_deadline(options, surveyed)
        if busy:
            why = f"{signal} replaces its workers, which drops what they work on, and {busy}"
            result.failure = f"{before.name} was not reloaded: {why}"
            return
        in_flight = ()
    if not _signal(before, signal):
        result.failure = f"{before.name} was not reloaded: its process has just ended."
        return
    reload.signal, reload.operations = signal, in_flight
    result.changed, result.after = True, f"reloaded with {signal}"
    was_read = reading is not None and reading.state is EvidenceState.OK
    was_up = frozenset(row.host for row in reading.heartbeats if row.up) if reading and was_read else None
    served = Before(was_up, surveyed.unhealthy)
    readiness = BringUp(options, engine).prove(before.id, served, since=before)
    reload.reloaded = note_readiness(result, before.name, readiness, evidence_was_read=was_read)
    if not reload.reloaded:
        result.failure = (
            f"{before.name} was sent {signal} and {readiness.why}; see why with "
            f"'{engine.command} logs {before.name}'."
        )


def _signal(container: Container, signal: str) -> bool:
    """Signal the container's process itself; return whether it was still there. Raises Refused.

    Docker takes any signal that it sends for a stop by an operator, and then starts the container neither after a
    crash nor when the engine starts (https://github.com/moby/moby/issues/41302).
    """
    # Looked at anew, because the wait before may have been long and its number be another process's by now.
    if read_process(container) is None:
        return False
    try:
        os.kill(container.pid, number(signal))
    except ProcessLookupError:
        return False
    except PermissionError as exc:
        raise Refused(
            f"this user may not signal its process {container.pid}; run with the rights of root (become: true)."
        ) from exc
    return True


def _busy_at_deadline(options: Options, surveyed: Survey) -> str:
    """Wait until nothing is in flight; return why the signal must not be sent, empty if it may be."""
    if surveyed.source is None:
        return f"what that is cannot be read: {surveyed.missing}."
    timeout, poll_interval = options.request.timeout, options.request.poll_interval
    poll_interval = min(poll_interval, timeout / 10)
    is_empty, last = await_empty(surveyed.source, timeout, poll_interval, surveyed.baseline)
    if is_empty:
        return ""
    if last is not None and last.working:
        named = ", ".join(f"{op.kind} {op.id}" for op in last.working)
        return f"after {timeout:g} s there is still in flight: {named}; give it a longer graceful_shutdown_timeout."
    why = last.why.rstrip(".") if last is not None else "no answer"
    return f"what that is could not be read for {timeout:g} s: {why}."


def await_empty(
    source: Source,
    timeout: float,
    poll_interval: float,
    baseline: Baseline = NO_BASELINE,
) -> tuple[bool, Reading | None]:
    """Read the evidence until EMPTY_READINGS readings running show nothing in flight, ``timeout`` seconds at most.

    Return whether they did, with the last reading.
    """
    woken = threading.Event()
    deadline, empty, last = time.monotonic() + timeout, 0, None
    with contextlib.closing(EvidenceReader({"": source}, woken.set)) as reader:
        reader.ask({"": ()})
        while empty < EMPTY_READINGS and time.monotonic() < deadline:
            woken.wait(max(0.0, deadline - time.monotonic()))
            woken.clear()
            for answer in reader.answers():
                last = baseline.judged(answer.reading, boot_clock())
                # Where not all of the work can be seen (why), there may be more.
                is_empty = last.state is EvidenceState.OK and not last.working and not last.why
                empty = empty + 1 if is_empty else 0
                if empty < EMPTY_READINGS:
                    time.sleep(max(0.0, min(poll_interval, deadline - time.monotonic())))
                    reader.ask({"": ()})
    return empty >= EMPTY_READINGS, last

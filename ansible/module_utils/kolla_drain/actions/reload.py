"""Ask services to read their configuration again, where their process handles that, and see that they serve on.

The signal would end a process that does not handle it, so it is sent only to one that does. Some services replace
their workers at this signal and drop what these work on, such as Cinder on native threads. Those are signalled only
when nothing is in flight.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ..drain.policy import EMPTY_READINGS
from ..engine.port import Engine
from ..errors import KollaDrainError
from ..evidence.reader import Source
from ..host.ledger import Ledger
from ..model import ContainerStatus, EvidenceState, Operation, Reading
from ..preflight import checks
from ..preflight.process import read_process
from . import survey
from .bring_up import BringUp, note_readiness
from .intent import RELOAD
from .options import Options
from .parallel import side_by_side
from .restart import restart_one
from .results import ActionResult, ContainerResult, Reload, compose
from .survey import Survey


def reload_container(options: Options, engine: Engine) -> ActionResult:
    """Reload every named container, side by side; one that fails does not stop the others."""
    surveys = survey.survey_all(options, engine, Ledger(), RELOAD)
    readings = surveys.readings()

    def reload_one(one: Survey, connect: Callable[[], Engine]) -> ContainerResult:
        return _Reload(options, one, readings.get(one.container.id)).run(connect)

    results = side_by_side(options, reload_one, surveys.existing)
    return compose(surveys.in_order(options, engine, results, RELOAD))


class _Reload:
    """One container's reload."""

    def __init__(self, options: Options, surveyed: Survey, reading: Reading | None) -> None:
        self._options = replace(options, names=(surveyed.container.name,))
        self._surveyed = surveyed
        self._reading = reading
        self._container = surveyed.container
        self._signal = surveyed.profile.reload_signal
        self._result = ContainerResult.of(surveyed.container)
        self._reload = Reload(surveyed.container.status, surveyed.profile.name, reading, surveyed.missing)

    def run(self, connect: Callable[[], Engine]) -> ContainerResult:
        """Reload the container, restart it, or say why neither."""
        try:
            refusal = self._refusal()
            if refusal:
                self._result.failure = f"{self._container.name} was not reloaded: {refusal}"
            else:
                self._reload_or_restart(connect)
        except KollaDrainError as exc:
            self._result.failure = f"{self._container.name} could not be reloaded: {exc}"
        self._result.reload = self._reload
        return self._result

    def _refusal(self) -> str:
        status = self._container.status
        if status is not ContainerStatus.RUNNING:
            return f"it is {status.value}; only a running container can be, start it with action=start_container."
        if self._surveyed.draining:
            return f"it is being stopped ({self._surveyed.draining}); wait for that."
        return ""

    def _reload_or_restart(self, connect: Callable[[], Engine]) -> None:
        unhandled = self._surveyed.profile.no_reload or checks.unhandled(
            self._container, self._signal, read_process(self._container)
        )
        restarts = bool(unhandled) and self._options.reload_fallback == "restart"
        planned = self._options.check_mode
        self._reload = replace(self._reload, how="restart" if restarts else "reload", planned=planned)
        if unhandled and not restarts:
            self._result.failure = (
                f"{self._container.name} was not reloaded: {unhandled}; use reload_fallback=restart to have it "
                "restarted gracefully instead."
            )
        elif planned:
            self._result.changed = True
            self._result.after = "restarted" if restarts else f"reloaded with {self._signal}"
        elif restarts:
            restarted = restart_one(self._options, connect())
            # It may have been removed meanwhile, and stays the container that was asked for.
            self._result = replace(
                restarted, id=self._container.id, container=self._container, after="restarted"
            )
            self._reload = replace(self._reload, restarted=not restarted.failure, reason=unhandled)
        else:
            self._signal_and_prove(connect())

    def _signal_and_prove(self, engine: Engine) -> None:
        result, before = self._result, self._container
        in_flight = self._reading.working if self._reading is not None else ()
        if not self._surveyed.profile.reload_keeps_work:
            busy = self._busy_at_deadline()
            if busy:
                result.failure = f"{before.name} was not reloaded: {busy}"
                return
            in_flight = ()
        engine.signal(before.id, self._signal)
        self._reload = replace(self._reload, signal=self._signal, operations=in_flight)
        result.changed, result.after = True, f"reloaded with {self._signal}"
        was_read = self._reading is not None and self._reading.state is EvidenceState.OK
        was_up = frozenset(row.host for row in self._reading.heartbeats if row.up) if self._reading else None
        readiness = BringUp(self._options, engine).prove(
            before.id, was_up if was_read else None, since=before
        )
        if note_readiness(result, before.name, readiness, evidence_was_read=was_read):
            self._reload = replace(self._reload, reloaded=True)
        else:
            result.failure = (
                f"{before.name} was sent {self._signal} and {readiness.why}; see why with "
                f"'{engine.command} logs {before.name}'."
            )

    def _busy_at_deadline(self) -> str:
        """Wait until nothing is in flight; return why the signal must not be sent, empty if it may be."""
        drops = f"{self._signal} replaces its workers, which drops what they work on, and"
        if self._surveyed.source is None:
            return f"{drops} what that is cannot be read: {self._surveyed.missing}."
        timeout, poll_interval = self._options.request.timeout, self._options.request.poll_interval
        is_empty, last = await_empty(self._surveyed.source, timeout, min(poll_interval, timeout / 10))
        return "" if is_empty else f"{drops} {_why_not_empty(last, timeout)}"


def await_empty(source: Source, timeout: float, poll_interval: float) -> tuple[bool, Reading | None]:
    """Read the evidence until EMPTY_READINGS readings running show nothing in flight, ``timeout`` seconds at most.

    Return whether they did, with the last reading.
    """
    woken = threading.Event()
    reader = survey.reader({"": source}, woken.set)
    deadline, empty, last = time.monotonic() + timeout, 0, None
    try:
        reader.ask({"": ()})
        while empty < EMPTY_READINGS and time.monotonic() < deadline:
            woken.wait(max(0.0, deadline - time.monotonic()))
            woken.clear()
            for answer in reader.answers():
                last = answer.reading
                is_empty = last.state is EvidenceState.OK and not last.working
                empty = empty + 1 if is_empty else 0
                if empty < EMPTY_READINGS:
                    time.sleep(max(0.0, min(poll_interval, deadline - time.monotonic())))
                    reader.ask({"": ()})
    finally:
        reader.close()
    return empty >= EMPTY_READINGS, last


def _why_not_empty(reading: Reading | None, timeout: float) -> str:
    busy: tuple[Operation, ...] = reading.working if reading is not None else ()
    if busy:
        named = ", ".join(f"{op.kind} {op.id}" for op in busy)
        return f"after {timeout:g} s there is still in flight: {named}; give it a longer graceful_shutdown_timeout."
    why = reading.why.rstrip(".") if reading is not None else "no answer"
    return f"what that is could not be read for {timeout:g} s: {why}."

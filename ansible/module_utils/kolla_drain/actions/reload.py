"""Asks services to read their configuration again, where their process handles that, and sees that they serve on.

A signal that a process does not handle would end it, so it is sent only to one that does. Some services replace their
workers at this signal and drop what these are working on (Cinder on native threads, see evidence/cinder.py): those are
quiesced first.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ..drain.policy import EMPTY_READINGS
from ..engine.port import Engine
from ..errors import KollaDrainError
from ..host.ledger import Ledger
from ..model import ContainerStatus, EvidenceState, Operation, Reading
from ..preflight import checks
from ..preflight.process import read_process
from . import bring_up, report, restart, survey
from .options import Options
from .results import Each, compose
from .survey import Known


def reload_container(options: Options, engine: Engine) -> dict[str, Any]:
    """Reload every container that is named, side by side; one that fails does not stop the others."""
    found, known = survey.look_at(options, engine, Ledger())
    readings = survey.readings(known)
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as pool:
        reloads = [_Reload(options, engine, one, readings.get(one.container.id)) for one in known]
        outcomes = list(pool.map(_Reload.run, reloads))
    return compose(survey.in_order(options, engine, found, outcomes, "reload"))


class _Reload:
    """One container's reload."""

    def __init__(self, options: Options, engine: Engine, known: Known, reading: Reading | None) -> None:
        self._options, self._engine, self._known = options, engine, known
        self._reading = reading
        self._container = known.container
        self._signal = known.profile.reload_signal
        self._each = Each(
            {
                "name": self._container.name,
                "id": self._container.id,
                "changed": False,
                "failed": False,
                "service": known.profile.name,
                "status": self._container.status.value,
                "signal": "",
                "reloaded": False,
                "restarted": False,
                **report.reading(reading, known.missing),
            },
            container=self._container,
        )

    def run(self) -> Each:
        """Reload it, restart it, or say why neither."""
        try:
            refused = self._refused()
            if refused:
                self._fail(f"{self._container.name} was not reloaded: {refused}")
            else:
                self._reload_or_restart()
        except KollaDrainError as exc:
            self._fail(f"{self._container.name} could not be reloaded: {exc}")
        return self._each

    def _refused(self) -> str:
        status = self._container.status
        if status is not ContainerStatus.RUNNING:
            return f"it is {status.value}; only a running container can be, start it with action=start_container."
        if self._known.draining:
            return f"it is being stopped ({self._known.draining}); wait for that."
        return ""

    def _reload_or_restart(self) -> None:
        process = read_process(self._container)
        unhandled = self._known.profile.no_reload
        unhandled = unhandled or checks.unhandled(self._container, self._signal, process)
        restarts = bool(unhandled) and self._options.reload_fallback == "restart"
        self._each.result["would" if self._options.check_mode else "how"] = (
            "restart" if restarts else "reload"
        )
        if unhandled and not restarts:
            self._fail(
                f"{self._container.name} was not reloaded: {unhandled}; use reload_fallback=restart to have it "
                "restarted gracefully instead."
            )
        elif self._options.check_mode:
            self._each.result["changed"] = True
            self._each.after = "restarted" if restarts else f"reloaded with {self._signal}"
        elif restarts:
            self._restart(unhandled)
        else:
            self._send_and_prove()

    def _fail(self, sentence: str) -> None:
        self._each.failure = sentence
        self._each.result["failed"] = True

    # --- instead of a reload

    def _restart(self, unhandled: str) -> None:
        options = replace(self._options, action="restart_container", names=(self._container.name,))
        result = restart.restart(options, self._engine)
        (said,) = result["containers"]
        self._each.result.update(said, restarted=not result["failed"], reloaded=False, reason=unhandled)
        self._each.warnings += result["warnings"]
        self._each.after = "restarted"
        if result["failed"]:
            self._fail(result["msg"])

    # --- the reload

    def _send_and_prove(self) -> None:
        before = self._container
        in_flight: tuple[Operation, ...] = ()
        if not self._known.profile.reload_keeps_work:
            busy = self._busy_until_deadline()
            if busy:
                self._fail(f"{before.name} was not reloaded: {busy}")
                return
        elif self._reading is not None:
            in_flight = self._reading.working
        self._engine.signal(before.id, self._signal)
        self._each.result.update(changed=True, signal=self._signal)
        self._each.result["operations"] = [report.operation(op) for op in in_flight]
        self._each.after = f"reloaded with {self._signal}"
        found = bring_up.prove(self._options, self._engine, before.id, since=before)
        was_read = self._reading is not None and self._reading.state is EvidenceState.OK
        if bring_up.note_readiness(self._each, before.name, found, evidence_was_read=was_read):
            self._each.result["reloaded"] = True
        else:
            self._fail(
                f"{before.name} was sent {self._signal} and {found.why}; see why with "
                f"'{self._engine.command} logs {before.name}'."
            )

    def _busy_until_deadline(self) -> str:
        """Wait for empty evidence, as a stop does; why it could not be had, empty when it was."""
        drops = f"{self._signal} replaces its workers, which drops what they work on, and"
        if self._known.source is None:
            return f"{drops} what that is cannot be read: {self._known.missing}."
        timeout = self._options.request.timeout
        deadline, empty = time.monotonic() + timeout, 0
        reading = self._reading
        while True:
            busy = reading.working if reading is not None else ()
            read = reading is not None and reading.state is EvidenceState.OK
            empty = empty + 1 if read and not busy else 0
            if empty >= EMPTY_READINGS:
                return ""
            if time.monotonic() >= deadline:
                return f"{drops} {self._why_not_empty(reading, busy, timeout)}"
            time.sleep(min(self._options.request.poll_interval, 1.0 if empty else timeout / 10))
            reading = survey.readings([self._known])[self._container.id]

    @staticmethod
    def _why_not_empty(reading: Reading | None, busy: tuple[Operation, ...], timeout: float) -> str:
        if busy:
            named = ", ".join(f"{op.kind} {op.id}" for op in busy)
            return f"after {timeout:g} s there is still in flight: {named}; give it a longer graceful_shutdown_timeout."
        why = reading.why.rstrip(".") if reading is not None else "no answer"
        return f"what that is could not be read for {timeout:g} s: {why}."

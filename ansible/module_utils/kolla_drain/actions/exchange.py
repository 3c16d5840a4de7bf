"""Bring a container to what is wanted: start it, restart it, or exchange it for one with other settings.

The old one serves until the new one is ready to start, and comes back if the new one does not serve.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from ..container.compare import Difference
from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..errors import KollaDrainError
from ..host.ledger import Ledger
from ..kolla import STRATEGY
from ..model import Container
from ..start.exchange import Exchange
from ..start.readiness import Readiness
from ..systemd.install import Change
from . import siblings
from .bring_up import BringUp, note_readiness
from .containers import differences_of, spec_of
from .options import REPLACE, TAKE_BACK, Options
from .results import ActionResult, ContainerResult, compose, difference, spec_diff, together
from .side_by_side import side_by_side
from .start import restart, start
from .stop import stop_each
from .store import ensured
from .unit_files import note_unit, withdraw_unit, write_unit
from .units import ContainerUnits

# A host has many containers, and each of them has to prove that it serves.
_AT_A_TIME = 8


def recreate_or_restart(options: Options, engine: Engine) -> ActionResult:
    """Replace the container if it differs, else restart it, so that COPY_ALWAYS takes over its configuration."""
    return ProvenExchange(options, engine, restart_equal=True).run()


def start_all(options: Options, engine: Engine) -> ActionResult:
    """Start the container, or several side by side; one that fails does not stop the others."""
    if len(options.names) == 1:
        return start_one(options, engine)

    def start_named(name: str) -> ActionResult:
        try:
            return start_one(replace(options, names=(name,)), options.connect())
        except KollaDrainError as exc:
            return compose([ContainerResult(name, failure=str(exc))])

    return together(side_by_side(start_named, options.names, _AT_A_TIME))


def start_one(options: Options, engine: Engine) -> ActionResult:
    """See to it that the container is as wanted and runs, or run a one-off container to its end."""
    if not options.detach:
        return start(options, engine)
    return ProvenExchange(options, engine, restart_equal=False).run()


class ProvenExchange:
    """One run's way from the container that exists to the one that is wanted, whose successor has to serve."""

    def __init__(self, options: Options, engine: Engine, *, restart_equal: bool) -> None:
        self.options, self.engine, self.name = options, engine, options.name
        self.restart_equal = restart_equal  # also one that is as wanted
        self.exchange = Exchange(self.name, engine)
        self.maker = engine.maker()
        self.bring_up = BringUp(options, engine)

    def run(self) -> ActionResult:
        """Put right what an interrupted run left, then do what is wanted; in check mode return what would be done."""
        lock = contextlib.nullcontext() if self.options.check_mode else Ledger().exchanging(self.name)
        with lock:
            spec = spec_of(self.options) if self.options.image else None
            left = self.exchange.left_behind() if self.options.check_mode else ""
            unproven = None if self.options.check_mode else self.exchange.resume()
            container = self.engine.inspect(self.name)
            if left and container is None:
                would = ContainerResult(self.name, changed=True, would=f"put right first that {left}")
                return replace(
                    compose([would]), diffs=[difference(self.name, left, "put right, and as wanted")]
                )
            differences: tuple[Difference, ...] = ()
            written = Change()
            if container is not None and spec is not None:
                differences = differences_of(self.maker, spec, container)
                written = write_unit(self.options)
            result = None
            if unproven is not None and container is not None:
                result = self._resume(unproven, container)
            if result is None or (differences and not result.failure):
                result = self._bring_about(container, spec, differences, left)
            note_unit(self.name, result, written)
            if spec is not None and not result.failure:  # an old container that was put back keeps its unit
                note_unit(self.name, result, withdraw_unit(self.options))
            return result

    def _bring_about(
        self,
        container: Container | None,
        spec: ContainerSpec | None,
        differences: tuple[Difference, ...],
        left: str,
    ) -> ActionResult:
        """Start, restart or replace the container. ``left`` is what an interrupted run left, in check mode."""
        copies_once = spec is not None and spec.environment.get(STRATEGY) == "COPY_ONCE"
        replaces = bool(differences) or (self.restart_equal and copies_once)
        if container is None or not (replaces or self.restart_equal or left):
            result = start(self.options, self.engine)
            if self.options.check_mode and self.restart_equal:
                for created in result.containers:
                    created.would = "create"
            return result
        if self.options.check_mode:
            (planned,) = stop_each(self.options, self.engine, REPLACE)
            planned.changed = True
            planned.would = "recreate" if replaces else "restart"
            planned.would += f", after {left} was put right" if left else ""
            return _composed(planned, differences)
        if replaces and spec is not None:
            return self._replace(container, spec, differences)
        return restart(self.options, self.engine)

    # --- forward

    def _replace(
        self, old: Container, spec: ContainerSpec, differences: Sequence[Difference]
    ) -> ActionResult:
        ensured(self.options, self.maker, spec.image)
        new = self.exchange.prepare(old, lambda name, labels: self.maker.create(spec, name, labels))
        try:
            (result,) = stop_each(self.options, self.engine, REPLACE)
        except KollaDrainError:
            self.exchange.discard(new)
            raise
        if not result.at_rest:
            self.exchange.discard(new)
            result.failure = result.failure or (
                f"{self.name} was not replaced, because it did not stop; see why with "
                f"'{self.engine.command} logs {self.name}', then run this again."
            )
            return compose([result])
        result.warnings += self.maker.warnings
        result.changed, result.rolled_back, result.after = True, False, "recreated"
        try:
            self.exchange.give_name(old, new)
        except KollaDrainError as exc:
            self._undo(result, old, f"could not be given its name: {exc}")
        else:
            self._start_and_prove(result, old, new, was_serving=not old.at_rest)
        return _composed(result, differences)

    def _resume(self, old: Container, new: Container) -> ActionResult:
        """Finish the exchange of an earlier run that died before the proof."""
        result = ContainerResult.of(
            new, changed=True, rolled_back=False, resumed=True, after="exchange finished"
        )
        self._start_and_prove(result, old, new, was_serving=True)
        return compose([result])

    def _start_and_prove(
        self, result: ContainerResult, old: Container, new: Container, *, was_serving: bool
    ) -> None:
        try:
            siblings.count(self.options, new, self.engine.inspect(old.id) or old, result)
            readiness = self.bring_up.start_and_prove(new.id, result.before)
        except KollaDrainError as exc:
            readiness = Readiness(False, 0.0, why=f"could not be started: {exc}".rstrip("."))
        if not note_readiness(result, self.name, readiness, evidence_was_read=result.evidence_was_read):
            self._roll_back(result, old, new, readiness.why)
            return
        result.id = new.id
        if was_serving:
            self.bring_up.note_gap(result, old.id, new.id)
        try:
            self.exchange.finish(old)
        except KollaDrainError as exc:
            result.warnings.append(
                f"{self.name} was replaced, but {self.exchange.old_name} could not be removed: {exc} "
                "The next run tries again."
            )

    # --- back

    def _roll_back(self, result: ContainerResult, old: Container, new: Container, why: str) -> None:
        """Stop the new container, put the old one back under its name, and start it."""
        failure = f"{self.name} could not be replaced: its new container (image {new.image}) {why}"
        log = f"see why with '{self.engine.command} logs {self.exchange.failed_name}'"
        try:
            (stopped,) = stop_each(replace(self.options, preflight="off"), self.engine, TAKE_BACK)
            if stopped.at_rest:
                self.exchange.put_back(old)
        except KollaDrainError as exc:
            result.failure = (
                f"{failure}, and the old one could not be put back: {exc} Run this again, which tries anew."
            )
            return
        if not stopped.at_rest:
            reason = stopped.stop.reason if stopped.stop else ""
            result.failure = (
                f"{failure}, and it did not stop: {stopped.failure or reason} The old one waits as "
                f"{self.exchange.old_name}; run this again, which will prove the new one or put the old one back."
            )
            return
        result.failure = f"{failure}; {self._serve_again(result, old)}; {log}."

    def _undo(self, result: ContainerResult, old: Container, why: str) -> None:
        """Undo whatever was done of an exchange of names that failed."""
        try:
            if self.exchange.resume() is not None:
                self.exchange.put_back(old)
            state = self._serve_again(result, old)
        except KollaDrainError as exc:
            state = f"the old one could not be put back: {exc} Run this again, which tries anew"
        result.failure = (
            f"{self.name} could not be replaced: its new container {why} {state[0].upper()}{state[1:]}."
        )

    def _serve_again(self, result: ContainerResult, old: Container) -> str:
        """Start the old container under its name; return what came of it, as a clause."""
        again = ContainerResult.of(old)
        self.bring_up.run_again(old, again, evidence_was_read=False, before=result.before)
        ContainerUnits([self.name]).report([result])
        result.warnings += again.warnings
        result.rolled_back = not again.failure
        result.after = "put back" if not again.failure else "put back, and does not serve"
        if again.failure:
            return f"the old one is back under its name and does not serve: {again.failure.rstrip('.')}"
        self.bring_up.note_gap(result, old.id, old.id)
        return "the old one serves again"


def _composed(result: ContainerResult, differences: Sequence[Difference]) -> ActionResult:
    result.differences = tuple(differences)
    composed = compose([result])
    if differences:
        composed.diffs = [spec_diff(result.name, differences)]
    return composed

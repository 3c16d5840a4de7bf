"""Replace a container by one with other settings: the old one serves until the new one is ready to start, and comes
back if the new one does not serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..container.compare import Difference
from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..errors import KollaDrainError
from ..host.ledger import Ledger
from ..kolla import STRATEGY
from ..model import Container
from ..start.exchange import Swap
from ..start.readiness import Readiness
from ..systemd.install import Change
from . import containers, create
from .bring_up import BringUp, note_readiness
from .intent import REPLACE, TAKE_BACK
from .options import Options
from .restart import restart
from .results import ActionResult, ContainerResult, compose, difference, spec_diff
from .stop import stop_each
from .store import ensured
from .units import ContainerUnits, note_unit, planned_unit, withdraw_unit, write_unit


def recreate_or_restart(options: Options, engine: Engine) -> ActionResult:
    """Replace the container if it differs, else restart it, so that COPY_ALWAYS takes over its configuration."""
    if options.check_mode:
        return plan(options, engine)
    with Ledger().exchanging(options.name):
        return Renewal(options, engine).run(restart_equal=True)


def differs_from_wanted(options: Options, engine: Engine) -> bool:
    """Return whether the container exists and differs from the options."""
    container = engine.inspect(options.name)
    return container is not None and bool(_differences(options, engine, container))


def _differences(options: Options, engine: Engine, container: Container) -> tuple[Difference, ...]:
    return containers.differences_of(engine.maker(), containers.spec_of(options), container)


def plan(options: Options, engine: Engine) -> ActionResult:
    """Return what would be done, and what is in flight now; nothing is touched."""
    name = options.name
    container = engine.inspect(name)
    left = Swap(name, engine).left_behind()
    if container is None:
        return _plan_absent(options, engine, left)
    differences = _differences(options, engine, container) if options.image else ()
    (result,) = stop_each(options, engine, REPLACE)
    result.changed = True
    result.would = "recreate" if differences else "restart"
    if left:
        result.would += f", after {left} was put right"
    planned = _composed(result, container.name, differences)
    for change in planned_unit(options) if options.image else ():
        note_unit(name, planned, change)
    return planned


def _plan_absent(options: Options, engine: Engine, left: str) -> ActionResult:
    if not left:
        result = create.start(options, engine)
        for created in result.containers:
            created.would = "create"
        return result
    would = ContainerResult(options.name, changed=True, would=f"put right first that {left}")
    return replace(compose([would]), diffs=[difference(options.name, left, "put right, and as wanted")])


def _composed(result: ContainerResult, name: str, differences: Sequence[Difference]) -> ActionResult:
    result.differences = tuple(differences)
    composed = compose([result])
    if differences:
        composed.diffs = [spec_diff(name, differences)]
    return composed


@dataclass
class Renewal:
    """One run's way from the container that exists to the one that is wanted, with the lock of the name held."""

    options: Options
    engine: Engine

    def __post_init__(self) -> None:
        self.name = self.options.name
        self.swap = Swap(self.name, self.engine)
        self.maker = self.engine.maker()
        self.bring_up = BringUp(self.options, self.engine)

    def run(self, *, restart_equal: bool) -> ActionResult:
        """Put right what an interrupted run left, then do what is wanted."""
        spec = containers.spec_of(self.options) if self.options.image else None
        replaced = self.swap.resume()
        container = self.engine.inspect(self.name)
        differences: tuple[Difference, ...] = ()
        change = Change()
        if container is not None and spec is not None:
            differences = containers.differences_of(self.maker, spec, container)
            change = write_unit(self.options)
        result = self._renew(container, spec, differences, replaced, restart_equal=restart_equal)
        note_unit(self.name, result, change)
        if spec is not None and not result.failure:  # an old container that was put back keeps its unit
            note_unit(self.name, result, withdraw_unit(self.options))
        return result

    def _renew(
        self,
        container: Container | None,
        spec: ContainerSpec | None,
        differences: tuple[Difference, ...],
        replaced: Container | None,
        *,
        restart_equal: bool,
    ) -> ActionResult:
        if replaced is not None and container is not None:
            result = self._resume(replaced, container)
            if result.failure or not differences:
                return result
        if container is not None and spec is not None:
            copies_once = spec.environment.get(STRATEGY) == "COPY_ONCE"
            if differences or (copies_once and restart_equal):
                return self._replace(container, spec, differences)
        if container is not None and restart_equal:
            return restart(self.options, self.engine)
        return create.start(self.options, self.engine)

    # --- forward

    def _replace(
        self, old: Container, spec: ContainerSpec, differences: Sequence[Difference]
    ) -> ActionResult:
        ensured(self.options, self.maker, spec.image)
        new = self.swap.prepare(old, lambda name, labels: self.maker.create(spec, name, labels))
        try:
            (result,) = stop_each(self.options, self.engine, REPLACE)
        except KollaDrainError:
            self.swap.discard(new)
            raise
        if not result.at_rest:
            self.swap.discard(new)
            result.failure = result.failure or f"{self.name} did not stop; it was not replaced."
            return compose([result])
        result.warnings += self.maker.warnings
        self._exchange(result, old, new)
        return _composed(result, self.name, differences)

    def _exchange(self, result: ContainerResult, old: Container, new: Container) -> None:
        result.changed, result.rolled_back, result.after = True, False, "recreated"
        try:
            self.swap.exchange(old, new)
        except KollaDrainError as exc:
            self._undo_exchange(result, old, f"could not be given its name: {exc}")
            return
        self._start_and_prove(result, old, new, was_serving=not old.at_rest)

    def _resume(self, old: Container, new: Container) -> ActionResult:
        """Finish the exchange of an earlier run that died before the proof."""
        result = ContainerResult.of(new)
        result.changed, result.rolled_back, result.resumed = True, False, True
        result.after = "exchange finished"
        self._start_and_prove(result, old, new, was_serving=True)
        return compose([result])

    def _start_and_prove(
        self, result: ContainerResult, old: Container, new: Container, *, was_serving: bool
    ) -> None:
        try:
            readiness = self.bring_up.start_and_prove(new.id, result.serving)
        except KollaDrainError as exc:
            readiness = Readiness(False, 0.0, why=f"could not be started: {exc}".rstrip("."))
        if not note_readiness(result, self.name, readiness, evidence_was_read=result.evidence_was_read):
            self._roll_back(result, old, new, readiness.why)
            return
        result.id = new.id
        started, before = self.engine.inspect(new.id), self.engine.inspect(old.id)
        if was_serving and started is not None and before is not None:
            self.bring_up.note_gap(result, before.finished_at, started)
        try:
            self.swap.finish(old)
        except KollaDrainError as exc:
            result.warnings.append(
                f"{self.name} was replaced, but {self.swap.old_name} could not be removed: {exc} "
                "The next run tries again."
            )

    # --- back

    def _roll_back(self, result: ContainerResult, old: Container, new: Container, why: str) -> None:
        """Stop the new container, put the old one back under its name, and start it."""
        failure = f"{self.name} could not be replaced: its new container (image {new.image}) {why}"
        log = f"see why with '{self.engine.command} logs {self.swap.failed_name}'"
        try:
            (stopped,) = stop_each(replace(self.options, preflight="off"), self.engine, TAKE_BACK)
            if stopped.at_rest:
                self.swap.put_back(old)
        except KollaDrainError as exc:
            result.failure = (
                f"{failure}, and the old one could not be put back: {exc} Run this again, which tries anew."
            )
            return
        if not stopped.at_rest:
            result.failure = (
                f"{failure}, and it did not stop: {stopped.failure or stopped.reason} The old one waits as "
                f"{self.swap.old_name}; run this again, which will prove the new one or put the old one back."
            )
            return
        result.failure = f"{failure}; {self._serve_again(result, old)}; {log}."

    def _undo_exchange(self, result: ContainerResult, old: Container, why: str) -> None:
        """Undo whatever was done of an exchange of names that failed."""
        try:
            if self.swap.resume() is not None:
                self.swap.put_back(old)
            state = self._serve_again(result, old)
        except KollaDrainError as exc:
            state = f"the old one could not be put back: {exc} Run this again, which tries anew"
        result.failure = (
            f"{self.name} could not be replaced: its new container {why} {state[0].upper()}{state[1:]}."
        )

    def _serve_again(self, result: ContainerResult, old: Container) -> str:
        """Start the old container under its name; return what came of it, as a clause."""
        again = ContainerResult.of(old)
        self.bring_up.run_again(old, again, evidence_was_read=False, expected=result.serving)
        ContainerUnits([self.name]).report([result])
        result.warnings += again.warnings
        result.rolled_back = not again.failure
        result.after = "put back" if not again.failure else "put back, and does not serve"
        if again.failure:
            return f"the old one is back under its name and does not serve: {again.failure.rstrip('.')}"
        now = self.engine.inspect(old.id)
        if now is not None:
            self.bring_up.note_gap(result, now.finished_at, now)
        return "the old one serves again"

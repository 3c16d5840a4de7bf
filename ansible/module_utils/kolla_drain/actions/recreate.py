"""Replaces a container by one with other settings, without a gap and with a way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..container.compare import Difference
from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..errors import KollaDrainError
from ..host.ledger import Ledger
from ..model import Container
from ..start.exchange import Swap
from ..start.readiness import Readiness
from ..systemd.install import Change
from . import bring_up, containers, create, restart, results, stop, store
from .options import Options
from .results import Each, compose, difference
from .units import Owning, note_unit, withdraw_unit, write_unit

_STRATEGY = "KOLLA_CONFIG_STRATEGY"


def recreate_or_restart(options: Options, engine: Engine) -> dict[str, Any]:
    """Replace it if it differs, else restart it, which lets COPY_ALWAYS take over a changed configuration."""
    if options.check_mode:
        return _plan(options, engine)
    with Ledger().exchanging(options.names[0]):
        return Renewal(options, engine).run(restart_equal=True)


def compare_container(options: Options, engine: Engine) -> dict[str, Any]:
    """Whether the container is there and as wanted; what an interrupted exchange left is not as wanted."""
    result = containers.compare_container(options, engine)
    left = Swap(options.names[0], engine).left_behind()
    if left:
        result["changed"] = True
        result["differences"].append({"setting": "exchange", "old": left, "new": "finished or undone"})
        result["diff"].append({"before": f"{left}\n", "after": "finished or undone\n"})
    return result


def differs_from_wanted(options: Options, engine: Engine) -> bool:
    container = engine.inspect(options.names[0])
    return container is not None and bool(_differences(options, engine, container))


def _differences(options: Options, engine: Engine, container: Container) -> tuple[Difference, ...]:
    return containers.differences_of(engine.maker(), containers.spec_of(options), container)


def _plan(options: Options, engine: Engine) -> dict[str, Any]:
    """What would be done, with what is in flight now; nothing is touched."""
    container = engine.inspect(options.names[0])
    left = Swap(options.names[0], engine).left_behind()
    if container is None:
        if not left:
            return {**create.start(options, engine), "would": "create"}
        each = Each({"name": options.names[0], "id": "", "changed": True, "failed": False})
        each.result["would"] = f"put right first that {left}"
        return {**compose([each]), "diff": [difference(options.names[0], left, "put right, and as wanted")]}
    differences = _differences(options, engine, container) if options.image else ()
    change = write_unit(options) if options.image else Change()
    gone = withdraw_unit(options) if options.image else Change()
    (each,) = stop.stop_each(options, engine, "replace")
    each.result["changed"] = True
    each.result["would"] = "recreate" if differences else "restart"
    if left:
        each.result["would"] = f"{each.result['would']}, after {left} was put right"
    return note_unit(options, note_unit(options, _composed(each, container.name, differences), change), gone)


def _composed(each: Each, name: str, differences: Sequence[Difference]) -> dict[str, Any]:
    result = compose([each])
    result["differences"] = each.result["differences"] = results.as_dicts(differences)
    if differences:
        result["diff"] = [results.spec_diff(name, differences)]
    return result


@dataclass
class Renewal:
    """One run's way from the container that is there to the one that is wanted; the name's lock is held."""

    options: Options
    engine: Engine

    def __post_init__(self) -> None:
        self.name = self.options.names[0]
        self.swap = Swap(self.name, self.engine)
        self.maker = self.engine.maker()

    def run(self, *, restart_equal: bool) -> dict[str, Any]:
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
        note_unit(self.options, result, change)
        if spec is not None and not result["failed"]:  # an old one that was put back keeps its unit
            note_unit(self.options, result, withdraw_unit(self.options))
        return result

    def _renew(
        self,
        container: Container | None,
        spec: ContainerSpec | None,
        differences: tuple[Difference, ...],
        replaced: Container | None,
        *,
        restart_equal: bool,
    ) -> dict[str, Any]:
        if replaced is not None and container is not None:
            result = self._resume(replaced, container)
            if result["failed"] or not differences:
                return result
        if container is not None and spec is not None:
            once = spec.environment.get(_STRATEGY) == "COPY_ONCE"
            if differences or (once and restart_equal):
                return self._replace(container, spec, differences)
        if container is not None and restart_equal:
            return restart.restart(self.options, self.engine)
        return create.start(self.options, self.engine)

    # --- forward

    def _replace(
        self, old: Container, spec: ContainerSpec, differences: Sequence[Difference]
    ) -> dict[str, Any]:
        store.ensured(self.options, self.maker, spec.image)
        new = self.swap.prepare(old, lambda name, labels: self.maker.create(spec, name, labels))
        try:
            (each,) = stop.stop_each(self.options, self.engine, "replace")
        except KollaDrainError:
            self.swap.discard(new)
            raise
        if not each.at_rest:
            self.swap.discard(new)
            each.failure = each.failure or f"{self.name} did not stop; it was not replaced."
            each.result["failed"] = True
            return compose([each])
        each.warnings += self.maker.warnings
        was_serving = not old.at_rest
        self._exchange(each, old, new, was_serving=was_serving)
        return _composed(each, self.name, differences)

    def _exchange(self, each: Each, old: Container, new: Container, *, was_serving: bool) -> None:
        each.result.update(changed=True, rolled_back=False)
        each.after = "recreated"
        was_read = each.result.get("evidence") != "unavailable"
        try:
            self.swap.exchange(old, new)
        except KollaDrainError as exc:
            self._undo_exchange(each, old, f"could not be given its name: {exc}")
            return
        self._start_and_prove(each, old, new, was_serving=was_serving, evidence_was_read=was_read)

    def _resume(self, old: Container, new: Container) -> dict[str, Any]:
        """A run before this one died between the exchange and the proof."""
        each = Each({"name": self.name, "id": new.id, "failed": False}, container=new)
        each.result.update(changed=True, rolled_back=False, resumed=True)
        each.after = "exchange finished"
        self._start_and_prove(each, old, new, was_serving=True, evidence_was_read=True)
        return compose([each])

    def _start_and_prove(
        self, each: Each, old: Container, new: Container, *, was_serving: bool, evidence_was_read: bool
    ) -> None:
        try:
            found = bring_up.start_and_prove(self.options, self.engine, new.id)
        except KollaDrainError as exc:
            found = Readiness(False, 0.0, why=f"could not be started: {exc}".rstrip("."))
        if not bring_up.note_readiness(each, self.name, found, evidence_was_read=evidence_was_read):
            self._roll_back(each, old, new, found.why)
            return
        each.result["id"] = new.id
        started, before = self.engine.inspect(new.id), self.engine.inspect(old.id)
        if was_serving and started is not None and before is not None:
            bring_up.note_gap(self.options, each, before.finished_at, started)
        try:
            self.swap.finish(old)
        except KollaDrainError as exc:
            each.warnings.append(
                f"{self.name} was replaced, but {self.swap.old_name} could not be removed: {exc} "
                "The next run tries again."
            )

    # --- back

    def _roll_back(self, each: Each, old: Container, new: Container, why: str) -> None:
        """Stop the successor, put the old one back under its name, and start it."""
        each.result["failed"] = True
        failure = f"{self.name} could not be replaced: its new container (image {new.image}) {why}"
        log = f"see why with '{self.engine.command} logs {self.swap.failed_name}'"
        try:
            (stopped,) = stop.stop_each(replace(self.options, preflight="off"), self.engine, "take back")
            if stopped.at_rest:
                self.swap.put_back(old)
        except KollaDrainError as exc:
            each.failure = (
                f"{failure}, and the old one could not be put back: {exc} Run this again to try anew."
            )
            return
        if not stopped.at_rest:
            each.failure = (
                f"{failure}, and it did not stop: {stopped.failure or stopped.result.get('reason', '')} The old "
                f"one waits as {self.swap.old_name}; run this again, which will prove the new one or put the old "
                "one back."
            )
            return
        each.failure = f"{failure}; {self._serve_again(each, old)}; {log}."

    def _undo_exchange(self, each: Each, old: Container, why: str) -> None:
        """The names could not be exchanged: whatever was done of it is undone."""
        each.result["failed"] = True
        try:
            if self.swap.resume() is not None:
                self.swap.put_back(old)
            state = self._serve_again(each, old)
        except KollaDrainError as exc:
            state = f"the old one could not be put back: {exc} Run this again, which will try anew"
        each.failure = (
            f"{self.name} could not be replaced: its new container {why} {state[0].upper()}{state[1:]}."
        )

    def _serve_again(self, each: Each, old: Container) -> str:
        """Start the old container under its name; returns what came of it, as a clause."""
        again = Each({}, container=old)
        bring_up.run_again(self.options, self.engine, old, again, evidence_was_read=False)
        Owning([self.name]).tell([each])
        each.warnings += again.warnings
        each.result["rolled_back"] = not again.failure
        each.after = "put back" if not again.failure else "put back, and does not serve"
        if again.failure:
            return f"the old one is back under its name and does not serve: {again.failure.rstrip('.')}"
        now = self.engine.inspect(old.id)
        if now is not None:
            bring_up.note_gap(self.options, each, now.finished_at, now)
        return "the old one serves again"

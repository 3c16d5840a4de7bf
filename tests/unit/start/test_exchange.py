"""The exchange of a container for its successor, with a run that dies before or after every single call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kolla_drain.errors import EngineError, Refused
from kolla_drain.model import Container, ContainerStatus
from kolla_drain.start.exchange import LABEL, Exchange, Predecessor

NAME = "cinder_volume"


class Died(BaseException):
    """The run was killed: nothing of it goes on, no handler of errors runs."""


@dataclass
class FakeEngine:
    """Containers by id. Dies at a given change, before it is made or after it."""

    there: dict[str, Container] = field(default_factory=dict)
    die_at: float = float("inf")  # 3 is before the third change, 3.5 after it
    changes: int = 0
    ids: Any = field(default_factory=lambda: itertools.count(1))
    command = "docker"

    def add(self, name: str, status: str = "running", **more: Any) -> Container:
        if self.inspect(name):
            raise EngineError(f"The name {name} is taken.")
        made = Container(f"id{next(self.ids)}", name, ContainerStatus(status), **more)
        self.there[made.id] = made
        return made

    def inspect(self, name: str) -> Container | None:
        return next((one for one in self.there.values() if name in (one.id, one.name)), None)

    def _change(self, change: Callable[[], Any]) -> Any:
        self.changes += 1
        if self.die_at == self.changes:
            raise Died
        result = change()
        if self.die_at == self.changes + 0.5:
            raise Died
        return result

    def _set(self, container_id: str, **more: Any) -> None:
        self.there[container_id] = replace(self.there[container_id], **more)

    def rename(self, container_id: str, name: str) -> None:
        def change() -> None:
            if self.inspect(name):
                raise EngineError(f"The name {name} is taken.")
            self._set(container_id, name=name)

        self._change(change)

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        self._change(lambda: self._set(container_id, restart_policy=policy, restart_retries=retries))

    def remove(self, container_id: str) -> None:
        assert self.there[container_id].at_rest, "what runs is never removed"
        self._change(lambda: self.there.pop(container_id))

    def create(self, name: str, labels: Mapping[str, str]) -> str:
        made: Container = self._change(
            lambda: self.add(
                name, "created", labels=dict(labels), image="new", restart_policy="unless-stopped"
            )
        )
        return made.id

    def start(self, container_id: str) -> None:
        self._change(lambda: self._set(container_id, status=ContainerStatus.RUNNING))

    def stop(self, container_id: str) -> None:
        self._change(lambda: self._set(container_id, status=ContainerStatus.EXITED))


def replace_container(engine: FakeEngine, *, good: bool) -> None:
    """A whole run as the action makes it: what was left is put right, then the container is replaced."""
    exchange = Exchange(NAME, engine)
    unproven = exchange.resume()
    if unproven is not None:
        prove(engine, exchange, unproven, good=good)
        if engine.inspect(NAME).image == "new":
            return
    old = engine.inspect(NAME)
    assert old is not None
    new = exchange.prepare(old, engine.create)
    if old.alive:
        engine.stop(old.id)
    exchange.give_name(old, new)
    prove(engine, exchange, old, good=good)


def prove(engine: FakeEngine, exchange: Exchange, old: Container, *, good: bool) -> None:
    new = engine.inspect(NAME)
    if not new.alive:
        engine.start(new.id)
    if good:
        exchange.finish(old)
        return
    engine.stop(new.id)
    exchange.put_back(old)
    engine.start(old.id)


def check(engine: FakeEngine) -> None:
    """At any moment: the name or something that leads back to it is there, and one at the most runs."""
    names = {one.name for one in engine.there.values()}
    assert names & {NAME, f"{NAME}.old"}, names
    assert sum(one.alive for one in engine.there.values()) <= 1, engine.there
    named, old = engine.inspect(NAME), engine.inspect(f"{NAME}.old")
    if named is not None and named.alive and old is not None:
        assert old.restart_policy == "no", "else a restart of the engine would start both"


def engine_with_old() -> FakeEngine:
    engine = FakeEngine()
    engine.add(NAME, image="old", restart_policy="always", restart_retries=0)
    return engine


def steps(good: bool) -> int:
    engine = engine_with_old()
    replace_container(engine, good=good)
    return engine.changes


MOMENTS = [
    (good, number + half)
    for good in (True, False)
    for number in range(1, steps(good) + 1)
    for half in (0.0, 0.5)
]


@pytest.mark.parametrize(("good", "moment"), MOMENTS)
@pytest.mark.parametrize("second_good", [True, False])
def test_killed_at_any_step_the_next_run_puts_it_right(good: bool, moment: float, second_good: bool) -> None:
    engine = engine_with_old()
    engine.die_at = moment
    with pytest.raises(Died):
        replace_container(engine, good=good)
    check(engine)

    engine.die_at = float("inf")
    replace_container(engine, good=second_good)

    settled(engine, good=second_good)


@pytest.mark.parametrize(("good", "moment"), MOMENTS)
def test_killed_at_any_step_and_again_while_it_is_put_right(good: bool, moment: float) -> None:
    for number in itertools.count(1):
        engine = engine_with_old()
        engine.die_at = moment
        with pytest.raises(Died):
            replace_container(engine, good=good)
        engine.changes, engine.die_at = 0, number / 2 + 0.5
        try:
            replace_container(engine, good=True)
        except Died:
            check(engine)
        else:
            break
        engine.die_at = float("inf")
        replace_container(engine, good=True)
        settled(engine, good=True)


def settled(engine: FakeEngine, *, good: bool) -> None:
    """One container of the name runs, the right one, and nothing is left but what failed, for its log."""
    named = engine.inspect(NAME)
    others = {one.name for one in engine.there.values()} - {NAME}
    assert named is not None
    assert named.alive
    if good:
        assert named.image == "new"
        assert others <= {f"{NAME}.failed"}
    else:
        assert others == {f"{NAME}.failed"}
        if named.image == "old":
            assert named.restart_policy == "always"
    for name in others:
        left = engine.inspect(name)
        assert left is not None
        assert left.restart_policy == "no"


def test_what_is_not_ours_is_never_touched() -> None:
    engine = engine_with_old()
    stranger = engine.add(f"{NAME}.old", "exited")
    with pytest.raises(Refused, match=rf"{NAME}\.old"):
        replace_container(engine, good=True)
    assert engine.changes == 0
    assert engine.inspect(stranger.id) == stranger


@pytest.mark.parametrize("end", ["new", "failed"])
@pytest.mark.parametrize("status", ["exited", "running"])
def test_a_stranger_or_one_that_runs_is_in_the_way(end: str, status: str) -> None:
    engine = engine_with_old()
    labels = Predecessor("someone", "no", 0).label if status == "running" else {}
    engine.add(f"{NAME}.{end}", status, labels=labels)
    with pytest.raises(Refused, match=rf"{NAME}\.{end}"):
        replace_container(engine, good=True)
    assert engine.changes == 0


def test_one_that_vanishes_at_its_exit_is_refused() -> None:
    engine = FakeEngine()
    engine.add(NAME, vanishes=True)
    with pytest.raises(Refused, match="--rm"):
        replace_container(engine, good=True)


def test_left_behind_is_told_and_changes_nothing() -> None:
    engine = engine_with_old()
    exchange = Exchange(NAME, engine)
    assert exchange.left_behind() == ""
    old = engine.inspect(NAME)
    assert old is not None
    new = exchange.prepare(old, engine.create)
    assert f"{NAME}.new" in exchange.left_behind()
    engine.stop(old.id)
    exchange.give_name(old, new)
    changes = engine.changes
    assert f"{NAME}.old" in exchange.left_behind()
    assert engine.changes == changes


def test_the_label_tells_the_policy() -> None:
    old = Container("abc", NAME, ContainerStatus.RUNNING, restart_policy="on-failure", restart_retries=10)
    assert Predecessor.to(old).label == {LABEL: "abc on-failure 10"}
    successor = replace(old, id="def", labels=Predecessor.to(old).label)
    assert Predecessor.of(successor) == Predecessor("abc", "on-failure", 10)
    assert Predecessor.of(old) is None
    assert Predecessor.of(replace(old, labels={LABEL: "nonsense"})) is None

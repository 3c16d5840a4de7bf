"""The watchdog of a freeze: what it thaws, when, and that its process does so when the run is gone."""

from __future__ import annotations

import pytest

from kolla_drain.engine.watchdog import RETRY_FOR, Watch
from kolla_drain.errors import EngineError

BOUND = 5.0


class Run:
    """A watchdog with a clock that is set by hand."""

    def __init__(self):
        self.now = 100.0
        self.thawed = []
        self.watch = Watch(BOUND, clock=lambda: self.now)
        self.refuses = False

    def thaw(self, container_id):
        self.thawed.append(container_id)
        if self.refuses:
            raise EngineError("not now")

    def after(self, seconds):
        self.now += seconds
        return self.watch.step(self.thaw)


@pytest.fixture
def run():
    return Run()


def test_what_is_frozen_for_too_long_is_thawed(run):
    run.watch.hear("freezing a")
    assert run.after(4.9) == pytest.approx(0.5), "it looks again in time, and not all the time"
    assert run.thawed == []
    assert run.after(0.2) is None
    assert run.thawed == ["a"]
    assert not run.watch.watched


def test_what_was_thawed_in_time_is_left_alone(run):
    run.watch.hear("freezing a")
    run.watch.hear("freezing b\n")
    run.watch.hear("thawed a")
    run.after(6.0)
    assert run.thawed == ["b"]


def test_the_end_of_the_run_thaws_at_once(run):
    run.watch.hear("freezing a")
    run.watch.run_ended()
    run.after(0.0)
    assert run.thawed == ["a"]


def test_what_is_being_ended_gets_the_time_for_it_even_if_the_run_ends(run):
    run.watch.hear("freezing a")
    run.now += 2.0
    run.watch.hear("ending a")
    run.watch.run_ended()
    run.after(4.9)
    assert run.thawed == []
    run.after(0.2)
    assert run.thawed == ["a"]


def test_an_engine_that_refuses_is_asked_again_but_not_without_end(run):
    run.refuses = True
    run.watch.hear("freezing a")
    assert run.after(6.0) is not None
    assert run.after(1.0) is not None
    assert run.thawed == ["a", "a"]
    assert run.after(RETRY_FOR) is None
    assert not run.watch.watched


def test_a_second_freeze_has_a_bound_of_its_own(run):
    run.watch.hear("freezing a")
    run.watch.hear("thawed a")
    run.now += 4.0
    run.watch.hear("freezing a")
    run.after(4.0)
    assert run.thawed == []

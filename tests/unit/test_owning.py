"""Units beside a stop: what is said of them, and what is not as the module says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain.model import Container, ContainerStatus
from kolla_drain.outcome import Each
from kolla_drain.owning import Owning
from kolla_drain.units import Hold, Unit

NAME = "cinder_volume"
UNIT = Unit("kolla-cinder_volume-container.service", NAME, state="active", sub="running")
EXITED = Container("c1", NAME, ContainerStatus.EXITED)


class FakeUnits:
    """One unit, which comes to rest as it is told beforehand."""

    def __init__(self, before, after):
        self.before, self.after = before, after

    def hold(self, _):
        return Hold({NAME: self.before}, (self.before.name,))

    def lift(self, _):
        return ""

    def settle(self, _, at_rest):
        return self.after if at_rest() else replace(self.before, sub="running")


class FakeEngine:
    def __init__(self, container):
        self.container = container

    def inspect(self, _):
        return self.container


def settled(before, after, container=EXITED):
    each = Each({"name": NAME, "verdict": "drained", "changed": True}, container=EXITED)
    owning = Owning([NAME], FakeUnits(before, after))
    with owning.held([]):
        owning.settle([each], FakeEngine(container))
    return each


def test_a_unit_at_rest_is_told_and_nothing_more():
    each = settled(UNIT, replace(UNIT, state="inactive", sub="dead"))
    assert (each.result["unit"]["state"], each.result["unit"]["before"]) == ("inactive", "active")
    assert each.warnings == []


def test_one_that_runs_again_although_it_was_stopped_is_said():
    each = settled(UNIT, UNIT, replace(EXITED, status=ContainerStatus.RUNNING, pid=7))
    assert each.result["unit"]["state"] == "active"
    (warning,) = each.warnings
    assert "has stopped and runs again" in warning
    assert f"journalctl -u {UNIT.name}" in warning


@pytest.mark.parametrize("cleans_up", [True, False])
def test_what_a_held_unit_does_not_run_afterwards_is_said(cleans_up):
    each = settled(replace(UNIT, cleans_up=cleans_up), replace(UNIT, state="inactive", sub="dead"))
    assert ["ExecStopPost" in text for text in each.warnings] == [True] * cleans_up

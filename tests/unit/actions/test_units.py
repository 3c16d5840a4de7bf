"""The units of stopped containers: what is reported of them, and which are removed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain.actions import report
from kolla_drain.actions.options import Options
from kolla_drain.actions.results import ContainerResult, compose
from kolla_drain.actions.unit_files import note_unit, withdraw_unit
from kolla_drain.actions.units import ContainerUnits
from kolla_drain.drain.result import StopResult
from kolla_drain.errors import UnitError
from kolla_drain.model import Container, ContainerStatus, StopRequest, Verdict
from kolla_drain.systemd.install import Change
from kolla_drain.systemd.unit import Unit
from kolla_drain.systemd.units import Hold

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
    stop = StopResult(NAME, "c1", Verdict.DRAINED, "exited by itself")
    result = ContainerResult(NAME, "c1", EXITED, changed=True, stop=stop)
    units = ContainerUnits([NAME], FakeUnits(before, after))
    with units.held([]):
        units.settle([result], FakeEngine(container))
    return report.container(result)["unit"], result.warnings


def test_a_unit_at_rest_is_told_and_nothing_more():
    unit, warnings = settled(UNIT, replace(UNIT, state="inactive", sub="dead"))
    assert (unit["state"], unit["before"]) == ("inactive", "active")
    assert warnings == []


def test_one_that_runs_again_although_it_was_stopped_is_said():
    unit, (warning,) = settled(UNIT, UNIT, replace(EXITED, status=ContainerStatus.RUNNING, pid=7))
    assert unit["state"] == "active"
    assert "has stopped and runs again" in warning
    assert f"journalctl -u {UNIT.name}" in warning


@pytest.mark.parametrize("cleans_up", [True, False])
def test_what_a_held_unit_does_not_run_afterwards_is_said(cleans_up):
    _, warnings = settled(replace(UNIT, cleans_up=cleans_up), replace(UNIT, state="inactive", sub="dead"))
    assert ["ExecStopPost" in text for text in warnings] == [True] * cleans_up


# --- one that is not wanted any more


class Withdrawing:
    """What is asked of units where a container is to have none."""

    def __init__(self, change, booted=True):
        self.change, self.booted, self.asked = change, booted, []

    def unwanted(self, _):
        self.asked.append("unwanted")
        return self.change

    def withdraw(self, _):
        self.asked.append("withdraw")
        if isinstance(self.change, Exception):
            raise self.change
        return self.change


def options(policy="oneshot", **more):
    return Options(
        "start_container", (NAME,), StopRequest(), image="x", container={"restart_policy": policy}, **more
    )


@pytest.mark.parametrize(
    ("asked", "booted", "expected"),
    [
        (options(), True, ["withdraw"]),
        (options(None), True, ["withdraw"]),
        (options(check_mode=True), True, ["unwanted"]),
        (options("always"), True, []),
        (options(detach=False), True, []),
        (options(), False, []),
    ],
)
def test_only_a_container_that_is_to_have_no_unit_loses_it(asked, booted, expected):
    units = Withdrawing(Change("text", ""), booted)
    withdraw_unit(asked, units)
    assert units.asked == expected


def test_a_unit_that_was_removed_is_told():
    noted = compose([ContainerResult(NAME)])
    note_unit(NAME, noted, withdraw_unit(options(), Withdrawing(Change("text", ""))))
    result = report.module_result(noted)
    (diff,) = report.diffs(noted)
    assert (result["changed"], diff["before"], "unit_written" in result) == (True, "text", False)
    assert result["unit"] == result["containers"][0]["unit"] == {"name": UNIT.name, "removed": True}


def test_one_that_cannot_be_removed_is_said_beside_what_was_done():
    change = withdraw_unit(options(), Withdrawing(UnitError("systemd refused it.")))
    assert not change.changed
    assert "could not be removed: systemd refused it." in change.note

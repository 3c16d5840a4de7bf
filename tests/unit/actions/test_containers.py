"""compare_container looks at the unit as the actions do that write it."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.actions import containers, report
from kolla_drain.actions.options import Options
from kolla_drain.container.spec import ContainerSpec
from kolla_drain.model import Container, ContainerStatus, StopRequest
from kolla_drain.systemd.install import Change

NAME = "cinder_volume"
NOTHING = Change()


class Engine:
    """One container, which is as wanted."""

    command = "docker"

    def inspect(self, name: str) -> Container | None:
        return Container("1d", NAME, ContainerStatus.RUNNING) if name == NAME else None

    def state(self, name: str) -> dict[str, Any]:
        return {"Pid": 7, "Health": {"Log": [{"Output": "curl -u u:s3cr3t http://u:s3cr3t@h"}]}}


def compared(monkeypatch: pytest.MonkeyPatch, written: Change, withdrawn: Change = NOTHING) -> dict[str, Any]:
    equal = containers.Details(NAME, "1d", "running", (), ())
    monkeypatch.setattr(containers, "spec_of", lambda _: ContainerSpec(NAME, "x", 180))
    monkeypatch.setattr(containers, "_compared", lambda *_: equal)
    monkeypatch.setattr(containers, "write_unit", lambda options: _planned(options, written))
    monkeypatch.setattr(containers, "withdraw_unit", lambda options: _planned(options, withdrawn))
    engine: Any = Engine()
    result = containers.compare_container(Options("compare_container", (NAME,), StopRequest()), engine)
    return {**report.module_result(result), "diff": report.diffs(result)}


def _planned(options: Options, change: Change) -> Change:
    assert options.check_mode, "a comparison writes nothing"
    return change


def test_a_unit_whose_limit_is_too_low_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    result = compared(monkeypatch, Change("docker stop -t 60\n", "docker stop -t 610\n"))
    assert (result["changed"], result["unit_written"]) == (True, True)
    assert [part["after"] for part in result["diff"]] == ["docker stop -t 610\n"]


def test_a_unit_that_is_not_wanted_any_more_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    result = compared(monkeypatch, NOTHING, Change("[Unit]\n", ""))
    assert (result["changed"], "unit_written" in result) == (True, False)


def test_a_unit_as_wanted_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    result = compared(monkeypatch, NOTHING)
    assert (result["changed"], result["differences"], result["diff"]) == (False, [], [])


@pytest.mark.parametrize(("engine", "limits"), [("podman", {}), ("docker", {"nofile": (5, 5)})])
def test_limits_that_are_left_to_podman(engine: str, limits: dict[str, Any]) -> None:
    described = {"dimensions": {"ulimits": {"RLIMIT_NOFILE": {"hard": 5}}}}
    options = Options(
        "compare_container", (NAME,), StopRequest(), image="x", container=described, container_engine=engine
    )
    assert containers.spec_of(options).ulimits == limits


def test_the_state_shows_no_secret_of_the_healthcheck() -> None:
    engine: Any = Engine()
    result = containers.get_container_state(Options("get_container_state", (NAME,), StopRequest()), engine)
    assert result.details is not None
    state: Any = result.details.state
    assert state["Pid"] == 7
    assert state["Health"]["Log"][0]["Output"] == "curl -u u:******** http://u:********@h"


@pytest.mark.parametrize(
    ("name", "signal"), [("haproxy", "SIGUSR1"), ("keystone_httpd", "SIGWINCH"), ("cron", "")]
)
def test_a_new_container_gets_the_signal_that_it_drains_on(name: str, signal: str) -> None:
    """So that the engine's own stop, and that of a host, are graceful, too."""
    options = Options(action="start_container", names=(name,), request=StopRequest(), image="x")
    assert containers.spec_of(options).profile_signal == signal

"""What drain_status tells of a stop that is under way, and of one whose result nobody has taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.actions import report
from kolla_drain.actions import status as status_module
from kolla_drain.actions.results import ContainerResult
from kolla_drain.actions.status import _recall
from kolla_drain.actions.survey import Survey
from kolla_drain.drain.plan import Plan
from kolla_drain.host import ledger as ledger_module
from kolla_drain.host.ledger import Ledger
from kolla_drain.host.stories import Stories
from kolla_drain.model import NO_PROFILE, Container, ContainerStatus

RUNS = Container("1d" * 32, "cinder_volume", ContainerStatus.RUNNING, started_at="2026-11-21T10:00:00Z")
EXITED = replace(RUNS, status=ContainerStatus.EXITED)
PLAN = Plan("SIGTERM", 60.0, 50.0, 10.0, "")
DONE = {"at": 130.0, "verdict": "drained", "reason": "exited by itself", "signal": "SIGTERM"}


class Host:
    """Its ledger and the stories on it, at 142 s after its boot; a stop began at 100 s."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(str(folder), clock=lambda: 100.0)
        self.other = Stories(str(folder / "stories" / "one.json"))
        self.own = Stories(str(folder / "stories" / "two.json"))

    def keep(self, **more: Any) -> None:
        memory = {
            "seen": [],
            "ended": [],
            "failed": [],
            "late": [],
            "looked": True,
            "unseen": "",
            "serving": None,
        }
        events = [(0, 100.0, "quiesce", "begun"), (1, 121.0, "drain", "SIGTERM sent")]
        of = {"id": RUNS.id, "started_at": RUNS.started_at, "begun": 100.0, "signalled": False}
        self.other.keep([{**of, "memory": memory, "events": events, "outcome": None, **more}])

    def told(self, container: Container, draining: str = "") -> dict[str, Any]:
        survey = Survey(container, NO_PROFILE, PLAN, None, None, "", (), (), draining)
        result = ContainerResult.of(container, survey=survey)
        _recall(result, self.own, self.ledger)
        return report.container(result)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(status_module, "boot_clock", lambda: 142.0)
    return Host(tmp_path / "run")


def codes(told: dict[str, Any]) -> list[str]:
    return [note["code"] for note in told["notes"]]


def test_the_events_of_a_stop_under_way_are_told(host: Host) -> None:
    host.ledger.begin(RUNS, 60.0, "SIGTERM")
    host.keep()
    told = host.told(RUNS, "by kolla_docker")
    assert told["timeline"] == [{"at": -42.0, "event": "begun"}, {"at": -21.0, "event": "SIGTERM sent"}]
    assert codes(told) == []


def test_a_stop_that_no_run_waits_for_is_noted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.ledger.begin(RUNS, 60.0, "SIGTERM")
    monkeypatch.setattr(ledger_module, "lives", lambda owner: False)
    told = host.told(RUNS, "by kolla_docker")
    assert codes(told) == ["not_waited_for"]
    assert "timeline" not in told


def test_a_run_that_began_nothing_is_not_told(host: Host) -> None:
    host.ledger.begin(RUNS, 60.0, "SIGTERM")
    host.keep(begun=50.0)
    assert "timeline" not in host.told(RUNS, "by kolla_docker")


@pytest.mark.parametrize("draining", ["", "by somebody else, who sent SIGTERM"])
def test_where_no_run_has_begun_a_stop_nothing_is_told(host: Host, draining: str) -> None:
    host.keep()
    told = host.told(RUNS, draining)
    assert ("timeline" in told, codes(told)) == (False, [])


def test_a_result_that_nobody_has_taken_is_noted(host: Host) -> None:
    host.keep(outcome=DONE)
    told = host.told(EXITED)
    assert codes(told) == ["result_not_taken"]
    assert told["notes"][0]["text"] == (
        "cinder_volume: a run whose result nobody has taken stopped it 12 s ago: drained, exited by itself; stop it "
        "again to have the whole result."
    )


def test_one_that_was_started_since_has_no_such_result(host: Host) -> None:
    host.keep(outcome=DONE)
    assert codes(host.told(replace(EXITED, started_at="2026-11-22T10:00:00Z"))) == []

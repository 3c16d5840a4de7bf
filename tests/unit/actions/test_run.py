"""The way from options to a result: what is checked, and what every stop's result holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.actions import report, run, survey
from kolla_drain.actions.options import STOP, EvidenceOptions, Options
from kolla_drain.actions.results import ActionResult
from kolla_drain.errors import Refused
from kolla_drain.host.ledger import Ledger
from kolla_drain.model import Container, ContainerStatus, OnTimeout, Quiesce, StopRequest


@pytest.mark.parametrize(("action", "has_it"), [("stop_container", True), ("drain_status", False)])
def test_the_result_of_a_stop_says_how_long_the_call_took(
    monkeypatch: pytest.MonkeyPatch, action: str, has_it: bool
) -> None:
    monkeypatch.setattr(Options, "connect", lambda _: object())
    monkeypatch.setitem(
        run.ACTIONS, action, run.Action(lambda *_: ActionResult(False), stops=run.ACTIONS[action].stops)
    )
    result = report.module_result(run.run(Options(action, ("c",), StopRequest())))
    assert ("elapsed" in result) == has_it
    assert 0.0 <= result.get("elapsed", 0.0) < 5.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"request": StopRequest(timeout=0.0)}, "graceful_shutdown_timeout is 0"),
        ({"request": StopRequest(poll_interval=float("nan"))}, "poll_interval is nan"),
        ({"request": StopRequest(signal="KILL")}, "stop_signal is SIGKILL"),
        ({"client_timeout": 0}, "client_timeout is 0"),
        ({"ready_timeout": float("inf")}, "ready_timeout is inf"),
        ({"names": ()}, "No container is named"),
        ({"names": ("a", "a")}, "a is named twice"),
        ({"names": ("a", "b"), "action": "restart_container"}, "takes one container, not 2"),
        ({"graceful_shutdown": False, "request": StopRequest(quiesce=Quiesce.ALWAYS)}, "quiesce=always"),
        (
            {"graceful_shutdown": False, "request": StopRequest(on_timeout=OnTimeout.LEAVE)},
            "on_timeout=leave",
        ),
    ],
)
def test_bad_input_is_refused_before_the_engine_is_asked(options: dict[str, Any], words: str) -> None:
    given = {"action": "stop_container", "names": ("a",), "request": StopRequest(), **options}
    with pytest.raises(Refused, match=words):
        run.run(Options(**given))


class Engine:
    """Every name is a running container."""

    def inspect(self, name: str) -> Container:
        return Container("1d", name, ContainerStatus.RUNNING)


def test_a_missing_configuration_has_a_code(tmp_path: Path) -> None:
    """adoption.py acts on the code, and not on the sentence."""
    engine: Any = Engine()
    evidence = EvidenceOptions("cinder-volume", (str(tmp_path / "cinder.conf"),))
    options = Options("stop_container", ("cinder_volume",), StopRequest(), evidence=evidence)
    with pytest.raises(Refused, match="was not touched") as caught:
        survey.survey_all(options, engine, Ledger(str(tmp_path)), STOP)
    assert caught.value.code == "config_missing"


def test_a_missing_driver_has_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    file = tmp_path / "cinder.conf"
    file.write_text("[database]\nconnection = mysql+pymysql://u:p@db.example/cinder\n")
    engine: Any = Engine()
    evidence = EvidenceOptions("cinder-volume", (str(file),))
    options = Options("stop_container", ("cinder_volume",), StopRequest(), evidence=evidence)
    with pytest.raises(Refused) as caught:
        survey.survey_all(options, engine, Ledger(str(tmp_path)), STOP)
    assert caught.value.code == "driver_missing"

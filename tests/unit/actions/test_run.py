"""The way from options to a result: what is checked, and what every stop's result holds."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.actions import report, run, survey
from kolla_drain.actions.options import STOP, EvidenceOptions, Options
from kolla_drain.actions.results import ActionResult, ContainerResult
from kolla_drain.drain.result import StopResult
from kolla_drain.errors import Refused
from kolla_drain.host.ledger import Ledger, boot_clock
from kolla_drain.model import (
    Container,
    ContainerStatus,
    OnTimeout,
    Operation,
    Quiesce,
    Sent,
    StopRequest,
    Verdict,
)


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
    assert result.get("elapsed", 0.0) >= 0.0


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


def test_a_slow_engine_is_asked_about_all_containers_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(20, timeout=10)

    class Slow:
        def inspect(self, name: str) -> Container:
            together.wait()
            return Container(f"id of {name}", name, ContainerStatus.RUNNING)

        def sent(self, container: Container) -> Sent:
            together.wait()
            return Sent((), 0.0)

    names = tuple(f"c{number}" for number in range(20))
    monkeypatch.setattr(survey, "_units", lambda containers: {})
    engine: Any = Slow()
    options = Options("stop_container", names, StopRequest(), evidence=EvidenceOptions("none"))
    surveys = survey.survey_all(options, engine, Ledger(str(tmp_path)), STOP)
    assert [one.container.name for one in surveys.existing] == list(names)


# --- what is passed over


def started(seconds_ago: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds_ago, timezone.utc).isoformat()


@pytest.mark.parametrize(
    ("container", "seen", "age"),
    [
        ({}, None, 60.0),
        ({"pid": 7}, None, 60.0),
        ({"pid": 7}, 3600.0, 3600.0),  # the host's clock was put back
        ({"pid": 7}, 5.0, 60.0),  # and forward; or the process of this number is another host's
        ({"status": ContainerStatus.EXITED}, None, None),
    ],
)
def test_a_process_is_as_old_as_engine_or_kernel_say_whichever_is_more(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    container: dict[str, Any],
    seen: float | None,
    age: float | None,
) -> None:
    now = boot_clock()
    monkeypatch.setattr(survey, "begun", lambda _: None if seen is None else now - seen)
    given = {"status": ContainerStatus.RUNNING, "started_at": started(60.0), **container}
    options = Options("drain_status", ("a",), StopRequest(), ignore_operations=("d1ce",), preflight="off")
    engine: Any = Quiet()
    found = survey.survey(options, engine, Ledger(str(tmp_path)), Container("1d", "a", **given), None)
    baseline = found.baseline
    assert baseline.ignored == {"d1ce"}
    assert baseline.began == (None if age is None else pytest.approx(now - age, abs=2.0))


class Quiet:
    """An engine that has sent no signal."""

    def sent(self, container: Container) -> Sent:
        return Sent((), 0.0)


def test_ids_that_match_nothing_are_noted_at_the_first_container(monkeypatch: pytest.MonkeyPatch) -> None:
    wreck = Operation("volume_extend", "0ff", "extending", passed_over="ignored")
    standing = Operation("volume_attach", "ca5e", "attaching", informs=True)

    def stopped(name: str, **more: Any) -> ContainerResult:
        return ContainerResult(name, stop=StopResult(name, "1d", Verdict.DRAINED, "", **more))

    containers = [stopped("a", passed_over=(wreck,)), stopped("b", standing=(standing,))]
    monkeypatch.setattr(Options, "connect", lambda _: object())
    monkeypatch.setitem(
        run.ACTIONS, "drain_status", run.Action(lambda *_: ActionResult(False, containers), only_reads=True)
    )
    ignored = ("0ff", "ca5e", "d1ce", "f00d")
    run.run(Options("drain_status", ("c",), StopRequest(), ignore_operations=ignored))
    assert [note.text for note in containers[0].notes] == [
        "ignore_operations names d1ce, f00d, and no operation with such an id was seen."
    ]
    assert containers[1].notes == ()


@pytest.mark.parametrize("place", re.findall(r'_of\("([\w.]+)"\)', inspect.getsource(run)))
def test_an_action_is_where_the_table_says(place: str) -> None:
    module, _, function = place.partition(".")
    assert callable(getattr(import_module(f"kolla_drain.actions.{module}"), function))


def test_a_stop_imports_only_what_it_needs() -> None:
    """A host compiles all that is imported anew in every call."""
    code = (
        "import sys, kolla_drain.actions.run, kolla_drain.actions.stop, kolla_drain.actions.report,"
        " kolla_drain.engine.docker\n"
        "print(*(name for name in sys.modules if name.startswith('kolla_drain.')))"
    )
    command = [sys.executable, "-c", code]
    where = {**os.environ, "PYTHONPATH": str(Path(run.__file__).parents[2])}
    imported = subprocess.run(command, env=where, check=True, capture_output=True, text=True).stdout.split()
    others = "container.compare container.options container.spec database.connection engine.podman engine.resources"
    others += " evidence.base service.config start.readiness systemd.install actions.exchange actions.sources"
    assert "kolla_drain.drain.stop" in imported
    assert not {f"kolla_drain.{one}" for one in others.split()} & set(imported)

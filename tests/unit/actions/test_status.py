"""Which containers are meant when none is named, and several that are started side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.actions import exchange, report
from kolla_drain.actions import run as actions
from kolla_drain.actions.options import Options
from kolla_drain.actions.results import ActionResult, ContainerResult, compose
from kolla_drain.actions.status import kolla_names
from kolla_drain.errors import EngineError, Refused
from kolla_drain.model import StopRequest

KOLLA = {"kolla_version": "22.2.0"}
MADE = {"kolla-drain.asked": "{}"}


class Engine:
    def __init__(self, **labels: Mapping[str, str]) -> None:
        self.labels = labels

    def everything(self) -> Mapping[str, Mapping[str, str]]:
        return self.labels


def test_kollas_are_known_by_their_label_their_unit_or_by_who_made_them(tmp_path: Path) -> None:
    (tmp_path / "kolla-own_image-container.service").touch()
    (tmp_path / "kolla-gone-container.service").touch()
    (tmp_path / "docker.service").touch()
    engine = Engine(nova_api=KOLLA, cinder_volume=MADE, own_image={}, docker={}, somebodys={"a": "b"})

    assert kolla_names(engine, str(tmp_path)) == ("cinder_volume", "nova_api", "own_image")


def test_without_systemd_the_labels_tell(tmp_path: Path) -> None:
    assert kolla_names(Engine(nova_api=KOLLA, other={}), str(tmp_path / "none")) == ("nova_api",)


def test_what_an_exchange_put_aside_what_runs_once_and_what_another_ends_are_not_among_them(
    tmp_path: Path,
) -> None:
    engine = Engine(**{"a": KOLLA, "a.old": KOLLA, "b.failed": KOLLA, "c.new": KOLLA})
    side = "neutron_l3_agent_keepalived_qrouter-5b1f"
    engine.labels = {**engine.labels, side: KOLLA, "bootstrap": {**KOLLA, "kolla-drain.one-off": "true"}}

    assert kolla_names(engine, str(tmp_path)) == ("a",)


def start(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    def start_one(options: Options, engine: object) -> ActionResult:
        (name,) = options.names
        answer = answers[name]
        if isinstance(answer, Exception):
            raise answer
        return compose([ContainerResult(name, changed=answer, warnings=[f"of {name}"])])

    monkeypatch.setattr(Options, "connect", lambda _: object())
    monkeypatch.setattr(exchange, "start_one", start_one)
    result = actions.run(Options("start_container", tuple(answers), StopRequest(), **more))
    return {**report.module_result(result), "warnings": result.warnings}


def test_several_are_started_and_one_that_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {"a": True, "b": EngineError("There is no b."), "c": False}

    result = start(monkeypatch, answers)

    assert [one["name"] for one in result["containers"]] == ["a", "b", "c"]
    assert (result["changed"], result["failed"], result["msg"]) == (True, True, "There is no b.")
    assert result["warnings"] == ["of a", "of c"]


def test_several_of_one_image_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="takes one container with an image"):
        start(monkeypatch, {"a": True, "b": True}, image="x")

"""Containers that a run of an earlier version left paused, in real files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kolla_drain.actions import run as actions
from kolla_drain.actions.leftovers import unpause_leftovers
from kolla_drain.actions.options import Options
from kolla_drain.actions.results import ActionResult
from kolla_drain.model import Container, ContainerStatus, StopRequest

ID = "d1ce" * 16
PAUSED = Container(ID, "cinder_volume", ContainerStatus.PAUSED, pid=4711, started_at="1")
# As the version before wrote it.
ENTRY = {
    "container_id": ID,
    "name": "cinder_volume",
    "started_at": "1",
    "begun": 100.0,
    "deadline": 280.0,
    "signal": "SIGTERM",
    "intent": None,
    "intent_wall": None,
    "signalled": None,
    "owners": "4711 1",
    "sender": "",
    "frozen": 101.5,
    "freezer": "4711 1",
}


@dataclass
class Engine:
    container: Container | None
    unpaused: list[str] = field(default_factory=list)

    def inspect(self, name: str) -> Container | None:
        return self.container

    def unpause(self, container_id: str) -> None:
        self.unpaused.append(container_id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / f"{ID}.json").write_text(json.dumps(ENTRY))
    (tmp_path / f"{ID}.lock").write_text("")
    (tmp_path / "broken.json").write_text("{")
    return tmp_path


def dead(_: str) -> bool:
    return False


def test_what_a_dead_run_left_paused_runs_again_and_is_forgotten(folder: Path) -> None:
    engine = Engine(PAUSED)

    assert unpause_leftovers(engine, str(folder), dead) == ["cinder_volume"]  # type: ignore[arg-type]
    assert unpause_leftovers(engine, str(folder), dead) == []  # type: ignore[arg-type]

    assert engine.unpaused == [ID]
    kept = json.loads((folder / f"{ID}.json").read_text())
    assert kept == {key: value for key, value in ENTRY.items() if key not in ("frozen", "freezer")}


@pytest.mark.parametrize("container", [None, replace(PAUSED, status=ContainerStatus.RUNNING)])
def test_what_is_not_paused_is_only_forgotten(folder: Path, container: Container | None) -> None:
    engine = Engine(container)

    assert unpause_leftovers(engine, str(folder), dead) == []  # type: ignore[arg-type]
    assert engine.unpaused == []
    assert "frozen" not in json.loads((folder / f"{ID}.json").read_text())


def test_a_run_that_lives_is_left_alone(folder: Path) -> None:
    engine = Engine(PAUSED)

    assert unpause_leftovers(engine, str(folder), lambda owner: owner == "4711 1") == []  # type: ignore[arg-type]
    assert engine.unpaused == []
    assert json.loads((folder / f"{ID}.json").read_text()) == ENTRY


def test_without_a_ledger_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert unpause_leftovers(Engine(PAUSED), str(tmp_path / "none"), dead) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("action", sorted(actions.ACTIONS))
@pytest.mark.parametrize("check_mode", [False, True])
def test_what_only_reads_unpauses_nothing(
    action: str, check_mode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = action.startswith(("compare_", "get_")) or action == "drain_status"
    asked: list[object] = []
    monkeypatch.setattr(actions, "unpause_leftovers", lambda engine: asked.append(engine) or ["c"])
    monkeypatch.setattr(actions.Options, "connect", lambda _: "engine")
    monkeypatch.setitem(
        actions.ACTIONS, action, replace(actions.ACTIONS[action], do=lambda *_: ActionResult(False))
    )

    result = actions.run(Options(action, ("c",), StopRequest(), check_mode=check_mode))

    assert bool(asked) is (not reads and not check_mode)
    assert bool(result.warnings) is bool(asked)

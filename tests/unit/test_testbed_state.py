"""What the test stack remembers between two ``up``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from testbed import state


def test_a_stack_of_a_testbed_with_more_endpoints_can_still_be_taken_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = state.fresh()
    kept = asdict(made)
    kept["endpoints"]["rabbitmq_management_port"] = 23405
    file = tmp_path / "state.json"
    file.write_text(json.dumps(kept))
    monkeypatch.setattr(state, "STATE_FILE", file)

    assert state.load() == made


def test_every_port_is_another() -> None:
    ports = [port for name, port in vars(state.fresh().endpoints).items() if name.endswith("_port")]

    assert all(ports)
    assert len(set(ports)) == len(ports)

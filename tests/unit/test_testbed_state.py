"""What the test stack remembers between two ``up``."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from testbed import containers, state
from testbed.cinder_config import Endpoints


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


def test_the_ports_of_a_stack_are_kept_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of its services may be starting, and hold none at that moment."""
    file = tmp_path / "state.json"
    file.write_text(json.dumps(asdict(replace(state.fresh(), endpoints=made(range(23400, 23406))))))
    monkeypatch.setattr(containers, "STATE_FILE", file)
    monkeypatch.setattr(containers, "NOVA_STATE_FILE", tmp_path / "nova.json")
    monkeypatch.setattr(containers, "MORE_STATE_FILE", tmp_path / "more.json")

    monkeypatch.setattr(containers, "_is_free", lambda port: True)
    monkeypatch.setattr(containers.random, "sample", lambda *_: [*range(23400, 23406), 23999])

    assert next(containers.free_ports()) == 23999


def made(ports: range) -> Endpoints:
    names = (name for name in vars(state.fresh().endpoints) if name.endswith("_port"))
    return replace(state.fresh().endpoints, **dict(zip(names, ports)))

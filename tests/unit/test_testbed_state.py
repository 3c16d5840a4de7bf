"""What the test stack remembers between two ``up``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from testbed import state


def test_a_state_of_an_older_testbed_gets_the_ports_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asdict(state.fresh())
    for newer in ("rabbitmq_management_port", "images_port"):
        del before["endpoints"][newer]
    file = tmp_path / "state.json"
    file.write_text(json.dumps(before))
    monkeypatch.setattr(state, "STATE_FILE", file)

    found = state.load()

    assert found is not None
    assert found.endpoints.images_port == 0
    after = vars(found.with_all_ports().endpoints)
    ports = [after[name] for name in after if name.endswith("_port")]
    assert all(ports)
    assert len(set(ports)) == len(ports)
    assert {key: after[key] for key in before["endpoints"]} == before["endpoints"]

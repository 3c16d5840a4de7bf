"""Stops by the engine's own stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolla_drain.actions import stop
from kolla_drain.actions.survey import Survey
from kolla_drain.drain.plan import Plan
from kolla_drain.errors import Refused
from kolla_drain.host.ledger import Ledger
from kolla_drain.model import NO_PROFILE, Container, ContainerStatus

CONTAINER = Container("1d" * 32, "cinder_volume", ContainerStatus.RUNNING, started_at="2026-11-21T10:00:00Z")
PLAN = Plan("SIGTERM", 600.0, 0.0, 600.0, "")
SURVEY = Survey(CONTAINER, NO_PROFILE, PLAN, None, None, "", (), (), "")


def test_a_refused_plain_stop_leaves_the_other_runs_deadline(tmp_path: Path) -> None:
    """The other run has begun after this one looked, so that only the ledger knows of it."""
    ledger = Ledger(str(tmp_path / "run"))
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    with pytest.raises(Refused, match="being stopped already"):
        stop._announce(ledger, SURVEY, 600.0)
    assert ledger.read(CONTAINER.id) == entry


def test_a_plain_stop_is_announced_before_the_engine_signals(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "run"))
    stop._announce(ledger, SURVEY, 600.0)
    entry = ledger.read(CONTAINER.id)
    assert entry is not None
    assert entry.intent is not None

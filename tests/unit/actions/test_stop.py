"""Stops by the engine's own stop, and what side by side means."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kolla_drain.actions import parallel, stop
from kolla_drain.actions.options import Options
from kolla_drain.actions.survey import Survey
from kolla_drain.drain.plan import Plan
from kolla_drain.engine.port import Engine
from kolla_drain.errors import Refused
from kolla_drain.host.ledger import Ledger
from kolla_drain.model import NO_PROFILE, Container, ContainerStatus, StopRequest

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


def test_every_thread_has_an_engine_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "connect", lambda *_: object())
    together = threading.Barrier(3, timeout=10)

    def do(item: int, connect: Callable[[], Engine]) -> tuple[int, Engine]:
        together.wait()  # all at once, so that no thread is used twice
        return item, connect()

    results = parallel.side_by_side(Options("stop_container", (), StopRequest()), do, (1, 2, 3))
    assert [item for item, _ in results] == [1, 2, 3]
    assert len({id(engine) for _, engine in results}) == 3

"""What tests of files and of the ledger share."""

from __future__ import annotations

import pytest


@pytest.fixture
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits fails."""

    def never(seconds: float) -> None:
        raise AssertionError(f"it waits {seconds} s")

    monkeypatch.setattr("time.sleep", never)

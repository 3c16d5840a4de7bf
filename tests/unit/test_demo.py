"""The demo's table: what the README shows is what the demo prints of a stop that goes well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed import demo
from testbed.stack import EngineEvent
from tests.support.checkout import ROOT
from tests.support.demo_table import shape

README = (ROOT / "README.md").read_text()
# As the module returned them of a real stop, shortened to what the demo reads.
RESULT: dict[str, Any] = {
    "verdict": "drained",
    "reason": "exited by itself with exit code 0, 1 operation finished",
    "signal": "SIGTERM",
    "timeline": [
        {"at": 0.4, "event": "quiescing: 1 operation in flight: volume_create"},
        {"at": 19.0, "event": "SIGTERM sent: nothing was in flight in two readings"},
        {"at": 21.3, "event": "the container exited with exit code 0"},
    ],
}


def events(*signals: int) -> list[EngineEvent]:
    """As the engine records a stop by these signals."""
    sent = [event("kill", signal) for signal in signals]
    return [event("start"), *sent, event("die")]


def event(action: str, signal: int | None = None) -> EngineEvent:
    return EngineEvent(time=0.0, action=action, signal=signal, exit_code=None)


def rows() -> list[demo.Row]:
    return [
        demo.plain_row(0, 10.4, events(15, 9), "creating", "error"),
        demo.graceful_row(RESULT, 26.2, events(15), "available", "available"),
    ]


def test_the_readme_shows_the_table_that_the_demo_prints() -> None:
    printed = demo.table(rows(), 20)

    assert shape(printed) == shape(README)
    assert printed.splitlines()[0] in README


@pytest.mark.parametrize(
    "other",
    [{"verdict": "cut"}, {"signals": "SIGTERM, SIGKILL"}, {"at_exit": "creating"}, {"in_the_end": "error"}],
    ids=str,
)
def test_another_outcome_is_another_table(other: dict[str, str]) -> None:
    plain, graceful = rows()

    assert shape(demo.table([plain, replace(graceful, **other)], 20)) != shape(README)


def test_the_demo_succeeds_only_where_nothing_was_lost_and_nothing_killed() -> None:
    good = rows()[1]

    assert demo.is_good(good)
    assert not demo.is_good(replace(good, verdict="cut"))
    assert not demo.is_good(replace(good, signals="SIGTERM, SIGKILL"))
    assert not demo.is_good(replace(good, in_the_end="error"))

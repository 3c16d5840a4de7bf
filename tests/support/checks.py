"""What many tests hold, each said once."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolla_drain.host.process import lives
from testbed.waiting import wait_until

from .workloads import Workload

LEDGER = Path("/run/kolla-drain")


def wait_for_runs(workload: Workload, number: int = 1) -> None:
    """Until so many runs that live wait for the stop of it."""

    def waiting() -> bool:
        entry = json.loads((LEDGER / f"{workload.id}.json").read_text())
        return sum(lives(owner) for owner in entry["owners"].splitlines()) == number

    wait_until(waiting, 180, f"{number} runs at the stop of {workload.name}", on_timeout=workload.report)


def wait_until_kept(workload: Workload, ledger: Path = LEDGER) -> None:
    """Until its run has kept in the ledger that the engine took the signal; before that its call may break off."""

    def kept() -> bool:
        return json.loads((ledger / f"{workload.id}.json").read_text())["signalled"] is not None

    wait_until(kept, 180, f"the signal to {workload.name} in the ledger", on_timeout=workload.report)


def signalled_once(workload: Workload, signal: str = "SIGTERM", *then: str) -> None:
    """The engine sent this signal once, ``then`` nothing but these, and the process saw it once."""
    assert workload.sent == [signal, *then], workload.report()
    assert workload.received in ([signal], []), workload.report()


def stays(workload: Workload, status: str, seconds: float = 1.0) -> None:
    """It is in this state, and still is so many seconds later: longer than an engine waits before a restart."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert workload.status == status, workload.report()
        time.sleep(0.1)


def is_sentence(text: str) -> None:
    """One sentence for a person: no traceback, no bare exception."""
    assert text, "no message"
    assert "\n" not in text, text
    assert "Traceback" not in text, text
    assert not any(word in text for word in ("Error(", "Exception", "<class", "None", "{}")), text
    assert text[-1] == ".", f"no full stop: {text}"


@contextlib.contextmanager
def untouched(*workloads: Workload) -> Iterator[None]:
    """Whatever happens within: the same processes run on, unsignalled."""
    before = [workload.state for workload in workloads]
    yield
    for workload, was in zip(workloads, before):
        state = workload.state
        alike = ("Status", "Pid", "StartedAt", "Paused")
        assert {key: state[key] for key in alike} == {key: was[key] for key in alike}, workload.report()
        assert workload.sent == [], workload.report()
        assert workload.received == [], workload.report()


def operations_of(result: dict[str, Any]) -> dict[str, list[Any]]:
    """Operations of a result by outcome: their kinds."""
    found: dict[str, list[Any]] = {}
    for operation in result["operations"]:
        found.setdefault(operation["outcome"], []).append(operation["kind"])
    return found

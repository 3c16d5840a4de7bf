"""The matrix's own judgement: what of kolla_docker's words it lets pass, and what not."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.matrix import (
    PLAIN,
    STOP,
    UPGRADE,
    Cell,
    Fate,
    Job,
    Row,
    Stopped,
    judge,
)
from testbed.paths import DRIVERS

ROW = Row("extend", "extend", "volume", lambda bench, had: [])
REQUESTS = Row("requests", "requests", "volume", lambda bench, had: [], requests=lambda bench, had: [])


def fate(**more: Any) -> Fate:
    known = {
        "kind": "extend", "id": "1", "wanted": "available", "at_exit": "available", "status": "available",
        "right": True, "in_flight": True, "told": "finished",
    }  # fmt: skip
    return Fate(**{**known, **more})


def stopped(verdict: str = "drained", **more: Any) -> Stopped:
    """As the engine tells of one that was ended while frozen after 10 s."""
    known = {"verdict": verdict, "signals": (9,), "ended": verdict != "left_running", "seconds": 10.0}
    return Stopped(**{**known, **more})


LOST = {"at_exit": "extending", "status": "extending", "right": False}


def job(verdict: str = "drained", way: str = STOP) -> Job:
    return Job(ROW, way, "eventlet", verdicts=(verdict,))


@pytest.mark.parametrize(
    ("wanted", "said", "one"),
    [
        ("drained", "drained", fate()),
        ("drained", "drained", fate(in_flight=False, told="", at_exit="")),
        ("killed", "killed", fate(told="interrupted", **LOST)),
        ("cut", "cut", fate(told="interrupted", at_exit="creating", status="error", right=False)),
        ("left_running", "left_running", fate(told="unknown", at_exit="extending")),
        ("unverified", "unverified", fate(told="")),
    ],
)
def test_true_words_pass(wanted: str, said: str, one: Fate) -> None:
    assert judge(job(wanted), stopped(said), [one]) == []


@pytest.mark.parametrize(
    ("wanted", "said", "one", "words"),
    [
        ("drained", "cut", fate(), "the verdict is cut"),
        ("drained", "drained", fate(**LOST), "lost: extending for good"),
        ("drained", "drained", fate(at_exit="deleting"), "drained is said, but"),
        ("drained", "drained", fate(told=""), "is not among the operations"),
        ("drained", "drained", fate(in_flight=False, **LOST), "lost: extending for good"),
        ("killed", "killed", fate(told="finished", **LOST), "is told as finished"),
        ("killed", "killed", fate(told="unknown", **LOST), "is told as unknown"),
        ("unverified", "unverified", fate(), "without evidence"),
    ],
)
def test_what_is_not_so_is_found(wanted: str, said: str, one: Fate, words: str) -> None:
    assert words in " ".join(judge(job(wanted), stopped(said), [one]))


@pytest.mark.parametrize(
    ("second", "right"),
    [
        ("already_stopped", True),
        (
            "unverified: exit code 137; its evidence could not be read before the signal: what was in flight",
            True,
        ),
        ("unverified: exit code 137; its evidence could not be read after the exit", False),
        ("killed", False),
    ],
)
def test_a_second_call_may_claim_nothing_where_it_came_too_late_to_look(second: str, right: bool) -> None:
    found = judge(job(), stopped(second=second), [fate()])
    assert (found == []) == right, found


def test_a_second_signal_is_found() -> None:
    assert judge(job(), stopped(signals=(15, 9)), [fate()]) == []
    assert "more than once" in judge(job(), stopped(signals=(15, 15)), [fate()])[0]


def test_a_cell_that_saw_no_signal_or_no_end_proves_nothing() -> None:
    assert judge(job(), stopped(signals=()), [fate()]) == [
        "the container ended, and the engine told of no signal"
    ]
    assert "told of no end" in judge(job(), stopped(ended=False), [fate()])[0]


@pytest.mark.parametrize(
    ("way", "moments", "words"),
    [
        (STOP, (4.0, 11.0), ""),
        (STOP, (4.0, 9.9), "while the container was down"),
        (STOP, (11.0,), "between the beginning of the stop and the container's end"),
        (UPGRADE, (4.0,), ""),
        (UPGRADE, (), "between the beginning of the stop and the container's end"),
    ],
)
def test_requests_were_sent_when_they_matter(way: str, moments: tuple[float, ...], words: str) -> None:
    sent = [fate(in_flight=False, told="", sent=moment) for moment in moments]

    found = judge(Job(REQUESTS, way, "eventlet"), stopped(), [fate(), *sent])

    assert words in " ".join(found)
    assert bool(found) == bool(words)


def test_an_operation_out_of_nowhere_is_found() -> None:
    assert "nobody asked for" in judge(job(), stopped(told=({"id": "7"},)), [])[0]


def test_of_the_other_ways_nothing_is_asked() -> None:
    assert judge(job(way=PLAIN), Stopped(), [fate(told="", **LOST)]) == []


@pytest.mark.parametrize(
    ("fates", "word"),
    [
        ([], "nothing in flight"),
        ([fate()], "done"),
        ([fate(at_exit="deleting", status="gone", wanted="gone")], "done after the start"),
        ([fate(**LOST)], "lost: extending for good"),
        ([fate(status="error", right=False)], "error"),
        ([fate(right=False, wrong="its content is another")], "wrong: its content is another"),
        ([fate(), fate()], "all 2 done"),
        ([fate(), fate(**LOST), fate(**LOST)], "1 of 3 done; 2 x extend lost: extending for good"),
    ],
)
def test_words_for_people(fates: list[Fate], word: str) -> None:
    cell = Cell("extend-stop-eventlet", "extend", STOP, "eventlet", "m1", fates=tuple(fates))

    assert cell.word == word
    assert Cell.from_dict(cell.as_dict()) == cell


def test_what_is_held_takes_its_time_from_the_end_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = tmp_path / "pauses.json"
    pauses.write_text(json.dumps({"extend": {"seconds": 0.5}}))
    held = tmp_path / "held"
    held.touch()
    monkeypatch.setenv("TESTBED_PAUSES", str(pauses))
    spec = importlib.util.spec_from_file_location("pauses", DRIVERS / "kolla_drain_testbed" / "pauses.py")
    assert spec
    assert spec.loader
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)

    operation = threading.Thread(target=driver.pause, args=("extend", "1"))
    operation.start()
    operation.join(1.2)
    assert operation.is_alive()
    released = time.monotonic()
    held.unlink()
    operation.join(30)

    assert not operation.is_alive()
    assert time.monotonic() - released > 0.25  # it may have looked just before

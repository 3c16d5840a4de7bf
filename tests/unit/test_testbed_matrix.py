"""The matrix's own judgement: what of kolla_docker's words it lets pass, and what not."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.matrix import PLAIN, STOP, Cell, Fate, Job, Row, Stopped, judge

ROW = Row("extend", "extend", "volume", lambda bench, had: [])


def fate(**more: Any) -> Fate:
    known = {
        "kind": "extend", "id": "1", "wanted": "available", "at_exit": "available", "status": "available",
        "right": True, "in_flight": True, "told": "finished",
    }  # fmt: skip
    return Fate(**{**known, **more})


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
    assert judge(job(wanted), Stopped(verdict=said), [one]) == []


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
    assert words in " ".join(judge(job(wanted), Stopped(verdict=said), [one]))


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
    found = judge(job(), Stopped(verdict="drained", second=second), [fate()])
    assert (found == []) == right, found


def test_a_second_signal_is_found() -> None:
    assert judge(job(), Stopped(verdict="drained", signals=(15, 9)), [fate()]) == []
    assert "more than once" in judge(job(), Stopped(verdict="drained", signals=(15, 15)), [fate()])[0]


def test_an_operation_out_of_nowhere_is_found() -> None:
    assert "nobody asked for" in judge(job(), Stopped(verdict="drained", told=({"id": "7"},)), [])[0]


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

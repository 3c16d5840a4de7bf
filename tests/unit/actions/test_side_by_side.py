"""Calls side by side: all at once, all of them, and what they raise."""

from __future__ import annotations

import threading

import pytest

from kolla_drain.actions.side_by_side import AT_ONCE, at_once, side_by_side
from kolla_drain.errors import Refused


def test_side_by_side_is_all_at_once_and_in_order() -> None:
    together = threading.Barrier(3, timeout=10)

    def do(item: int) -> int:
        together.wait()
        return -item

    assert side_by_side(do, (1, 2, 3)) == [-1, -2, -3]


def test_looks_at_many_go_side_by_side() -> None:
    together = threading.Barrier(20, timeout=10)
    passed: list[int] = []

    def look() -> None:
        passed.append(together.wait())

    at_once([look] * 20)
    assert sorted(passed) == list(range(20))


def test_more_than_go_side_by_side_are_looked_at_as_well() -> None:
    looked: list[int] = []
    at_once([lambda number=number: looked.append(number) for number in range(AT_ONCE + 20)])  # type: ignore[misc]
    assert sorted(looked) == list(range(AT_ONCE + 20))


def test_a_host_without_more_threads_looks_at_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    looked: list[int] = []
    at_once([lambda: looked.append(1), lambda: looked.append(2)])
    assert looked == [1, 2]


def test_what_a_look_has_raised_is_raised_once_all_have_come_back() -> None:
    looked: list[int] = []

    def fail() -> None:
        raise KeyError("a fault")

    with pytest.raises(KeyError, match="a fault"):
        at_once([fail, *[lambda: looked.append(1)] * 20])
    assert len(looked) == 20


def test_of_several_errors_the_first_in_order_is_raised() -> None:
    second_failed = threading.Event()

    def fail(number: int) -> None:
        if number == 1:
            assert second_failed.wait(10)
        else:
            second_failed.set()
        raise Refused(f"number {number}")

    with pytest.raises(Refused, match="number 1"):
        side_by_side(fail, (1, 2))

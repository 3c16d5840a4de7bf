"""Calls side by side, because what a slow engine takes for each of many containers must not add up."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Calls that go side by side: each takes up to three of the 1024 files that a process may have open.
AT_ONCE = 100


def at_once(calls: Sequence[Callable[[], None]], at_a_time: int = AT_ONCE) -> None:
    """Make calls in up to ``at_a_time`` threads, and return when all have come back.

    On a host that has no more threads, those that could be started and the caller's own do the work. Raises what one of
    the calls has raised, the first in their order.
    """
    waiting = iter(enumerate(calls))
    raised: dict[int, Exception] = {}

    def work() -> None:
        for number, call in waiting:
            try:
                call()
            except Exception as exc:  # noqa: BLE001 - raised below, where the caller hears of it
                raised[number] = exc

    helpers = []
    with contextlib.suppress(RuntimeError):  # no thread could be started
        for _ in calls[1:at_a_time]:
            helper = threading.Thread(target=work, daemon=True)
            helper.start()
            helpers.append(helper)
    work()
    for helper in helpers:
        helper.join()
    if raised:
        raise raised[min(raised)]


def side_by_side(
    do: Callable[[Item], Result], items: Sequence[Item], at_a_time: int = AT_ONCE
) -> list[Result]:
    """Call ``do`` for every item as ``at_once`` does; results are in the order of the items."""
    results: dict[int, Result] = {}

    def call(number: int, item: Item) -> None:
        results[number] = do(item)

    at_once([functools.partial(call, number, item) for number, item in enumerate(items)], at_a_time)
    return [results[number] for number in range(len(items))]

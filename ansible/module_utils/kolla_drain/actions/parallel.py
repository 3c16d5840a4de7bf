"""Several containers side by side, each in a thread with an engine client of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..engine.connect import connect
from ..engine.port import Engine
from .options import Options

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    options: Options,
    do: Callable[[Item, Callable[[], Engine]], Result],
    items: Sequence[Item],
    *,
    at_a_time: int = 0,
) -> list[Result]:
    """Call ``do`` for every item in a thread of its own; results are in the order of the items.

    Engine clients are not safe to share between threads. ``do`` therefore gets a function that connects a new one,
    which may raise EngineError. ``at_a_time`` limits the threads; 0 is no limit.
    """

    def own_client() -> Engine:
        return connect(options.container_engine, options.client_timeout)

    with ThreadPoolExecutor(max_workers=at_a_time or len(items) or 1) as pool:
        return list(pool.map(lambda item: do(item, own_client), items))

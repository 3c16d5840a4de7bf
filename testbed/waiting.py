"""Waits with a deadline, whose error tells what was seen last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from testbed.errors import NotReady

T = TypeVar("T")


def wait_until(
    probe: Callable[[], T],
    timeout: float,
    what: str,
    interval: float = 0.2,
    on_timeout: Callable[[], str] | None = None,
) -> T:
    """Call ``probe`` until it returns something true, and return that.

    An exception of the probe counts as "not yet". A NotReady that the probe
    raises itself is final. ``on_timeout`` may add what it sees to the message.
    """
    deadline = time.monotonic() + timeout
    seen = "nothing"
    while True:
        try:
            value = probe()
            if value:
                return value
            seen = repr(value)
        except NotReady:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready yet
            seen = f"{type(error).__name__}: {error}"
        if time.monotonic() >= deadline:
            more = "\n" + on_timeout() if on_timeout else ""
            raise NotReady(f"{what} did not come about in {timeout:g} s; last seen: {seen}{more}")
        time.sleep(interval)

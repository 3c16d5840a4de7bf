"""Print one line a step, with the seconds since the start."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator

# The tools export their start, so that the programs that they call count from there.
_started = time.monotonic() - max(
    0.0, time.time() - float(os.environ.get("KOLLA_DRAIN_STARTED") or time.time())
)
_lock = threading.Lock()
_quiet = False


def quiet(on: bool = True) -> None:
    """Switch the output off (for tests) or on."""
    global _quiet
    _quiet = on


def say(text: str) -> None:
    """Print one line with the elapsed time."""
    if _quiet:
        return
    with _lock:
        print(f"[{time.monotonic() - _started:3.0f} s] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Print that a step begins, and at its end how long it took."""
    say(f"{text} ...")
    began = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - began:.1f} s")

"""One line a step, with the seconds since the start."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

_started = time.monotonic()
_lock = threading.Lock()
_quiet = False


def quiet(on: bool = True) -> None:
    """Say nothing (for tests) or speak again."""
    global _quiet
    _quiet = on


def say(text: str) -> None:
    """Print one line with the elapsed time."""
    if _quiet:
        return
    with _lock:
        print(f"[{time.monotonic() - _started:6.1f}s] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and how long it took once it is done."""
    say(f"{text} ...")
    began = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - began:.1f} s")

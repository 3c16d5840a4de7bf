"""Locks between all processes on this machine, for builds and the choice of ports."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from testbed.console import say
from testbed.paths import LOCK_DIR


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of this name; the kernel releases it when the process dies."""
    LOCK_DIR.mkdir(parents=True, exist_ok=True)
    with (LOCK_DIR / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process of the testbed ({name})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield

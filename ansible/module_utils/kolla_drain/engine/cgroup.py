"""The processes of a container, by the kernel's own record of who belongs to it, and SIGKILL for them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable

from ..model import Container


def kill_others(container_id: str, inspect: Callable[[str], Container | None]) -> str:
    """Send SIGKILL to every process of a container but its first; returns why it could not be done, if so.

    The first is left to the engine, which must know whose end it was, or its restart policy starts it again.
    """
    found = inspect(container_id)
    if found is None or not found.pid:
        return ""
    everyone = processes(container_id)
    if found.pid not in everyone:
        return "they cannot be told apart here, for this host's /proc does not show them"
    try:
        for pid in everyone:
            # Looked at again: a number may have become another's, if something thawed it meanwhile.
            if pid != found.pid and _belongs(pid, container_id):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return "only root may end them (become: true)"
    return ""


def processes(container_id: str) -> list[int]:
    """Process ids on this host of all that runs in a container, in whatever hierarchy (cgroups(7)) it is named."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _belongs(int(pid), container_id)]


def _belongs(pid: int, container_id: str) -> bool:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as stream:
            # The process that podman leaves beside a container is named after it as well, and reports its end.
            return re.search(rf"(?<!conmon-){container_id}", stream.read()) is not None
    except OSError:
        return False

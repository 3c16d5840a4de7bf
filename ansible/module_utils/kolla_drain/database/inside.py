"""Paths as the processes in a container see them."""

from __future__ import annotations

import os

_MAX_LINKS = 40  # as the kernel has it


def inside(root: str, path: str) -> str:
    """Return where this host finds an absolute path of a container whose root is at ``root``, such as /proc/PID/root.

    Links are followed as in the container: an absolute one begins at its root, and no ``..`` leads out of it.
    """
    todo, links = path.split("/")[::-1], 0
    done: list[str] = []
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = done[:-1]
            continue
        here = "/".join([root, *done, part])
        if not os.path.islink(here) or links >= _MAX_LINKS:
            done.append(part)
            continue
        links += 1
        leads = os.readlink(here)
        done = [] if leads.startswith("/") else done
        todo.extend(leads.split("/")[::-1])
    return "/".join([root, *done])

"""Processes of this host, told apart also where a number is used again."""

from __future__ import annotations

import os


def named(pid: int) -> str:
    """``PID STARTTIME`` as in proc_pid_stat(5), empty for one that does not run."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            after_name = stream.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in "ZX" else f"{pid} {after_name[19]}"


def myself() -> str:
    """This process's name."""
    return named(os.getpid())


def lives(name: str) -> bool:
    """Whether the process of this name still runs."""
    pid = name.partition(" ")[0]
    return pid.isdigit() and named(int(pid)) == name

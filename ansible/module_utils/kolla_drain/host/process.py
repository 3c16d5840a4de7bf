"""Processes of this host, told apart also where a number is used again."""

from __future__ import annotations

import os
import re


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


def runs_in(container_id: str, proc: str = "/proc") -> bool:
    """Whether a process of this host runs in this container, by the cgroup's name (cgroups(7))."""
    # Podman's monitor outlives a container's processes, and its cgroup is named after the container as well.
    named_after = re.compile(rf"(?<!conmon-){container_id}")
    return any(named_after.search(_cgroup(proc, pid)) for pid in os.listdir(proc) if pid.isdigit())


def _cgroup(proc: str, pid: str) -> str:
    try:
        with open(os.path.join(proc, pid, "cgroup"), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:  # it has ended
        return ""

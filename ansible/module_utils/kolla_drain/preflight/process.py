"""Read a container's processes from /proc of the managed host: who gets a signal, and what that does to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..model import Container

# Programs that run as PID 1 only to reap orphans and to pass signals on to their one child.
_INITS = frozenset({"dumb-init", "tini", "tini-static", "docker-init", "catatonit", "podman-init"})
_SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
_MAX_INITS = 4  # inits stacked on each other; more is a loop in what we read


@dataclass(frozen=True)
class ProcessFacts:
    """One process from /proc. In the masks, as in /proc/PID/status, bit n-1 is signal n."""

    pid: int  # seen from the managed host
    ns_pid: (
        int  # in its innermost PID namespace, where the kernel drops signals for 1 that it has no handler for
    )
    name: str  # comm: of a script, the script's name
    argv: tuple[str, ...] = ()
    caught: int = 0
    ignored: int = 0
    blocked: int = 0
    sigwaits: bool = False  # it is in sigwait(3), and the masks do not show which signals it waits for
    child: ProcessFacts | None = None  # of an init: the process that it passes signals on to

    @property
    def is_init(self) -> bool:
        """Whether it only passes signals on and reaps orphans."""
        return self.name in _INITS

    @property
    def is_shell(self) -> bool:
        """Whether a shell runs here; its name may be that of the script that it runs."""
        program = os.path.basename(self.argv[0]).lstrip("-") if self.argv else ""
        return self.name in _SHELLS or program in _SHELLS


def read_process(container: Container, proc: str = "/proc") -> ProcessFacts | None:
    """Return the container's PID 1 and what it passes signals on to; None when it cannot be seen here.

    It has just ended, or the engine runs on another machine or in another PID namespace, where the same number may be
    another process: its cgroup tells.
    """
    if container.pid <= 0 or not _belongs(container, proc):
        return None
    try:
        return _read_chain(container.pid, proc, _MAX_INITS)
    except (OSError, ValueError):
        return None


# --- reading


def _belongs(container: Container, proc: str) -> bool:
    """Return whether that PID belongs to this container, as far as its cgroup's path tells."""
    try:
        cgroup = _text(proc, container.pid, "cgroup")
    except OSError:
        return True  # the status, which is read next, tells whether the process is there
    return not container.id or container.id in cgroup


def _read_chain(pid: int, proc: str, more: int) -> ProcessFacts:
    process = _read_one(pid, proc)
    child = _first_child(pid, proc) if process.is_init and more else None
    return process if child is None else replace(process, child=_read_chain(child, proc, more - 1))


def _read_one(pid: int, proc: str) -> ProcessFacts:
    """Read one process. Raises OSError when it is gone, ValueError when its status is not understood."""
    status = dict(line.split(":", 1) for line in _text(proc, pid, "status").splitlines() if ":" in line)
    namespaces = status.get("NSpid", "").split()
    return ProcessFacts(
        pid=pid,
        ns_pid=int(namespaces[-1]) if namespaces else pid,
        name=status.get("Name", "").strip(),
        argv=tuple(_text(proc, pid, "cmdline").split("\0")[:-1]),
        caught=int(status.get("SigCgt", "0"), 16),
        ignored=int(status.get("SigIgn", "0"), 16),
        blocked=int(status.get("SigBlk", "0"), 16),
        sigwaits="sigtimedwait" in _wchan(pid, proc),
    )


def _wchan(pid: int, proc: str) -> str:
    """Return the kernel function that it sleeps in, empty where the kernel does not tell."""
    try:
        return _text(proc, pid, "wchan")
    except OSError:
        return ""


def _first_child(pid: int, proc: str) -> int | None:
    """Return the child that was started first: the others are orphans that it adopted."""
    started = [(start, child) for child, parent, start in _processes(pid, proc) if parent == pid]
    return min(started)[1] if started else None


def _processes(parent: int, proc: str) -> Iterator[tuple[int, int, int]]:
    """Yield PID, parent and start (clock ticks) of the children, or of all processes where the kernel lists none."""
    try:
        pids = _text(proc, parent, f"task/{parent}/children").split()
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        pids = [name for name in os.listdir(proc) if name.isdigit()]
    for pid in pids:
        try:
            after_name = _text(proc, int(pid), "stat").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended in between
        yield int(pid), int(after_name[1]), int(after_name[19])  # proc(5): fields 4 and 22


def _text(proc: str, pid: int, name: str) -> str:
    with open(os.path.join(proc, str(pid), name), encoding="utf-8", errors="replace") as file:
        return file.read()

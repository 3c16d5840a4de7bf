"""Read a container's processes from /proc of the managed host: who gets a signal, and what that does to it."""

from __future__ import annotations

import os
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
    # In its innermost PID namespace, where the kernel drops signals for 1 that it has no handler for.
    ns_pid: int
    name: str  # comm: of a script, the script's name
    argv: tuple[str, ...] = ()
    caught: int = 0
    ignored: int = 0
    blocked: int = 0
    sigwaits: bool = False  # it is in sigwait(3), and the masks do not show which signals it waits for
    child: ProcessFacts | None = None  # of an init: the process that it passes signals on to

    @property
    def innermost(self) -> ProcessFacts:
        """The process that all inits before it pass signals on to, or the last of them where it is not there yet."""
        return self.child.innermost if self.child else self

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
    # Where there is no cgroup to read, the status, which is read next, tells whether the process is there.
    cgroup = _text_if_any(proc, container.pid, "cgroup")
    if container.pid <= 0 or (cgroup and container.id not in cgroup):
        return None
    try:
        return _read_chain(container.pid, proc, _MAX_INITS)
    except (OSError, ValueError):
        return None


def read_one(pid: int, proc: str = "/proc") -> ProcessFacts | None:
    """Return one process, without what it passes signals on to; None when it cannot be seen, or has ended."""
    try:
        return _read_chain(pid, proc, 0)
    except (OSError, ValueError):
        return None


def _read_chain(pid: int, proc: str, more: int) -> ProcessFacts:
    """Read a process and its child. Raises OSError when it is gone, ValueError when its status is not understood."""
    status = dict(line.split(":", 1) for line in _text(proc, pid, "status").splitlines() if ":" in line)
    namespaces = status.get("NSpid", "").split()
    process = ProcessFacts(
        pid=pid,
        ns_pid=int(namespaces[-1]) if namespaces else pid,
        name=status.get("Name", "").strip(),
        argv=tuple(_text(proc, pid, "cmdline").split("\0")[:-1]),
        caught=int(status.get("SigCgt", "0"), 16),
        ignored=int(status.get("SigIgn", "0"), 16),
        blocked=int(status.get("SigBlk", "0"), 16),
        sigwaits="sigtimedwait" in _text_if_any(proc, pid, "wchan"),
    )
    child = _first_child(pid, proc) if process.is_init and more else None
    return process if child is None else replace(process, child=_read_chain(child, proc, more - 1))


def _first_child(pid: int, proc: str) -> int | None:
    """Return the child that was started first: the others are orphans that it adopted."""
    try:
        pids = _text(proc, pid, f"task/{pid}/children").split()
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        pids = [name for name in os.listdir(proc) if name.isdigit()]
    children = []
    for child in map(int, pids):
        fields = _text_if_any(proc, child, "stat").rpartition(")")[2].split()
        if fields and int(fields[1]) == pid:
            children.append((int(fields[19]), child))  # proc(5): its parent is field 4, its start field 22
    return min(children)[1] if children else None


def _text_if_any(proc: str, pid: int, name: str) -> str:
    try:
        return _text(proc, pid, name)
    except OSError:  # it has ended, or the kernel does not tell
        return ""


def _text(proc: str, pid: int, name: str) -> str:
    with open(os.path.join(proc, str(pid), name), encoding="utf-8", errors="replace") as file:
        return file.read()

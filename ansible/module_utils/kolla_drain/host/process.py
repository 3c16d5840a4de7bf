"""Identify processes by PID and start time, so that a reused PID is not mistaken for the old one; and by container."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator


def named(pid: int) -> str:
    """Return ``PID STARTTIME`` as in proc_pid_stat(5); empty when the process does not run."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            after_name = stream.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in "ZX" else f"{pid} {after_name[19]}"


def begun(pid: int) -> float | None:
    """Return when a process was started, in seconds since the boot; None when it cannot be seen."""
    ticks = named(pid).partition(" ")[2]
    return int(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def myself() -> str:
    """Return the name of this process."""
    return named(os.getpid())


def lives(name: str) -> bool:
    """Return whether the process of this name still runs."""
    pid = name.partition(" ")[0]
    return pid.isdigit() and named(int(pid)) == name


def runs(program: str, argv: Iterable[str]) -> bool:
    """Return whether a command line is that of a program. A process may have put a title before it."""
    return any(program == os.path.basename(word) for word in words(argv))


def words(argv: Iterable[str]) -> list[str]:
    """Return the words of a command line, without the brackets and colons of a title: "name: worker (/bin/name)"."""
    return [word.strip("()[]:") for argument in argv for word in argument.split()]


def any_in_container(container_id: str) -> bool:
    """Return whether a process of this host runs in a container, of whatever engine: the kernel knows them all."""
    return next(in_container(container_id), None) is not None


def guests_in_container(container_id: str) -> int:
    """Return how many virtual machines of QEMU run in a container."""
    return sum(name.startswith(_QEMU) for name in map(_comm, in_container(container_id)))


# As the kernel has the names: qemu-system-x86, qemu-kvm, and with libvirt's set_process_name qemu:NAME.
_QEMU = ("qemu-system", "qemu-kvm", "qemu:")


def in_container(container_id: str, proc: str = "/proc") -> Iterator[str]:
    """Yield the process ids of a container, of whatever engine, as this host has them."""
    # The cgroup of podman's monitor, conmon, carries the container's id as well.
    inside = re.compile(rf"(?<!conmon-){container_id}")
    for pid in filter(str.isdigit, os.listdir(proc)):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            with open(f"{proc}/{pid}/cgroup", encoding="utf-8", errors="replace") as stream:
                if inside.search(stream.read()):
                    yield pid


def _comm(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""

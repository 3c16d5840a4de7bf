"""Normal forms of values that can be spelled in several ways. Pure."""

from __future__ import annotations

import posixpath
import re

# What the engine calls the dimensions.
ENGINE_NAMES = {
    "mem_limit": "Memory",
    "mem_reservation": "MemoryReservation",
    "memswap_limit": "MemorySwap",
    "kernel_memory": "KernelMemory",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
    "blkio_weight": "BlkioWeight",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
}
NANO = 10**9
MEANINGLESS_MODES = frozenset(("rw", "rprivate", "consistent", "cached", "delegated"))

SIZED = ("mem_limit", "mem_reservation", "memswap_limit", "kernel_memory")
COUNTED = ("cpu_period", "cpu_quota", "cpu_shares", "blkio_weight")
CPU_SETS = ("cpuset_cpus", "cpuset_mems")


def normal_path(path: str) -> str:
    """Return the path without redundant parts."""
    return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else posixpath.normpath(path)


def volume_from(entry: str) -> str:
    """Return CONTAINER[:MODE] without the default mode."""
    return entry.removesuffix(":rw")


def words_of(options: str) -> frozenset[str]:
    """Split comma-separated options, whose order does not matter."""
    return frozenset(word for word in options.split(",") if word)


def tmpfs_options(options: str) -> frozenset[str]:
    """Split the options of a tmpfs; it can be written to unless they say otherwise."""
    return words_of(options) - {"rw"}


def capability(name: str) -> str:
    """Return one spelling of sys_admin, SYS_ADMIN and CAP_SYS_ADMIN."""
    upper = name.upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def security_option(entry: str) -> str:
    """Return one spelling of label:disable and label=disable, no-new-privileges and no-new-privileges=true."""
    key, _, value = re.sub("[:=]", "\0", entry, count=1).partition("\0")
    return key if not value or (key, value) == ("no-new-privileges", "true") else f"{key}={value}"


def cpu_set(text: str) -> str:
    """Return one spelling of 0,1,2 and 0-2."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return ",".join(map(str, sorted(numbers)))

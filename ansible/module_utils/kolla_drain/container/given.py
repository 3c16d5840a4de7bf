"""Which of the module's options describe a container, how common ones are merged into a task's, and a login. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Options that are dicts: common_options and the task's own are merged key by key, the task's own win.
_MERGED = ("environment", "labels", "dimensions")

# The module's options that describe a container, beside its image, name, signal and time-out.
CONTAINER_OPTIONS = (
    "command",
    "environment",
    "labels",
    "volumes",
    "volumes_from",
    "tmpfs",
    "dimensions",
    "healthcheck",
    "privileged",
    "cap_add",
    "security_opt",
    "ipc_mode",
    "pid_mode",
    "cgroupns_mode",
    "tty",
    "user",
    "restart_policy",
    "restart_retries",
)


def merged(own: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the task's options and the common ones as Kolla does: those of the task win."""
    together = {**own, **common, **{key: value for key, value in own.items() if value is not None}}
    for key in _MERGED:
        if own.get(key) is not None or common.get(key) is not None:
            together[key] = {**(common.get(key) or {}), **(own.get(key) or {})}
    if together.get("detach") is False and own.get("restart_policy") is None:
        together["restart_policy"] = None  # the common one is for services
    # Common options carry retries for every policy; only the task's own are held to their policy.
    if own.get("restart_retries") is None and together.get("restart_policy") != "on-failure":
        together["restart_retries"] = None
    return together


@dataclass(frozen=True)
class Login:
    """Credentials for one registry; an empty registry is the engine's default one."""

    username: str
    password: str = field(repr=False)
    registry: str = ""

"""What every container engine gives the core, in the core's own words; the names of engines, images and moments."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from ..model import Container, ContainerStatus
from ..signals import signal_name


def full_reference(reference: str) -> str:
    """The reference of an image with its tag; an id or a digest stays as it is."""
    if re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", reference) or "@" in reference:
        return reference
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def epoch(moment: str) -> float:
    """Seconds since 1970 of an engine's RFC 3339 with nanoseconds; 0 when it names no moment."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", moment)
    if not match or moment.startswith("0001"):
        return 0.0
    base, fraction, zone = match.groups()
    whole = datetime.datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone)).timestamp()
    return whole + float(fraction or 0)


def described(found: Mapping[str, Any], status: ContainerStatus) -> Container:
    """A container in the core's words, of the engine's inspection; what an engine calls its state is its own."""
    state, config, host = found["State"], found["Config"], found.get("HostConfig", {})
    over = status in (ContainerStatus.EXITED, ContainerStatus.DEAD)
    policy = host.get("RestartPolicy") or {}
    health = (state.get("Health") or {}).get("Status", "")
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        status=status,
        pid=state.get("Pid", 0),
        started_at=state.get("StartedAt", ""),
        finished_at=state.get("FinishedAt", ""),
        exit_code=state.get("ExitCode") if over else None,
        oom_killed=bool(state.get("OOMKilled")),
        stop_signal=signal_name(config.get("StopSignal") or ""),
        restart_policy=policy.get("Name", ""),
        restart_retries=policy.get("MaximumRetryCount", 0),
        image=config.get("Image", ""),
        health="" if health == "none" else health,
        vanishes=bool(host.get("AutoRemove")),
        labels=config.get("Labels") or {},
        env=dict(item.partition("=")[::2] for item in config.get("Env") or []),
    )

"""An engine's inspection and its moments in the core's words."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..kolla import CONFIG_FILES
from ..model import Container, ContainerStatus
from ..signals import signal_name


def epoch(moment: str) -> float:
    """Return the seconds since 1970 of an RFC 3339 moment with nanoseconds; 0 when it is none or year 1."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", moment)
    if not match or moment.startswith("0001"):
        return 0.0
    base, fraction, zone = match.groups()
    whole = datetime.datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone)).timestamp()
    return whole + float(fraction or 0)


def status_of(state: Mapping[str, Any]) -> ContainerStatus:
    """Return the status that an engine shows; in one that is not known here, a process is what counts."""
    try:
        return ContainerStatus(state["Status"])
    except ValueError:
        return ContainerStatus.RUNNING if state.get("Pid") else ContainerStatus.DEAD


def described(inspection: Mapping[str, Any], status: ContainerStatus) -> Container:
    """Return the container that was inspected. ``status`` is handed in because engines name states differently."""
    state, config, host = inspection["State"], inspection["Config"], inspection.get("HostConfig", {})
    ended = status in (ContainerStatus.EXITED, ContainerStatus.DEAD)
    policy = host.get("RestartPolicy") or {}
    health, check = state.get("Health") or {}, config.get("Healthcheck") or {}
    health_status = health.get("Status", "")
    return Container(
        id=inspection["Id"],
        name=inspection["Name"].lstrip("/"),
        status=status,
        pid=state.get("Pid", 0),
        started_at=state.get("StartedAt", ""),
        finished_at=state.get("FinishedAt", ""),
        exit_code=state.get("ExitCode") if ended else None,
        oom_killed=bool(state.get("OOMKilled")),
        stop_signal=signal_name(config.get("StopSignal") or ""),
        restart_policy=policy.get("Name", ""),
        restart_retries=policy.get("MaximumRetryCount", 0),
        image=config.get("Image", ""),
        command=(inspection.get("Path") or "", *(inspection.get("Args") or ())),
        hostname="" if host.get("UTSMode") == "host" else config.get("Hostname") or "",
        health="" if health_status == "none" else health_status,
        health_failures=health.get("FailingStreak") or 0,
        health_interval=(check.get("Interval") or 0) / 10**9,
        health_start_period=(check.get("StartPeriod") or 0) / 10**9,
        vanishes=bool(host.get("AutoRemove")),
        config_folder=next((source for source, target in _mounts(inspection) if target == CONFIG_FILES), ""),
        labels=config.get("Labels") or {},
        env=dict(item.partition("=")[::2] for item in config.get("Env") or []),
    )


def _mounts(inspection: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the folders of the host that a container sees, and where."""
    for mount in inspection.get("Mounts") or ():
        if mount.get("Type") == "bind":
            yield mount.get("Source") or "", (mount.get("Destination") or "").rstrip("/")

"""Settings of a container as a person reads them, without secrets. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from ..masking import MASK, masked, masked_words
from ..model import Finding
from .spec import ContainerSpec, Found, Healthcheck
from .spelling import NANO

ENGINE_STOP_TIMEOUT = 10  # seconds, where a container says nothing


def notes(spec: ContainerSpec, found: Found) -> tuple[Finding, ...]:
    """Return deviations from the options that are no reason to replace the container."""
    has = found.config.get("StopTimeout")
    if has == spec.stop_timeout:
        return ()
    seconds = ENGINE_STOP_TIMEOUT if has is None else has
    text = (
        f"{spec.name} has a StopTimeout of {seconds} s, and graceful_shutdown_timeout is {spec.stop_timeout} s: this "
        "module's stops use the latter, the engine's own stop the former until the container is replaced for another "
        "reason."
    )
    return (Finding("stop_timeout_differs", text),)


def settings(spec: ContainerSpec) -> dict[str, Any]:
    """Return the wanted settings, without secrets and without those that image and engine decide."""
    shown = {
        "image": spec.image,
        "command": line(spec.command) if spec.command else None,
        "environment": {key: masked(key, value) for key, value in sorted(spec.environment.items())},
        "labels": {key: masked(key, value) for key, value in sorted(spec.labels.items())},
        "volumes": sorted([*map(str, spec.binds), *spec.anonymous]),
        "volumes_from": sorted(spec.volumes_from),
        "tmpfs": tmpfs_shown(spec.tmpfs),
        "dimensions": {**spec.dimensions, **limits_shown(spec.ulimits)},
        "healthcheck": health_shown(spec.healthcheck),
        "privileged": spec.privileged,
        "cap_add": sorted(spec.cap_add),
        "security_opt": sorted(spec.security_opt),
        "ipc_mode": spec.ipc_mode,
        "pid_mode": spec.pid_mode,
        "cgroupns_mode": spec.cgroupns_mode,
        "tty": spec.tty,
        "user": spec.user,
        "restart_policy": policy_shown(spec.restart_policy, spec.restart_retries),
        "stop_signal": spec.stop_signal,
        "stop_timeout": spec.stop_timeout,
    }
    return {key: value for key, value in shown.items() if value not in (None, "", [], {}, False)}


def as_text(shown: Mapping[str, Any]) -> str:
    """Return settings as text, a line each."""
    return "\n".join(f"{key}: {json.dumps(value, sort_keys=True)}" for key, value in shown.items())


def line(words: Any) -> str:
    return " ".join(word if MASK in word else shlex.quote(word) for word in masked_words(words or ()))


def health_shown(check: Healthcheck | None) -> Any:
    if check is None:
        return None
    if check.off:
        return "NONE"
    seconds = {key: getattr(check, key) / NANO for key in ("interval", "timeout", "start_period")}
    shown = {"test": masked_words(check.test), **seconds, "retries": check.retries}
    return {key: value for key, value in shown.items() if value}


def tmpfs_shown(mounts: Mapping[str, frozenset[str]]) -> list[str]:
    return [
        path + (f":{','.join(sorted(options))}" if options else "")
        for path, options in sorted(mounts.items())
    ]


def policy_shown(name: str, retries: int) -> str:
    return f"{name}:{retries}" if name == "on-failure" else name


def limits_shown(limits: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    shown = {name: {"soft": soft, "hard": hard} for name, (soft, hard) in sorted(limits.items())}
    return {"ulimits": shown} if shown else {}

"""The body of an engine's create call, of a wanted container. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..container.spec import ASKED_LABEL, ONE_OFF_LABEL, ContainerSpec, Healthcheck, Image
from ..container.spelling import ENGINE_NAMES


def create_body(
    spec: ContainerSpec, image: Image, extra_labels: Mapping[str, str], zone: str = ""
) -> dict[str, Any]:
    """Return the body. StopSignal and StopTimeout are always set, so that the engine's plain stop is graceful, too.

    The container gets the host's time ``zone``, as from kolla-ansible, unless options or image name another.
    """
    in_image = any(variable.startswith("TZ=") for variable in image.config.get("Env") or ())
    environment = {"TZ": zone, **spec.environment} if zone and not in_image else spec.environment
    own = {ASKED_LABEL: spec.asked, **({ONE_OFF_LABEL: "true"} if spec.one_off else {})}
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Labels": {**spec.labels, **own, **extra_labels},
        "Volumes": {path: {} for path in sorted(spec.anonymous)},
        "Tty": spec.tty,
        "StopSignal": spec.stop_signal or spec.profile_signal or image.config.get("StopSignal") or "SIGTERM",
        "StopTimeout": spec.stop_timeout,
        "HostConfig": _host_config(spec),
    }
    if spec.command is not None:
        body["Cmd"] = list(spec.command)
    if spec.user is not None:
        body["User"] = spec.user
    if spec.healthcheck is not None:
        body["Healthcheck"] = {"Test": ["NONE"]} if spec.healthcheck.off else _health(spec.healthcheck)
    return body


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    host: dict[str, Any] = {
        "NetworkMode": "host",
        "Binds": sorted(map(str, spec.binds)),
        "VolumesFrom": sorted(spec.volumes_from),
        "Tmpfs": {path: ",".join(sorted(options)) for path, options in spec.tmpfs.items()},
        "Privileged": spec.privileged,
        "CapAdd": sorted(spec.cap_add),
        "SecurityOpt": sorted(spec.security_opt),
        "IpcMode": spec.ipc_mode,
        "PidMode": spec.pid_mode,
        "CgroupnsMode": spec.cgroupns_mode,
        "RestartPolicy": {"Name": spec.restart_policy, "MaximumRetryCount": spec.restart_retries},
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in sorted(spec.ulimits.items())
        ],
        **{ENGINE_NAMES[key]: value for key, value in spec.dimensions.items()},
    }
    if spec.one_off:  # its output is read back, whatever log driver the engine is set to
        host["LogConfig"] = {"Type": "json-file", "Config": {}}
    return host


def _health(check: Healthcheck) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "Retries": check.retries,
    }

"""TODO: say what this is."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import evidence
from ..container.spec import Login
from ..errors import Refused
from ..model import NO_PROFILE, Container, Exit, OnTimeout, Quiesce, StopRequest
from ..signals import normalise

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")  # what the Docker Engine takes for a name


# --- input


def check_names(options: Options) -> None:
    names = options.names
    if not names:
        what = "volume" if options.action in ("create_volume", "remove_volume") else "container"
        raise Refused(f"No {what} is named; give name.")
    for name in names:
        if not _NAME.match(name):
            raise Refused(
                f"{name!r} is no container name; it may hold letters, digits, '_', '.' and '-' only."
            )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise Refused(f"{twice[0]} is named twice; name each container once.")
    if len(names) > 1 and options.action == "start_container" and options.image:
        raise Refused(
            "start_container takes one container with an image; several can only be started as they are."
        )
    if len(names) > 1 and options.action not in (*MANY, "start_container"):
        raise Refused(
            f"{options.action} takes one container, not {len(names)}; only {', '.join((*MANY, 'start_container'))} "
            "take several."
        )


def checked_request(request: StopRequest) -> StopRequest:
    limits = {
        "graceful_shutdown_timeout": (request.timeout, 1),
        "poll_interval": (request.poll_interval, 0.1),
        "idle_limit": (request.idle_limit, 1),
    }
    for name, (value, least) in limits.items():
        if value is not None and not (math.isfinite(value) and value >= least):
            raise Refused(f"{name} is {value:g}; it is seconds, at least {least:g}.")
    if request.exit is Exit.FREEZE and request.quiesce is Quiesce.NEVER:
        raise Refused(
            "exit=freeze ends a service once its evidence is empty, and quiesce=never does not wait for that; "
            "leave one of the two out."
        )
    if not request.signal:
        return request
    try:
        signal = normalise(request.signal)
    except ValueError as exc:
        raise Refused(f"stop_signal: {exc}.") from exc
    if signal in ("SIGKILL", "SIGSTOP"):
        raise Refused(
            f"stop_signal is {signal}, which no process can handle; give one that the service drains on."
        )
    return replace(request, signal=signal)


def check_plain(request: StopRequest) -> None:
    """The engine's plain stop knows its own signal and its own SIGKILL, and nothing else."""
    asked = {
        "on_timeout=leave": request.on_timeout is OnTimeout.LEAVE,
        "quiesce=always": request.quiesce is Quiesce.ALWAYS,
        "exit=freeze": request.exit is Exit.FREEZE,
        "stop_signal": bool(request.signal),
        "idle_limit": request.idle_limit is not None,
    }
    for option, is_asked in asked.items():
        if is_asked:
            raise Refused(
                f"{option} cannot be had with graceful_shutdown=false, which is the engine's plain stop; "
                "leave one of the two out."
            )


@dataclass(frozen=True)
class Given:
    """What the user said of where evidence is; what is not said is told by the container's name."""

    service: str | None = None
    service_config: tuple[str, ...] = ()
    database: Mapping[str, Any] = field(default_factory=dict, repr=False)
    broker: Mapping[str, Any] = field(default_factory=dict)

    def service_of(self, container: Container) -> str:
        """The service that runs in this container, ``none`` for one without evidence."""
        return self.service or evidence.service_of(container.name) or NO_PROFILE.name

    def check(self, containers: Iterable[Container]) -> None:
        """Raise Refused where what was said cannot be meant for all of these containers."""
        services = {one.name: self.service_of(one) for one in containers}
        for name, service in services.items():
            own = evidence.service_of(name)
            if self.service not in (None, "none", own) and own is not None and len(services) > 1:
                raise Refused(
                    f"service is {self.service}, but {name} runs {own}; leave service out, or name containers "
                    f"of {self.service} only."
                )
            if service not in evidence.SERVICES and service != NO_PROFILE.name:
                known = ", ".join(sorted(evidence.SERVICES))
                raise Refused(
                    f"service is {service}, of which nothing is known; give one of {known}, or none."
                )
        for option, value in {"service_config": self.service_config, "database": self.database}.items():
            if value:
                self._check_evidence(option, services)

    @staticmethod
    def _check_evidence(option: str, services: Mapping[str, str]) -> None:
        """Evidence that was named is to be read: it must fit every container."""
        for name, service in services.items():
            if service == NO_PROFILE.name:
                raise Refused(
                    f"{option} is given, but {name} has no service whose evidence could be read; give service, "
                    f"one of {', '.join(sorted(evidence.SERVICES))}, or leave {option} out."
                )
        projects = sorted({service.partition("-")[0] for service in services.values()})
        if len(projects) > 1:
            raise Refused(
                f"{option} is given for containers of {' and '.join(projects)}, which share none; stop them in "
                f"one call each, or leave {option} out."
            )


# Actions that take several names at once; all the others take one.
MANY = ("stop_container", "stop_and_remove_container", "reload_container", "drain_status")

# Actions on an image alone, which no container needs to be named for.
NAMELESS = ("ensure_image", "pull_image", "remove_image")


@dataclass(frozen=True)
class Options:
    """What the module was asked to do; one field an option, see its documentation."""

    action: str
    names: tuple[str, ...]
    request: StopRequest
    graceful_shutdown: bool = True
    service: str | None = None
    service_config: tuple[str, ...] = ()
    database: Mapping[str, Any] = field(default_factory=dict, repr=False)
    broker: Mapping[str, Any] = field(default_factory=dict)
    preflight: str = "warn"
    ignore_missing: bool = False
    client_timeout: int = 120
    check_mode: bool = False
    image: str = ""
    container: Mapping[str, Any] = field(
        default_factory=dict, repr=False
    )  # what container_spec makes a spec of
    login: Login | None = None
    detach: bool = True
    remove_on_exit: bool = True
    ready_timeout: float = 120.0
    reload_fallback: str = "fail"
    container_engine: str = "docker"

    @property
    def given(self) -> Given:
        """The part that tells where the service's evidence is."""
        return Given(self.service, self.service_config, self.database, self.broker)

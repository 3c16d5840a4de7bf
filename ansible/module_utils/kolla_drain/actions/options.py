"""Options and intent of one call of the module, and the checks that need no engine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import evidence
from ..engine.connect import connect
from ..engine.port import Engine
from ..errors import Refused
from ..host.stories import Stories
from ..model import NO_PROFILE, Container, OnTimeout, Quiesce, StopRequest
from ..preflight.process import read_process
from ..signals import normalise

if TYPE_CHECKING:
    from ..container.given import Login

# Seconds: sockets wait no longer than 2**31 milliseconds.
_LONGEST = 2_000_000

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")  # the Docker Engine's own rule


@dataclass(frozen=True)
class Intent:
    """Why an action looks at containers or stops them: what is to become of them."""

    verb: str  # completes "There is no container NAME to ..."
    needs_restart: bool = False  # it is started again after the stop, so its unit must allow a start
    absent_is_fine: bool = False  # a container that does not exist is as wanted
    only_looks: bool = False  # nothing is stopped and nothing will be


STOP = Intent("stop")
STOP_AND_REMOVE = Intent("stop", absent_is_fine=True)
RESTART = Intent("restart", needs_restart=True)
REPLACE = Intent("replace", needs_restart=True)
TAKE_BACK = Intent("take back")
REMOVE = Intent("remove", absent_is_fine=True)
RELOAD = Intent("reload")
LOOK_INTO = Intent("look into", only_looks=True)


def own_service(container: Container) -> str | None:
    """Return the service with evidence that a container names by itself, or None."""
    names = (container.name, container.image, container.labels, container.env, container.command)
    found = evidence.service_of(*names)
    # Its process is looked at only where nothing else tells: that is reading in /proc for every container of a host.
    process = read_process(container) if found is None else None
    return evidence.service_of(*names, process.innermost.argv) if process else found


@dataclass(frozen=True)
class EvidenceOptions:
    """Where the user says that evidence is; the container's name decides what is left out."""

    service: str | None = None
    service_config: tuple[str, ...] = ()
    database: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def service_in(self, container: Container) -> str:
        """Return the service that runs in this container, ``none`` for one without evidence."""
        return self.service or own_service(container) or NO_PROFILE.name

    def check(self, containers: Iterable[Container]) -> None:
        """Raise Refused when the options cannot be meant for all of these containers."""
        own_services = {container.name: own_service(container) for container in containers}
        services = {name: self.service or own or NO_PROFILE.name for name, own in own_services.items()}
        known = ", ".join(sorted(evidence.SERVICES))
        projects = sorted({service.partition("-")[0] for service in services.values()})
        for name, service in services.items():
            own = own_services[name]
            if self.service not in (None, "none", own) and own is not None and len(services) > 1:
                raise Refused(
                    f"service is {self.service}, but {name} runs {own}; leave service out, or name containers "
                    f"of {self.service} only."
                )
            if service not in evidence.SERVICES and service != NO_PROFILE.name:
                raise Refused(f"service is {service}, which is unknown; give one of {known}, or none.")
        sources = {"service_config": self.service_config, "database": self.database}
        for option in (option for option, value in sources.items() if value):
            for name, service in services.items():
                if service in (NO_PROFILE.name, *evidence.WITHOUT_ROWS):
                    raise Refused(
                        f"{option} is given, but {name} has no service whose evidence is in a database; give service, "
                        f"one of {known}, or leave {option} out."
                    )
            if len(projects) > 1:
                raise Refused(
                    f"{option} is given for containers of {' and '.join(projects)}, which share none; stop them in "
                    f"one call each, or leave {option} out."
                )


@dataclass(frozen=True)
class Options:
    """What the module was asked to do; the module's documentation describes each option."""

    action: str
    names: tuple[str, ...]
    request: StopRequest
    graceful_shutdown: bool = True
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    preflight: str = "warn"
    ignore_missing: bool = False
    ignore_operations: tuple[str, ...] = ()  # ids of operations to be passed over
    client_timeout: int = 120
    check_mode: bool = False
    image: str = ""
    # The options that describe the container, as the user wrote them; container.options reads them.
    container: Mapping[str, Any] = field(default_factory=dict, repr=False)
    login: Login | None = None
    detach: bool = True
    remove_on_exit: bool = True
    ready_timeout: float = 120.0
    reload_fallback: str = "fail"
    container_engine: str = "docker"
    stories: Stories = field(default_factory=Stories, repr=False)  # what is told while it goes

    @property
    def name(self) -> str:
        """The name of the one container or volume of an action that takes one."""
        return self.names[0]

    def connect(self) -> Engine:
        """Return a new client of the engine, which threads must not share. Raises EngineError."""
        return connect(self.container_engine, self.client_timeout)


# --- checks


def check_names(options: Options, many: Sequence[str]) -> None:
    """Raise Refused for names that the action cannot take; ``many`` are the actions that take several."""
    names, action = options.names, options.action
    if not names:
        kind = "volume" if action in ("create_volume", "remove_volume") else "container"
        raise Refused(f"No {kind} is named; give name.")
    for name in names:
        if not _NAME.match(name):
            raise Refused(
                f"{name!r} is no container name; it may hold letters, digits, '_', '.' and '-' only."
            )
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise Refused(f"{repeated[0]} is named twice; name each container once.")
    if len(names) == 1:
        return
    if action == "start_container" and options.image:
        raise Refused(
            "start_container takes one container with an image; several can only be started as they are."
        )
    if action not in many:
        raise Refused(f"{action} takes one container, not {len(names)}; only {', '.join(many)} take several.")


def checked(options: Options) -> Options:
    """Return the options with their signal in one spelling. Raises Refused for values out of range."""
    request = options.request
    limits = {
        "graceful_shutdown_timeout": (request.timeout, 1),
        "poll_interval": (request.poll_interval, 0.1),
        "client_timeout": (options.client_timeout, 1),
        "ready_timeout": (options.ready_timeout, 1),
    }
    for name, (value, least) in limits.items():
        if not least <= value <= _LONGEST:  # nor if it is no number
            raise Refused(f"{name} is {value:g}; it is seconds, at least {least:g} and at most {_LONGEST}.")
    ruled_out = {
        "on_timeout=leave": request.on_timeout is OnTimeout.LEAVE,
        "quiesce=always": request.quiesce is Quiesce.ALWAYS,
        "stop_signal": bool(request.signal),
    }
    for option, is_given in ruled_out.items():
        if is_given and not options.graceful_shutdown:
            raise Refused(
                f"{option} cannot be combined with graceful_shutdown=false, which is the engine's plain stop; "
                "leave one of the two out."
            )
    return replace(options, request=replace(request, signal=_signal(request.signal)))


def _signal(name: str) -> str:
    if not name:
        return ""
    try:
        signal = normalise(name)
    except ValueError as exc:
        raise Refused(f"stop_signal: {exc}.") from exc
    if signal in ("SIGKILL", "SIGSTOP"):
        raise Refused(
            f"stop_signal is {signal}, which no process can handle; give one that the service drains on."
        )
    return signal

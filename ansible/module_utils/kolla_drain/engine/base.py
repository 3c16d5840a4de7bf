"""What every container engine gives the core, in the core's own words; the names of engines, images and moments."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .. import drain, swap
from ..compare import Found
from ..container_spec import ContainerSpec, Image, Login
from ..model import Container, ContainerStatus
from ..signals import normalise


class Watcher(Protocol):
    """Something that wakes a run when a container ends."""

    def close(self) -> None:
        """Stop waking."""


class Engine(drain.Engine, swap.Engine, Protocol):
    """One container engine of the host that this runs on. Calls raise EngineError or a kind of it.

    Besides what is here it does all that a drain and an exchange ask.
    """

    # The program that an operator types, as it stands in sentences: docker.
    command: str

    def inspect(self, name: str) -> Container | None:
        """Look at a container by its name or id; None when there is none."""

    def everything(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of every container by its name, whether it runs or not."""

    def state(self, name: str) -> dict[str, Any]:
        """State as the engine gives it. Raises NoSuchContainer."""

    def start(self, container_id: str) -> None:
        """Start an existing container; one that runs is left as it is."""

    def stop(self, container_id: str, timeout: int) -> None:
        """The engine's plain stop: its signal, ``timeout`` seconds, SIGKILL. A lost answer is not retried."""

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> Watcher:
        """Call ``wake`` as soon as one of the containers ends, from a thread, until the watcher is closed."""

    def watch_freezes(self) -> None:
        """Start what thaws a frozen container if this run dies, before a freeze needs it."""

    def close(self) -> None:
        """Let go of what watches over this run."""

    def maker(self) -> Maker:
        """What makes containers, images and volumes on this engine."""


class Maker(Protocol):
    """Makes, finds and removes containers, images and volumes of one engine."""

    # What the engine said beside its answers, such as a limit that it dropped.
    warnings: list[str]

    def found(self, container_id: str) -> Found:
        """All that the engine tells of a container, with the image that it was made from."""

    def create(self, spec: ContainerSpec, name: str, extra_labels: Mapping[str, str] | None = None) -> str:
        """Create the container under a name of the caller's choice; its volumes are made, the image must be there.

        Returns its id; ``warnings`` grows by what the engine warned of. Raises EngineError, Refused without its image.
        """

    def exit_code_within(self, container_id: str, command: list[str]) -> int | None:
        """Run a command as root in a container that runs; None when it cannot be run there."""

    def output(self, container_id: str) -> tuple[str, str]:
        """The last of what a container wrote to its standard output and error."""

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, and the volumes that have no name."""

    def image(self, reference: str) -> Image | None:
        """The image of this name or id, None where the host has none."""

    def pull(self, reference: str, login: Login | None = None) -> Image:
        """Fetch an image from its registry. Raises EngineError with a sentence, never with the password."""

    def remove_image(self, reference: str, *, only_check: bool = False) -> None:
        """Remove an image, or one of its names. Raises Refused while containers are made of it."""

    def has_volume(self, name: str) -> bool:
        """Whether the engine has a volume of this name."""

    def create_volume(self, name: str) -> None:
        """Make a volume; one that is there is left as it is."""

    def remove_volume(self, name: str, *, only_check: bool = False) -> None:
        """Remove a volume. Raises Refused while containers use it."""

    def volume_users(self, name: str) -> list[str]:
        """The containers that a volume is mounted in, running or not."""


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


def signal_name(value: Any) -> str:
    """The full name; what this Python knows no name for is kept as it is."""
    try:
        return normalise(value) if value else ""
    except ValueError:
        return str(value)

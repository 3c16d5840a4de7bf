"""What the core asks of a container engine: one port, implemented by the adapters beside this file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..container.spec import ContainerSpec, Found, Image, Login
from ..model import Container, Sent


class Watcher(Protocol):
    """Wakes a run when a container ends."""

    def close(self) -> None:
        """Stop waking."""


class Engine(Protocol):
    """One container engine on this host. Every call raises EngineError or a subclass."""

    # The command that an operator types: docker or podman.
    command: str

    def inspect(self, name: str) -> Container | None:
        """Return the container of this name or id, None when there is none."""

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal with the engine's kill. Raises NotRunning or NoSuchContainer when there is no process.

        After EngineAbsent the signal was not sent; after EngineUnreachable it may still be delivered.
        """

    def kill(self, container_id: str) -> None:
        """Start SIGKILL without waiting for it; the observed exit tells whether it worked."""

    def kill_failure(self, container_id: str) -> str:
        """Return the engine's error of the last SIGKILL; empty when there is none so far."""

    def unpause(self, container_id: str) -> None:
        """Let a paused container run again; do nothing when it is not paused or is gone."""

    def sent(self, container: Container) -> Sent:
        """Return the signals that this process life was sent."""

    def rename(self, container_id: str, name: str) -> None:
        """Rename a container."""

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        """Set what the engine does when the container's process ends."""

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run."""

    def everything(self) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of every container by its name, whether it runs or not."""

    def state(self, name: str) -> dict[str, Any]:
        """Return State as the engine gives it. Raises NoSuchContainer."""

    def start(self, container_id: str) -> None:
        """Start an existing container; one that runs is left alone."""

    def stop(self, container_id: str, timeout: int) -> None:
        """Stop with the engine's plain stop: its signal, ``timeout`` seconds, SIGKILL. Never retried."""

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> Watcher:
        """Call ``wake`` from a thread as soon as one of the containers ends, until the watcher is closed."""

    def maker(self) -> Maker:
        """Return what makes containers, images and volumes on this engine."""


class Maker(Protocol):
    """Makes, finds and removes containers, images and volumes of one engine."""

    # Warnings that the engine gave beside its answers, such as a limit that it dropped.
    warnings: list[str]

    def found(self, container_id: str) -> Found:
        """Return the engine's inspection of a container and the image that it was made from."""

    def create(self, spec: ContainerSpec, name: str, extra_labels: Mapping[str, str] | None = None) -> str:
        """Create a container under ``name``, and its volumes; the image must be there. Return the container's id.

        ``warnings`` grows by the engine's warnings. Raises EngineError, and Refused when the image is missing.
        """

    def exit_code_within(self, container_id: str, command: list[str]) -> int | None:
        """Run a command as root in a running container; return None when that is not possible."""

    def output(self, container_id: str) -> tuple[str, str]:
        """Return the end of what a container wrote to its standard output and to its standard error."""

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, with its anonymous volumes."""

    def image(self, reference: str) -> Image | None:
        """Return the image of this name or id, None when the host has none."""

    def pull(self, reference: str, login: Login | None = None) -> Image:
        """Pull an image from its registry. Raises EngineError, whose message never holds the password."""

    def remove_image(self, reference: str, *, only_check: bool = False) -> None:
        """Remove an image, or one of its names. Raises Refused while containers use it."""

    def has_volume(self, name: str) -> bool:
        """Return whether the engine has a volume of this name."""

    def create_volume(self, name: str) -> None:
        """Create a volume; an existing one is left alone."""

    def remove_volume(self, name: str, *, only_check: bool = False) -> None:
        """Remove a volume. Raises Refused while containers use it."""

    def volume_users(self, name: str) -> list[str]:
        """Return the names of the containers that mount a volume, running or not."""

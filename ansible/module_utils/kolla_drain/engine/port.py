"""What the core asks of a container engine: one port, implemented by docker.py and podman.py beside this file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..model import Container, Sent

if TYPE_CHECKING:
    from .common import EventWatcher
    from .resources import Maker


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
        """Rename a container. Raises EngineError when the name is taken."""

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        """Set what the engine does when the container's process ends."""

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run; its named volumes stay."""

    def log(self, container_id: str, since: int) -> list[str]:
        """Return the newest lines of a container's log from a second of the wall clock on, a few thousand at most."""

    def everything(self) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of every container by its name, whether it runs or not."""

    def state(self, name: str) -> dict[str, Any]:
        """Return State as the engine gives it. Raises NoSuchContainer."""

    def start(self, container_id: str) -> None:
        """Start an existing container; one that runs is left alone."""

    def stop(self, container_id: str, timeout: int) -> None:
        """Stop with the engine's plain stop: its signal, ``timeout`` seconds, SIGKILL. Never retried."""

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> EventWatcher:
        """Call ``wake`` from a thread as soon as one of the containers ends, until the watcher is closed."""

    def maker(self) -> Maker:
        """Return what makes containers, images and volumes on this engine."""

"""What the core asks of a container engine: one port, and an adapter for each engine beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..container.spec import ContainerSpec, Found, Image, Login
from ..model import Container, Sent


class Watcher(Protocol):
    """Something that wakes a run when a container ends."""

    def close(self) -> None:
        """Stop waking."""


class Engine(Protocol):
    """One container engine of the host that this runs on. Calls raise EngineError or a kind of it."""

    # The program that an operator types, as it stands in sentences: docker.
    command: str

    def inspect(self, name: str) -> Container | None:
        """Look at a container by its name or id; None when there is none."""

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal; raises NotRunning or NoSuchContainer where there is no process.

        EngineAbsent says that it was not sent; with EngineUnreachable it may still be delivered.
        """

    def kill(self, container_id: str) -> None:
        """Start SIGKILL without waiting for it; the observed exit tells whether it worked."""

    def end_frozen(self, container_id: str) -> str:
        """Start SIGKILL for all processes of what is frozen, none of which runs again; returns why not, if so."""

    def kill_failure(self, container_id: str) -> str:
        """What the engine said against the SIGKILL, so far; empty when nothing."""

    def freeze(self, container_id: str) -> None:
        """Stop its processes where they are, for FREEZE_BOUND at the most, whatever becomes of this run."""

    def thaw(self, container_id: str) -> None:
        """Let a paused container run again."""

    def exited(self, container_id: str) -> None:
        """It was seen to have exited: what is frozen of it from now on is somebody else's freeze."""

    def sent(self, container: Container) -> Sent:
        """Which signals this process life has had."""

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        """Set what the engine does when the container's process ends."""

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run."""

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

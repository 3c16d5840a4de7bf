"""Connect to the container engine of a run."""

from __future__ import annotations

from ..errors import Refused
from .port import Engine


def connect(name: str, client_timeout: int = 120) -> Engine:
    """Return the engine of this name; ``client_timeout`` (seconds) is for calls that may take long, such as a pull."""
    if name == "docker":
        from .docker import DockerEngine

        return DockerEngine(client_timeout)
    if name == "podman":
        from .podman import PodmanEngine

        return PodmanEngine(client_timeout)
    raise Refused(f"container_engine is {name}; it is docker or podman.")

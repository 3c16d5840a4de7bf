"""The container engine that the functional tests run on, and how a run of the module is led to it."""

from __future__ import annotations

import os

import pytest

NAMES = ("docker", "podman")
VARIABLE = "KOLLA_DRAIN_ENGINE"


def name() -> str:
    """As ``--engine`` or the variable says."""
    return os.environ.get(VARIABLE) or NAMES[0]


def is_podman() -> bool:
    return name() == "podman"


def at(url: str) -> dict[str, str]:
    """The variable by which a run of the module finds the engine at another address."""
    return {"CONTAINER_HOST" if is_podman() else "DOCKER_HOST": url}


def docker_only(why: str) -> pytest.MarkDecorator:
    """Marks what podman has nothing like, with the reason."""
    return pytest.mark.skipif(is_podman(), reason=f"Docker's own: {why}")

"""The choices of ``up``, kept until ``down``."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from testbed.cinder_config import Endpoints, Settings
from testbed.containers import free_ports
from testbed.paths import STATE_DIR, STATE_FILE


@dataclass(frozen=True)
class State:
    """Ports, passwords and settings of the stack on this machine."""

    settings: Settings
    endpoints: Endpoints
    project_id: str = field(default_factory=lambda: secrets.token_hex(16))

    def save(self) -> None:
        """Write the state to a file that only root reads."""
        keep(STATE_FILE, asdict(self))

    def with_settings(self, settings: Settings) -> State:
        """Return the same stack with other settings."""
        return replace(self, settings=settings)


def keep(file: Path, data: dict[str, Any]) -> None:
    """Write a file that only root reads, atomically."""
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(data, stream, indent=2)
    half.rename(file)


def load() -> State | None:
    """Return the state of the stack, or None when there is none."""
    try:
        data = json.loads(STATE_FILE.read_text())
    except FileNotFoundError:
        return None
    # A stack that is up may have been made by a testbed with more endpoints.
    known = {one.name for one in fields(Endpoints)}
    endpoints = {name: value for name, value in data["endpoints"].items() if name in known}
    return State(Settings(**data["settings"]), Endpoints(**endpoints), data["project_id"])


def fresh() -> State:
    """Choose new ports and passwords."""
    ports = free_ports()
    endpoints = Endpoints(
        mariadb_port=next(ports),
        rabbitmq_port=next(ports),
        epmd_port=next(ports),
        rabbitmq_dist_port=next(ports),
        api_port=next(ports),
        images_port=next(ports),
        root_password=secrets.token_hex(12),
        database_password=secrets.token_hex(12),
        rabbitmq_password=secrets.token_hex(12),
    )
    return State(Settings(), endpoints)

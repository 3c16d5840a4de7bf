"""Types of a wanted container and of an existing one, with their parts. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import Refused
from .spelling import MEANINGLESS_MODES, normal_path, words_of


@dataclass(frozen=True)
class Found:
    """A container as ``docker inspect`` shows it, with the image that it was made from if that still exists."""

    inspected: Mapping[str, Any]
    image: Image | None
    names: Mapping[str, str] = field(default_factory=dict)  # of the host's containers, by id
    # What the engine gives every container by itself, by setting: there it is no difference, unless it was asked for.
    given: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # What it fills in of a healthcheck, where neither options nor image say.
    health: Healthcheck = field(default_factory=lambda: Healthcheck(()))

    @property
    def config(self) -> Mapping[str, Any]:
        """The section Config: what the container runs."""
        config: Mapping[str, Any] = self.inspected["Config"]
        return config

    @property
    def host(self) -> Mapping[str, Any]:
        """The section HostConfig: what the host gives the container."""
        host: Mapping[str, Any] = self.inspected["HostConfig"]
        return host

    @property
    def inherited(self) -> Mapping[str, Any]:
        """The configuration that the container inherits from its image."""
        return self.image.config if self.image else {}

    @property
    def asked(self) -> Mapping[str, Any]:
        """The settings that were asked for at its creation and that the engine may have dropped."""
        try:
            asked = json.loads((self.config.get("Labels") or {}).get(ASKED_LABEL) or "{}")
        except ValueError:
            return {}
        return asked if isinstance(asked, dict) else {}


# Labels that begin so are this project's own notes on a container, and no setting of it.
OWN_LABELS = "kolla-drain."

# The engine drops or fills in some settings, as the kernel allows; this label keeps what was asked for.
ASKED_LABEL = "kolla-drain.asked"

# Marks a container that was run to its end once: what is left of it may be removed.
ONE_OFF_LABEL = "kolla-drain.one-off"
_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_PROPAGATION = frozenset(("shared", "slave", "private", "rshared", "rslave", "rprivate"))
_MODES = _PROPAGATION | {"ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated"}


@dataclass(frozen=True)
class Image:
    """An image on the host, with the part of its configuration that its containers inherit."""

    id: str
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Bind:
    """A volume or a folder of the host, and where it is seen in the container."""

    source: str
    target: str
    modes: frozenset[str] = frozenset()  # without those that mean nothing, such as rw

    @property
    def named(self) -> bool:
        """Whether the source is a volume of the engine."""
        return "/" not in self.source

    def __str__(self) -> str:
        modes = ",".join(sorted(self.modes))
        return f"{self.source}:{self.target}" + (f":{modes}" if modes else "")


@dataclass(frozen=True)
class Healthcheck:
    """A check of the container's health; ``("NONE",)`` as its test is none at all. Nanoseconds; 0: the image's."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0

    @property
    def off(self) -> bool:
        """Whether it disables the check."""
        return self.test[:1] in ((), ("NONE",))


@dataclass(frozen=True)
class ContainerSpec:
    """A container as it is wanted. None where the image or the engine decides."""

    name: str
    image: str
    stop_timeout: int  # seconds, for the engine's own stop
    stop_signal: str = ""  # as the option says
    profile_signal: str = ""  # what the service's profile drains on, if not on the image's own
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    binds: frozenset[Bind] = frozenset()
    anonymous: frozenset[str] = frozenset()
    volumes_from: frozenset[str] = frozenset()
    tmpfs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    dimensions: Mapping[str, int | str] = field(default_factory=dict)
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # (soft, hard)
    healthcheck: Healthcheck | None = None
    privileged: bool = False
    cap_add: frozenset[str] = frozenset()
    security_opt: frozenset[str] = frozenset()
    ipc_mode: str = ""
    pid_mode: str = ""
    cgroupns_mode: str = ""
    tty: bool = False
    user: str | None = None
    restart_policy: str = "no"
    restart_retries: int = 0
    one_off: bool = False

    @property
    def volume_names(self) -> tuple[str, ...]:
        """The names of the engine's volumes that the container uses."""
        return tuple(sorted({bind.source for bind in self.binds if bind.named}))

    @property
    def asked(self) -> str:
        """The value of ASKED_LABEL: settings that the engine may drop or fill in."""
        others = {
            "ipc_mode": self.ipc_mode,
            "cgroupns_mode": self.cgroupns_mode,
            "ulimits": sorted(self.ulimits),
            "cap_add": ["ALL"] if "ALL" in self.cap_add else [],  # podman shows every single one
        }
        asked = {**self.dimensions, **{key: value for key, value in others.items() if value}}
        return json.dumps(asked, sort_keys=True)


def one_off(spec: ContainerSpec, own_policy: str | None) -> ContainerSpec:
    """Return the spec for a single run to the end. Raises Refused if the task itself gives a restart policy."""
    if own_policy not in (None, "no", "oneshot"):
        raise Refused(
            f"restart_policy is {own_policy} with detach=false, but {spec.name} is to be run once; use oneshot or "
            "leave restart_policy out."
        )
    return replace(spec, one_off=True, restart_policy="no", restart_retries=0)


def bind(entry: str) -> Bind:
    """Parse SOURCE:TARGET[:MODES]. Raises Refused."""
    parts = entry.split(":")
    if len(parts) > 3 or not parts[0] or not parts[1].startswith("/"):
        raise Refused(
            f"volumes holds {entry!r}; a volume is NAME:/PATH or /PATH:/PATH, with :ro or another mode if any."
        )
    source, modes = parts[0], words_of("".join(parts[2:]))
    _check_modes(entry, source, modes)
    if "/" in source:
        if not source.startswith("/"):
            raise Refused(f"volumes holds {entry!r}; a path of the host begins with '/'.")
        source = normal_path(source)
    elif not _VOLUME.fullmatch(source):
        raise Refused(
            f"volumes holds {entry!r}; {source!r} is no name of a volume, which has two letters at least."
        )
    return Bind(source, normal_path(parts[1]), modes - MEANINGLESS_MODES)


def _check_modes(entry: str, source: str, modes: frozenset[str]) -> None:
    unknown, spreading = sorted(modes - _MODES), sorted(modes & _PROPAGATION)
    if unknown:
        raise Refused(
            f"volumes holds {entry!r}; {unknown[0]!r} is no mode, which are {', '.join(sorted(_MODES))}."
        )
    for excluding in (frozenset(("ro", "rw")), frozenset(("z", "Z")), _PROPAGATION):
        if len(modes & excluding) > 1:
            raise Refused(
                f"volumes holds {entry!r}; {' and '.join(sorted(modes & excluding))} exclude each other."
            )
    if "/" not in source and spreading:
        raise Refused(
            f"volumes holds {entry!r}; {spreading[0]} is for a path of the host, {source} is a named volume."
        )
    if "/" in source and "nocopy" in modes:
        raise Refused(f"volumes holds {entry!r}; nocopy is for a named volume.")

"""The container that is wanted: the module's options, checked and in one spelling. Pure.

Every value has one form here, so that equal means equal: sizes are bytes, durations nanoseconds, capabilities
carry their prefix, lists whose order means nothing are sets.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import Refused
from .signals import normalise

# Labels that begin so are this project's own notes on a container, and no setting of it.
OWN_LABELS = "kolla-drain."

# The engine drops or fills in some settings, as the kernel allows; this label keeps what was asked for.
ASKED_LABEL = "kolla-drain.asked"

# Marks a container that was run to its end once: what is left of it may be removed.
ONE_OFF_LABEL = "kolla-drain.one-off"

POLICIES = ("no", "on-failure", "oneshot", "always", "unless-stopped")
RETRIES = 10  # Kolla's default of restart_retries

# Options that are dicts: common_options and the task's own are merged key by key, the task's own win.
_MERGED = ("environment", "labels", "dimensions")

# The module's options that describe a container, beside its image, name, signal and time-out.
CONTAINER_OPTIONS = (
    "command",
    "environment",
    "labels",
    "volumes",
    "volumes_from",
    "tmpfs",
    "dimensions",
    "healthcheck",
    "privileged",
    "cap_add",
    "security_opt",
    "ipc_mode",
    "pid_mode",
    "cgroupns_mode",
    "tty",
    "user",
    "restart_policy",
    "restart_retries",
)

_NANO = 10**9
_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)b?", re.IGNORECASE)
_CPUS = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")
_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_PROPAGATION = frozenset(("shared", "slave", "private", "rshared", "rslave", "rprivate"))
_MODES = _PROPAGATION | {"ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated"}
_MEANINGLESS_MODES = frozenset(("rw", "rprivate", "consistent", "cached", "delegated"))

SIZED = ("mem_limit", "mem_reservation", "memswap_limit", "kernel_memory")
COUNTED = ("cpu_period", "cpu_quota", "cpu_shares", "blkio_weight")
CPU_SETS = ("cpuset_cpus", "cpuset_mems")
DIMENSIONS = (*SIZED, *COUNTED, *CPU_SETS, "ulimits")

_ULIMITS = (
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)
_HEALTH = ("test", "interval", "timeout", "start_period", "retries")


@dataclass(frozen=True)
class Login:
    """Credentials for one registry; an empty registry is the engine's default one."""

    username: str
    password: str = field(repr=False)
    registry: str = ""


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
        """Whether it is a volume of the engine."""
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
        """Whether it says that there is to be no check."""
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
        """The engine's volumes that it uses."""
        return tuple(sorted({bind.source for bind in self.binds if bind.named}))

    @property
    def asked(self) -> str:
        """What is kept in ASKED_LABEL: settings that the engine may drop or fill in."""
        others = {
            "ipc_mode": self.ipc_mode,
            "cgroupns_mode": self.cgroupns_mode,
            "ulimits": sorted(self.ulimits),
            "cap_add": ["ALL"] if "ALL" in self.cap_add else [],  # podman shows every single one
        }
        asked = {**self.dimensions, **{key: value for key, value in others.items() if value}}
        return json.dumps(asked, sort_keys=True)


# --- options


def merged(own: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """The task's options and the common ones in one, as Kolla merges them: what the task gives wins."""
    together = {**own, **common, **{key: value for key, value in own.items() if value is not None}}
    for key in _MERGED:
        if own.get(key) is not None or common.get(key) is not None:
            together[key] = {**(common.get(key) or {}), **(own.get(key) or {})}
    if together.get("detach") is False and own.get("restart_policy") is None:
        together["restart_policy"] = None  # the common one is for services
    # Common options carry retries for every policy; only the task's own are held to their policy.
    if own.get("restart_retries") is None and together.get("restart_policy") != "on-failure":
        together["restart_retries"] = None
    return together


def describe(
    name: str,
    image: str,
    options: Mapping[str, Any],
    stop_timeout: float,
    *,
    stop_signal: str = "",
    profile_signal: str = "",
) -> ContainerSpec:
    """The spec that these options describe. Raises Refused with a sentence that names the option at fault."""
    binds, anonymous = _volumes(_list(options, "volumes"))
    dimensions = {key: value for key, value in (options.get("dimensions") or {}).items() if value is not None}
    policy, retries = _restart(options)
    return ContainerSpec(
        name=name,
        image=image,
        stop_timeout=max(1, math.ceil(stop_timeout)),
        stop_signal=normalise(stop_signal) if stop_signal else "",
        profile_signal=profile_signal,
        command=_command(options.get("command")),
        environment=_environment(name, options.get("environment") or {}),
        labels=_labels(options.get("labels") or {}),
        binds=binds,
        anonymous=anonymous,
        volumes_from=frozenset(volume_from(one) for one in _list(options, "volumes_from")),
        tmpfs=_tmpfs(_list(options, "tmpfs")),
        dimensions=_dimensions(dimensions),
        ulimits=_ulimits(dimensions.get("ulimits") or {}),
        healthcheck=_healthcheck(options.get("healthcheck")),
        privileged=bool(options.get("privileged")),
        cap_add=frozenset(_capability(one) for one in _list(options, "cap_add")),
        security_opt=frozenset(security_option(one) for one in _list(options, "security_opt")),
        ipc_mode=_mode(options, "ipc_mode", ("host", "private", "shareable", "none")),
        pid_mode=_mode(options, "pid_mode", ("host", "private")).replace("private", ""),
        cgroupns_mode=_mode(options, "cgroupns_mode", ("host", "private")),
        tty=bool(options.get("tty")),
        user=options.get("user") or None,
        restart_policy=policy,
        restart_retries=retries,
    )


def one_off(spec: ContainerSpec, own_policy: str | None) -> ContainerSpec:
    """The same to be run to its end once. Raises Refused when the task itself asks that it be started again."""
    if own_policy not in (None, "no", "oneshot"):
        raise Refused(
            f"restart_policy is {own_policy} with detach=false, but {spec.name} is to be run once; use oneshot or "
            "leave restart_policy out."
        )
    return replace(spec, one_off=True, restart_policy="no", restart_retries=0)


def _list(options: Mapping[str, Any], key: str) -> list[str]:
    """The entries without the empty ones, which conditions in a playbook leave behind."""
    return [str(one).strip() for one in options.get(key) or () if one is not None and str(one).strip()]


def _command(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, (list, tuple)):
        return tuple(str(word) for word in value) or None
    if isinstance(value, Mapping):
        raise Refused("command is a dictionary; give a string, or a list of words.")
    if value is None or not str(value).strip():
        return None
    try:
        return tuple(shlex.split(str(value)))
    except ValueError as exc:
        raise Refused(f"command cannot be split into words ({exc}); see to its quotes.") from exc


def _environment(name: str, given: Mapping[str, Any]) -> dict[str, str]:
    for key in given:
        if not str(key) or "=" in str(key) or "\0" in str(key):
            raise Refused(
                f"environment holds {str(key)!r}, which is no name of a variable; it may hold no '='."
            )
    texts = {str(key): "" if value is None else str(value) for key, value in given.items()}
    return {**texts, "KOLLA_SERVICE_NAME": name.replace("_", "-")}


def _labels(given: Mapping[str, Any]) -> dict[str, str]:
    for key in given:
        if str(key).startswith(OWN_LABELS):
            raise Refused(
                f"labels holds {key}; names that begin with {OWN_LABELS} are the module's own, take another."
            )
    return {str(key): "" if value is None else str(value) for key, value in given.items()}


def _mode(options: Mapping[str, Any], key: str, words: Sequence[str]) -> str:
    value = str(options.get(key) or "")
    if (
        not value
        or value in words
        or (value.startswith("container:") and key != "cgroupns_mode" and value[10:])
    ):
        return value
    other = "" if key == "cgroupns_mode" else " or container:NAME"
    raise Refused(f"{key} is {value!r}; it is {', '.join(words)}{other}.")


def check_restart(options: Mapping[str, Any]) -> None:
    """Raise Refused where the restart policy and its retries make no sense."""
    _restart(options)


def _restart(options: Mapping[str, Any]) -> tuple[str, int]:
    policy, retries = str(options.get("restart_policy") or "no"), options.get("restart_retries")
    if policy not in POLICIES:
        raise Refused(f"restart_policy is {policy!r}; it is {', '.join(POLICIES)}.")
    if policy != "on-failure":
        if retries is not None:
            raise Refused(
                f"restart_retries is {retries}, but restart_policy is {policy}; retries go with on-failure only, leave "
                "one of the two out."
            )
        return ("no" if policy == "oneshot" else policy), 0
    if retries is not None and retries < 0:
        raise Refused(f"restart_retries is {retries}; it is a number of restarts, at least 0.")
    return policy, RETRIES if retries is None else retries


# --- volumes


def _volumes(entries: Sequence[str]) -> tuple[frozenset[Bind], frozenset[str]]:
    binds = [bind(entry) for entry in entries if ":" in entry]
    anonymous = [entry for entry in entries if ":" not in entry]
    for entry in anonymous:
        if not entry.startswith("/"):
            raise Refused(
                f"volumes holds {entry!r}; a volume is NAME:PATH, PATH:PATH or a path in the container."
            )
    paths = [posixpath.normpath(path) for path in anonymous]
    targets = [*(one.target for one in set(binds)), *set(paths)]
    for target in targets:
        if targets.count(target) > 1:
            raise Refused(f"volumes mounts more than one volume at {target}; give each a path of its own.")
    return frozenset(binds), frozenset(paths)


def bind(entry: str) -> Bind:
    """SOURCE:TARGET[:MODES]. Raises Refused."""
    parts = entry.split(":")
    if len(parts) > 3 or not parts[0] or not parts[1].startswith("/"):
        raise Refused(
            f"volumes holds {entry!r}; a volume is NAME:/PATH or /PATH:/PATH, with :ro or another mode if any."
        )
    source, modes = parts[0], frozenset(word for word in "".join(parts[2:]).split(",") if word)
    _check_modes(entry, source, modes)
    if "/" in source:
        if not source.startswith("/"):
            raise Refused(f"volumes holds {entry!r}; a path of the host begins with '/'.")
        source = normal_path(source)
    elif not _VOLUME.fullmatch(source):
        raise Refused(
            f"volumes holds {entry!r}; {source!r} is no name of a volume, which has two letters at least."
        )
    return Bind(source, normal_path(parts[1]), modes - _MEANINGLESS_MODES)


def _check_modes(entry: str, source: str, modes: frozenset[str]) -> None:
    unknown = sorted(modes - _MODES)
    if unknown:
        raise Refused(
            f"volumes holds {entry!r}; {unknown[0]!r} is no mode, which are {', '.join(sorted(_MODES))}."
        )
    for excluding in (frozenset(("ro", "rw")), frozenset(("z", "Z")), _PROPAGATION):
        if len(modes & excluding) > 1:
            raise Refused(
                f"volumes holds {entry!r}; {' and '.join(sorted(modes & excluding))} exclude each other."
            )
    if "/" not in source and modes & _PROPAGATION:
        mode = sorted(modes & _PROPAGATION)[0]
        raise Refused(
            f"volumes holds {entry!r}; {mode} is for a path of the host, {source} is a named volume."
        )
    if "/" in source and "nocopy" in modes:
        raise Refused(f"volumes holds {entry!r}; nocopy is for a named volume.")


def normal_path(path: str) -> str:
    """The path without what means nothing in it."""
    return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else posixpath.normpath(path)


def meaningful_modes(modes: Iterable[str]) -> frozenset[str]:
    """The modes of a mount without those that are the default."""
    return frozenset(mode for mode in modes if mode) - _MEANINGLESS_MODES


def volume_from(entry: str) -> str:
    """CONTAINER[:MODE] without the mode that is the default."""
    return entry[: -len(":rw")] if entry.endswith(":rw") else entry


def _tmpfs(entries: Sequence[str]) -> dict[str, frozenset[str]]:
    found = {}
    for entry in entries:
        path, _, options = entry.partition(":")
        if not path.startswith("/"):
            raise Refused(
                f"tmpfs holds {entry!r}; it is a path in the container, with :size=64m or the like if any."
            )
        found[normal_path(path)] = words_of(options)
    return found


def words_of(options: str) -> frozenset[str]:
    """Comma separated options, whose order means nothing."""
    return frozenset(word for word in options.split(",") if word)


# --- capabilities, security


def _capability(name: str) -> str:
    full = capability(name)
    if not _CAPABILITY.fullmatch(full):
        raise Refused(f"cap_add holds {name!r}, which is no capability; give one such as SYS_ADMIN, or ALL.")
    return full


def capability(name: str) -> str:
    """One spelling of sys_admin, SYS_ADMIN and CAP_SYS_ADMIN."""
    upper = name.upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def security_option(entry: str) -> str:
    """One spelling of label:disable and label=disable, no-new-privileges and no-new-privileges=true."""
    key, _, value = re.sub("[:=]", "\0", entry, count=1).partition("\0")
    return key if not value or (key, value) == ("no-new-privileges", "true") else f"{key}={value}"


# --- dimensions


def _dimensions(given: Mapping[str, Any]) -> dict[str, int | str]:
    unknown = sorted(set(given) - set(DIMENSIONS))
    if unknown:
        raise Refused(f"dimensions holds {unknown[0]}, which is none; it knows {', '.join(DIMENSIONS)}.")
    found: dict[str, int | str] = {}
    for key, value in given.items():
        if key in SIZED:
            found[key] = _size(key, value)
        elif key in COUNTED:
            found[key] = _whole(f"dimensions.{key}", value, least=-1 if key == "cpu_quota" else 0)
        elif key in CPU_SETS:
            found[key] = _cpus(key, value)
    if found.get("cpu_quota") == -1:  # no quota, which is the default
        del found["cpu_quota"]
    return {key: value for key, value in found.items() if value not in (0, "")}


def _size(key: str, value: Any) -> int:
    text = "" if value is None else str(value).strip()
    if key == "memswap_limit" and text == "-1":
        return -1
    match = _SIZE.fullmatch(text)
    if text and not match:
        swap = ", or -1 for no limit" if key == "memswap_limit" else ""
        raise Refused(
            f"dimensions.{key} is {text!r}; it is a size such as 512m or 1g, or a number of bytes{swap}."
        )
    return int(float(match[1]) * _SIZES[match[2].lower()]) if match else 0


def _cpus(key: str, value: Any) -> str:
    text = str(value).replace(" ", "")
    if text and not _CPUS.fullmatch(text):
        raise Refused(f"dimensions.{key} is {text!r}; it is a list such as 0-3,6.")
    return cpu_set(text)


def cpu_set(text: str) -> str:
    """One spelling of 0,1,2 and 0-2."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return ",".join(str(number) for number in sorted(numbers))


def _whole(what: str, value: Any, least: int = 0) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+(\.0+)?", text) or float(text) < least:
        raise Refused(f"{what} is {text!r}; it is a whole number, at least {least}.")
    return int(float(text))


def _ulimits(given: Any) -> dict[str, tuple[int, int]]:
    if not isinstance(given, Mapping):
        raise Refused(
            "dimensions.ulimits is no dictionary; give one such as {nofile: {soft: 1024, hard: 4096}}."
        )
    unknown = sorted(str(name) for name in set(given) - set(_ULIMITS))
    if unknown:
        raise Refused(
            f"dimensions.ulimits holds {unknown[0]}, which is none; it knows {', '.join(_ULIMITS)}."
        )
    return {name: _ulimit(f"dimensions.ulimits.{name}", limits) for name, limits in given.items()}


def _ulimit(what: str, limits: Any) -> tuple[int, int]:
    known = isinstance(limits, Mapping) and set(limits) <= {"soft", "hard"}
    given = {key: value for key, value in limits.items() if value is not None} if known else {}
    if not given:
        raise Refused(f"{what} is {limits!r}; it is a dictionary of soft and hard.")
    values = {
        key: -1 if value in ("unlimited", "infinity") else _whole(f"{what}.{key}", value, least=-1)
        for key, value in given.items()
    }
    soft = values.get("soft", values.get("hard", 0))
    hard = values.get("hard", soft)
    if hard != -1 and (soft == -1 or soft > hard):
        raise Refused(f"{what} has a soft limit of {soft} above its hard one of {hard}; put them in order.")
    return soft, hard


# --- healthcheck


def _healthcheck(given: Any) -> Healthcheck | None:
    if given in (None, {}, ""):
        return None
    unknown = sorted(str(key) for key in set(given) - set(_HEALTH))
    if unknown:
        raise Refused(f"healthcheck holds {unknown[0]}, which is none; it knows {', '.join(_HEALTH)}.")
    return Healthcheck(
        test=_test(given.get("test")),
        interval=_nanoseconds("interval", given.get("interval")),
        timeout=_nanoseconds("timeout", given.get("timeout")),
        start_period=_nanoseconds("start_period", given.get("start_period")),
        retries=_whole("healthcheck.retries", given.get("retries") or 0),
    )


def _test(value: Any) -> tuple[str, ...]:
    words = ("CMD-SHELL", str(value)) if isinstance(value, str) and value.strip() else value
    if value == "NONE":
        words = ("NONE",)
    if not isinstance(words, (list, tuple)) or not words:
        raise Refused(
            "healthcheck has no test; give a command, a list that begins with CMD or CMD-SHELL, or NONE."
        )
    texts = tuple(str(word) for word in words)
    too_few = len(texts) < 2 and texts[0] != "NONE"
    if texts[0] not in ("NONE", "CMD", "CMD-SHELL") or too_few:
        raise Refused(
            f"healthcheck.test begins with {texts[0]!r}; a list begins with CMD or CMD-SHELL and a command "
            "follows, or it is NONE."
        )
    return texts[:1] if texts[0] == "NONE" else texts


def _nanoseconds(key: str, value: Any) -> int:
    try:
        seconds = float(value or 0)
    except (TypeError, ValueError):
        seconds = -1.0
    if isinstance(value, bool) or not (math.isfinite(seconds) and seconds >= 0):
        raise Refused(f"healthcheck.{key} is {value!r}; it is seconds, at least 0.")
    return round(seconds * _NANO)

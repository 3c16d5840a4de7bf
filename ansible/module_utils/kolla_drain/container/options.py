"""Parse the module's options into the wanted container, checked and in one spelling. Pure.

Every value has one form here, so that equal means equal: sizes are bytes, durations nanoseconds, capabilities
carry their prefix, lists whose order means nothing are sets.
"""

from __future__ import annotations

import math
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import Refused
from ..kolla import SERVICE_NAME
from ..signals import normalise
from .spec import OWN_LABELS, Bind, ContainerSpec, Healthcheck, bind
from .spelling import (
    COUNTED,
    CPU_SETS,
    NANO,
    SIZED,
    capability,
    cpu_set,
    normal_path,
    security_option,
    tmpfs_options,
    volume_from,
)

POLICIES = ("no", "on-failure", "oneshot", "always", "unless-stopped")
RETRIES = 10  # Kolla's default of restart_retries

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d{1,19}(?:\.\d{1,19})?)\s*([bkmgt]?)b?", re.IGNORECASE)
_CPUS = re.compile(r"\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*")
_MOST = 2**63 - 1  # what the engines keep numbers in
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")
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
# With podman kolla-ansible gives these two to every container, and leaves them to podman all the same.
_LEFT_TO_PODMAN = ("RLIMIT_NOFILE", "RLIMIT_NPROC")
_HEALTH = ("test", "interval", "timeout", "start_period", "retries")


# --- options


def without_podmans_own(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options without the limits that kolla-ansible leaves to podman."""
    dimensions = options.get("dimensions") or {}
    given = dimensions.get("ulimits")
    if not isinstance(given, Mapping):
        return options
    limits = {name: limit for name, limit in given.items() if name not in _LEFT_TO_PODMAN}
    return {**options, "dimensions": {**dimensions, "ulimits": limits}}


def describe(
    name: str,
    image: str,
    options: Mapping[str, Any],
    stop_timeout: float,
    *,
    stop_signal: str = "",
    profile_signal: str = "",
) -> ContainerSpec:
    """Return the spec that these options describe. Raises Refused with a sentence that names the option at fault."""
    binds, anonymous = _volumes(_list(options, "volumes"))
    dimensions = {key: value for key, value in (options.get("dimensions") or {}).items() if value is not None}
    policy, retries = check_restart(options)
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
        ipc_mode=_mode(options, "ipc_mode", "host", "private", "shareable", "none"),
        pid_mode=_mode(options, "pid_mode", "host", "private").replace("private", ""),
        cgroupns_mode=_mode(options, "cgroupns_mode", "host", "private"),
        tty=bool(options.get("tty")),
        user=options.get("user") or None,
        restart_policy=policy,
        restart_retries=retries,
    )


def _list(options: Mapping[str, Any], key: str) -> list[str]:
    """Return the entries without empty ones, which conditions in a playbook leave behind."""
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
        raise Refused(f"command cannot be split into words ({exc}); correct its quotes.") from exc


def _environment(name: str, given: Mapping[str, Any]) -> dict[str, str]:
    for key in map(str, given):
        if not key or "=" in key or "\0" in key:
            raise Refused(f"environment holds {key!r}, which is no name of a variable; it may hold no '='.")
    return {**_texts(given), SERVICE_NAME: name.replace("_", "-")}


def _texts(given: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): "" if value is None else str(value) for key, value in given.items()}


def _labels(given: Mapping[str, Any]) -> dict[str, str]:
    for key in given:
        if str(key).startswith(OWN_LABELS):
            raise Refused(
                f"labels holds {key}; names that begin with {OWN_LABELS} are the module's own, take another."
            )
    return _texts(given)


def _mode(options: Mapping[str, Any], key: str, *words: str) -> str:
    value = str(options.get(key) or "")
    of_container = key != "cgroupns_mode" and re.match("container:.", value)
    if not value or value in words or of_container:
        return value
    other = "" if key == "cgroupns_mode" else " or container:NAME"
    raise Refused(f"{key} is {value!r}; it is {', '.join(words)}{other}.")


def check_restart(options: Mapping[str, Any]) -> tuple[str, int]:
    """Return the engine's restart policy and its retries. Raises Refused if the two do not fit."""
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
    if retries is not None and not 0 <= retries < 2**31:
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


def _tmpfs(entries: Sequence[str]) -> dict[str, frozenset[str]]:
    found = {}
    for entry in entries:
        path, _, options = entry.partition(":")
        if not path.startswith("/"):
            raise Refused(
                f"tmpfs holds {entry!r}; it is a path in the container, with :size=64m or the like if any."
            )
        found[normal_path(path)] = tmpfs_options(options)
    return found


# --- capabilities, security


def _capability(name: str) -> str:
    full = capability(name)
    if not _CAPABILITY.fullmatch(full):
        raise Refused(f"cap_add holds {name!r}, which is no capability; give one such as SYS_ADMIN, or ALL.")
    return full


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
    size = int(float(match[1]) * _SIZES[match[2].lower()]) if match else 0
    if (text and not match) or size > _MOST:
        swap = ", or -1 for no limit" if key == "memswap_limit" else ""
        raise Refused(
            f"dimensions.{key} is {text!r}; it is a size such as 512m or 1g, or a number of bytes{swap}."
        )
    return size


def _cpus(key: str, value: Any) -> str:
    text = str(value).replace(" ", "")
    if text and not _CPUS.fullmatch(text):
        raise Refused(f"dimensions.{key} is {text!r}; it is a list such as 0-3,6.")
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise Refused(
                f"dimensions.{key} is {text!r}, but {part} ends before it begins; write {last}-{first}."
            )
    return cpu_set(text)


def _whole(what: str, value: Any, least: int = 0) -> int:
    text = str(value).strip()
    whole = None if isinstance(value, bool) else re.fullmatch(r"([+-]?\d{1,19})(\.0+)?", text)
    if not whole or not least <= int(whole[1]) <= _MOST:
        raise Refused(f"{what} is {text!r}; it is a whole number, at least {least}.")
    return int(whole[1])


def _ulimits(given: Any) -> dict[str, tuple[int, int]]:
    if not isinstance(given, Mapping):
        raise Refused(
            "dimensions.ulimits is no dictionary; give one such as {nofile: {soft: 1024, hard: 4096}}."
        )
    given = {_limit_name(str(name)): limits for name, limits in given.items()}
    unknown = sorted(set(given) - set(_ULIMITS))
    if unknown:
        raise Refused(
            f"dimensions.ulimits holds {unknown[0]}, which is none; it knows {', '.join(_ULIMITS)}."
        )
    return {name: _ulimit(f"dimensions.ulimits.{name}", limits) for name, limits in given.items()}


def _limit_name(name: str) -> str:
    """Return one spelling of nofile and RLIMIT_NOFILE."""
    return name[len("RLIMIT_") :].lower() if name.startswith("RLIMIT_") else name


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
    words = value
    if isinstance(value, str) and value.strip():
        words = ("NONE",) if value == "NONE" else ("CMD-SHELL", value)
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
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 <= seconds * NANO <= _MOST:
        raise Refused(f"healthcheck.{key} is {value!r}; it is seconds, at least 0.")
    return round(seconds * NANO)

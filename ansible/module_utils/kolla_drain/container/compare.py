"""Compare an existing container with the one that is wanted. Pure.

What a container has is compared with what a new one would have: given by the options, or inherited from the image
where the options are silent. Differences carry no secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..masking import masked
from ..signals import signal_name
from .show import health_shown, limits_shown, line, policy_shown, tmpfs_shown
from .spec import OWN_LABELS, Bind, ContainerSpec, Found, Healthcheck, Image
from .spelling import (
    COUNTED,
    CPU_SETS,
    ENGINE_NAMES,
    SIZED,
    capability,
    cpu_set,
    meaningful_modes,
    normal_path,
    security_option,
    volume_from,
    words_of,
)


@dataclass(frozen=True)
class Difference:
    """One setting: what the container has, and what it would have. Without secrets."""

    setting: str
    old: Any
    new: Any


def differences(spec: ContainerSpec, image: Image | None, found: Found) -> tuple[Difference, ...]:
    """Return all settings that differ; ``image`` is the wanted one, None if it is not on the host."""
    others = (difference for part in _PARTS for difference in part(spec, image, found))
    return tuple(map(_told_apart, (*_image(spec.image, image, found), *others)))


def _told_apart(one: Difference) -> Difference:
    """Mark two values that look the same because only their secrets differ."""
    return Difference(one.setting, one.old, f"{one.new} (another one)") if one.old == one.new else one


def image_difference(reference: str, image: Image | None, found: Found) -> tuple[Difference, ...]:
    """Return the difference between a container's image and the wanted one, if any."""
    return tuple(_image(reference, image, found))


def config_difference(exit_code: int | None) -> tuple[Difference, ...]:
    """What Kolla's own check in the container says: 1 for a configuration that has changed since it was copied.

    An image without that check, and one whose check fails, do not tell, so nothing is made anew for it.
    """
    if exit_code != 1:
        return ()
    return (Difference("config", "as it was when the container started", "changed on the host since"),)


# --- image


def _image(new: str, image: Image | None, found: Found) -> Iterator[Difference]:
    old = str(found.config.get("Image") or "")
    if image is None:
        yield Difference("image", old, f"{new} (not on this host)")
    elif image.id != found.inspected["Image"]:
        if old == new:  # the tag has moved: only the ids tell them apart
            old, new = f"{old} ({_short(found.inspected['Image'])})", f"{new} ({_short(image.id)})"
        yield Difference("image", old, new)


def _short(image_id: str) -> str:
    return image_id.partition(":")[2][:12] or image_id[:12]


# --- what an image may give as well


def _command(spec: ContainerSpec, image: Image | None, found: Found) -> Iterator[Difference]:
    yield from _or_inherited("command", "Cmd", spec.command, image, found)
    if found.image is not None and _words(found.config.get("Entrypoint")) != _words(
        found.inherited.get("Entrypoint")
    ):
        new = _words(image.config.get("Entrypoint")) if image else ()
        yield Difference("entrypoint", line(found.config.get("Entrypoint")), line(new))


def _or_inherited(
    setting: str, key: str, wanted: Sequence[str] | None, image: Image | None, found: Found
) -> Iterator[Difference]:
    """A command: the wanted words, or those of the image that it was made from."""
    has = _words(found.config.get(key))
    if wanted is None:
        if found.image is None or has == _words(found.inherited.get(key)):
            return
        wanted = _words(image.config.get(key)) if image else ()
    if has != tuple(wanted):
        yield Difference(setting, line(has), line(wanted))


def _words(value: Any) -> tuple[str, ...]:
    return tuple(value or ())


def _user(spec: ContainerSpec, image: Image | None, found: Found) -> Iterator[Difference]:
    has, inherited = found.config.get("User") or "", found.inherited.get("User") or ""
    if spec.user is not None:
        if has != spec.user:
            yield Difference("user", has, spec.user)
    elif found.image is not None and has != inherited:
        yield Difference("user", has, (image.config.get("User") or "") if image else "")


def _environment(spec: ContainerSpec, image: Image | None, found: Found) -> Iterator[Difference]:
    given = found.given.get("environment", frozenset()) - spec.environment.keys()
    has = {key: value for key, value in _variables(found.config).items() if key not in given}
    inherited = _variables(found.inherited) if found.image else has
    new = _variables(image.config) if image else {}
    yield from _dicts("environment", spec.environment, has, inherited, new)


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in config.get("Env") or ())


def _labels(spec: ContainerSpec, image: Image | None, found: Found) -> Iterator[Difference]:
    has = {
        key: value
        for key, value in (found.config.get("Labels") or {}).items()
        if not key.startswith(OWN_LABELS)
    }
    inherited = (found.inherited.get("Labels") or {}) if found.image else has
    new = (image.config.get("Labels") or {}) if image else {}
    yield from _dicts("labels", spec.labels, has, inherited, new)


def _dicts(
    setting: str,
    wanted: Mapping[str, str],
    has: Mapping[str, str],
    inherited: Mapping[str, str],
    new: Mapping[str, str],
) -> Iterator[Difference]:
    """Compare key by key; a key that is neither wanted nor from the old image is to go."""
    for key in sorted({*wanted, *has}):
        gone = key not in wanted and has[key] != inherited.get(key)
        if gone or (key in wanted and has.get(key) != wanted[key]):
            old, later = has.get(key), wanted.get(key, new.get(key))
            yield Difference(f"{setting}.{key}", *_masked_pair(key, old, later))


def _masked_pair(key: str, old: str | None, new: str | None) -> tuple[str | None, str | None]:
    return None if old is None else masked(key, old), None if new is None else masked(key, new)


def _healthcheck(spec: ContainerSpec, image: Image | None, found: Found) -> Iterator[Difference]:
    has, inherited = _health(found.config), _health(found.inherited)
    wanted = spec.healthcheck
    if wanted is None:
        if found.image is None or _unfilled(has, inherited, found.health) == inherited:
            return
        wanted = _health(image.config) if image else None
    elif wanted.off:
        if has.off:
            return
    elif any(_unfilled(has, one, found.health) == one for one in (wanted, _filled(wanted, inherited))):
        return
    yield Difference("healthcheck", health_shown(has), health_shown(wanted))


def _health(config: Mapping[str, Any]) -> Healthcheck:
    check = config.get("Healthcheck") or {}
    test = tuple(check.get("Test") or ())
    if test in ((), ("NONE",)):
        return Healthcheck(())
    numbers = (check.get(key) or 0 for key in ("Interval", "Timeout", "StartPeriod", "Retries"))
    return Healthcheck(test, *numbers)


def _filled(wanted: Healthcheck, inherited: Healthcheck) -> Healthcheck:
    """The engine takes from the image what a check leaves open."""
    return Healthcheck(
        wanted.test,
        wanted.interval or inherited.interval,
        wanted.timeout or inherited.timeout,
        wanted.start_period or inherited.start_period,
        wanted.retries or inherited.retries,
    )


def _unfilled(has: Healthcheck, wanted: Healthcheck, given: Healthcheck) -> Healthcheck:
    """The check that a container has, without what the engine gave it and nobody wanted."""
    numbers = (
        0 if not getattr(wanted, key) and getattr(has, key) == getattr(given, key) else getattr(has, key)
        for key in ("interval", "timeout", "start_period", "retries")
    )
    return Healthcheck(has.test, *numbers)


def _stop_signal(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    has = signal_name(found.config.get("StopSignal") or "SIGTERM")
    if spec.stop_signal and has != spec.stop_signal:
        yield Difference("stop_signal", has, spec.stop_signal)


# --- volumes


def _volumes(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    binds = frozenset(_binds(found.host))
    targets = {bind.target for bind in binds}
    anonymous = {normal_path(path) for path in found.config.get("Volumes") or ()} - targets
    # One that the image asks for is there whether it was asked for or not.
    inherited = {normal_path(path) for path in found.inherited.get("Volumes") or ()}
    extra = anonymous - inherited - spec.anonymous if found.image else frozenset()
    lacking = spec.anonymous - anonymous
    if binds != spec.binds or extra or lacking:
        old = sorted([*map(str, binds), *extra, *(spec.anonymous & anonymous)])
        yield Difference("volumes", old, sorted([*map(str, spec.binds), *spec.anonymous]))


def _binds(host: Mapping[str, Any]) -> Iterator[Bind]:
    for entry in host.get("Binds") or ():
        source, target, modes = [*entry.split(":"), ""][:3]
        yield Bind(normal_path(source), normal_path(target), meaningful_modes(modes.split(",")))
    for mount in host.get("Mounts") or ():
        if mount.get("Type") in ("bind", "volume") and mount.get("Source"):
            modes = {"ro"} if mount.get("ReadOnly") else set()
            modes.add((mount.get("BindOptions") or {}).get("Propagation") or "")
            yield Bind(normal_path(mount["Source"]), normal_path(mount["Target"]), meaningful_modes(modes))


def _tmpfs(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    has = {normal_path(path): words_of(options) for path, options in (found.host.get("Tmpfs") or {}).items()}
    if has != dict(spec.tmpfs):
        yield Difference("tmpfs", tmpfs_shown(has), tmpfs_shown(spec.tmpfs))


# --- what is a set


def _sets(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    pairs = {
        "volumes_from": (map(volume_from, found.host.get("VolumesFrom") or ()), spec.volumes_from),
        "cap_add": (map(capability, found.host.get("CapAdd") or ()), spec.cap_add),
    }
    for setting, (entries, wanted) in pairs.items():
        given = found.given.get(setting, frozenset()) - wanted
        yield from _set(setting, set(entries) - given, wanted)
    # The engine adds this by itself to what shares the host's namespaces.
    shared = spec.privileged or found.host.get("Privileged")
    modes = (spec.ipc_mode, spec.pid_mode, found.host.get("IpcMode"), found.host.get("PidMode"))
    by_engine = {"label=disable"} if shared or "host" in modes else set()
    has = set(map(security_option, found.host.get("SecurityOpt") or ()))
    yield from _set("security_opt", has - by_engine, spec.security_opt - by_engine)


def _set(setting: str, entries: Iterable[str], wanted: Iterable[str]) -> Iterator[Difference]:
    has, new = sorted(set(entries)), sorted(wanted)
    if has != new:
        yield Difference(setting, has, new)


# --- modes and switches


def _modes(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    host, asked = found.host, found.asked
    # Not asked for, the engine takes its own default, which differs from host to host.
    ipc = _by_name(host.get("IpcMode") or "", found.names)
    no_default = ipc.partition(":")[0] in ("host", "container", "none") or "shareable" == ipc == asked.get(
        "ipc_mode"
    )
    if ipc != _by_name(spec.ipc_mode, found.names) if spec.ipc_mode else no_default:
        yield Difference("ipc_mode", ipc, spec.ipc_mode)
    pid = _by_name(host.get("PidMode") or "", found.names)
    if pid != _by_name(spec.pid_mode, found.names):
        yield Difference("pid_mode", pid, spec.pid_mode)
    cgroupns = host.get("CgroupnsMode") or "host"  # what engines before 20.10 do
    if cgroupns != spec.cgroupns_mode if spec.cgroupns_mode else asked.get("cgroupns_mode"):
        yield Difference("cgroupns_mode", cgroupns, spec.cgroupns_mode)
    network = host.get("NetworkMode") or ""
    if network != "host":
        yield Difference("network_mode", network, "host")


def _by_name(mode: str, names: Mapping[str, str]) -> str:
    """The engine keeps the id of a container that was named."""
    kind, colon, other = mode.partition(":")
    return f"{kind}:{names.get(other, other)}" if colon else mode


def _switches(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    for setting, has, wanted in (
        ("privileged", bool(found.host.get("Privileged")), spec.privileged),
        ("tty", bool(found.config.get("Tty")), spec.tty),
    ):
        if has != wanted:
            yield Difference(setting, has, wanted)


def _restart_policy(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    policy = found.host.get("RestartPolicy") or {}
    name = policy.get("Name") or "no"
    has = policy_shown(name, policy.get("MaximumRetryCount") or 0)
    wanted = policy_shown(spec.restart_policy, spec.restart_retries)
    if has != wanted:
        yield Difference("restart_policy", has, wanted)


# --- dimensions


def _dimensions(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    for key in (*SIZED, *COUNTED, *CPU_SETS):
        default: int | str = "" if key in CPU_SETS else 0
        wanted = spec.dimensions.get(key, default)
        has = _dimension(key, found, wanted)
        dropped = has == default and found.asked.get(key, default) == wanted
        if has != wanted and not dropped:
            yield Difference(f"dimensions.{key}", has, wanted)
    limits = {
        limit["Name"]: (limit.get("Soft", 0), limit.get("Hard", 0))
        for limit in found.host.get("Ulimits") or ()
        if limit["Name"] not in found.given.get("ulimits", frozenset()) - spec.ulimits.keys()
    }
    if limits != dict(spec.ulimits):
        yield Difference(
            "dimensions.ulimits", *(limits_shown(one).get("ulimits", {}) for one in (limits, spec.ulimits))
        )


def _dimension(key: str, found: Found, wanted: int | str) -> int | str:
    """What the container has; the default also where the engine has made the value up."""
    value: int | str | None = found.host.get(ENGINE_NAMES[key])
    if key in CPU_SETS:
        return cpu_set(str(value or ""))
    made_up = {"memswap_limit": (-1, 2 * (found.host.get("Memory") or 0)), "cpu_quota": (-1,)}
    if value != wanted and key not in found.asked and value in made_up.get(key, ()):
        return 0
    return value or 0


_PARTS = (
    _command,
    _user,
    _environment,
    _labels,
    _healthcheck,
    _stop_signal,
    _volumes,
    _tmpfs,
    _sets,
    _modes,
    _switches,
    _restart_policy,
    _dimensions,
)

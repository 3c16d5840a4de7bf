"""Compare an existing container with the one that is wanted. Pure.

What a container has is compared with what a new one would have: given by the options, or inherited from the image
where the options are silent. Differences carry no secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..kolla import SERVICE_NAME
from ..masking import masked
from ..signals import signal_name
from .show import health_shown, limits_shown, line, policy_shown, tmpfs_shown
from .spec import OWN_LABELS, Bind, ContainerSpec, Found, Healthcheck, Image
from .spelling import (
    COUNTED,
    CPU_SETS,
    ENGINE_NAMES,
    MEANINGLESS_MODES,
    SIZED,
    capability,
    cpu_set,
    normal_path,
    security_option,
    tmpfs_options,
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
    configs = found.config, found.inherited, image.config if image else {}
    for setting, key, wanted in (("command", "Cmd", spec.command), ("entrypoint", "Entrypoint", None)):
        has, inherited, new = (tuple(config.get(key) or ()) for config in configs)
        if wanted is None:
            wanted = has if found.image is None or has == inherited else new
        if has != wanted:
            yield Difference(setting, line(has), line(wanted))


def _user(spec: ContainerSpec, image: Image | None, found: Found) -> Iterator[Difference]:
    has, wanted = found.config.get("User") or "", spec.user
    if wanted is None:
        kept = found.image is None or has == (found.inherited.get("User") or "")
        wanted = has if kept else (image.config.get("User") or "") if image else ""
    if has != wanted:
        yield Difference("user", has, wanted)


def _environment(spec: ContainerSpec, image: Image | None, found: Found) -> Iterator[Difference]:
    given = found.given.get("environment", frozenset()) - spec.environment.keys()
    has = {key: value for key, value in _variables(found.config).items() if key not in given}
    inherited = _variables(found.inherited) if found.image else has
    new = _variables(image.config) if image else {}
    # Nobody asks for the service's name; kolla-ansible up to 18 gives it to no container of podman.
    wanted = {key: value for key, value in spec.environment.items() if key != SERVICE_NAME or key in has}
    yield from _dicts("environment", wanted, has, inherited, new)


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
            pair = has.get(key), wanted.get(key, new.get(key))
            yield Difference(
                f"{setting}.{key}", *(None if text is None else masked(key, text) for text in pair)
            )


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


_NUMBERS = ("interval", "timeout", "start_period", "retries")


def _health(config: Mapping[str, Any]) -> Healthcheck:
    check = config.get("Healthcheck") or {}
    test = tuple(check.get("Test") or ())
    if test in ((), ("NONE",)):
        return Healthcheck(())
    return Healthcheck(
        test, *(check.get(key) or 0 for key in ("Interval", "Timeout", "StartPeriod", "Retries"))
    )


def _filled(wanted: Healthcheck, inherited: Healthcheck) -> Healthcheck:
    """The engine takes from the image what a check leaves open."""
    return Healthcheck(wanted.test, *(getattr(wanted, key) or getattr(inherited, key) for key in _NUMBERS))


def _unfilled(has: Healthcheck, wanted: Healthcheck, given: Healthcheck) -> Healthcheck:
    """The check that a container has, without what the engine gave it and nobody wanted."""
    numbers = (
        0 if not getattr(wanted, key) and getattr(has, key) == getattr(given, key) else getattr(has, key)
        for key in _NUMBERS
    )
    return Healthcheck(has.test, *numbers)


# --- single values


def _values(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    host = found.host
    signal = signal_name(found.config.get("StopSignal") or "SIGTERM")
    tmpfs = {normal_path(path): tmpfs_options(options) for path, options in (host.get("Tmpfs") or {}).items()}
    policy = host.get("RestartPolicy") or {}
    for setting, has, wanted in (
        ("stop_signal", signal, spec.stop_signal or signal),
        ("tmpfs", tmpfs_shown(tmpfs), tmpfs_shown(spec.tmpfs)),
        ("pid_mode", _by_name(host.get("PidMode") or "", found), _by_name(spec.pid_mode, found)),
        ("network_mode", host.get("NetworkMode") or "", "host"),
        ("privileged", bool(host.get("Privileged")), spec.privileged),
        ("tty", bool(found.config.get("Tty")), spec.tty),
        (
            "restart_policy",
            policy_shown(policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0),
            policy_shown(spec.restart_policy, spec.restart_retries),
        ),
    ):
        if has != wanted:
            yield Difference(setting, has, wanted)


def _by_name(mode: str, found: Found) -> str:
    """The engine keeps the id of a container that was named."""
    kind, colon, other = mode.partition(":")
    return f"{kind}:{found.names.get(other, other)}" if colon else mode


def _modes(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    # Not asked for, the engine takes its own default, which differs from host to host.
    ipc, asked_ipc = _by_name(found.host.get("IpcMode") or "", found), found.asked.get("ipc_mode")
    no_default = ipc.partition(":")[0] in ("host", "container", "none") or "shareable" == ipc == asked_ipc
    if not ipc and spec.ipc_mode in ("private", "shareable"):  # podman before 4.4 does not tell the two apart
        ipc = spec.ipc_mode
    if ipc != _by_name(spec.ipc_mode, found) if spec.ipc_mode else no_default:
        yield Difference("ipc_mode", ipc, spec.ipc_mode)
    cgroupns = found.host.get("CgroupnsMode") or "host"  # what engines before 20.10 do
    if cgroupns != spec.cgroupns_mode if spec.cgroupns_mode else found.asked.get("cgroupns_mode"):
        yield Difference("cgroupns_mode", cgroupns, spec.cgroupns_mode)


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
        yield Bind(normal_path(source), normal_path(target), words_of(modes) - MEANINGLESS_MODES)
    for mount in host.get("Mounts") or ():
        if mount.get("Type") in ("bind", "volume") and mount.get("Source"):
            propagation = (mount.get("BindOptions") or {}).get("Propagation") or ""
            modes = words_of(f"{'ro' if mount.get('ReadOnly') else ''},{propagation}") - MEANINGLESS_MODES
            yield Bind(normal_path(mount["Source"]), normal_path(mount["Target"]), modes)


# --- what is a set


def _sets(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    pairs: dict[str, tuple[Iterable[str], frozenset[str]]] = {
        "volumes_from": (map(volume_from, found.host.get("VolumesFrom") or ()), spec.volumes_from),
    }
    # A privileged container has all capabilities, and podman does not show those that were added.
    if not (spec.privileged and found.host.get("Privileged")):
        pairs["cap_add"] = map(capability, found.host.get("CapAdd") or ()), spec.cap_add
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


# --- dimensions


def _dimensions(spec: ContainerSpec, _image: Image | None, found: Found) -> Iterator[Difference]:
    for key in (*SIZED, *COUNTED, *CPU_SETS):
        default: int | str = "" if key in CPU_SETS else 0
        wanted = spec.dimensions.get(key, default)
        has = _dimension(key, found, wanted)
        dropped = has == default and found.asked.get(key, default) == wanted
        if has != wanted and not dropped:
            yield Difference(f"dimensions.{key}", has, wanted)
    # Docker shows the limits of its own configuration (default-ulimits) as if they had been asked for, and podman has
    # some for every container. So one that is not wanted counts only where it is known to have been asked for.
    counted = {*spec.ulimits, *(found.asked.get("ulimits") or ())}
    limits = {
        limit["Name"]: (limit.get("Soft", 0), limit.get("Hard", 0))
        for limit in found.host.get("Ulimits") or ()
        if limit["Name"] in counted
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
    made_up = {
        "memswap_limit": (-1, 2 * (found.host.get("Memory") or 0)),
        "cpu_quota": (-1,),
        "cpu_period": (100_000,),  # the kernel's own, microseconds
    }
    if value != wanted and key not in found.asked and value in made_up.get(key, ()):
        return 0
    return value or 0


_PARTS = (
    _command,
    _user,
    _environment,
    _labels,
    _healthcheck,
    _values,
    _modes,
    _volumes,
    _sets,
    _dimensions,
)

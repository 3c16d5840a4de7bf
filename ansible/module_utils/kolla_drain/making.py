"""Actions that describe, compare, create and remove: containers, images, volumes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from . import compare, container_spec, evidence, report
from .compare import Difference
from .container_spec import ONE_OFF_LABEL, ContainerSpec
from .engine.base import Engine, Maker, full_reference
from .errors import EngineError, EngineUnreachable, KollaDrainError, Refused
from .masking import masked
from .model import NO_PROFILE, Container, ContainerStatus
from .outcome import Each, Options, difference
from .owning import note_unit, wanted_unit, write_unit
from .starting import run_again, start_existing
from .units import Units

# Containers of Kolla's images copy their configuration when they start, and can tell whether it has changed since.
_STRATEGY = "KOLLA_CONFIG_STRATEGY"
_CHECK_CONFIG = ["/usr/local/bin/kolla_set_configs", "--check"]

# A one-off container is looked at so often, in seconds.
_LOOK = 0.3


def spec_of(options: Options) -> ContainerSpec:
    """The container that the options describe. Raises Refused when they make none."""
    name = options.names[0]
    if not options.image:
        raise Refused(f"No image is given for {name}; give image.")
    service = options.service or evidence.service_of(name) or NO_PROFILE.name
    profile = evidence.profile_for(service, options.container.get("environment") or {})
    described = options.container
    # Its unit starts it again, and the engine must not do so, too.
    if wanted_unit(options, Units()) is not None:
        container_spec.check_restart(described)
        described = {**described, "restart_policy": "no", "restart_retries": None}
    return container_spec.describe(
        name,
        options.image,
        described,
        options.request.timeout,
        stop_signal=options.request.signal,
        profile_signal=profile.signal,
    )


def differences_of(maker: Maker, spec: ContainerSpec, container: Container) -> tuple[Difference, ...]:
    """What tells this container from the one that is wanted."""
    return compare.differences(spec, maker.image(spec.image), maker.found(container.id))


def _result(name: str, changed: bool, *, diff: Sequence[dict[str, str]] = (), **more: Any) -> dict[str, Any]:
    diffs = list(diff) if changed else []
    return {"name": name, "changed": changed, "failed": False, "warnings": [], "diff": diffs, **more}


# --- compare


def compare_container(options: Options, engine: Engine) -> dict[str, Any]:
    """Whether the container is there and as wanted; nothing is touched."""
    spec, name = spec_of(options), options.names[0]
    container = engine.inspect(name)
    if container is None:
        return _result(name, True, diff=[absent_diff(spec)], id="", status="absent", differences=[], notes=[])
    maker = engine.maker()
    there = maker.found(container.id)
    found = compare.differences(spec, maker.image(spec.image), there)
    if container.status is ContainerStatus.RUNNING and _STRATEGY in container.env:
        found += compare.config_difference(maker.exit_code_within(container.id, _CHECK_CONFIG))
    return _result(
        name,
        bool(found),
        diff=[spec_diff(name, found)],
        id=container.id,
        status=container.status.value,
        differences=as_dicts(found),
        notes=report.findings(compare.notes(spec, there)),
    )


def as_dicts(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as the module returns them."""
    return [{"setting": one.setting, "old": one.old, "new": one.new} for one in found]


def spec_diff(name: str, found: Sequence[Difference]) -> dict[str, str]:
    """Ansible's diff of the settings that differ."""
    old = compare.as_text({one.setting: one.old for one in found})
    return difference(name, old, compare.as_text({one.setting: one.new for one in found}))


def absent_diff(spec: ContainerSpec) -> dict[str, str]:
    """Ansible's diff of a container that is not there yet."""
    return difference(spec.name, "absent", compare.as_text(compare.settings(spec)))


def compare_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Whether the container is there and made of this image, told by the image's id."""
    name = options.names[0]
    if not options.image:
        raise Refused(f"No image is given to compare that of {name} with; give image.")
    container = engine.inspect(name)
    if container is None:
        text = f"image: {options.image}"
        return _result(
            name, True, diff=[difference(name, "absent", text)], id="", status="absent", differences=[]
        )
    maker = engine.maker()
    found = compare.image_difference(options.image, maker.image(options.image), maker.found(container.id))
    status = container.status.value
    return _result(
        name,
        bool(found),
        diff=[spec_diff(name, found)],
        id=container.id,
        status=status,
        differences=as_dicts(found),
    )


# --- start_container


def start(options: Options, engine: Engine) -> dict[str, Any]:
    """See to it that the container is there and runs; or run it once to its end. One that differs is recreate's."""
    container = engine.inspect(options.names[0])
    if not options.image and options.detach:
        if container is None:
            name = options.names[0]
            raise Refused(f"There is no container {name} to start; give image, and it is created.")
        return start_existing(options, engine, container)
    spec = spec_of(options)
    if not options.detach:
        return _run_once(options, engine, spec, container)
    if container is None:
        return _create_and_start(options, engine, spec)
    return start_existing(options, engine, container)


def _create_and_start(options: Options, engine: Engine, spec: ContainerSpec) -> dict[str, Any]:
    name, maker = spec.name, engine.maker()
    result = _result(name, True, diff=[absent_diff(spec)], id="", created=True)
    if options.check_mode:
        result["image_pulled"] = maker.image(spec.image) is None
        return note_unit(options, result, write_unit(options))
    result["image_pulled"] = ensured(options, maker, spec.image)
    container_id = maker.create(spec, name)
    result["id"], result["warnings"] = container_id, maker.warnings
    note_unit(options, result, write_unit(options))
    container = engine.inspect(container_id)
    if container is None:
        raise EngineError(f"{name} was created and is gone; somebody else removed it.")
    each = Each(result, container=container)
    if not run_again(options, engine, container, each):
        result.update(failed=True, msg=each.failure)
    return result


def ensured(options: Options, maker: Maker, image: str) -> bool:
    """Pull the image if the host has none of the name; true if it was pulled."""
    if maker.image(image) is not None:
        return False
    maker.pull(image, options.login)
    return True


# --- one-off containers


def _run_once(
    options: Options, engine: Engine, spec: ContainerSpec, leftover: Container | None
) -> dict[str, Any]:
    spec = container_spec.one_off(spec, options.container.get("restart_policy"))
    maker = engine.maker()
    if leftover is not None:
        _check_leftover(engine, maker, leftover)
    result = _result(spec.name, True, diff=[absent_diff(spec)], id="")
    if options.check_mode:
        result["image_pulled"] = maker.image(spec.image) is None
        return result
    result["image_pulled"] = ensured(options, maker, spec.image)
    if leftover is not None:
        maker.remove(leftover.id)
    result["id"] = maker.create(spec, spec.name)
    result["warnings"] = maker.warnings
    try:
        engine.start(result["id"])
        ended = _ended(engine, result["id"], options.client_timeout)
        result["rc"] = ended.exit_code
        result["stdout"], result["stderr"] = maker.output(result["id"])
    finally:
        if options.remove_on_exit:
            _tidy(engine, maker, result)
    if result["rc"] != 0:
        result.update(failed=True, msg=_ended_badly(spec, result))
    return result


def _check_leftover(engine: Engine, maker: Maker, container: Container) -> None:
    """An earlier run under this name that was killed may have left its container; anything else is not ours."""
    name = container.name
    if not container.at_rest:
        raise Refused(
            f"{name} is {container.status.value} already, maybe from a run that was interrupted; wait for its end with "
            f"'{engine.command} wait {name}', or stop it."
        )
    if (maker.found(container.id).config.get("Labels") or {}).get(ONE_OFF_LABEL) is None:
        raise Refused(
            f"There is a container {name} that was not made to be run once, so it is not replaced; take another "
            "name, or remove it with action=remove_container."
        )


def _ended(engine: Engine, container_id: str, silence: float) -> Container:
    """Wait for its end however long that takes; an engine that is silent for longer than ``silence`` is an error."""
    heard = time.monotonic()
    while True:
        try:
            now = engine.inspect(container_id)
            heard = time.monotonic()
        except EngineUnreachable:
            if time.monotonic() - heard > silence:
                raise
        else:
            if now is None:
                raise EngineError(
                    "The container was removed by somebody else before it ended, so its result is not known."
                )
            if now.at_rest:
                return now
        time.sleep(_LOOK)


def _tidy(engine: Engine, maker: Maker, result: dict[str, Any]) -> None:
    """Remove it, unless it still runs: then its work goes on, and a later run will find it."""
    try:
        now = engine.inspect(result["id"])
        if now is not None and now.at_rest:
            maker.remove(result["id"])
    except KollaDrainError as exc:
        result["warnings"] = [*result["warnings"], f"{result['name']} ended and could not be removed: {exc}"]


def _ended_badly(spec: ContainerSpec, result: dict[str, Any]) -> str:
    lines = (result["stderr"].strip() or result["stdout"].strip()).splitlines()
    said = masked("", lines[-1].strip().rstrip("."))[:300] if lines else "it wrote nothing"
    return f"{spec.name} ended with exit code {result['rc']}: {said}."


# --- images


def ensure_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Pull the image only if the host has none of its name."""
    return _pull(options, engine.maker(), only_absent=True)


def pull_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Fetch what the registry has now; changed only if that is another image."""
    return _pull(options, engine.maker(), only_absent=False)


def _pull(options: Options, maker: Maker, *, only_absent: bool) -> dict[str, Any]:
    name = _image_named(options)
    before = maker.image(name)
    after = before
    if before is None and options.check_mode:
        return _image_result(name, "absent", "pulled")
    if not options.check_mode and (before is None or not only_absent):
        after = maker.pull(name, options.login)
    result = _image_result(name, before.id if before else "absent", after.id if after else "absent")
    if options.check_mode and not only_absent:
        result["warnings"].append(
            f"Whether {name} has changed in its registry is not known without pulling it."
        )
    return result


def remove_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Remove the image; one that containers are made of is left."""
    name, maker = _image_named(options), engine.maker()
    before = maker.image(name)
    if before is None:
        return _image_result(name, "absent", "absent")
    maker.remove_image(name, only_check=options.check_mode)
    return _image_result(name, before.id, "absent")


def _image_named(options: Options) -> str:
    if not options.image:
        raise Refused(f"No image is named for {options.action}; give image.")
    return full_reference(options.image)


def _image_result(name: str, before: str, after: str) -> dict[str, Any]:
    image_id = after if after.startswith("sha256:") else ""
    result = _result(
        name, before != after, diff=[difference(name, before, after)], image=name, image_id=image_id
    )
    del result["name"]
    return result


# --- volumes


def create_volume(options: Options, engine: Engine) -> dict[str, Any]:
    """Make a volume; one that is there is left as it is."""
    name, maker = options.names[0], engine.maker()
    there = maker.has_volume(name)
    if not there and not options.check_mode:
        maker.create_volume(name)
    return _result(name, not there, diff=[difference(name, "absent", "created")])


def remove_volume(options: Options, engine: Engine) -> dict[str, Any]:
    """Remove a volume and what is in it; one that containers use is left."""
    name, maker = options.names[0], engine.maker()
    if not maker.has_volume(name):
        return _result(name, False)
    maker.remove_volume(name, only_check=options.check_mode)
    return _result(name, True, diff=[difference(name, "there", "absent")])

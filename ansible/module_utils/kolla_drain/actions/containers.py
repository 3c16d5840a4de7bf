"""Actions that describe, compare, create and remove: containers, images, volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import evidence
from ..container import compare, show
from ..container.compare import Difference
from ..container.options import check_restart, describe
from ..container.spec import ContainerSpec
from ..engine.port import Engine, Maker
from ..errors import Refused
from ..kolla import CHECK_CONFIG, STRATEGY
from ..masking import masked
from ..model import NO_PROFILE, Container, ContainerStatus
from ..systemd.install import UnitFiles
from . import report, survey
from .options import Options
from .results import Each, absent_diff, action_result, as_dicts, compose, container_of, spec_diff
from .units import remove_units, wanted_unit


def spec_of(options: Options) -> ContainerSpec:
    """The container that the options describe. Raises Refused when they make none."""
    name = options.names[0]
    if not options.image:
        raise Refused(f"No image is given for {name}; give image.")
    service = options.service or evidence.service_of(name) or NO_PROFILE.name
    profile = evidence.profile_for(service, options.container.get("environment") or {})
    described = options.container
    # Its unit starts it again, and the engine must not do so, too.
    if wanted_unit(options, UnitFiles()) is not None:
        check_restart(described)
        described = {**described, "restart_policy": "no", "restart_retries": None}
    return describe(
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


# --- compare


def compare_container(options: Options, engine: Engine) -> dict[str, Any]:
    """Whether the container is there and as wanted; nothing is touched."""
    spec, name = spec_of(options), options.names[0]
    container = engine.inspect(name)
    if container is None:
        return action_result(
            name, True, diff=[absent_diff(spec)], id="", status="absent", differences=[], notes=[]
        )
    maker = engine.maker()
    there = maker.found(container.id)
    found = compare.differences(spec, maker.image(spec.image), there)
    if container.status is ContainerStatus.RUNNING and STRATEGY in container.env:
        found += compare.config_difference(maker.exit_code_within(container.id, CHECK_CONFIG))
    return action_result(
        name,
        bool(found),
        diff=[spec_diff(name, found)],
        id=container.id,
        status=container.status.value,
        differences=as_dicts(found),
        notes=report.findings(show.notes(spec, there)),
    )


# --- the other actions


def remove_container(options: Options, engine: Engine) -> dict[str, Any]:
    name = options.names[0]
    container = engine.inspect(name)
    if container is None:
        each = survey.absent(replace(options, ignore_missing=True), engine, name, "remove")
        remove_units(options, [each])
        return compose([each])
    if not container.at_rest:
        raise Refused(
            f"{name} is {container.status.value} and is not removed, for that would kill its work; "
            "use action=stop_and_remove_container, which drains it first."
        )
    if not options.check_mode:
        engine.remove(container.id)
    result = {"name": container.name, "id": container.id, "changed": True, "failed": False}
    each = Each(result, container=container, after="removed")
    remove_units(options, [each])
    return compose([each])


def get_container_state(options: Options, engine: Engine) -> dict[str, Any]:
    container = container_of(engine, options.names[0], "read")
    return _found(container, state=engine.state(container.id))


def get_container_env(options: Options, engine: Engine) -> dict[str, Any]:
    container = container_of(engine, options.names[0], "read")
    return _found(container, env={key: masked(key, value) for key, value in container.env.items()})


def _found(container: Container, **what: Any) -> dict[str, Any]:
    return {"changed": False, "failed": False, "name": container.name, "warnings": [], "diff": [], **what}

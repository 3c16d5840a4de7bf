"""Describe, compare, remove and read single containers."""

from __future__ import annotations

from dataclasses import replace

from .. import evidence
from ..container import compare, show
from ..container.compare import Difference
from ..container.options import check_restart, describe, without_podmans_own
from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..engine.resources import Maker
from ..errors import Refused
from ..kolla import CHECK_CONFIG, STRATEGY
from ..masking import masked, masked_deep
from ..model import NO_PROFILE, Container, ContainerStatus
from ..profiles.others import signal_of
from ..start.exchange import Exchange
from ..systemd.install import UnitFiles
from .options import REMOVE, Options
from .results import (
    ActionResult,
    ContainerResult,
    Details,
    Diff,
    absent,
    absent_diff,
    action_result,
    compose,
    container_of,
    spec_diff,
)
from .unit_files import note_unit, remove_units, wanted_unit, withdraw_unit, write_unit


def spec_of(options: Options) -> ContainerSpec:
    """Return the container that the options describe. Raises Refused when they describe none."""
    name = options.name
    if not options.image:
        raise Refused(f"No image is given for {name}; give image.")
    described = options.container
    if options.container_engine == "podman":
        described = without_podmans_own(described)
    environment = described.get("environment") or {}
    service = options.evidence.service or evidence.service_of(name, options.image, env=environment)
    profile = evidence.profile_for(service or NO_PROFILE.name, environment)
    # Its unit starts it again, so the engine must not do so as well.
    if wanted_unit(options, UnitFiles()) is not None:
        check_restart(described)
        described = {**described, "restart_policy": "no", "restart_retries": None}
    return describe(
        name,
        options.image,
        described,
        options.request.timeout,
        stop_signal=options.request.signal,
        profile_signal=profile.signal or signal_of(name),
    )


def differences_of(maker: Maker, spec: ContainerSpec, container: Container) -> tuple[Difference, ...]:
    """Return what tells this container from the one that is wanted."""
    return compare.differences(spec, maker.image(spec.image), maker.found(container.id))


# --- compare


def compare_container(options: Options, engine: Engine) -> ActionResult:
    """Return whether the container exists and is as wanted, its unit included; nothing is touched.

    What an interrupted exchange left is not as wanted.
    """
    spec, name = spec_of(options), options.name
    container = engine.inspect(name)
    compared = (
        Details(name, "", "absent", (), ()) if container is None else _compared(engine, spec, container)
    )
    differences = compared.differences or ()
    diff = absent_diff(spec) if container is None else spec_diff(name, differences)
    result = action_result(container is None or bool(differences), diff, compared)
    if container is not None:
        for step in (write_unit, withdraw_unit):
            note_unit(name, result, step(replace(options, check_mode=True)))
    left = Exchange(name, engine).left_behind()
    if left:
        leftover = Difference("exchange", left, "finished or undone")
        result.changed = True
        result.details = replace(compared, differences=(*differences, leftover))
        result.diffs.append(Diff(f"{left}\n", "finished or undone\n"))
    return result


def _compared(engine: Engine, spec: ContainerSpec, container: Container) -> Details:
    maker = engine.maker()
    found = maker.found(container.id)
    differs = compare.differences(spec, maker.image(spec.image), found)
    if container.status is ContainerStatus.RUNNING and STRATEGY in container.env:
        differs += compare.config_difference(maker.exit_code_within(container.id, CHECK_CONFIG))
    return Details(spec.name, container.id, container.status.value, differs, show.notes(spec, found))


# --- the other actions


def remove_container(options: Options, engine: Engine) -> ActionResult:
    """Remove a container that does not run, with its unit."""
    name = options.name
    container = engine.inspect(name)
    if container is None:
        result = absent(engine, name, REMOVE.verb, is_fine=REMOVE.absent_is_fine)
    elif not container.at_rest:
        raise Refused(
            f"{name} is {container.status.value} and is not removed, because that would kill its work; "
            "use action=stop_and_remove_container, which drains it first."
        )
    else:
        if not options.check_mode:
            engine.remove(container.id)
        result = ContainerResult.of(container, changed=True, after="removed")
    remove_units([result], check_mode=options.check_mode)
    return compose([result])


def get_container_state(options: Options, engine: Engine) -> ActionResult:
    """Return the engine's own account of the container's state, without secrets in what its healthcheck wrote."""
    container = container_of(engine, options.name, "read")
    state = masked_deep(engine.state(container.id))
    return ActionResult(False, details=Details(container.name, state=state))


def get_container_env(options: Options, engine: Engine) -> ActionResult:
    """Return the container's variables; values of those that are named like a secret are masked."""
    container = container_of(engine, options.name, "read")
    variables = {key: masked(key, value) for key, value in container.env.items()}
    return ActionResult(False, details=Details(container.name, env=variables))

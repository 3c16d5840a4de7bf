"""Create a container that is missing, and start it; start one that exists; run a one-off container."""

from __future__ import annotations

from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..errors import EngineError, Refused
from .bring_up import BringUp
from .containers import spec_of
from .one_off import run_once
from .options import Options
from .results import ActionResult, ContainerResult, absent_diff, compose
from .store import ensured
from .units import note_unit, write_unit


def start(options: Options, engine: Engine) -> ActionResult:
    """See to it that the container exists and runs; one that differs from the options is left as it is."""
    container = engine.inspect(options.name)
    if not options.image and options.detach:
        if container is None:
            raise Refused(f"There is no container {options.name} to start; give image, and it is created.")
        return compose([BringUp(options, engine).start_existing(container)])
    spec = spec_of(options)
    if not options.detach:
        return run_once(options, engine, spec, container)
    if container is None:
        return _create_and_start(options, engine, spec)
    return compose([BringUp(options, engine).start_existing(container)])


def _create_and_start(options: Options, engine: Engine, spec: ContainerSpec) -> ActionResult:
    maker = engine.maker()
    created = ContainerResult(spec.name, changed=True)
    if options.check_mode:
        created.image_pulled = maker.image(spec.image) is None
        return _noted(options, created, spec)
    created.image_pulled = ensured(options, maker, spec.image)
    created.id = maker.create(spec, spec.name)
    created.warnings += maker.warnings
    result = _noted(options, created, spec)
    container = engine.inspect(created.id)
    if container is None:
        raise EngineError(f"{spec.name} was created and is gone; somebody else removed it.")
    created.warnings.clear()
    BringUp(options, engine).run_again(container, created)
    result.failure = created.failure
    result.warnings += created.warnings
    return result


def _noted(options: Options, created: ContainerResult, spec: ContainerSpec) -> ActionResult:
    result = compose([created])
    result.diffs.append(absent_diff(spec))
    return note_unit(spec.name, result, write_unit(options))

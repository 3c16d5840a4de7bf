"""Start a container: as it is, after a graceful stop, or created for that."""

from __future__ import annotations

from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..errors import EngineError, Refused
from ..model import Container, ContainerStatus
from . import siblings
from .bring_up import BringUp
from .containers import spec_of
from .one_off import run_once
from .options import RESTART, Options
from .results import ActionResult, ContainerResult, absent_diff, compose
from .stop import stop_each
from .store import ensured
from .unit_files import note_unit, write_unit


def restart(options: Options, engine: Engine) -> ActionResult:
    """Stop the container gracefully and start the same container again."""
    return compose([restart_one(options, engine)])


def restart_one(options: Options, engine: Engine) -> ContainerResult:
    """Restart the one container that the options name."""
    (result,) = stop_each(options, engine, RESTART)
    container = result.container
    if container is None or result.failure:
        return result
    result.changed, result.after = True, "restarted"
    if options.check_mode:
        return result
    bring_up, was_read = BringUp(options, engine), result.evidence_was_read
    if bring_up.run_again(container, result, evidence_was_read=was_read, before=result.before):
        bring_up.note_gap(result, container.id, container.id)
    return result


def start(options: Options, engine: Engine) -> ActionResult:
    """See to it that the container exists and runs; one that differs from the options is left as it is."""
    container = engine.inspect(options.name)
    if options.image or not options.detach:
        spec = spec_of(options)
        if not options.detach:
            return run_once(options, engine, spec, container)
        if container is None:
            return _create_and_start(options, engine, spec)
    if container is None:
        raise Refused(f"There is no container {options.name} to start; give image, and it is created.")
    return compose([BringUp(options, engine).start_existing(container)])


def _create_and_start(options: Options, engine: Engine, spec: ContainerSpec) -> ActionResult:
    maker = engine.maker()
    created = ContainerResult(spec.name, changed=True)
    to_be = Container("", spec.name, ContainerStatus.CREATED, image=spec.image, env=spec.environment)
    siblings.warn(options, to_be, created)
    if options.check_mode:
        created.image_pulled = maker.image(spec.image) is None
    else:
        created.image_pulled = ensured(options, maker, spec.image)
        created.id = maker.create(spec, spec.name)
        created.warnings += maker.warnings
    written = write_unit(options)
    if not options.check_mode:
        container = engine.inspect(created.id)
        if container is None:
            raise EngineError(f"{spec.name} was created and is gone; somebody else removed it.")
        BringUp(options, engine).run_again(container, created)
    result = compose([created])
    result.diffs = [absent_diff(spec)]
    return note_unit(spec.name, result, written)

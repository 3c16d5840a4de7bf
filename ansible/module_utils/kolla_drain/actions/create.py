"""TODO: say what this is."""

from __future__ import annotations

from typing import Any

from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..errors import EngineError, Refused
from .bring_up import run_again, start_existing
from .containers import spec_of
from .one_off import run_once
from .options import Options
from .results import Each, absent_diff, action_result
from .store import ensured
from .units import note_unit, write_unit

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
        return run_once(options, engine, spec, container)
    if container is None:
        return _create_and_start(options, engine, spec)
    return start_existing(options, engine, container)


def _create_and_start(options: Options, engine: Engine, spec: ContainerSpec) -> dict[str, Any]:
    name, maker = spec.name, engine.maker()
    result = action_result(name, True, diff=[absent_diff(spec)], id="", created=True)
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

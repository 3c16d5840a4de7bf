"""Run a container once, to its end."""

from __future__ import annotations

import time

from ..container.spec import ONE_OFF_LABEL, ContainerSpec, one_off
from ..engine.port import Engine
from ..engine.resources import Maker
from ..errors import EngineError, EngineUnreachable, KollaDrainError, Refused
from ..masking import masked
from ..model import Container
from .options import Options
from .results import ActionResult, Details, absent_diff, action_result
from .store import ensured

# Seconds between looks at the container.
_LOOK_EVERY = 0.3


def run_once(
    options: Options, engine: Engine, spec: ContainerSpec, leftover: Container | None
) -> ActionResult:
    """Create the container, wait for its end, and remove it; ``leftover`` is one that already has its name."""
    spec = one_off(spec, options.container.get("restart_policy"))
    maker = engine.maker()
    if leftover is not None:
        _check_leftover(engine, maker, leftover)
    if options.check_mode:
        planned = Details(spec.name, "", image_pulled=maker.image(spec.image) is None)
        return action_result(True, absent_diff(spec), planned)
    pulled = ensured(options, maker, spec.image)
    if leftover is not None:
        maker.remove(leftover.id)
    container_id = maker.create(spec, spec.name)
    warnings = list(maker.warnings)
    try:
        engine.start(container_id)
        code = _ended(engine, container_id, options.client_timeout).exit_code
        stdout, stderr = (masked("", text) for text in maker.output(container_id))
    finally:
        if options.remove_on_exit:
            try:
                now = engine.inspect(container_id)
                # The work of one that runs goes on, and a later run finds it.
                if now is not None and now.at_rest:
                    maker.remove(container_id)
            except KollaDrainError as exc:
                warnings.append(f"{spec.name} ended and could not be removed: {exc}")
    done = Details(spec.name, container_id, image_pulled=pulled, rc=code, stdout=stdout, stderr=stderr)
    result = action_result(True, absent_diff(spec), done)
    result.warnings = warnings
    if code != 0:
        lines = (stderr.strip() or stdout.strip()).splitlines()
        last = lines[-1].strip().rstrip(".")[:300] if lines else "it wrote nothing"
        result.failure = f"{spec.name} ended with exit code {code}: {last}."
    return result


def _check_leftover(engine: Engine, maker: Maker, container: Container) -> None:
    """Raise Refused unless the container was left by an earlier run under this name that was killed."""
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
    """Wait for the container's end, however long that takes.

    Raises EngineUnreachable after ``silence`` seconds without an answer of the engine.
    """
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
        time.sleep(_LOOK_EVERY)

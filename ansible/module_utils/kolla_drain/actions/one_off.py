"""TODO: say what this is."""

from __future__ import annotations

import time
from typing import Any

from ..container.spec import ONE_OFF_LABEL, ContainerSpec, one_off
from ..engine.port import Engine, Maker
from ..errors import EngineError, EngineUnreachable, KollaDrainError, Refused
from ..masking import masked
from ..model import Container
from .options import Options
from .results import absent_diff, action_result
from .store import ensured

# A one-off container is looked at so often, in seconds.
_LOOK = 0.3


# --- one-off containers


def run_once(
    options: Options, engine: Engine, spec: ContainerSpec, leftover: Container | None
) -> dict[str, Any]:
    spec = one_off(spec, options.container.get("restart_policy"))
    maker = engine.maker()
    if leftover is not None:
        _check_leftover(engine, maker, leftover)
    result = action_result(spec.name, True, diff=[absent_diff(spec)], id="")
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

"""Stop a container gracefully and start the same container again."""

from __future__ import annotations

from ..engine.port import Engine
from .bring_up import BringUp
from .intent import RESTART
from .options import Options
from .results import ActionResult, ContainerResult, compose
from .stop import stop_each


def restart(options: Options, engine: Engine) -> ActionResult:
    """Restart the container."""
    return compose([restart_one(options, engine)])


def restart_one(options: Options, engine: Engine) -> ContainerResult:
    """Restart the one container that the options name."""
    (result,) = stop_each(options, engine, RESTART)
    if result.container is None or result.failure:
        return result
    result.changed, result.after = True, "restarted"
    if options.check_mode:
        return result
    bring_up = BringUp(options, engine)
    if bring_up.run_again(
        result.container, result, evidence_was_read=result.evidence_was_read, expected=result.serving
    ):
        now = engine.inspect(result.container.id)
        if now is not None:
            bring_up.note_gap(result, now.finished_at, now)
    return result

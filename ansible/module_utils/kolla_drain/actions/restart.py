"""TODO: say what this is."""

from __future__ import annotations

from typing import Any

from ..engine.port import Engine
from . import stop
from .bring_up import note_gap, run_again
from .options import Options
from .results import compose


def restart(options: Options, engine: Engine) -> dict[str, Any]:
    """Stop it gracefully, and start the same container again."""
    (each,) = stop.stop_each(options, engine, "restart")
    if each.container is None or each.failure:
        return compose([each])
    each.result["changed"], each.after = True, "restarted"
    if not options.check_mode:
        was_read = each.result.get("evidence") != "unavailable"
        if run_again(options, engine, each.container, each, evidence_was_read=was_read):
            now = engine.inspect(each.container.id)
            if now is not None:
                note_gap(options, each, now.finished_at, now)
    return compose([each])

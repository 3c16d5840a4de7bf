"""TODO: say what this is."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ..engine.connect import connect
from ..engine.port import Engine
from ..errors import KollaDrainError
from ..host.ledger import Ledger
from ..start.exchange import Swap
from . import create
from .options import Options
from .recreate import Renewal, _plan, differs_from_wanted
from .results import Each, compose
from .units import note_unit, withdraw_unit, write_unit

# Containers that are started side by side; a host has many, and each proves that it serves.
_AT_A_TIME = 8


def start_all(options: Options, engine: Engine) -> dict[str, Any]:
    """One container, made if need be; several that exist, side by side, each with its own proof."""
    if len(options.names) == 1:
        return start(options, engine)

    def start_one(name: str) -> dict[str, Any]:
        # An engine of its own: a client is not for several threads.
        own = connect(options.container_engine, options.client_timeout)
        try:
            return start(replace(options, names=(name,)), own)
        except KollaDrainError as exc:
            return compose(
                [Each({"name": name, "id": "", "changed": False, "failed": True}, failure=str(exc))]
            )

    with ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool:
        return _together(list(pool.map(start_one, options.names)))


def _together(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Results of several calls as those of one."""
    failures = [result["msg"] for result in results if result["failed"]]
    said = {"msg": " ".join(failures)} if failures else {}
    return {
        "changed": any(result["changed"] for result in results),
        "failed": bool(failures),
        "containers": [one for result in results for one in result["containers"]],
        "warnings": [text for result in results for text in result["warnings"]],
        "diff": [part for result in results for part in result["diff"]],
        **said,
    }


def start(options: Options, engine: Engine) -> dict[str, Any]:
    """See to it that the container is there as wanted and runs; or run a one-off container to its end."""
    if not options.detach:
        return create.start(options, engine)
    name = options.names[0]
    if options.check_mode:
        if Swap(name, engine).left_behind() or (options.image and differs_from_wanted(options, engine)):
            return _plan(options, engine)
        result = create.start(options, engine)
        if options.image:
            if engine.inspect(name) is not None:
                note_unit(options, result, write_unit(options))
            note_unit(options, result, withdraw_unit(options))
        return result
    with Ledger().exchanging(name):
        renewal = Renewal(options, engine)
        return renewal.run(restart_equal=False)

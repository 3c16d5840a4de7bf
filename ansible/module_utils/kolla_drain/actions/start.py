"""The action start_container: one container, created or replaced if need be, or several that exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..engine.port import Engine
from ..errors import KollaDrainError
from ..host.ledger import Ledger
from ..start.exchange import Swap
from . import create
from .options import Options
from .parallel import side_by_side
from .recreate import Renewal, differs_from_wanted, plan
from .results import ActionResult, ContainerResult, compose, together
from .units import note_unit, withdraw_unit, write_unit

# A host has many containers, and each of them has to prove that it serves.
_AT_A_TIME = 8


def start_all(options: Options, engine: Engine) -> ActionResult:
    """Start the container, or several side by side; one that fails does not stop the others."""
    if len(options.names) == 1:
        return start(options, engine)

    def start_one(name: str, connect: Callable[[], Engine]) -> ActionResult:
        try:
            return start(replace(options, names=(name,)), connect())
        except KollaDrainError as exc:
            return compose([ContainerResult(name, failure=str(exc))])

    return together(side_by_side(options, start_one, options.names, at_a_time=_AT_A_TIME))


def start(options: Options, engine: Engine) -> ActionResult:
    """See to it that the container is as wanted and runs, or run a one-off container to its end."""
    if not options.detach:
        return create.start(options, engine)
    name = options.name
    if not options.check_mode:
        with Ledger().exchanging(name):
            return Renewal(options, engine).run(restart_equal=False)
    if Swap(name, engine).left_behind() or (options.image and differs_from_wanted(options, engine)):
        return plan(options, engine)
    result = create.start(options, engine)
    if options.image:
        if engine.inspect(name) is not None:
            note_unit(name, result, write_unit(options))
        note_unit(name, result, withdraw_unit(options))
    return result

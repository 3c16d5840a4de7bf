"""The module's actions: one table, and the way from options to a result.

Everything that can be wrong with the input is found before anything is touched.

A host compiles what is imported anew in every call, so an action is imported when it is called for, and so is elsewhere
what few calls need. Imports for the types alone are enough for Ansible, which sends a host every file that is named.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..engine.port import Engine
from ..errors import KollaDrainError, Refused
from ..model import Finding
from .leftovers import unpause_leftovers
from .options import Options, check_names, checked
from .results import ActionResult

if TYPE_CHECKING:
    from . import containers, exchange, reload, start, status, stop, store  # noqa: F401 - to be sent


@dataclass(frozen=True)
class Action:
    """One action of the module."""

    do: Callable[[Options, Engine], ActionResult]
    takes_many: bool = False  # several names at once
    nameless: bool = False  # may be without a name
    stops: bool = False
    tells: bool = False  # how far it is, while it goes, because it may take long
    only_reads: bool = False


def _of(place: str) -> Callable[[Options, Engine], ActionResult]:
    """Return what calls a function of a module beside this one, which is imported only then."""

    def do(options: Options, engine: Engine) -> ActionResult:
        module, _, function = place.partition(".")
        result: ActionResult = getattr(import_module(f".{module}", __package__), function)(options, engine)
        return result

    return do


ACTIONS = {
    "compare_container": Action(_of("containers.compare_container"), only_reads=True),
    "compare_image": Action(_of("store.compare_image"), only_reads=True),
    "create_volume": Action(_of("store.create_volume")),
    "drain_status": Action(_of("status.status"), takes_many=True, nameless=True, only_reads=True),
    "ensure_image": Action(_of("store.pull"), nameless=True),
    "get_container_env": Action(_of("containers.get_container_env"), only_reads=True),
    "get_container_state": Action(_of("containers.get_container_state"), only_reads=True),
    "pull_image": Action(_of("store.pull"), nameless=True),
    "recreate_or_restart_container": Action(_of("exchange.recreate_or_restart"), stops=True, tells=True),
    "reload_container": Action(_of("reload.reload_container"), takes_many=True, tells=True),
    "remove_container": Action(_of("containers.remove_container")),
    "remove_image": Action(_of("store.remove_image"), nameless=True),
    "remove_volume": Action(_of("store.remove_volume")),
    "restart_container": Action(_of("start.restart"), stops=True, tells=True),
    "start_container": Action(_of("exchange.start_all"), takes_many=True, tells=True),
    "stop_and_remove_container": Action(_of("stop.stop_and_remove"), takes_many=True, stops=True, tells=True),
    "stop_container": Action(_of("stop.stop"), takes_many=True, stops=True, tells=True),
}


def run(options: Options) -> ActionResult:
    """Do what was asked.

    Raises KollaDrainError, with one sentence, when the input is wrong or the engine cannot be used.
    """
    begun = time.monotonic()
    action = ACTIONS[options.action]
    if options.names or not action.nameless:
        check_names(options, [name for name, other in ACTIONS.items() if other.takes_many])
    options = checked(options)
    engine = options.connect()
    described = engine.inspect(options.name) if options.image and options.names else None
    if described is not None and described.name != options.name:  # its successor is to have its name
        raise Refused(
            f"{options.name} is the id of {described.name}, and {options.action} with an image takes a name: give "
            f"{described.name}."
        )
    unpaused: list[str] = []
    if not (options.check_mode or action.only_reads):
        with contextlib.suppress(KollaDrainError):  # a stop reports a container that is still paused
            unpaused = unpause_leftovers(engine)
    told = options.stories if action.tells and not options.check_mode else contextlib.nullcontext()
    with told:
        result = action.do(options, engine)
    _note_unmatched(options, result)
    result.warnings += [
        f"{name} was unpaused: a run of an earlier version had left it paused." for name in unpaused
    ]
    if action.stops:
        result.elapsed = time.monotonic() - begun
    return result


def _note_unmatched(options: Options, result: ActionResult) -> None:
    """Note the ids in ignore_operations that no operation of the call's containers has, at the first of these."""
    looked_at = [one for one in result.containers if one.stop is not None or one.survey is not None]
    seen = {op.id for one in looked_at for op in one.not_waited_for}
    unmatched = [id_ for id_ in options.ignore_operations if id_ not in seen]
    if looked_at and unmatched:
        text = f"ignore_operations names {', '.join(unmatched)}, and no operation with such an id was seen."
        looked_at[0].notes += (Finding("ignored_unseen", text),)

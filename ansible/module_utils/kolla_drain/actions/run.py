"""What each action of the module does: options in, plain results out. No Ansible in here.

Everything that can be wrong with the input is found before anything is touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..engine.connect import connect
from ..engine.port import Engine
from ..errors import Refused
from . import recreate, reload, restart, status, stop, store
from .containers import get_container_env, get_container_state, remove_container
from .options import NAMELESS, Options, check_names, check_plain, checked_request
from .start import start_all

# Actions that mean all of Kolla's containers where none is named.
ALL_OF_THEM = ("drain_status",)

__all__ = ["ACTIONS", "Options", "run"]


def run(options: Options) -> dict[str, Any]:
    """Do what was asked. Returns the module's result, with ``failed``, ``warnings`` and ``diff`` in it.

    Raises KollaDrainError, with one sentence, when the input is wrong or the engine cannot be used.
    """
    if options.names or options.action not in (*NAMELESS, *ALL_OF_THEM):
        check_names(options)
    options = replace(options, request=checked_request(options.request))
    if options.client_timeout < 1:
        raise Refused(f"client_timeout is {options.client_timeout}; it is seconds, at least 1.")
    if not (math.isfinite(options.ready_timeout) and options.ready_timeout >= 1):
        raise Refused(f"ready_timeout is {options.ready_timeout:g}; it is seconds, at least 1.")
    if not options.graceful_shutdown:
        check_plain(options.request)
    engine = connect(options.container_engine, options.client_timeout)
    if options.image and options.names:
        _check_described(options, engine)
    return ACTIONS[options.action](options, engine)


def _check_described(options: Options, engine: Engine) -> None:
    """A container that is described is known by its name, which its successor is to have."""
    name = options.names[0]
    found = engine.inspect(name)
    if found is not None and found.name != name:
        raise Refused(
            f"{name} is the id of {found.name}, and {options.action} with an image takes a name: give {found.name}."
        )


ACTIONS: dict[str, Callable[[Options, Engine], dict[str, Any]]] = {
    "compare_container": recreate.compare_container,
    "compare_image": store.compare_image,
    "create_volume": store.create_volume,
    "drain_status": status.status,
    "ensure_image": store.ensure_image,
    "get_container_env": get_container_env,
    "get_container_state": get_container_state,
    "pull_image": store.pull_image,
    "reload_container": reload.reload_container,
    "remove_container": remove_container,
    "remove_image": store.remove_image,
    "remove_volume": store.remove_volume,
    "restart_container": restart.restart,
    "recreate_or_restart_container": recreate.recreate_or_restart,
    "start_container": start_all,
    "stop_and_remove_container": stop.stop_and_remove,
    "stop_container": stop.stop,
}

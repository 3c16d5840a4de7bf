"""What each action of the module does: options in, plain results out. No Ansible in here.

Everything that can be wrong with the input is found before anything is touched.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from . import making, recreate, reload, starting, stopping
from .engine.base import Engine
from .engine.choice import connect
from .errors import KollaDrainError, Refused
from .masking import masked
from .model import Container, Exit, OnTimeout, Quiesce, StopRequest
from .outcome import MANY, NAMELESS, Each, Options, compose, container_of
from .owning import remove_units
from .signals import normalise

# Actions that mean all of Kolla's containers where none is named.
ALL_OF_THEM = ("drain_status",)

__all__ = ["ACTIONS", "MANY", "Options", "masked", "run"]

# Containers that are started side by side; a host has many, and each proves that it serves.
_AT_A_TIME = 8

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")  # what the Docker Engine takes for a name


def run(options: Options) -> dict[str, Any]:
    """Do what was asked. Returns the module's result, with ``failed``, ``warnings`` and ``diff`` in it.

    Raises KollaDrainError, with one sentence, when the input is wrong or the engine cannot be used.
    """
    if options.names or options.action not in (*NAMELESS, *ALL_OF_THEM):
        _check_names(options)
    options = replace(options, request=_checked(options.request))
    if options.client_timeout < 1:
        raise Refused(f"client_timeout is {options.client_timeout}; it is seconds, at least 1.")
    if not (math.isfinite(options.ready_timeout) and options.ready_timeout >= 1):
        raise Refused(f"ready_timeout is {options.ready_timeout:g}; it is seconds, at least 1.")
    if not options.graceful_shutdown:
        _check_plain(options.request)
    engine = connect(options.container_engine, options.client_timeout)
    if options.image and options.names:
        _check_described(options, engine)
    return ACTIONS[options.action](options, engine)


# --- input


def _check_names(options: Options) -> None:
    names = options.names
    if not names:
        what = "volume" if options.action in ("create_volume", "remove_volume") else "container"
        raise Refused(f"No {what} is named; give name.")
    for name in names:
        if not _NAME.match(name):
            raise Refused(
                f"{name!r} is no container name; it may hold letters, digits, '_', '.' and '-' only."
            )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise Refused(f"{twice[0]} is named twice; name each container once.")
    if len(names) > 1 and options.action == "start_container" and options.image:
        raise Refused(
            "start_container takes one container with an image; several can only be started as they are."
        )
    if len(names) > 1 and options.action not in (*MANY, "start_container"):
        raise Refused(
            f"{options.action} takes one container, not {len(names)}; only {', '.join((*MANY, 'start_container'))} "
            "take several."
        )


def _check_described(options: Options, engine: Engine) -> None:
    """A container that is described is known by its name, which its successor is to have."""
    name = options.names[0]
    found = engine.inspect(name)
    if found is not None and found.name != name:
        raise Refused(
            f"{name} is the id of {found.name}, and {options.action} with an image takes a name: give {found.name}."
        )


def _checked(request: StopRequest) -> StopRequest:
    limits = {
        "graceful_shutdown_timeout": (request.timeout, 1),
        "poll_interval": (request.poll_interval, 0.1),
        "idle_limit": (request.idle_limit, 1),
    }
    for name, (value, least) in limits.items():
        if value is not None and not (math.isfinite(value) and value >= least):
            raise Refused(f"{name} is {value:g}; it is seconds, at least {least:g}.")
    if request.exit is Exit.FREEZE and request.quiesce is Quiesce.NEVER:
        raise Refused(
            "exit=freeze ends a service once its evidence is empty, and quiesce=never does not wait for that; "
            "leave one of the two out."
        )
    if not request.signal:
        return request
    try:
        signal = normalise(request.signal)
    except ValueError as exc:
        raise Refused(f"stop_signal: {exc}.") from exc
    if signal in ("SIGKILL", "SIGSTOP"):
        raise Refused(
            f"stop_signal is {signal}, which no process can handle; give one that the service drains on."
        )
    return replace(request, signal=signal)


def _check_plain(request: StopRequest) -> None:
    """The engine's plain stop knows its own signal and its own SIGKILL, and nothing else."""
    asked = {
        "on_timeout=leave": request.on_timeout is OnTimeout.LEAVE,
        "quiesce=always": request.quiesce is Quiesce.ALWAYS,
        "exit=freeze": request.exit is Exit.FREEZE,
        "stop_signal": bool(request.signal),
        "idle_limit": request.idle_limit is not None,
    }
    for option, is_asked in asked.items():
        if is_asked:
            raise Refused(
                f"{option} cannot be had with graceful_shutdown=false, which is the engine's plain stop; "
                "leave one of the two out."
            )


# --- the other actions


def _remove(options: Options, engine: Engine) -> dict[str, Any]:
    name = options.names[0]
    container = engine.inspect(name)
    if container is None:
        each = stopping.absent(replace(options, ignore_missing=True), engine, name, "remove")
        remove_units(options, [each])
        return compose([each])
    if not container.at_rest:
        raise Refused(
            f"{name} is {container.status.value} and is not removed, for that would kill its work; "
            "use action=stop_and_remove_container, which drains it first."
        )
    if not options.check_mode:
        engine.remove(container.id)
    result = {"name": container.name, "id": container.id, "changed": True, "failed": False}
    each = Each(result, container=container, after="removed")
    remove_units(options, [each])
    return compose([each])


def _start(options: Options, engine: Engine) -> dict[str, Any]:
    """One container, made if need be; several that exist, side by side, each with its own proof."""
    if len(options.names) == 1:
        return recreate.start(options, engine)

    def start(name: str) -> dict[str, Any]:
        # An engine of its own: a client is not for several threads.
        own = connect(options.container_engine, options.client_timeout)
        try:
            return recreate.start(replace(options, names=(name,)), own)
        except KollaDrainError as exc:
            return compose(
                [Each({"name": name, "id": "", "changed": False, "failed": True}, failure=str(exc))]
            )

    with ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool:
        return _together(list(pool.map(start, options.names)))


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


def _state(options: Options, engine: Engine) -> dict[str, Any]:
    container = container_of(engine, options.names[0], "read")
    return _found(container, state=engine.state(container.id))


def _env(options: Options, engine: Engine) -> dict[str, Any]:
    container = container_of(engine, options.names[0], "read")
    return _found(container, env={key: masked(key, value) for key, value in container.env.items()})


def _found(container: Container, **what: Any) -> dict[str, Any]:
    return {"changed": False, "failed": False, "name": container.name, "warnings": [], "diff": [], **what}


ACTIONS: dict[str, Callable[[Options, Engine], dict[str, Any]]] = {
    "compare_container": recreate.compare_container,
    "compare_image": making.compare_image,
    "create_volume": making.create_volume,
    "drain_status": stopping.status,
    "ensure_image": making.ensure_image,
    "get_container_env": _env,
    "get_container_state": _state,
    "pull_image": making.pull_image,
    "reload_container": reload.reload_container,
    "remove_container": _remove,
    "remove_image": making.remove_image,
    "remove_volume": making.remove_volume,
    "restart_container": starting.restart,
    "recreate_or_restart_container": recreate.recreate_or_restart,
    "start_container": _start,
    "stop_and_remove_container": stopping.stop_and_remove,
    "stop_container": stopping.stop,
}

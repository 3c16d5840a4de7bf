"""Decide which tasks of kolla_container stop a container, with which options it is drained, and what they return.

Pure, and used only on the controller, by the action plugin ``kolla_container``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Refused
from ..kolla import default_files, kolla_service

Values = Callable[[str], Any]  # returns a variable of the host, None where there is none

_STOP = ("stop_container", "stop_and_remove_container", "restart_container")
_REPLACE = ("recreate_or_restart_container", "start_container")

# Differences for which kolla_container does not replace a container.
_NO_DIFFERENCE = ("config", "systemd_unit")
# Containers that share the time-out of another, as in roles/.
_FAMILIES = {
    "nova_super_conductor": "nova_conductor",
    "nova_compute_ironic": "nova_compute",
    "nova_metadata": "nova_api",
    "nova_novncproxy": "nova_console",
    "nova_spicehtml5proxy": "nova_console",
    "nova_serialproxy": "nova_console",
}
_TIMEOUT = "graceful_shutdown_timeout"
_KOLLA_DIRECTORY = "/etc/kolla"
_NO_GRACE = 10  # what kolla_container makes of 0
# The time-out of a task without common_options: its container's unit was written with this one.
_GRACE = "docker_graceful_timeout"
_KOLLA_GRACE = 60  # kolla-ansible's, where that variable is not to be seen
# Options of kolla_docker that variables give: graceful_shutdown_NAME, or NAME as before 0.4.
_FROM_VARIABLES = ("on_timeout", "quiesce", "preflight")
# Codes of a failed result of kolla_docker: what the host lacks to read evidence.
_DRIVER_MISSING, _CONFIG_MISSING = "driver_missing", "config_missing"
# Options that say where evidence is read, and those that need it.
_OF_EVIDENCE = ("service_config", "database", "quiesce")
# Keys of kolla_docker's result that are Ansible's own.
_ANSIBLES_OWN = ("warnings", "deprecations", "invocation", "exception", "ansible_facts", "diff", "containers")


class Way(enum.Enum):
    """What is done before a task, and instead of it."""

    UNTOUCHED = "it stops nothing"
    DRAIN = "drain, then as asked"
    REPLACE = "the image, drain, then as asked"
    RESTART = "drain, then start the same container"
    UNCOMPARED = "as asked, with a warning: whether it stops anything is unknown"
    FAILED = "nothing, because the comparison has failed"


@dataclass(frozen=True)
class Asked:
    """The arguments of a task, merged with its common_options."""

    action: str
    name: str
    engine: str = "docker"
    grace: Any = None
    client_timeout: Any = None
    strategy: str = ""  # KOLLA_CONFIG_STRATEGY

    @property
    def may_stop(self) -> bool:
        return bool(self.name) and self.action in (*_STOP, *_REPLACE)

    @property
    def to_be_compared(self) -> bool:
        """Whether kolla_container's own comparison decides what becomes of the container."""
        return self.action == "start_container" or (
            self.action == "recreate_or_restart_container" and self.strategy != "COPY_ONCE"
        )


def asked(args: Mapping[str, Any]) -> Asked:
    """Return the task's arguments; its own go before common_options, as in kolla_container."""
    common = _dict(args.get("common_options"))
    environment = {**_dict(common.get("environment")), **_dict(args.get("environment"))}

    def given(option: str) -> Any:
        return common.get(option) if args.get(option) is None else args.get(option)

    return Asked(
        action=str(args.get("action") or ""),
        name=str(args.get("name") or ""),
        engine=str(given("container_engine") or "docker"),
        grace=given("graceful_timeout"),
        client_timeout=given("client_timeout"),
        strategy=str(environment.get("KOLLA_CONFIG_STRATEGY") or ""),
    )


def way(task: Asked, compared: Mapping[str, Any]) -> Way:
    """Decide from the result of kolla_container's comparison. Raises Refused where that is not enough."""
    if task.action in _STOP:
        return Way.DRAIN
    starts = task.action == "start_container"
    if not task.to_be_compared:
        return Way.REPLACE
    if compared.get("skipped"):
        # In check mode nothing was compared; a container that is there would be stopped.
        return Way.UNTOUCHED if starts else Way.DRAIN
    if compared.get("failed"):
        return _uncompared(task, compared)
    if compared.get("changed") and "comparison_failures" not in compared:
        return Way.REPLACE  # this release of kolla-ansible does not report the differences
    found = [one["name"] for one in compared.get("comparison_failures") or ()]
    if "container_missing" in found:
        return Way.UNTOUCHED
    if [name for name in found if name not in _NO_DIFFERENCE]:
        return Way.REPLACE
    return Way.RESTART if not starts and task.strategy == "COPY_ALWAYS" else Way.UNTOUCHED


def _uncompared(task: Asked, compared: Mapping[str, Any]) -> Way:
    """Decide after a failed comparison; the task fails, too, unless only the configuration could not be compared."""
    text = str(compared.get("msg") or "")
    if "compare_config" not in text:
        # Not left to the task: if the cause has passed, such as a slow engine, the task would stop the container.
        return Way.FAILED
    if task.action != "start_container":  # restarted or replaced, it is stopped either way
        return Way.REPLACE
    if kolla_service(task.name) is None:
        # Such as bifrost_deploy, which has no configuration of this kind.
        return Way.UNCOMPARED
    raise Refused(
        f"Whether {task.name} would be replaced, and so stopped, is unknown, because kolla_container's comparison "
        f"of its configuration failed ({_last_line(text)}), and nothing was touched; look at 'docker exec {task.name} "
        "kolla_set_configs --check', or set enable_graceful_shutdown to false to go on without a drain."
    )


def uncompared(task: Asked, compared: Mapping[str, Any]) -> str:
    """Return the warning for a container that kolla_container may replace without a drain."""
    return (
        f"{task.name} was left to kolla_container without a drain: whether it would be replaced is unknown, because "
        f"the comparison of its configuration failed ({_last_line(str(compared.get('msg') or ''))}); to drain it, stop "
        "it first with stop_container."
    )


def _last_line(traceback: str) -> str:
    lines = [line.strip() for line in re.split(r"\\n|\n", traceback.strip("'\"")) if line.strip()]
    return lines[-1] if lines else "no reason given"


def pull_may_settle(task: Asked, compared: Mapping[str, Any]) -> bool:
    """Whether the container may be equal once its image is there: start_container pulls before it compares."""
    found = {one["name"] for one in compared.get("comparison_failures") or ()}
    return task.action == "start_container" and found - {*_NO_DIFFERENCE} == {"image"}


# --- the drain


def drain(task: Asked, value: Values) -> tuple[dict[str, Any], str]:
    """Return the options of kolla_docker for the drain, and the source of its time-out. Raises Refused."""
    timeout, source = _timeout(task, value)
    options: dict[str, Any] = {
        "action": "stop_container",
        "name": [task.name],
        "ignore_missing": True,  # kolla_container reports a missing container
        "container_engine": task.engine,
        _TIMEOUT: timeout,
    }
    if task.client_timeout is not None:
        options["client_timeout"] = task.client_timeout
    for option in _FROM_VARIABLES:
        found = value(f"graceful_shutdown_{option}")
        found = value(option) if found is None else found
        if found is not None:
            options[option] = found
    options.update(_evidence(task, value))
    return options, source


def old_names(value: Values) -> list[str]:
    """Return a warning for each variable that is set by its name before 0.4."""
    renamed = [option for option in _FROM_VARIABLES if value(option) is not None]
    return [
        f"Deprecated: {option} is set, and the variable is named graceful_shutdown_{option} now; rename it."
        for option in renamed
    ]


def _evidence(task: Asked, value: Values) -> Iterator[tuple[str, Any]]:
    """Return the options for evidence that is elsewhere than by default."""
    directory = str(value("node_config_directory") or _KOLLA_DIRECTORY).rstrip("/")
    files = default_files(task.name)
    if files and directory != _KOLLA_DIRECTORY:
        yield "service_config", [directory + path[len(_KOLLA_DIRECTORY) :] for path in files]
    if kolla_service(task.name) == "nova-compute" and value("nova_compute_database"):
        yield "database", value("nova_compute_database")


def timeout_variables(name: str) -> Sequence[str]:
    """Return the variables that may hold the container's time-out; the first that is set counts."""
    own = re.sub(r"\W", "_", name)
    one_of_several = re.sub(r"_\d+\Z", "", own)
    family = _FAMILIES.get(one_of_several, one_of_several)
    return list(dict.fromkeys([*(f"{one}_{_TIMEOUT}" for one in (own, one_of_several, family)), _TIMEOUT]))


def _timeout(task: Asked, value: Values) -> tuple[int, str]:
    for variable in timeout_variables(task.name):
        found = value(variable)
        if found is not None:
            return _seconds(found, variable), variable
    for source, found in (("graceful_timeout", task.grace), (_GRACE, value(_GRACE))):
        if found is not None:
            return _seconds(found, source) or _NO_GRACE, source
    return _KOLLA_GRACE, f"the default of {_GRACE}"


def _seconds(found: Any, source: str) -> int:
    text = str(found).strip()
    least = 0 if source in ("graceful_timeout", _GRACE) else 1
    if not text.isdecimal() or int(text) < least:
        raise Refused(
            f"{source} is {text!r}; it is whole seconds, at least 1: correct it and run this again."
        )
    return int(text)


def lacking(options: Mapping[str, Any], drained: Mapping[str, Any]) -> str:
    """Return what the host lacks, if the drain failed only for that and may go on without evidence; else ""."""
    code = drained.get("code") if drained.get("failed") else None
    if code not in (_DRIVER_MISSING, _CONFIG_MISSING):
        return ""
    if drained.get("changed") or options.get("preflight") == "strict":
        return ""
    why = str(drained.get("evidence_why") or drained.get("msg") or "").rstrip(".")
    return f"{why}; see whether node_config_directory is right" if code == _CONFIG_MISSING else why


def without_evidence(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for a drain by the container's exit and the deadline alone."""
    return {**{key: one for key, one in options.items() if key not in _OF_EVIDENCE}, "service": "none"}


def unseen(task: Asked, drained: Mapping[str, Any], why: str) -> dict[str, Any]:
    """Return the result of such a drain with a warning."""
    text = f"{task.name}: what was in flight could not be seen, so its exit and the deadline decided: {why}."
    warnings = [text, *(drained.get("warnings") or ())]
    return {**drained, "warnings": warnings, "evidence": "unavailable", "evidence_why": why}


# --- the result


def drain_result(drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the part of kolla_docker's result that goes into the task's result."""
    kept = {
        key: one
        for key, one in drained.items()
        if key not in _ANSIBLES_OWN and not key.startswith("_ansible")
    }
    return {**kept, "timeout_from": source}


def stopped_nothing(drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the result of a task whose drain failed; kolla_container was not run."""
    ours = {key: drained[key] for key in ("msg", "exception", "warnings", "deprecations") if key in drained}
    return {
        **ours,
        "failed": True,
        "changed": bool(drained.get("changed")),
        "kolla_drain": drain_result(drained, source),
    }


def undrained(real: Mapping[str, Any], pulled: Mapping[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """Return the result of a task that was left to kolla_container; its own pull would have been a change, too."""
    result = dict(real)
    if pulled.get("changed"):
        result["changed"] = True
    if warnings:
        result["warnings"] = [*warnings, *(real.get("warnings") or ())]
    return result


def answer(real: Mapping[str, Any], drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return kolla_container's result, as if it had stopped the container itself, with ours beside it."""
    result = {**real, "kolla_drain": drain_result(drained, source)}
    if drained.get("changed") and not real.get("skipped"):
        result["changed"] = True
    for kind in ("warnings", "deprecations"):
        both = [*(drained.get(kind) or ()), *(real.get(kind) or ())]
        if both:
            result[kind] = [one for number, one in enumerate(both) if one not in both[:number]]
    return result


def _dict(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}

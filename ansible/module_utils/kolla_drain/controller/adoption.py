"""Decide which tasks of kolla_container stop a container, with which options it is drained, and what they return.

Pure, and used only on the controller, by the action plugin ``kolla_container``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import Refused
from ..kolla import CONFIG_DIRECTORY, default_files, kolla_service

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
_TASKS_GRACE = "graceful_timeout"
# The time-out of a task without common_options: its container's unit was written with this one.
_GRACE = "docker_graceful_timeout"
# Options of kolla_docker that variables give: graceful_shutdown_NAME, or NAME as before 0.4.
_FROM_VARIABLES = ("on_timeout", "quiesce", "preflight")
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
    own = {option: given for option, given in args.items() if given is not None}
    common = _dict(own.get("common_options"))
    merged = {**common, **own}
    environment = {**_dict(common.get("environment")), **_dict(own.get("environment"))}
    return Asked(
        action=str(own.get("action") or ""),
        name=str(own.get("name") or ""),
        engine=str(merged.get("container_engine") or "docker"),
        grace=merged.get(_TASKS_GRACE),
        client_timeout=merged.get("client_timeout"),
        strategy=str(environment.get("KOLLA_CONFIG_STRATEGY") or ""),
    )


def way(task: Asked, compared: Mapping[str, Any]) -> Way:
    """Decide from the result of kolla_container's comparison. Raises Refused where that is not enough."""
    if not task.to_be_compared:
        return Way.DRAIN if task.action in _STOP else Way.REPLACE
    starts = task.action == "start_container"
    if compared.get("skipped"):
        # In check mode nothing was compared; a container that is there would be stopped.
        return Way.UNTOUCHED if starts else Way.DRAIN
    if compared.get("failed"):
        return _uncompared(task, compared)
    differences = _differences(compared)
    if "container_missing" in differences:
        return Way.UNTOUCHED
    # There are releases of kolla-ansible that do not report the differences.
    if differences or (compared.get("changed") and "comparison_failures" not in compared):
        return Way.REPLACE
    return Way.RESTART if not starts and task.strategy == "COPY_ALWAYS" else Way.UNTOUCHED


def _differences(compared: Mapping[str, Any]) -> set[str]:
    failures = compared.get("comparison_failures") or ()
    return {failure["name"] for failure in failures}.difference(_NO_DIFFERENCE)


def _uncompared(task: Asked, compared: Mapping[str, Any]) -> Way:
    """Decide after a failed comparison; the task fails, too, unless only the configuration could not be compared."""
    if "compare_config" not in str(compared.get("msg")):
        # Not left to the task: if the cause has passed, such as a slow engine, the task would stop the container.
        return Way.FAILED
    if task.action != "start_container":  # restarted or replaced, it is stopped either way
        return Way.REPLACE
    if kolla_service(task.name) is None:
        # Such as bifrost_deploy, which has no configuration of this kind.
        return Way.UNCOMPARED
    raise Refused(
        f"Whether {task.name} would be replaced, and so stopped, is unknown, because {_comparison_failed(compared)}, "
        f"and nothing was touched; look at 'docker exec {task.name} kolla_set_configs --check', or set "
        "enable_graceful_shutdown to false to go on without a drain."
    )


def uncompared(task: Asked, compared: Mapping[str, Any]) -> str:
    """Return the warning for a container that kolla_container may replace without a drain."""
    return (
        f"{task.name} was left to kolla_container without a drain: whether it would be replaced is unknown, because "
        f"{_comparison_failed(compared)}; to drain it, stop it first with stop_container."
    )


def _comparison_failed(compared: Mapping[str, Any]) -> str:
    traceback = str(compared.get("msg") or "").strip("'\"")
    lines = [line.strip() for line in re.split(r"\\n|\n", traceback) if line.strip()]
    return f"kolla_container's comparison of its configuration failed ({lines[-1]})"


def pull_may_settle(task: Asked, compared: Mapping[str, Any]) -> bool:
    """Whether the container may be equal once its image is there: start_container pulls before it compares."""
    return task.action == "start_container" and _differences(compared) == {"image"}


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
        for variable in (option, f"graceful_shutdown_{option}"):
            found = value(variable)
            if found is not None:
                options[option] = found
    if value("graceful_shutdown_ignore_operations"):
        options["ignore_operations"] = value("graceful_shutdown_ignore_operations")
    directory = str(value("node_config_directory") or CONFIG_DIRECTORY).rstrip("/")
    files = default_files(task.name, directory)
    if files != default_files(task.name):
        options["service_config"] = files
    database = _compute_database(value) if kolla_service(task.name) == "nova-compute" else None
    if database:
        options["database"] = database
    return options, source


def _compute_database(value: Values) -> Any:
    """Return how nova-compute's evidence is read: by what is given, else by the account of database_user.yml."""
    given = value("nova_compute_database")
    if given is not None or not value("kolla_drain_database_password"):
        return given
    return {
        "host": str(value("nova_cell_database_address") or value("database_address") or "").strip(),
        "port": value("nova_cell_database_port") or value("database_port") or 3306,
        "name": value("nova_cell_database_name") or "nova",
        "user": value("kolla_drain_database_user") or "drain",
        "password": value("kolla_drain_database_password"),
    }


def old_names(value: Values) -> list[str]:
    """Return a warning for each variable that is set by its name before 0.4."""
    return [
        f"Deprecated: {option} is set, and the variable is named graceful_shutdown_{option} now; rename it."
        for option in _FROM_VARIABLES
        if value(option) is not None
    ]


def _timeout(task: Asked, value: Values) -> tuple[int, str]:
    """Return the seconds, and the variable or option that gives them: the first that is set."""
    own = re.sub(r"\W", "_", task.name)
    one_of_several = re.sub(r"_\d+\Z", "", own)
    names = (own, one_of_several, _FAMILIES.get(one_of_several, one_of_several))
    for source in (*(f"{name}_{_TIMEOUT}" for name in names), _TIMEOUT, _TASKS_GRACE, _GRACE):
        found = task.grace if source == _TASKS_GRACE else value(source)
        if found is None:
            continue
        text = str(found).strip()
        if not text.isdecimal() or (int(text) == 0 and source not in (_TASKS_GRACE, _GRACE)):
            raise Refused(
                f"{source} is {text!r}; it is whole seconds, at least 1: correct it and run this again."
            )
        return int(text) or 10, source  # kolla_container makes 10 of 0
    return 60, f"the default of {_GRACE}"  # kolla-ansible's


def lacking(options: Mapping[str, Any], drained: Mapping[str, Any]) -> str:
    """Return what the host lacks, if the drain failed only for that and may go on without evidence; else ""."""
    code = drained.get("code") if drained.get("failed") and not drained.get("changed") else ""
    if code not in ("driver_missing", "config_missing") or options.get("preflight") == "strict":
        return ""
    why = str(drained.get("evidence_why") or drained.get("msg") or "").rstrip(".")
    return f"{why}; see whether node_config_directory is right" if code == "config_missing" else why


def without_evidence(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for a drain by the container's exit and the deadline alone."""
    return {**{key: options[key] for key in options if key not in _OF_EVIDENCE}, "service": "none"}


def unseen(task: Asked, drained: Mapping[str, Any], why: str) -> dict[str, Any]:
    """Return the result of such a drain with a warning."""
    text = f"{task.name}: what was in flight could not be seen, so its exit and the deadline decided: {why}."
    warnings = [text, *(drained.get("warnings") or ())]
    return {**drained, "warnings": warnings, "evidence": "unavailable", "evidence_why": why}


# --- the result


def answer(real: Mapping[str, Any], drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return kolla_container's result, as if it had stopped the container itself, with kolla_docker's beside it."""
    ours = {key: drained[key] for key in drained if key not in _ANSIBLES_OWN and key[0] != "_"}
    return {**joined(real, drained), "kolla_drain": {**ours, "timeout_from": source}}


def stopped_nothing(drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the result of a task whose drain failed; kolla_container was not run."""
    failure = {key: drained[key] for key in ("msg", "exception") if key in drained}
    return answer({**failure, "failed": True, "changed": False}, drained, source)


def joined(real: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result with the change and the warnings of what was done before for the same task."""
    result = dict(real)
    if before.get("changed") and not real.get("skipped"):
        result["changed"] = True
    for kind in ("warnings", "deprecations"):
        both = [*(before.get(kind) or ()), *(real.get(kind) or ())]
        if both:
            result[kind] = [text for number, text in enumerate(both) if text not in both[:number]]
    return result


def _dict(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}

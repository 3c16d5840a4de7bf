"""kolla_container's tasks in kolla-ansible: which of them stop a container, how that is drained, and what they answer.

Pure, and used on the controller alone, by the action plugin ``kolla_container``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Refused
from ..evidence import SERVICES
from ..kolla import default_files, kolla_service
from ..model import Exit

Values = Callable[[str], Any]  # a variable of the host by its name, None where there is none

_STOP = ("stop_container", "stop_and_remove_container", "restart_container")
_REPLACE = ("recreate_or_restart_container", "start_container")

# What kolla_container's comparison finds and does not replace a container for.
_NO_DIFFERENCE = ("config", "systemd_unit")
# Their containers have no time-out of their own; roles/ hold to the same.
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
# A task without common_options gives none, and a container's unit was written with this one, so that is what such a
# task has without a drain.
_GRACE = "docker_graceful_timeout"
_KOLLA_GRACE = 60  # kolla-ansible's, where that variable is not to be seen
# Variables that are options of kolla_docker as they are.
_AS_THEY_ARE = ("on_timeout", "quiesce", "preflight")
# What the host lacks for evidence, in the words of the core (a test holds them together).
_LACKING = re.compile(
    r"((?:PyMySQL|oslo\.config) is missing in .*\Z"
    r"|\S+'s configuration file \S+ cannot be read: No such file or directory)",
    re.DOTALL,
)
# Where evidence is to be read, and what cannot be had without it.
_OF_EVIDENCE = ("service_config", "database", "broker", "quiesce", "exit")
# What of our module's answer is Ansible's own business.
_NOT_TOLD = ("warnings", "deprecations", "invocation", "exception", "ansible_facts", "diff", "containers")


class Way(enum.Enum):
    """What is done about a task."""

    UNTOUCHED = "it stops nothing"
    DRAIN = "drain, then as asked"
    REPLACE = "the image, drain, then as asked"
    RESTART = "drain, then start the same container"
    UNCOMPARED = "as asked, with a warning: whether it stops anything cannot be told"
    FAILED = "nothing, for the comparison has failed"


@dataclass(frozen=True)
class Asked:
    """What a task asks of kolla_container, with what common_options add."""

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
    """The task's arguments; what the task gives itself goes before common_options, as in kolla_container."""
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
    """What is to be done, from the answer of kolla_container's comparison. Raises Refused where that cannot tell."""
    if task.action in _STOP:
        return Way.DRAIN
    starts = task.action == "start_container"
    if not task.to_be_compared:
        return Way.REPLACE
    if compared.get("skipped"):
        # Check mode: it did not compare, and a container that is there would be stopped.
        return Way.UNTOUCHED if starts else Way.DRAIN
    if compared.get("failed"):
        return _uncompared(task, compared)
    if compared.get("changed") and "comparison_failures" not in compared:
        return Way.REPLACE  # a release that does not say in what it differs
    found = [one["name"] for one in compared.get("comparison_failures") or ()]
    if "container_missing" in found:
        return Way.UNTOUCHED
    if [name for name in found if name not in _NO_DIFFERENCE]:
        return Way.REPLACE
    return Way.RESTART if not starts and task.strategy == "COPY_ALWAYS" else Way.UNTOUCHED


def _uncompared(task: Asked, compared: Mapping[str, Any]) -> Way:
    """What fails here fails in the task, too, but for what only a comparison looks at: the configuration."""
    text = str(compared.get("msg") or "")
    if "compare_config" not in text:
        # Not left to the task: what was but passing, such as an engine that is slow, would not stop it from stopping.
        return Way.FAILED
    if task.action != "start_container":  # restarted or replaced, it is stopped either way
        return Way.REPLACE
    if kolla_service(task.name) is None:
        # Such as bifrost_deploy, which has no configuration of this kind at all.
        return Way.UNCOMPARED
    raise Refused(
        f"Whether {task.name} would be replaced, and stopped for it, cannot be told, for kolla_container's comparison "
        f"of its configuration failed ({_last_line(text)}), and nothing was touched; look at 'docker exec {task.name} "
        "kolla_set_configs --check', or set enable_graceful_shutdown to false to go on without a drain."
    )


def uncompared(task: Asked, compared: Mapping[str, Any]) -> str:
    """The warning for a container that kolla_container may replace, and nobody knows beforehand."""
    return (
        f"{task.name} was left to kolla_container without a drain: whether it would be replaced could not be told, for "
        f"the comparison of its configuration failed ({_last_line(str(compared.get('msg') or ''))}); should it have to "
        "be drained, stop it first with stop_container."
    )


def _last_line(traceback: str) -> str:
    lines = [line.strip() for line in re.split(r"\\n|\n", traceback.strip("'\"")) if line.strip()]
    return lines[-1] if lines else "no reason given"


def pull_may_settle(task: Asked, compared: Mapping[str, Any]) -> bool:
    """Whether it may be equal once its image is there: start_container pulls first and compares then."""
    found = {one["name"] for one in compared.get("comparison_failures") or ()}
    return task.action == "start_container" and found - {*_NO_DIFFERENCE} == {"image"}


# --- the drain


def drain(task: Asked, value: Values) -> tuple[dict[str, Any], str]:
    """The options of kolla_docker that drain the task's container, and what its time-out is from. Raises Refused."""
    timeout, source = _timeout(task, value)
    options: dict[str, Any] = {
        "action": "stop_container",
        "name": [task.name],
        "ignore_missing": True,  # what is not there is kolla_container's to say
        "container_engine": task.engine,
        _TIMEOUT: timeout,
    }
    if task.client_timeout is not None:
        options["client_timeout"] = task.client_timeout
    for variable in _AS_THEY_ARE:
        if value(variable) is not None:
            options[variable] = value(variable)
    found = value("exit")
    # In globals.yml it is for all containers; of those that cannot be frozen each would be refused.
    if found is not None and (found != Exit.FREEZE.value or _freezable(task, value)):
        options["exit"] = found
    options.update(_evidence(task, value))
    return options, source


def _freezable(task: Asked, value: Values) -> bool:
    """Whether it may be ended while frozen; in a cluster its evidence cannot show that (evidence.configured)."""
    service = kolla_service(task.name)
    if service is None or not SERVICES[service].PROFILE.freezable:
        return False
    return not (service == "cinder-volume" and value("cinder_cluster_name"))


def _evidence(task: Asked, value: Values) -> Iterator[tuple[str, Any]]:
    """Where the service's evidence is, if it is not where it is by default."""
    directory = str(value("node_config_directory") or _KOLLA_DIRECTORY).rstrip("/")
    files = default_files(task.name)
    if files and directory != _KOLLA_DIRECTORY:
        yield "service_config", [directory + path[len(_KOLLA_DIRECTORY) :] for path in files]
    if kolla_service(task.name) == "nova-compute" and value("nova_compute_database"):
        yield "database", value("nova_compute_database")
    if files and value("rabbitmq_management_port"):
        yield "broker", {"management_port": value("rabbitmq_management_port")}


def timeout_variables(name: str) -> Sequence[str]:
    """The variables that may hold the time-out of a container of this name, the first that is there counts."""
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
    """The sentence for what the host lacks, where the drain failed for that alone and may go on without."""
    found = _LACKING.search(str(drained.get("msg") or "")) if drained.get("failed") else None
    if found is None or drained.get("changed") or options.get("preflight") == "strict":
        return ""
    why = found.group(1).rstrip(".")
    return f"{why}; see whether node_config_directory is right" if "configuration file" in why else why


def without_evidence(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same drain by the container's exit and the deadline alone."""
    return {**{key: one for key, one in options.items() if key not in _OF_EVIDENCE}, "service": "none"}


def unseen(task: Asked, drained: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The answer of such a drain: it says what was not seen, and why."""
    text = f"{task.name}: what was in flight was not seen, and its exit and the deadline decided: {why}."
    warnings = [text, *(drained.get("warnings") or ())]
    return {**drained, "warnings": warnings, "evidence": "unavailable", "evidence_why": why}


# --- the answer


def told(drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """kolla_docker's word on the container, for the task's result."""
    kept = {
        key: one for key, one in drained.items() if key not in _NOT_TOLD and not key.startswith("_ansible")
    }
    return {**kept, "timeout_from": source}


def stopped_nothing(drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The result of a task whose drain failed; kolla_container was not run."""
    ours = {key: drained[key] for key in ("msg", "exception", "warnings", "deprecations") if key in drained}
    return {
        **ours,
        "failed": True,
        "changed": bool(drained.get("changed")),
        "kolla_drain": told(drained, source),
    }


def undrained(real: Mapping[str, Any], pulled: Mapping[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """The result of a task that was left to kolla_container; it would have pulled itself, and called that a change."""
    result = dict(real)
    if pulled.get("changed"):
        result["changed"] = True
    if warnings:
        result["warnings"] = [*warnings, *(real.get("warnings") or ())]
    return result


def answer(real: Mapping[str, Any], drained: Mapping[str, Any], source: str) -> dict[str, Any]:
    """kolla_container's own result, as if it had done the stop itself, and ours beside it."""
    result = {**real, "kolla_drain": told(drained, source)}
    if drained.get("changed") and not real.get("skipped"):
        result["changed"] = True
    for kind in ("warnings", "deprecations"):
        both = [*(drained.get(kind) or ()), *(real.get(kind) or ())]
        if both:
            result[kind] = [one for number, one in enumerate(both) if one not in both[:number]]
    return result


def _dict(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}

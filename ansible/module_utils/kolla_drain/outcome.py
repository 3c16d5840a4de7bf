"""What goes into every action and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import lookup
from .container_spec import Login
from .engine.base import Engine
from .errors import Refused
from .model import Container, StopRequest

# Actions that take several names at once; all the others take one.
MANY = ("stop_container", "stop_and_remove_container", "reload_container", "drain_status")

# Actions on an image alone, which no container needs to be named for.
NAMELESS = ("ensure_image", "pull_image", "remove_image")


@dataclass(frozen=True)
class Options:
    """What the module was asked to do; one field an option, see its documentation."""

    action: str
    names: tuple[str, ...]
    request: StopRequest
    graceful_shutdown: bool = True
    service: str | None = None
    service_config: tuple[str, ...] = ()
    database: Mapping[str, Any] = field(default_factory=dict, repr=False)
    broker: Mapping[str, Any] = field(default_factory=dict)
    preflight: str = "warn"
    ignore_missing: bool = False
    client_timeout: int = 120
    check_mode: bool = False
    image: str = ""
    container: Mapping[str, Any] = field(
        default_factory=dict, repr=False
    )  # what container_spec makes a spec of
    login: Login | None = None
    detach: bool = True
    remove_on_exit: bool = True
    ready_timeout: float = 120.0
    reload_fallback: str = "fail"
    container_engine: str = "docker"

    @property
    def given(self) -> lookup.Given:
        """The part that tells where the service's evidence is."""
        return lookup.Given(self.service, self.service_config, self.database, self.broker)


@dataclass
class Each:
    """One container's part of the result."""

    result: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    failure: str = ""
    container: Container | None = None  # as it was found; None for one that is not there
    after: str = ""  # what has become of it, if anything: its part of the diff

    @property
    def at_rest(self) -> bool:
        """Whether the container has stopped, one way or the other."""
        return not self.failure and self.result.get("verdict") not in (None, "absent", "left_running")


def container_of(engine: Engine, name: str, wanted_for: str) -> Container:
    """The container of this name. Raises Refused when there is none."""
    found = engine.inspect(name)
    if found is None:
        raise Refused(missing(engine, name, wanted_for))
    return found


def missing(engine: Engine, name: str, wanted_for: str) -> str:
    """The sentence for a container that is not there."""
    return f"There is no container {name} to {wanted_for}; see the names with '{engine.command} ps --all'."


def compose(each_one: Sequence[Each]) -> dict[str, Any]:
    """The module's result: every container, and a single one at the top level too."""
    containers = [each.result for each in each_one]
    failures = [each.failure for each in each_one if each.failure]
    result: dict[str, Any] = dict(containers[0]) if len(containers) == 1 else {}
    result.update(
        changed=any(one["changed"] for one in containers),
        failed=bool(failures),
        containers=containers,
        warnings=[text for each in each_one for text in each.warnings],
        diff=[
            difference(each.container.name, each.container.status.value, each.after)
            for each in each_one
            if each.container and each.after
        ],
    )
    if failures:
        result["msg"] = " ".join(failures)
    return result


def difference(name: str, before: str, after: str) -> dict[str, str]:
    """Ansible's form of a diff."""
    return {
        "before_header": name,
        "after_header": name,
        "before": f"{before}\n",
        "after": f"{after}\n",
    }

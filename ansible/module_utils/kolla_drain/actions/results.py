"""What goes into every action and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..container import show
from ..container.compare import Difference
from ..container.spec import ContainerSpec
from ..engine.port import Engine
from ..errors import Refused
from ..model import Container


def action_result(
    name: str, changed: bool, *, diff: Sequence[dict[str, str]] = (), **more: Any
) -> dict[str, Any]:
    diffs = list(diff) if changed else []
    return {"name": name, "changed": changed, "failed": False, "warnings": [], "diff": diffs, **more}


def as_dicts(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as the module returns them."""
    return [{"setting": one.setting, "old": one.old, "new": one.new} for one in found]


def spec_diff(name: str, found: Sequence[Difference]) -> dict[str, str]:
    """Ansible's diff of the settings that differ."""
    old = show.as_text({one.setting: one.old for one in found})
    return difference(name, old, show.as_text({one.setting: one.new for one in found}))


def absent_diff(spec: ContainerSpec) -> dict[str, str]:
    """Ansible's diff of a container that is not there yet."""
    return difference(spec.name, "absent", show.as_text(show.settings(spec)))


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

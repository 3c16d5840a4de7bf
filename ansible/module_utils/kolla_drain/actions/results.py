"""Typed results: of one container (ContainerResult) and of a whole call (ActionResult).

The actions fill them in, and report.py alone turns them into the module's dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Union

from ..container import show
from ..container.compare import Difference
from ..container.spec import ContainerSpec
from ..drain.plan import Plan
from ..drain.result import StopResult
from ..engine.port import Engine
from ..errors import Refused
from ..model import Container, ContainerStatus, EvidenceState, Finding, Heartbeat, Operation, Reading, Verdict
from ..systemd.unit import Unit


@dataclass(frozen=True)
class Diff:
    """One part of Ansible's diff; texts end with a newline."""

    before: str
    after: str
    header: str = ""


def difference(name: str, before: str, after: str) -> Diff:
    """Return the diff of one thing in a word or a few lines."""
    return Diff(f"{before}\n", f"{after}\n", name)


def spec_diff(name: str, differences: Sequence[Difference]) -> Diff:
    """Return the diff of the settings that differ."""
    old = show.as_text({part.setting: part.old for part in differences})
    return difference(name, old, show.as_text({part.setting: part.new for part in differences}))


def absent_diff(spec: ContainerSpec) -> Diff:
    """Return the diff of a container that does not exist yet."""
    return difference(spec.name, "absent", show.as_text(show.settings(spec)))


# --- one container


@dataclass(frozen=True)
class PlainStop:
    """A stop that verified nothing: the engine's own, or that of a container which does not exist."""

    verdict: Verdict | None  # None: the stop failed
    reason: str
    end: PlainEnd | None = None


@dataclass(frozen=True)
class PlainEnd:
    """How the engine's plain stop ended a container. Seconds."""

    exit_code: int | None
    drained: float
    timeout: float


@dataclass(frozen=True)
class Forecast:
    """What a stop would do now, and what is in flight."""

    status: ContainerStatus
    service: str
    plan: Plan | None  # None: the container is at rest
    draining: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    reading: Reading | None = None
    missing: str = ""  # why there is no reading
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Reload:
    """A reload, as far as it came."""

    status: ContainerStatus
    service: str
    reading: Reading | None
    missing: str = ""  # why there is no reading
    how: str = ""  # reload or restart
    planned: bool = False  # check mode: ``how`` is what would be done
    signal: str = ""  # the one that was sent
    operations: tuple[Operation, ...] | None = None  # in flight at the signal; None: those of the reading
    reloaded: bool = False
    restarted: bool = False
    reason: str = ""  # why it was restarted instead


@dataclass(frozen=True)
class UnitReport:
    """The systemd unit of a container, as the result tells of it."""

    name: str
    unit: Unit | None = None  # as it was seen last
    before: str = ""  # its state before a stop or a start
    unknown: str = ""  # why systemd could not be asked
    removed: bool = False


@dataclass(frozen=True)
class Ready:
    """How a started container was seen to serve."""

    seconds: float
    how: str


@dataclass
class ContainerResult:
    """One container's part of the result."""

    name: str
    id: str = ""
    container: Container | None = None  # as it was found; None: it does not exist
    changed: bool = False
    failure: str = ""  # the sentence for the user; empty: all is well
    warnings: list[str] = field(default_factory=list)
    after: str = ""  # what became of it, for the diff; empty: nothing
    stop: StopResult | PlainStop | None = None
    notes: tuple[Finding, ...] = ()
    forecast: Forecast | None = None
    reload: Reload | None = None
    unit: UnitReport | None = None
    ready: Ready | None = None
    heartbeats: tuple[Heartbeat, ...] = ()  # since the start
    gap: float | None = None  # seconds between the old process and the new one
    image_pulled: bool | None = None  # None: the container was not created
    differences: tuple[Difference, ...] | None = None
    would: str = ""
    removed: bool | None = None
    rolled_back: bool | None = None
    resumed: bool = False

    @classmethod
    def of(cls, container: Container) -> ContainerResult:
        """Return the result of a container with which nothing was done yet."""
        return cls(container.name, container.id, container)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the stop, or the one that a plan foresees."""
        if self.stop is not None:
            return self.stop.verdict
        return self.forecast.verdict if self.forecast else None

    @property
    def at_rest(self) -> bool:
        """Whether the container has stopped, however it did."""
        return not self.failure and self.verdict not in (None, Verdict.ABSENT, Verdict.LEFT_RUNNING)

    @property
    def reason(self) -> str:
        """The reason of the stop's verdict."""
        return self.stop.reason if self.stop is not None else ""

    @property
    def evidence_was_read(self) -> bool:
        """Whether the stop was not without evidence that it should have had."""
        return not (isinstance(self.stop, StopResult) and self.stop.evidence is EvidenceState.UNAVAILABLE)

    @property
    def serving(self) -> frozenset[str] | None:
        """The hosts whose heartbeat was up before the stop; None where that is not known."""
        return self.stop.serving if isinstance(self.stop, StopResult) else None

    def add_reason(self, clause: str) -> None:
        """Add a clause to the reason of the stop's verdict."""
        if self.stop is not None:
            reason = f"{self.stop.reason}, {clause}" if self.stop.reason else clause
            self.stop = replace(self.stop, reason=reason)


# --- a whole call


@dataclass(frozen=True)
class Comparison:
    """A container, or its image, beside what is wanted."""

    name: str
    id: str
    status: str
    differences: tuple[Difference, ...] = ()
    notes: tuple[Finding, ...] | None = None  # None: the image alone was compared


@dataclass(frozen=True)
class OneOff:
    """A container that is run to its end."""

    name: str
    id: str
    image_pulled: bool
    end: OneOffEnd | None = None  # None in check mode


@dataclass(frozen=True)
class OneOffEnd:
    """How it ended, and what it wrote."""

    code: int | None  # None: it was never started
    stdout: str
    stderr: str


@dataclass(frozen=True)
class ImageResult:
    """An image on the host; an empty id: the host does not have it."""

    reference: str
    id: str


@dataclass(frozen=True)
class VolumeResult:
    """A volume of the engine."""

    name: str


@dataclass(frozen=True)
class StateResult:
    """The container's state in the engine's own words."""

    name: str
    state: Mapping[str, object]


@dataclass(frozen=True)
class EnvironmentResult:
    """The container's variables, with secrets masked."""

    name: str
    variables: Mapping[str, str]


Details = Union[Comparison, OneOff, ImageResult, VolumeResult, StateResult, EnvironmentResult]


@dataclass
class ActionResult:
    """The result of one call: that of its containers, or the details of another kind of action."""

    changed: bool
    containers: Sequence[ContainerResult] = ()
    details: Details | None = None
    failure: str = ""
    warnings: list[str] = field(default_factory=list)
    diffs: list[Diff] = field(default_factory=list)
    unit_written: bool = False
    elapsed: float | None = None  # seconds of the whole call


def action_result(changed: bool, diff: Diff | None, details: Details) -> ActionResult:
    """Return the result of an action on one thing that is no stop; the diff counts only if it changed."""
    return ActionResult(changed, details=details, diffs=[diff] if changed and diff else [])


def compose(results: Sequence[ContainerResult]) -> ActionResult:
    """Put the results of all containers together."""
    return ActionResult(
        changed=any(result.changed for result in results),
        containers=list(results),
        failure=" ".join(result.failure for result in results if result.failure),
        warnings=[text for result in results for text in result.warnings],
        diffs=[
            difference(result.container.name, result.container.status.value, result.after)
            for result in results
            if result.container and result.after
        ],
    )


def together(results: Sequence[ActionResult]) -> ActionResult:
    """Put the results of several calls together into one."""
    return ActionResult(
        changed=any(result.changed for result in results),
        containers=[container for result in results for container in result.containers],
        failure=" ".join(result.failure for result in results if result.failure),
        warnings=[text for result in results for text in result.warnings],
        diffs=[diff for result in results for diff in result.diffs],
    )


# --- containers that do not exist


def container_of(engine: Engine, name: str, verb: str) -> Container:
    """Return the container of this name. Raises Refused when there is none."""
    container = engine.inspect(name)
    if container is None:
        raise Refused(missing(engine, name, verb))
    return container


def missing(engine: Engine, name: str, verb: str) -> str:
    """Return the sentence for a container that does not exist."""
    return f"There is no container {name} to {verb}; see the names with '{engine.command} ps --all'."

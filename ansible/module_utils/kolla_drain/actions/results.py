"""Typed results: of one container (ContainerResult) and of a whole call (ActionResult).

The actions fill them in, and report.py alone turns them into the module's dictionaries. Both take a field of the name
of a result's key as that key; None is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..drain.result import Event, StopResult
from ..engine.port import Engine
from ..errors import Refused
from ..model import Container, EvidenceState, Finding, Heartbeat, Operation, Reading, Verdict
from .options import Intent, Options

if TYPE_CHECKING:
    from ..container.compare import Difference
    from ..container.spec import ContainerSpec
    from ..start.readiness import Before
    from ..systemd.unit import Unit
    from .survey import Survey, Surveys


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
    from ..container import show

    old = show.as_text({part.setting: part.old for part in differences})
    return difference(name, old, show.as_text({part.setting: part.new for part in differences}))


def absent_diff(spec: ContainerSpec) -> Diff:
    """Return the diff of a container that does not exist yet."""
    from ..container import show

    return difference(spec.name, "absent", show.as_text(show.settings(spec)))


# --- one container


@dataclass
class Reload:
    """A reload, as far as it came."""

    how: str | None = None  # reload or restart; None: neither was done
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
    stop: StopResult | None = None
    was_unhealthy: bool = False  # before the stop, while nobody was stopping it
    plain: bool = False  # the stop is the engine's own or that of a missing container, and verified nothing
    notes: tuple[Finding, ...] = ()  # beside the stop, or beside those of the survey
    survey: Survey | None = None  # of a container that was only looked at, or reloaded
    reading: Reading | None = None  # with the survey
    foreseen: Verdict | None = None  # of a stop in check mode
    timeline: tuple[Event, ...] | None = None  # of a stop under way that was only looked at
    reload: Reload | None = None
    unit: UnitReport | None = None
    heartbeats: tuple[Heartbeat, ...] = ()  # since the start
    ready_after: float | None = None  # seconds
    ready_by: str | None = None
    ready_timeout: float | None = None  # seconds; None: as the option says
    # What other processes may have been working on that the start has set to error; None: its row is its own.
    unattributed_at_start: tuple[Operation, ...] | None = None
    gap: float | None = None  # seconds between the old process and the new one
    image_pulled: bool | None = None  # None: the container was not created
    differences: tuple[Difference, ...] | None = None
    would: str | None = None
    removed: bool | None = None
    rolled_back: bool | None = None
    resumed: bool | None = None

    @classmethod
    def of(cls, container: Container, **more: Any) -> ContainerResult:
        """Return the result of a container that exists."""
        return cls(container.name, container.id, container, **more)

    @property
    def at_rest(self) -> bool:
        """Whether the container was stopped or found at rest, however it ended."""
        verdict = self.stop.verdict if self.stop else None
        return not self.failure and verdict not in (None, Verdict.ABSENT, Verdict.LEFT_RUNNING)

    @property
    def evidence_was_read(self) -> bool:
        """Whether the stop was not without evidence that it should have had."""
        return self.stop is None or self.stop.evidence is not EvidenceState.UNAVAILABLE

    @property
    def not_waited_for(self) -> tuple[Operation, ...]:
        """The operations that were seen and are passed over, or only inform."""
        stopped = (*self.stop.passed_over, *self.stop.standing) if self.stop else ()
        looked = self.reading.operations if self.reading else ()
        return (*stopped, *(op for op in looked if op.informs or op.passed_over))

    @property
    def before(self) -> Before:
        """How the container served before the stop."""
        from ..start.readiness import Before

        return Before(self.stop.serving if self.stop else None, self.was_unhealthy)


# --- a whole call


@dataclass(frozen=True)
class Details:
    """The result of an action that is about one thing and stops nothing."""

    name: str | None = None
    id: str | None = None
    status: str | None = None  # absent, or the container's in the engine
    differences: tuple[Difference, ...] | None = None
    notes: tuple[Finding, ...] | None = None
    image: str | None = None
    image_id: str | None = None  # empty: the host does not have it
    image_pulled: bool | None = None
    rc: int | None = None  # of a container that ran to its end; None: it was never started
    stdout: str | None = None
    stderr: str | None = None
    state: Mapping[str, object] | None = None
    env: Mapping[str, str] | None = None


@dataclass
class ActionResult:
    """The result of one call: that of its containers, or the details of another kind of action."""

    changed: bool
    containers: Sequence[ContainerResult] = ()
    details: Details | None = None
    failure: str = ""
    warnings: list[str] = field(default_factory=list)
    diffs: list[Diff] = field(default_factory=list)
    unit_written: bool | None = None
    elapsed: float | None = None  # seconds of the whole call


def action_result(changed: bool, diff: Diff, details: Details) -> ActionResult:
    """Return the result of an action that stops nothing; the diff counts only if it changed something."""
    return ActionResult(changed, details=details, diffs=[diff] if changed else [])


def compose(results: Iterable[ContainerResult]) -> ActionResult:
    """Put the results of all containers together."""
    return together([_alone(result) for result in results])


def _alone(result: ContainerResult) -> ActionResult:
    container, diffs = result.container, []
    if container is not None and result.after:
        diffs = [difference(container.name, container.status.value, result.after)]
    return ActionResult(result.changed, [result], None, result.failure, result.warnings, diffs)


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


def in_order(
    surveys: Surveys, options: Options, engine: Engine, results: Iterable[ContainerResult], intent: Intent
) -> list[ContainerResult]:
    """Return the results in the order of the names, with those of the containers that do not exist."""
    by_id = {result.id: result for result in results}
    absent_is_fine = options.ignore_missing or intent.absent_is_fine
    return [
        by_id[container.id] if container else absent(engine, name, intent.verb, is_fine=absent_is_fine)
        for name, container in surveys.containers.items()
    ]


def absent(engine: Engine, name: str, verb: str, *, is_fine: bool) -> ContainerResult:
    """Return the result of a container that does not exist: an error, unless that is fine."""
    from ..start.exchange import Exchange

    left = Exchange(name, engine).left_behind()
    but = f", but {left}: action=start_container puts it right." if left else ""
    stop = StopResult(name, "", Verdict.ABSENT if is_fine else None, "the engine has no such container")
    result = ContainerResult(name, stop=stop, plain=True)
    if not is_fine:
        result.failure = (
            f"There is no container {name} to {verb}{but}" if but else missing(engine, name, verb)
        )
    elif but:
        result.warnings = [f"There is no container {name}{but}"]
    return result


def container_of(engine: Engine, name: str, verb: str) -> Container:
    """Return the container of this name. Raises Refused when there is none."""
    container = engine.inspect(name)
    if container is None:
        raise Refused(missing(engine, name, verb))
    return container


def missing(engine: Engine, name: str, verb: str) -> str:
    """Return the sentence for a container that does not exist."""
    return f"There is no container {name} to {verb}; see the names with '{engine.command} ps --all'."

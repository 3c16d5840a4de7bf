"""Compose the module's result: typed results become dictionaries and sentences here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch
from typing import Any

from ..container.compare import Difference
from ..drain.plan import Plan
from ..drain.result import StopResult
from ..drain.verdict import count
from ..model import Ending, EvidenceState, Finding, Heartbeat, Operation, Outcome, Reading, Verdict
from .results import (
    ActionResult,
    Comparison,
    ContainerResult,
    EnvironmentResult,
    Forecast,
    ImageResult,
    OneOff,
    PlainStop,
    Reload,
    StateResult,
    UnitReport,
    VolumeResult,
)

_LOST = (Verdict.KILLED, Verdict.CUT)


# --- a whole call


def module_result(result: ActionResult) -> dict[str, Any]:
    """Return the module's result but for its warnings and its diff.

    With one container its keys stand at the top level too.
    """
    told: dict[str, Any] = details(result.details) if result.details is not None else {}
    entries = [container(one) for one in result.containers]
    if len(entries) == 1:
        told.update(entries[0])
    if result.details is None and "created" not in told:
        told["containers"] = entries
    told.update(changed=result.changed, failed=bool(result.failure))
    if result.failure:
        told["msg"] = result.failure
    if result.unit_written:
        told["unit_written"] = True
    if result.elapsed is not None:
        told["elapsed"] = _tenth(result.elapsed)
    return told


def diffs(result: ActionResult) -> list[dict[str, str]]:
    """Return Ansible's form of the diff."""
    return [
        {
            **({"before_header": diff.header, "after_header": diff.header} if diff.header else {}),
            "before": diff.before,
            "after": diff.after,
        }
        for diff in result.diffs
    ]


@singledispatch
def details(about: object) -> dict[str, Any]:
    """Return the keys of an action that is about one thing."""
    raise TypeError(f"{type(about).__name__} is no part of a result")


@details.register
def _comparison(about: Comparison) -> dict[str, Any]:
    told = {
        "name": about.name,
        "id": about.id,
        "status": about.status,
        "differences": differences(about.differences),
    }
    return told if about.notes is None else {**told, "notes": findings(about.notes)}


@details.register
def _one_off(about: OneOff) -> dict[str, Any]:
    end = about.end
    ended = {"rc": end.code, "stdout": end.stdout, "stderr": end.stderr} if end else {}
    return {"name": about.name, "id": about.id, "image_pulled": about.image_pulled, **ended}


@details.register
def _image(about: ImageResult) -> dict[str, Any]:
    return {"image": about.reference, "image_id": about.id}


@details.register
def _volume(about: VolumeResult) -> dict[str, Any]:
    return {"name": about.name}


@details.register
def _state(about: StateResult) -> dict[str, Any]:
    return {"name": about.name, "state": dict(about.state)}


@details.register
def _environment(about: EnvironmentResult) -> dict[str, Any]:
    return {"name": about.name, "env": dict(about.variables)}


# --- one container


def container(result: ContainerResult) -> dict[str, Any]:
    """Return one container's entry."""
    told: dict[str, Any] = {}
    for part in (_forecast(result.forecast), _reload(result.reload), _stop(result)):
        told.update(part)
    told.update(
        name=result.name, id=result.id, changed=result.changed, failed=bool(result.failure), **_start(result)
    )
    if result.reload and result.reload.reason:
        told["reason"] = result.reload.reason
    if result.unit is not None:
        told["unit"] = unit(result.unit)
    if result.differences is not None:
        told["differences"] = differences(result.differences)
    if result.would:
        told["would"] = result.would
    for key in ("removed", "rolled_back"):
        if getattr(result, key) is not None:
            told[key] = getattr(result, key)
    if result.resumed:
        told["resumed"] = True
    return told


def _stop(result: ContainerResult) -> dict[str, Any]:
    if isinstance(result.stop, StopResult):
        return {**stop_result(result.stop), "notes": findings(result.notes)}
    return _plain_stop(result.stop) if result.stop else {}


def _plain_stop(stop: PlainStop) -> dict[str, Any]:
    told = {"verdict": stop.verdict.value if stop.verdict else None, "reason": stop.reason}
    if stop.end is None:
        return told
    end = stop.end
    return {**told, "exit_code": end.exit_code, "drained": _tenth(end.drained), "timeout": end.timeout}


def _forecast(forecast: Forecast | None) -> dict[str, Any]:
    if forecast is None:
        return {}
    return {
        "status": forecast.status.value,
        "draining": forecast.draining,
        "service": forecast.service,
        "plan": plan(forecast.plan) if forecast.plan else {},
        "preflight": findings(forecast.findings),
        "notes": findings(forecast.notes),
        **reading(forecast.reading, forecast.missing),
        **({"verdict": forecast.verdict.value} if forecast.verdict else {}),
    }


def _reload(reload: Reload | None) -> dict[str, Any]:
    if reload is None:
        return {}
    told = {
        "service": reload.service,
        "status": reload.status.value,
        "signal": reload.signal,
        "reloaded": reload.reloaded,
        "restarted": reload.restarted,
        **reading(reload.reading, reload.missing),
    }
    if reload.operations is not None:
        told["operations"] = [operation(op) for op in reload.operations]
    if reload.how:
        told["would" if reload.planned else "how"] = reload.how
    return told


def _start(result: ContainerResult) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if result.heartbeats:
        told["heartbeat"] = heartbeat(result.heartbeats)
    if result.ready is not None:
        told.update(ready_after=_tenth(result.ready.seconds), ready_by=result.ready.how)
    if result.gap is not None:
        told["gap"] = result.gap
    if result.image_pulled is not None:
        told.update(created=True, image_pulled=result.image_pulled)
    return told


def unit(report: UnitReport) -> dict[str, Any]:
    """Return what is known of a container's systemd unit."""
    told: dict[str, Any] = {"name": report.name}
    if report.unknown:
        told.update(state="unknown", why=report.unknown)
    if report.unit is not None:
        told.update(
            state=report.unit.state,
            enabled=report.unit.enabled or report.unit.load,
            restart=report.unit.restart,
            stop_timeout=report.unit.stop_timeout,
            drop_ins=list(report.unit.drop_ins),
            held=report.unit.held,
        )
    if report.before:
        told["before"] = report.before
    return {**told, "removed": True} if report.removed else told


def differences(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Return the settings that differ, with their old and new values."""
    return [{"setting": part.setting, "old": part.old, "new": part.new} for part in found]


def stop_result(result: StopResult) -> dict[str, Any]:
    """Return what a graceful stop came to; durations in seconds, to a tenth."""
    return {
        "name": result.name,
        "id": result.id,
        "changed": result.changed,
        "failed": result.failed,
        "service": result.profile.name,
        "verdict": result.verdict.value if result.verdict else None,
        "reason": result.reason,
        "joined": result.joined,
        "signal": result.signal,
        "exit_code": result.exit_code,
        "oom_killed": result.oom_killed,
        "quiesced": _tenth(result.quiesced),
        "drained": _tenth(result.drained),
        "timeout": _tenth(result.timeout),
        "plan": plan(result.plan) if result.plan else {},
        "operations": [_ending(ending, ending.operation.key in result.dead) for ending in result.endings],
        "standing": [operation(op) for op in result.standing],
        "heartbeat": heartbeat(result.heartbeats, result.heartbeat_note),
        "evidence": result.evidence.value,
        "evidence_why": result.evidence_why,
        "preflight": findings(result.findings),
        "timeline": [{"at": event.at, "event": event.event} for event in result.timeline],
    }


# --- parts


def plan(chosen: Plan) -> dict[str, Any]:
    """Return how the budget is divided, in seconds."""
    return {
        "signal": chosen.signal,
        "timeout": _tenth(chosen.timeout),
        "quiesce": _tenth(chosen.quiesce),
        "drain": _tenth(chosen.drain),
        "reason": chosen.reason,
    }


def operation(op: Operation) -> dict[str, Any]:
    """Return an operation in flight."""
    return {"kind": op.kind, "id": op.id, "status": op.status, "since": op.since, "claimed": op.claimed}


def _ending(ending: Ending, dead: bool) -> dict[str, Any]:
    return {
        **operation(ending.operation),
        "outcome": ending.outcome.value,
        "last_status": ending.status,
        "fate": ending.fate,
        "dead": dead,
    }


def heartbeat(rows: Sequence[Heartbeat], note: str = "") -> dict[str, Any]:
    """Return all heartbeat rows of a service, with the worst state at the top; empty when it has none."""
    if not rows:
        return {}
    return {
        "up": all(row.up for row in rows),
        "disabled": any(row.disabled for row in rows),
        "note": note,
        "rows": [
            {
                "service": row.service,
                "host": row.host,
                "age": _tenth(row.age),
                "report_count": row.report_count,
                "up": row.up,
                "disabled": row.disabled,
                "disabled_reason": row.disabled_reason,
                "cluster": row.cluster,
            }
            for row in rows
        ],
    }


def findings(found: Iterable[Finding]) -> list[dict[str, str]]:
    """Return findings of preflight, or notes."""
    return [{"code": finding.code, "text": finding.text} for finding in found]


def reading(seen: Reading | None, missing: str = "") -> dict[str, Any]:
    """Return what is in flight now; ``missing`` says why there is no reading."""
    if seen is None:
        state = EvidenceState.UNAVAILABLE if missing else EvidenceState.NONE
        seen = Reading(state, missing)
    return {
        "evidence": seen.state.value,
        "evidence_why": seen.why,
        "operations": [operation(op) for op in seen.working],
        "standing": [operation(op) for op in seen.operations if op.informs],
        "heartbeat": heartbeat(seen.heartbeats),
    }


# --- sentences


def warnings(result: StopResult) -> list[str]:
    """Return what the user must know: lost work, work with an unknown outcome, a stop that was not verified."""
    sentences = []
    # Where no evidence could ever tell, every stop ends as "unverified", which is no news.
    could_tell = result.evidence is not EvidenceState.NONE and result.profile.sees_work
    unread = result.evidence is EvidenceState.UNAVAILABLE
    unverified = result.verdict is Verdict.UNVERIFIED and (could_tell or unread)
    if result.verdict is not None and (result.verdict in _LOST or unverified):
        sentences.append(f"{result.name}: {result.verdict.value}: {result.reason}.")
    for ending in result.endings:
        if ending.outcome is not Outcome.FINISHED and not result.failed:
            op = ending.operation
            fate = f"; {ending.fate}" if ending.fate else ""
            sentences.append(
                f"{result.name}: {op.kind} {op.id} was {ending.outcome.value} ({ending.status}){fate}."
            )
    return sentences


def failure(result: StopResult) -> str:
    """Return the sentence for a stop that did not end as asked."""
    if result.verdict is not Verdict.LEFT_RUNNING:
        return result.reason
    left = [ending for ending in result.endings if ending.outcome is not Outcome.FINISHED]
    work = f" with {count(left)} in flight" if left else ""
    state = "It goes on draining" if result.signal else "It goes on working and has not been signalled"
    return (
        f"{result.name} was left running{work}: {result.reason}. {state}; run this again to wait on, with a longer "
        "graceful_shutdown_timeout if it needs more, or with on_timeout=kill to end it."
    )


def _tenth(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)

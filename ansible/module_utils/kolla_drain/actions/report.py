"""Compose the module's result: typed results become dictionaries and sentences here, and nowhere else."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..drain.result import StopResult
from ..drain.verdict import count
from ..model import Ending, EvidenceState, Heartbeat, Operation, Outcome, Reading, Verdict
from .results import ActionResult, ContainerResult, Details, UnitReport

# Which fields the result tells of, and under the same name; by the class's name.
_SHOWN: dict[str, tuple[str, ...]] = {
    "Difference": ("setting", "old", "new"),
    "Event": ("at", "event"),
    "Finding": ("code", "text"),
    "Operation": ("kind", "id", "status", "since", "claimed", "unattributed"),
    "Plan": ("signal", "timeout", "quiesce", "drain", "reason"),
    "Heartbeat": tuple(part.name for part in fields(Heartbeat)),
    "Details": tuple(part.name for part in fields(Details)),
}
_PLAIN_STOP = ("verdict", "reason")
_PLAIN_END = (*_PLAIN_STOP, "exit_code", "drained", "timeout")
_STOP = (
    *("name", "id", "changed", "failed", "verdict", "reason", "joined", "signal", "exit_code", "oom_killed"),
    *("quiesced", "drained", "timeout", "standing", "evidence", "evidence_why", "timeline"),
)
_RELOAD = ("signal", "operations", "how", "reloaded", "restarted")
_UNIT = ("state", "restart", "stop_timeout", "drop_ins", "held")
_OUTCOME = (
    *("ready_after", "ready_by", "ready_timeout", "gap", "image_pulled", "unattributed_at_start"),
    *("timeline", "differences", "would", "removed", "rolled_back", "resumed"),
)
# Seconds that are told to a tenth.
_TENTHS = {
    "timeout",
    "quiesce",
    "drain",
    "quiesced",
    "drained",
    "age",
    "ready_after",
    "ready_timeout",
    "elapsed",
}


def _told(thing: object, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return some attributes of a thing as plain data."""
    return {key: _plain(getattr(thing, key), key) for key in keys or _SHOWN[type(thing).__name__]}


def _known(thing: object, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return the same without those that are None."""
    return {key: value for key, value in _told(thing, keys).items() if value is not None}


def _plain(value: Any, key: str = "") -> Any:
    if type(value).__name__ in _SHOWN:
        return _told(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return round(value, 1) if key in _TENTHS and value is not None else value


# --- a whole call


def module_result(result: ActionResult) -> dict[str, Any]:
    """Return the module's result but for its warnings and its diff.

    With one container its keys stand at the top level too.
    """
    told = details(result.details) if result.details is not None else {}
    entries = [container(entry) for entry in result.containers]
    if len(entries) == 1:
        told.update(entries[0])
    if result.details is None and "created" not in told:
        told["containers"] = entries
    told.update(
        _known(result, ("unit_written", "elapsed")), changed=result.changed, failed=bool(result.failure)
    )
    return {**told, "msg": result.failure} if result.failure else told


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


def details(about: Details) -> dict[str, Any]:
    """Return the keys of an action that is about one thing."""
    # A container that ended without ever having been started has no exit code, and a result all the same.
    return {**_known(about), **({"rc": about.rc} if about.stdout is not None else {})}


# --- one container


def container(result: ContainerResult) -> dict[str, Any]:
    """Return one container's entry."""
    told = _looked(result)
    if result.stop is not None:
        told.update(_stop(result, result.stop))
    told.update(name=result.name, id=result.id, changed=result.changed, failed=bool(result.failure))
    if result.heartbeats:
        told["heartbeat"] = heartbeat(result.heartbeats)
    if result.image_pulled is not None:
        told["created"] = True
    if result.reload and result.reload.reason:
        told["reason"] = result.reload.reason
    if result.unit is not None:
        told["unit"] = unit(result.unit)
    return {**told, **_known(result, _OUTCOME)}


def _looked(result: ContainerResult) -> dict[str, Any]:
    """Return what was seen of a container, with what would be done or with its reload."""
    survey, reload = result.survey, result.reload
    if survey is None:
        return {}
    told = {
        "status": survey.container.status.value,
        "service": survey.profile.name,
        **reading(result.reading, survey.missing),
    }
    if reload is not None:
        return {**told, **_known(reload, _RELOAD), "notes": _plain(result.notes)}
    told.update(
        draining=survey.draining,
        plan={} if survey.container.at_rest else _told(survey.plan),
        preflight=_plain(survey.findings),
        notes=_plain(survey.notes + result.notes),
    )
    return {**told, "verdict": result.foreseen.value} if result.foreseen else told


def _stop(result: ContainerResult, stop: StopResult) -> dict[str, Any]:
    if result.plain:
        return _told(stop, _PLAIN_STOP if stop.drained is None else _PLAIN_END)
    return {**stop_result(stop), "notes": _plain(result.notes)}


def stop_result(result: StopResult) -> dict[str, Any]:
    """Return what a graceful stop came to; durations in seconds, to a tenth."""
    return {
        **_told(result, _STOP),
        "service": result.profile.name,
        "plan": _told(result.plan) if result.plan else {},
        "operations": [_ending(ending, ending.operation.key in result.dead) for ending in result.endings],
        "passed_over": _passed_over(result.passed_over),
        "heartbeat": heartbeat(result.heartbeats, result.heartbeat_note),
        "preflight": _plain(result.findings),
    }


def _ending(ending: Ending, dead: bool) -> dict[str, Any]:
    return {
        **_told(ending.operation),
        "outcome": ending.outcome.value,
        "last_status": ending.status,
        "fate": ending.fate,
        "dead": dead,
    }


def _passed_over(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    return [{**_told(op), "why": op.passed_over} for op in operations]


def unit(report: UnitReport) -> dict[str, Any]:
    """Return what is known of a container's systemd unit."""
    told: dict[str, Any] = {"name": report.name}
    if report.unknown:
        told.update(state="unknown", why=report.unknown)
    if report.unit is not None:
        told.update(_told(report.unit, _UNIT), enabled=report.unit.enabled or report.unit.load)
    if report.before:
        told["before"] = report.before
    return {**told, "removed": True} if report.removed else told


def heartbeat(rows: Sequence[Heartbeat], note: str = "") -> dict[str, Any]:
    """Return all heartbeat rows of a service, with the worst state at the top; empty when it has none."""
    if not rows:
        return {}
    return {
        "up": all(row.up for row in rows),
        "disabled": any(row.disabled for row in rows),
        "note": note,
        "rows": [_told(row) for row in rows],
    }


def reading(seen: Reading | None, missing: str = "") -> dict[str, Any]:
    """Return what is in flight now; ``missing`` says why there is no reading."""
    seen = seen or Reading(EvidenceState.UNAVAILABLE if missing else EvidenceState.NONE, missing)
    return {
        "evidence": seen.state.value,
        "evidence_why": seen.why,
        "operations": _plain(seen.working),
        "standing": [_told(op) for op in seen.operations if op.informs],
        "passed_over": _passed_over(seen.passed_over),
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
    if result.verdict is not None and (result.verdict in (Verdict.KILLED, Verdict.CUT) or unverified):
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

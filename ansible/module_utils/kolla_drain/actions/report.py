"""What a person or a play is told: results as plain data and as sentences. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..drain.plan import Plan
from ..drain.result import StopResult
from ..drain.verdict import count
from ..model import Ending, EvidenceState, Finding, Heartbeat, Operation, Outcome, Reading, Verdict

_LOST = (Verdict.KILLED, Verdict.CUT)


def stop_result(result: StopResult) -> dict[str, Any]:
    """One container's result as the module returns it; durations in seconds, to a tenth."""
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
        "exit": result.exit.value if result.exit else None,
        "freezes": result.freezes,
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


def plan(chosen: Plan) -> dict[str, Any]:
    """How the budget is divided, in seconds."""
    return {
        "signal": chosen.signal,
        "exit": chosen.exit.value,
        "timeout": _tenth(chosen.timeout),
        "quiesce": _tenth(chosen.quiesce),
        "drain": _tenth(chosen.drain),
        "reason": chosen.reason,
    }


def operation(op: Operation) -> dict[str, Any]:
    """An operation in flight."""
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
    """All rows of a service, and the worst of them at the top; empty when it has none."""
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
    """Preflight's findings."""
    return [{"code": finding.code, "text": finding.text} for finding in found]


def reading(seen: Reading | None, missing: str = "") -> dict[str, Any]:
    """What is in flight now, for the plan and for drain_status."""
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


def warnings(result: StopResult) -> list[str]:
    """What a person must hear of: lost work, work of unknown end, and a stop that nobody could verify."""
    said = []
    # Where no evidence could ever tell, "unverified" is how it always ends, and no news.
    could_tell = result.evidence is not EvidenceState.NONE and result.profile.sees_work
    unread = result.evidence is EvidenceState.UNAVAILABLE
    unverified = result.verdict is Verdict.UNVERIFIED and (could_tell or unread)
    if result.verdict is not None and (result.verdict in _LOST or unverified):
        said.append(f"{result.name}: {result.verdict.value}: {result.reason}.")
    for ending in result.endings:
        waits = ending.outcome is Outcome.QUEUED and not ending.queued_fate  # for a start that does it
        if ending.outcome is not Outcome.FINISHED and not waits and not result.failed:
            op = ending.operation
            fate = f"; {ending.fate}" if ending.fate else ""
            said.append(
                f"{result.name}: {op.kind} {op.id} was {ending.outcome.value} ({ending.status}){fate}."
            )
    return said


def failure(result: StopResult) -> str:
    """The sentence for a stop that did not end as asked."""
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

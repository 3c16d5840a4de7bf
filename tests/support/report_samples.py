"""Results of tasks as an upgrade has them, and the report of them."""

from __future__ import annotations

from typing import Any

from kolla_drain.controller.report.collect import Fact, moment, report
from kolla_drain.controller.report.model import Report, Run, Unheard

T = 1_796_014_800.0  # 2026-11-30T05:00:00Z
CREATED = "7d0c2f3e-4b0e-4f0a-9d0c-0d6c1f5b7a11"
EXTENDED = "1f6c0d52-9a43-4a5e-8c1b-5a0b6f3c2e77"
SECRET = "geheim"


def timeline(*events: tuple[float, str]) -> list[dict[str, Any]]:
    return [{"at": at, "event": event} for at, event in events]


def operation(kind: str, id_: str, outcome: str, last: str, fate: str = "", **more: Any) -> dict[str, Any]:
    return {
        "kind": kind, "id": id_, "status": "creating", "since": "2026-11-30T04:59:00Z", "claimed": True,
        "unattributed": "", "outcome": outcome, "last_status": last, "fate": fate, "dead": False, **more,
    }  # fmt: skip


def stopped(name: str, **more: Any) -> dict[str, Any]:
    """A stop that waited 2 s, drained in 3 s and was over a moment later."""
    return {
        "name": name, "id": "1" * 64, "changed": True, "failed": False, "verdict": "drained",
        "reason": "exited by itself with exit code 0, no operation was in flight", "joined": False, "signal": "SIGTERM",
        "exit_code": 0, "oom_killed": False, "quiesced": 2.0, "drained": 3.0, "timeout": 180.0, "standing": [],
        "evidence": "ok", "evidence_why": "", "service": name.replace("_", "-"), "plan": {}, "operations": [],
        "passed_over": [], "heartbeat": {}, "preflight": [], "notes": [], "elapsed": 6.0,
        "timeline": timeline(
            (0.0, "begun, with 180 s until the deadline"), (2.0, "SIGTERM sent: its evidence showed no operation"),
            (5.0, "exited by itself with exit code 0"), (5.2, "drained: exited by itself"),
        ),
        **more,
    }  # fmt: skip


def replaced(name: str, **more: Any) -> dict[str, Any]:
    new = {
        "rolled_back": False,
        "gap": 0.9,
        "ready_after": 6.2,
        "ready_by": "its heartbeat",
        "differences": [{"setting": "image", "old": "a:1", "new": "a:2"}],
    }
    return {**stopped(name), **new, "elapsed": 14.0, **more}


def killed(name: str, **more: Any) -> dict[str, Any]:
    """One that was killed at its deadline with two operations in flight, of which one finished before."""
    return replaced(
        name,
        **{
            "verdict": "killed", "reason": "SIGKILL at the deadline, 1 operation interrupted, 1 operation finished",
            "exit_code": 137, "quiesced": 45.0, "drained": 15.4, "timeout": 60.0, "gap": 1.4, "elapsed": 75.0,
            "operations": [
                operation("volume_create", CREATED, "interrupted", "creating", "its next start sets it to error"),
                operation("volume_extend", EXTENDED, "finished", "available"),
            ],
            "timeline": timeline(
                (0.0, "begun, with 60 s until the deadline"), (0.3, f"volume_create {CREATED} (creating) in flight"),
                (0.3, f"volume_extend {EXTENDED} (extending) in flight"),
                (18.3, f"volume_extend {EXTENDED} (extending) ended: available"),
                (45.0, "SIGTERM sent: the last 15 s are kept for the drain"),
                (60.0, "SIGKILL sent: the deadline has passed"), (60.4, "killed with exit code 137"),
                (61.0, "killed: SIGKILL at the deadline"),
            ),
            **more,
        },
    )  # fmt: skip


def seen(name: str, **more: Any) -> dict[str, Any]:
    """What drain_status says."""
    return {
        "name": name, "id": "1" * 64, "changed": False, "failed": False, "status": "running", "evidence": "ok",
        "evidence_why": "", "service": name.replace("_", "-"), "operations": [], "standing": [], "passed_over": [],
        "heartbeat": {}, "draining": "", "plan": {"signal": "SIGTERM", "timeout": 180.0, "reason": "quiesced first"},
        "preflight": [], "notes": [], **more,
    }  # fmt: skip


def fact(host: str, result: dict[str, Any], begin: float = 0.0, end: float = 20.0, **more: Any) -> Fact:
    given = {"task": "a task", "module": "kolla_docker", "args": {"action": "stop_container"}, **more}
    return Fact(host=host, began=T + begin, ended=T + end, result=result, **given)


def disabled(state: str, status: str, at: float) -> Fact:
    service = {"binary": "cinder-volume", "host": "storage01@ceph", "status": status, "disabled_by_us": True}
    undo = ["openstack volume service set --enable storage01@ceph cinder-volume"]
    result = {"changed": True, "services": [service], "undo": undo if status == "disabled" else []}
    return fact("storage01", result, at, at + 1, module="kolla_service", args={"state": state})


def run(state: str = "ended", *, check: bool = False) -> Run:
    return Run("upgrade.yml", state, check, moment(T), moment(T + 185), 185.0)


def upgrade() -> Report:
    """Three hosts, one killed container, a service that is still disabled, a failure, and a task without an end."""
    facts = [
        fact("control01", replaced("cinder_scheduler"), 2, 22),
        disabled("disabled", "disabled", 23),
        fact("storage01", killed("cinder_volume"), 24, 115),
        fact("storage02", {"containers": [seen("cinder_volume"), seen("cinder_backup")]}, 0, 2),
        fact("control01", replaced("cinder_api", service="none", evidence="none", verdict="unverified"), 120, 140),
        fact(
            "control01", {"changed": True, "servers": [{"backend": "cinder_api_back", "status": "UP", "sessions": 3}]},
            118, 119, module="kolla_haproxy", args={"state": "drain"},
        ),
        fact(
            "storage01", {"msg": f"cinder-volume on storage01 does not report, password={SECRET}"}, 140, 141,
            module="fail", task="kolla_drain : Go no further", failed=True,
        ),
    ]  # fmt: skip
    lost = Unheard(moment(T + 150), "storage02", "kolla_drain : cinder-volume: recreate or restart")
    return report(run("failed"), facts, [lost])

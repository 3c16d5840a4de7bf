"""watcher-decision-engine, which Kolla calls watcher_engine, from the sources of python-watcher 17.0.0."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work
from .watcher_applier import LIVE, OPTIONS, beat

SERVICE = Service(
    Profile("watcher-engine", quiesce=True, keeps_work=False, reports=True, exit_seconds=15.0),
    schema="watcher",
    binary="watcher-decision-engine",
    options=OPTIONS,
    beat=beat(),
    work=(
        Work(
            "audit",
            "audits",
            id="t.uuid",
            status="t.state",
            host="t.hostname",
            live=LIVE,
            where="t.audit_type <> 'CONTINUOUS'",
            kinds=(
                Kind(
                    "audit",
                    ("ONGOING",),
                    fate="its next start sets the audit to CANCELLED",
                    failed=("FAILED", "CANCELLED"),
                ),
            ),
        ),
    ),
    unseen="continuous audits, which another watcher-engine takes over",
)

"""octavia-health-manager, from the sources of octavia 19.0.0: the failovers that it does itself."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

SERVICE = Service(
    # It joins its failovers, without a limit.
    Profile("octavia-health-manager", quiesce=True, keeps_work=True, reports=True, exit_seconds=15.0),
    schema="octavia",
    work=(
        Work(
            "amphora",
            "amphora_health",
            id="t.amphora_id",
            status="IF(t.busy = 1, 'busy', 'idle')",
            written=("t.last_update",),
            stale=1800,
            kinds=(
                Kind(
                    "amphora_failover", ("busy",), fate="the amphora stays busy, and is not checked any more"
                ),
            ),
        ),
    ),
    unseen="the statistics that amphorae send, which they send again",
)

"""magnum-conductor, from the sources of magnum 23.0.0. Kolla gives it the host's API address as its host."""

from __future__ import annotations

from ...model import Profile
from ..form import Beat, Kind, Option, Options, Service, Work

SERVICE = Service(
    Profile(
        "magnum-conductor",
        quiesce=True,
        keeps_work=False,
        reports=True,
        works_in_requests=True,
        exit_seconds=15.0,
    ),
    schema="magnum",
    options=Options(interval=Option("periodic_interval_max", 60), down=Option("service_down_time", 180)),
    beat=Beat(
        "magnum_service",
        seen=("t.last_seen_up",),
        count="t.report_count",
        disabled="t.disabled",
        reason="t.disabled_reason",
    ),
    work=(
        Work(
            "cluster",
            "cluster",
            id="t.uuid",
            # Once there is a stack, Heat or the Cluster API works on it, and any conductor follows that.
            status="IF(t.stack_id IS NULL, t.status, 'handed over')",
            stale=300,
            kinds=(Kind("cluster_create", ("CREATE_IN_PROGRESS",), failed=("CREATE_FAILED",)),),
        ),
    ),
    unseen="updates and deletes, which are handed over within seconds",
)

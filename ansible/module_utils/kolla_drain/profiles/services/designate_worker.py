"""designate-worker, from the sources of designate 23.0.0.

Designate's services report by way of designate-central.
"""

from __future__ import annotations

from ...model import Profile
from ..form import Beat, Kind, Option, Options, Service, Work

OPTIONS = Options(
    interval=Option("heartbeat_interval", 10, "heartbeat_emitter"), database="storage:sqlalchemy"
)


def beat(called: str) -> Beat:
    """Return the heartbeat of one of Designate's services."""
    return Beat(
        "service_statuses",
        host="t.hostname",
        binary="t.service_name",
        called=called,
        seen=("t.heartbeated_at",),
    )


SERVICE = Service(
    Profile(
        "designate-worker",
        quiesce=True,
        keeps_work=False,
        reports=True,
        works_in_requests=True,
        exit_seconds=15.0,
    ),
    schema="designate",
    options=OPTIONS,
    beat=beat("worker"),
    work=(
        Work(
            "zone",
            "zones",
            live="t.deleted = '0'",
            stale=300,
            kinds=(
                Kind(
                    "zone_change",
                    ("PENDING",),
                    fate="designate-producer has it done again within minutes",
                ),
            ),
        ),
    ),
    unseen="single records, which go with their zone",
)

"""blazar-manager, from the sources of blazar 18.0.0 (blazar/status.py has the statuses)."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

# Seconds: it starts, moves and deletes instances within minutes.
_LOST = 1800

SERVICE = Service(
    Profile("blazar-manager", quiesce=True, keeps_work=False, exit_seconds=15.0),
    schema="blazar",
    work=(
        Work(
            "lease",
            "leases",
            stale=_LOST,
            kinds=(
                Kind("lease_create", ("CREATING",)),
                Kind("lease_start", ("STARTING",)),
                Kind("lease_update", ("UPDATING",)),
                Kind("lease_end", ("TERMINATING",)),
                Kind("lease_delete", ("DELETING",), deletes=True),
            ),
        ),
        Work(
            "event",
            "events",
            stale=_LOST,
            kinds=(
                # blazar/manager/service.py _process_events looks for those that are UNDONE.
                Kind(
                    "lease_event",
                    ("IN_PROGRESS",),
                    fate="the event stays IN_PROGRESS, and nobody does it again",
                ),
            ),
        ),
    ),
)

"""octavia-worker, from the sources of octavia 19.0.0.

octavia-api writes the status before it sends the request, and a load balancer can then not be changed until it is done.
"""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Kind, Options, Service, Work

_FATE = (
    "with a jobboard another octavia-worker resumes it; without one it stays {} until an operator resets it"
)

SERVICE = Service(
    # cotyledon: terminate() waits for the message listener, up to graceful_shutdown_timeout.
    Profile("octavia-worker", quiesce=True, keeps_work=True, reports=True, exit_seconds=15.0),
    schema="octavia",
    options=Options(limits=(GRACEFUL,)),
    work=(
        Work(
            "load balancer",
            "load_balancer",
            status="t.provisioning_status",
            live="t.provisioning_status <> 'DELETED'",  # such a row stays for a week
            stale=1800,  # amphorae boot within minutes
            kinds=tuple(
                Kind(name, (status,), _FATE.format(status), deletes=name == "load_balancer_delete")
                for name, status in (
                    ("load_balancer_create", "PENDING_CREATE"),
                    ("load_balancer_update", "PENDING_UPDATE"),
                    ("load_balancer_delete", "PENDING_DELETE"),
                )
            ),
        ),
    ),
)

"""masakari-engine, from the sources of masakari 22.0.0."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

SERVICE = Service(
    # It does not wait for its RPC server, so a recovery stops half way.
    Profile("masakari-engine", quiesce=True, keeps_work=False, exit_seconds=15.0),
    schema="masakari",
    work=(
        Work(
            "notification",
            "notifications",
            id="t.notification_uuid",
            live="t.deleted = 0",
            kinds=(
                Kind(
                    "recovery",
                    ("running",),
                    # masakari/engine/manager.py: only new and failed ones are tried again.
                    fate="it stays running, and failed after notifications_expired_interval; nobody resumes it",
                    failed=("failed",),
                ),
            ),
        ),
    ),
)

"""octavia-housekeeping, from the sources of octavia 19.0.0: the certificates of amphorae that it renews."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

SERVICE = Service(
    # It joins its threads, without a limit.
    Profile("octavia-housekeeping", quiesce=True, keeps_work=True, exit_seconds=15.0),
    schema="octavia",
    work=(
        Work(
            "amphora",
            "amphora",
            status="IF(t.cert_busy = 1, 'busy', 'idle')",
            live="t.status <> 'DELETED'",  # such a row stays for a week
            stale=1800,
            kinds=(
                Kind(
                    "certificate_renew",
                    ("busy",),
                    fate="with a jobboard an octavia-worker resumes it; without one the amphora stays busy, and its "
                    "certificate is not renewed any more",
                ),
            ),
        ),
    ),
    unseen="the removal of old rows, which repeats itself",
)

"""watcher-applier, from the sources of python-watcher 17.0.0."""

from __future__ import annotations

from ...model import Profile
from ..form import Beat, Kind, Option, Options, Service, Work

LIVE = "t.deleted = 0"
OPTIONS = Options(interval=Option("periodic_interval", 60), down=Option("service_down_time", 90))


def beat() -> Beat:
    """Return the heartbeat of one of Watcher's services."""
    return Beat("services", binary="t.name", seen=("t.last_seen_up", "t.created_at"), live=LIVE)


SERVICE = Service(
    Profile("watcher-applier", quiesce=True, keeps_work=False, reports=True, exit_seconds=15.0),
    schema="watcher",
    options=OPTIONS,
    beat=beat(),
    work=(
        Work(
            "action plan",
            "action_plans",
            id="t.uuid",
            status="t.state",
            host="t.hostname",
            live=LIVE,
            kinds=(
                Kind(
                    "action_plan",
                    ("ONGOING",),
                    fate="its next start sets the action plan to CANCELLED",
                    failed=("FAILED", "CANCELLED"),
                ),
            ),
        ),
    ),
)

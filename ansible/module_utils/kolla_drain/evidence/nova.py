"""What the evidence of Nova's services has in common. From the sources of nova 34.0.0."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import EvidenceUnavailable
from ..model import Heartbeat, Profile
from ..service_config import ServiceConfig
from .database import Query
from .rows import heartbeat


def adapt(profile: Profile, env: Mapping[str, str]) -> Profile:
    """Return the profile unchanged: Nova waits for its tasks on eventlet and on threads (FACTS 4)."""
    return profile


def profile(name: str, *, sees_work: bool = True) -> Profile:
    """Return the profile that all of Nova's services share."""
    return Profile(
        name=name,
        quiesce=False,  # 34 stops taking requests and finishes what it has; 33 only sleeps (FACTS 4)
        heartbeat_while_draining=True,  # FACTS 4: it goes on to the end
        keeps_work=True,  # nova/compute/manager.py graceful_shutdown
        refreshes_workers=False,
        sees_work=sees_work,
        evidence_complete=False,  # only what is in rows; console, metadata and power queries are not
        exit_seconds=15.0,  # beside manager_shutdown_timeout; not measured, the same as the slowest of Cinder
        manager_shutdown_counts=True,  # 33.0.2 sleeps the whole of it, 34 up to all of it (FACTS 4)
    )


def heartbeats(query: Query, config: ServiceConfig) -> tuple[Heartbeat, ...]:
    """Return the heartbeat of this container's row in ``services``.

    ``last_seen_up`` and not ``updated_at``, which any edit moves (nova/servicegroup/drivers/db.py).
    Raises EvidenceUnavailable, also if there is no row: that is a wrong host name or a wrong cell.
    """
    found = query(
        "SELECT id, host, disabled, disabled_reason, forced_down, report_count,"
        " TIMESTAMPDIFF(SECOND, COALESCE(last_seen_up, created_at), UTC_TIMESTAMP()) AS age"
        " FROM services WHERE deleted = 0 AND `binary` = %s AND host = %s",
        [config.service, config.host],
    )
    # Exactly: the database compares without regard to case, accents and trailing blanks.
    rows = [row for row in found if row["host"] == config.host]
    if not rows:
        raise EvidenceUnavailable(
            f"the database has no {config.service} at {config.host}: check that the service's configuration and "
            "the database belong to this container, and that it is the right cell's"
        )
    return tuple(
        heartbeat(row, config.service, config.service_down_time, forced_down=bool(row["forced_down"]))
        for row in rows
    )

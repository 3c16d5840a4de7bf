"""What the evidence of Nova's services has in common. From the sources of nova 34.0.0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..database.connection import Query
from ..errors import EvidenceUnavailable
from ..model import Heartbeat, Profile
from ..service.config import ServiceConfig
from .rows import heartbeat

_THREADS = "OS_NOVA_DISABLE_EVENTLET_PATCHING"
_TRUE = ("", "1", "true", "yes")


def adapt(profile: Profile, env: Mapping[str, str]) -> Profile:
    """Return the profile for the environment of the container.

    Nova waits for its tasks on eventlet and on threads (FACTS 4). What SIGHUP does differs: it must not be sent
    unless the environment says eventlet, for threads are the default of 34 (nova/monkey_patch.py).
    """
    return profile if env.get(_THREADS, "").lower() in _TRUE else replace(profile, no_reload="")


def profile(name: str, *, sees_work: bool = True, quiesce: bool = False, no_reload: str = "") -> Profile:
    """Return the profile that all of Nova's services share."""
    return Profile(
        name=name,
        quiesce=quiesce,
        heartbeat_while_draining=True,  # FACTS 4: it goes on to the end
        keeps_work=True,  # nova/compute/manager.py graceful_shutdown
        refreshes_workers=False,
        sees_work=sees_work,
        evidence_complete=False,  # only what is in rows; console, metadata and power queries are not
        # An idle nova-compute of 34.0.0 took up to 9.7 s, the others up to 4.1 s; beside manager_shutdown_timeout.
        exit_seconds=15.0,
        manager_shutdown_counts=True,  # 33.0.2 sleeps the whole of it, 34 up to all of it (FACTS 4)
        no_reload=no_reload,
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

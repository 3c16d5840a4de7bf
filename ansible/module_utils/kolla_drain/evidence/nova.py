"""What the evidence of Nova's services has in common, and nova-conductor and nova-scheduler, from nova 34.0.0.

No row shows the work of these two, so that only their heartbeats are rows; what they work on is told by their processes
(inside.py):

    nova-conductor      task states and migrations name compute hosts; its own events (conductor_migrate_server and
                        the like) are written by whichever conductor took the call. Its ``services`` row is in the
                        cell's database, that of the super conductor in the database of cell0
    nova-scheduler      it answers calls and writes no row about them. Its ``services`` row is in the database of cell0

In each case that is the [database] of the service's own configuration files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..database.connection import Query
from ..errors import EvidenceUnavailable
from ..model import Ending, Heartbeat, Operation, Profile
from ..service.config import ServiceConfig
from .base import TRUE, Activity, ServiceEvidence, heartbeat

_NO_EVENTLET = "OS_NOVA_DISABLE_EVENTLET_PATCHING"
# Nova of 2026.1, the first with manager_shutdown_timeout: before, a service ends without waiting for its tasks
# (nova-specs 2026.1, nova-services-graceful-shutdown-part1).
_WAITS_FOR_TASKS = 33
_EXITS_WHEN_IDLE = 34


class NovaEvidence(ServiceEvidence):
    """Evidence of a service whose drain is the same on eventlet and on native threads, but not its reload.

    Nova waits for its tasks on both since 2026.1, and drops them before. SIGHUP is harmless on eventlet only, and
    native threads are the default of 34 (nova/monkey_patch.py): ``no_reload`` applies unless the environment asks for
    eventlet.
    """

    @classmethod
    def profile_in(cls, env: Mapping[str, str], release: int | None, config: ServiceConfig | None) -> Profile:
        on_threads = env.get(_NO_EVENTLET, "").lower() in ("", *TRUE)
        profile = cls.PROFILE if on_threads else replace(cls.PROFILE, no_reload="", reload_keeps_work=True)
        if release is None:
            waits = config is not None and "manager_shutdown_timeout" in config.stated
        else:
            # In an upgrade the files may be the new release's already, with an option that the process does not know.
            waits = release >= _WAITS_FOR_TASKS
        if waits:
            return profile
        return replace(profile, keeps_work=False, manager_shutdown_counts=False)


def profile(name: str, *, rows_tell: bool = False, no_reload: str = "") -> Profile:
    """Return the profile that all of Nova's services share."""
    return Profile(
        name=name,
        quiesce=True,
        heartbeat_while_draining=True,  # it continues until the exit
        keeps_work=True,  # nova/compute/manager.py graceful_shutdown
        refreshes_workers=False,
        rows_tell=rows_tell,
        reports=True,
        # On top of manager_shutdown_timeout. Idle services of 34.0.0 exited within 9.7 s (nova-compute) and 4.1 s.
        exit_seconds=15.0,
        # 33.0.2 sleeps for the whole of it even when idle; nova-compute 34 waits up to that long for its tasks.
        manager_shutdown_counts=rows_tell,
        no_reload=no_reload,
    )


def heartbeats(query: Query, config: ServiceConfig) -> tuple[Heartbeat, ...]:
    """Return the heartbeat in this container's row of ``services``.

    The time is ``last_seen_up`` because any edit of the row moves ``updated_at`` (nova/servicegroup/drivers/db.py).
    Raises EvidenceUnavailable, also if there is no row, which means a wrong host name or the wrong cell.
    """
    candidates = query(
        "SELECT host, disabled, disabled_reason, forced_down, report_count,"
        " TIMESTAMPDIFF(SECOND, COALESCE(last_seen_up, created_at), UTC_TIMESTAMP()) AS age"
        " FROM services WHERE deleted = 0 AND `binary` = %s AND host = %s",
        [config.service, config.host],
    )
    # The database ignores case, accents and trailing blanks when it compares.
    rows = [row for row in candidates if row["host"] == config.host]
    if not rows:
        raise EvidenceUnavailable(
            f"the database has no {config.service} at {config.host}: check that the service's configuration and "
            "the database belong to this container, and that it is the right cell's"
        )
    return tuple(
        heartbeat(row, config.service, config.service_down_time, forced_down=bool(row["forced_down"]))
        for row in rows
    )


class _NovaControl(NovaEvidence):
    """A service whose rows show heartbeats and no operations."""

    @classmethod
    def profile_in(cls, env: Mapping[str, str], release: int | None, config: ServiceConfig | None) -> Profile:
        profile = super().profile_in(env, release, config)
        # Idle, 33 sleeps for the whole of manager_shutdown_timeout, and 34 exits within seconds.
        sleeps = profile.keeps_work and (release is None or release < _EXITS_WHEN_IDLE)
        return replace(profile, manager_shutdown_counts=sleeps)

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        return Activity(heartbeats(query, config), ())

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        return ()  # none of theirs is a row


class NovaConductor(_NovaControl):
    """Evidence of one nova-conductor; a reload is unsafe on native threads and useless on eventlet."""

    PROFILE = profile(
        "nova-conductor",
        # On native threads one SIGHUP lost 10 of 30 builds in 12 s, as one SIGTERM did, and no row shows a safe moment.
        # On eventlet none was lost, but the RPC version used towards nova-compute was not determined again.
        no_reload="at SIGHUP nova-conductor keeps its version pins (eventlet) or loses requests (native threads)",
    )

    @classmethod
    def profile_in(cls, env: Mapping[str, str], release: int | None, config: ServiceConfig | None) -> Profile:
        # The same on eventlet and on native threads.
        return replace(super().profile_in(env, release, config), no_reload=cls.PROFILE.no_reload)


class NovaScheduler(_NovaControl):
    """Evidence of one nova-scheduler."""

    # On native threads its workers are replaced together with the calls that they answer.
    PROFILE = replace(profile("nova-scheduler"), reload_keeps_work=False)

"""Evidence of cinder-volume: ``services``, ``workers`` and the transitional statuses of what it works on.

What tells of each request of cinder/volume/rpcapi.py, from before its message is sent until its work has
ended, by the sources of cinder 29.0.0 (cinder/volume/api.py, backup/api.py, group/api.py, transfer/api.py,
volume/manager.py, objects/cleanable.py); casts but for those marked as calls, whose callers wait for the answer:

    create_volume                    volumes.status creating, downloading, and a worker row from the API on
    delete_volume                    deleting (unmanaging, error_managing_deleting), with a worker row from the cast on
      of a backup's temporary volume     backing-up until it is gone
      of what a migration has left       deleting; after a failed one ``target:``, see _sources_moving
    create_snapshot                  snapshots.status creating; a worker row from the scheduler's cast on
    delete_snapshot                  deleting, unmanaging; a revert's temporary one: see REVERT_CLEANUP
    manage_existing[_snapshot]       volumes.status managing; snapshots.status creating
    copy_volume_to_image, extend_volume[_completion], retype, revert_to_snapshot, reimage
                                     uploading, extending, retyping, reverting, downloading
    migrate_volume[_completion]      volumes.migration_status at both ends
    get_backup_device                volumes.status or snapshots.status backing-up, until the backup has ended
    *_group, *_group_snapshot, *_replication (group)
                                     groups.status, groups.replication_status, group_snapshots.status
    failover, failover_completed     services.replication_status
    do_cleanup                       worker rows that it takes over, each before its work begins
    for backups, restores and migrations (calls): initialize_connection[_snapshot], terminate_connection[_snapshot],
    remove_export[_snapshot], attach_volume, detach_volume, secure_file_operations_enabled, update_migrated_volume,
    get_capabilities                 what the caller's own operation shows: backing-up, restoring-backup, migrating
    attach_volume, attachment_update, initialize_connection (calls) of a reservation just made
                                     volumes.status reserved, attaching, volume_attachment, see ATTACH_KINDS
    terminate_connection, detach_volume (calls) after os-begin_detaching
                                     detaching, see ATTACH_KINDS

No row tells of these; all but the two marked are calls, whose callers get an error if no answer comes:

    attachment_update of an older reservation, attachment_delete, terminate_connection without os-begin_detaching
    accept_transfer                  (the volume stays awaiting-transfer and can be accepted again)
    freeze_host, thaw_host
    get_manageable_*, get_capabilities, get_log_levels, list_replication_targets    (only read)
    remove_export                    (cast; only of a migration's source, which is exported again when needed)
    publish_service_capabilities, set_log_levels    (casts; done again by themselves, or lost with the process anyway)

So no request that was accepted to be done later is missed, but a connection being made for somebody who waits
for it can be; in a cluster, see ``configured``, others can too. What goes on after the final status was written
(notifications, quota, the notice to Nova of a larger volume) takes milliseconds; where there is a worker row it
shows that too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..database.connection import Query
from ..model import Ending, Exit, Heartbeat, Operation, Profile
from ..service.config import Backend, ServiceConfig
from . import cinder
from .cinder_volume_endings import endings as endings
from .cinder_volume_reading import read_rows
from .rows import escaped

PROFILE = Profile(
    name="cinder-volume",
    quiesce=True,  # a request that comes after SIGTERM may be lost (TESTBED, "Requests during the drain")
    heartbeat_while_draining=False,  # seen: report_count never moves again after SIGTERM (TESTBED)
    keeps_work=True,  # on eventlet, seen for all kinds (TESTBED); see cinder.adapt for threads
    refreshes_workers=False,  # workers.updated_at is written once, when the row is claimed (TESTBED)
    # A call for a connection can be missed, see above. Its caller waits for it and is told; a signal does it no
    # better, for it loses the calls that come while the service drains.
    evidence_complete=False,
    freezable=True,
    exit=Exit.FREEZE,
    exit_seconds=15.0,  # the longest of eight idle exits took 10.1 s (TESTBED)
)
adapt = cinder.adapt


class Watch:
    """The evidence of one container from the first look to the last; it knows the backends that run, also by name.

    The process that is to be stopped has the configuration that it was started with, and kolla-ansible writes the next
    one before it stops it. So a row of this host whose heartbeat is fresh counts whatever the files say, and goes on
    to count when it falls silent, as all do from the signal on. One that was silent all the time is of a backend that
    is gone.
    """

    PROFILE = PROFILE

    def __init__(self) -> None:
        self._others: dict[str, Backend] = {}  # that run and are not in the configuration, by services.host

    def adapt(self, profile: Profile, env: Mapping[str, str]) -> Profile:
        """As the module's own."""
        return adapt(profile, env)

    def read(
        self, query: Query, config: ServiceConfig
    ) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
        """Return heartbeats and operations of this container. Raises EvidenceUnavailable."""
        if config.backends:  # without any all rows of its host are taken
            self._others.update(_beating(query, config))
        heartbeats, operations = read_rows(query, self._running(config))
        # Whoever waits until the next process serves must not wait for a backend that it does not have.
        configured = tuple(one for one in heartbeats if one.host in config.service_hosts)
        return configured or heartbeats, operations

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        """Return for each operation what its rows say now. Raises EvidenceUnavailable."""
        return endings(query, self._running(config), operations)

    def _running(self, config: ServiceConfig) -> ServiceConfig:
        others = (one for host, one in self._others.items() if host not in config.service_hosts)
        return replace(config, backends=(*config.backends, *others))


def _beating(query: Query, config: ServiceConfig) -> dict[str, Backend]:
    """The backends of this host whose heartbeat is fresh, by services.host."""
    found = query(
        "SELECT host FROM services WHERE deleted = 0 AND `binary` = %s AND host LIKE %s ESCAPE '!'"
        f" AND {cinder.age_of('updated_at', 'created_at')} <= %s",
        [config.service, escaped(config.host) + "@%", config.service_down_time],
    )
    start = config.host + "@"  # exactly: the database compares without regard to case and accents
    hosts = [row["host"] for row in found if row["host"].startswith(start)]
    return {host: Backend(host[len(start) :], config.host) for host in hosts}


def read(query: Query, config: ServiceConfig) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
    """Return heartbeats and operations of this container, as of a first look. Raises EvidenceUnavailable."""
    return Watch().read(query, config)

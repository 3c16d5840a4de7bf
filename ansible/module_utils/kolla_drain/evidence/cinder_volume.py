"""Evidence of cinder-volume: ``services``, ``workers`` and the transitional statuses of the resources it works on.

These rows show the requests of cinder/volume/rpcapi.py, from before the message is sent until the work has ended,
from the sources of cinder 29.0.0 (cinder/volume/api.py, backup/api.py, group/api.py, transfer/api.py,
volume/manager.py, objects/cleanable.py). Requests are casts unless marked as calls, whose callers wait for an answer:

    create_volume                    volumes.status creating, downloading, and a worker row from the API on
    delete_volume                    deleting (unmanaging, error_managing_deleting), with a worker row from the cast on
      of a backup's temporary volume     backing-up until it is gone
      of a migration's leftover          deleting; after a failed migration ``target:``, see _sources_moving
    create_snapshot                  snapshots.status creating; a worker row from the scheduler's cast on
    delete_snapshot                  deleting, unmanaging; for the temporary one of a revert see REVERT_CLEANUP
    manage_existing[_snapshot]       volumes.status managing; snapshots.status creating
    copy_volume_to_image, extend_volume[_completion], retype, revert_to_snapshot, reimage
                                     uploading, extending, retyping, reverting, downloading
    migrate_volume[_completion]      volumes.migration_status at both ends
    get_backup_device                volumes.status or snapshots.status backing-up, until the backup has ended
    *_group, *_group_snapshot, *_replication (group)
                                     groups.status, groups.replication_status, group_snapshots.status
    failover, failover_completed     services.replication_status
    do_cleanup                       the worker rows that it claims, each before its work begins
    for backups, restores and migrations (calls): initialize_connection[_snapshot], terminate_connection[_snapshot],
    remove_export[_snapshot], attach_volume, detach_volume, secure_file_operations_enabled, update_migrated_volume,
    get_capabilities                 the caller's own operation: backing-up, restoring-backup, migrating
    attach_volume, attachment_update, initialize_connection (calls) on a new reservation
                                     volumes.status reserved, attaching, volume_attachment, see ATTACH_KINDS
    terminate_connection, detach_volume (calls) after os-begin_detaching
                                     detaching, see ATTACH_KINDS

No row shows these requests; its processes tell of them while they last (inside.py). All but those marked as casts are
calls, whose callers get an error if not answered:

    attachment_update of an older reservation, attachment_delete, terminate_connection without os-begin_detaching
    accept_transfer                  (the volume stays awaiting-transfer and can be accepted again)
    those by which an operator makes a backend read-only for the API, and undoes it
    get_manageable_*, get_capabilities, get_log_levels, list_replication_targets    (read only)
    remove_export                    (cast; only for a migration's source, which is exported again when needed)
    publish_service_capabilities, set_log_levels    (casts; repeated anyway, or their effect ends with the process)

So every cast that a user's request depends on is shown. In a cluster all members share a queue, and only a create, a
delete and a snapshot's creation have a worker row that says which member holds the request. What another member holds
is not shown; all else is shown as unattributed.

After the final status a service still sends notifications, updates quotas and tells Nova of a larger volume, which
takes milliseconds. If there is a worker row it covers that as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..database.connection import Query, Row
from ..model import Ending, Operation, Profile
from ..service.config import Backend, ServiceConfig
from . import cinder, cinder_volume_endings, cinder_volume_reading
from .base import Activity
from .cinder_volume_sharing import Reporters


class CinderVolume(cinder.CinderEvidence):
    """Evidence of one cinder-volume, which remembers the backends that run but are no longer configured.

    The process to be stopped runs with the configuration it was started with, and kolla-ansible writes the next one
    before it stops the process. So, unless the files are those that the process has read, a ``services`` row of this
    host whose heartbeat is fresh counts whatever they say. It continues to count when its heartbeat stops, because all
    heartbeats stop at the signal. A row that was never fresh belongs to a backend that is gone.
    """

    PROFILE = Profile(
        name="cinder-volume",
        quiesce=True,  # a request that arrives after SIGTERM may be lost
        heartbeat_while_draining=False,  # report_count was never seen to change after SIGTERM
        keeps_work=True,  # seen for operations of all kinds on eventlet; on native threads see CinderEvidence
        first_report_waits=True,  # cinder/service.py Service.start: initial_delay=self.report_interval
        reports=True,
        refreshes_workers=False,  # workers.updated_at is written once, when the row is claimed
        exit_seconds=15.0,  # the longest of eight idle exits took 10.1 s
        start_ends_claims=True,  # cinder/manager.py do_cleanup, by the id of the row
    )

    def __init__(self) -> None:
        super().__init__()
        # Backends that run and are not configured, by services.host.
        self._unconfigured: dict[str, Backend] = {}
        self._reporters = Reporters()

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        candidates = self._services.candidates(query, config)
        # If none are known, all rows of the host count anyway; if the process's own files name them, no others are its.
        if config.backends and not config.own:
            self._unconfigured.update(_beating(candidates, config))
        running = self._running(config)
        services = cinder.configured(candidates, running)
        heartbeats, operations = cinder_volume_reading.read(query, running, services, self._reporters)
        # The next process is proven to serve by its own backends only.
        configured = tuple(beat for beat in heartbeats if beat.host in config.service_hosts)
        return Activity(configured or heartbeats, operations)

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        running = self._running(config)
        services = cinder.configured(self._services.candidates(query, config), running)
        return cinder_volume_endings.endings(query, services, operations)

    def _running(self, config: ServiceConfig) -> ServiceConfig:
        others = (backend for host, backend in self._unconfigured.items() if host not in config.service_hosts)
        return replace(config, backends=(*config.backends, *others))


def _beating(rows: Iterable[Row], config: ServiceConfig) -> dict[str, Backend]:
    """Return the backends of this host with a fresh heartbeat, by services.host."""
    prefix = config.host + "@"  # compared again here because the database ignores case and accents
    beats = [(row["host"], row["lifetime"] if row["age"] is None else row["age"]) for row in rows]
    hosts = [
        host
        for host, age in beats
        if host.startswith(prefix) and age is not None and age <= config.service_down_time
    ]
    return {host: Backend(host[len(prefix) :], config.host) for host in hosts}

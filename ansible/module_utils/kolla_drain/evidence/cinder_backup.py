"""Evidence of cinder-backup: ``services`` and ``backups``, from the sources of cinder 29.0.0.

A backup hops: cinder-backup asks cinder-volume for the device and is idle until the answer arrives. The row stays
``creating`` throughout, including the hop to cinder-volume, and nothing else shows that work. These rows show the
requests of cinder/backup/rpcapi.py (cinder/backup/api.py and manager.py), which are casts unless marked as calls:

    create_backup, continue_backup      backups.status creating, from before cinder-scheduler receives it to the end
    restore_backup                      restoring, which covers the calls to cinder-volume that make and remove the
                                        connection
    delete_backup                       deleting
    import_record                       creating, without a host until it is done: see IMPORT
    reset_status                        no row; an operator sends it, and sees that the status has not changed
    export_record, check_support_to_force_delete, get_log_levels
                                        no row; calls, whose callers get an error if they are not answered
    set_log_levels, publish_service_capabilities
                                        no row; the effect ends with the process, or is repeated every minute

After the final status a backup still updates a count in its parent's row, and a delete that count and the quota:
a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..database.connection import Query, Row
from ..model import Ending, Operation, Outcome, Profile
from ..service.config import ServiceConfig
from . import cinder
from .base import Activity, ids, marks, utc
from .cinder import Kind
from .cinder_volume_sharing import Reporters, doubt_of

# For the next start see cinder/backup/manager.py _cleanup_one_backup. It handles every backup of its host, even one
# whose request is still queued; a delete that it resumes is not a loss.
_CREATE_FAILED = "its next start sets the backup to error and the volume back to its previous status"
_RESTORE_FAILED = "its next start sets the backup to available and the volume to error_restoring"
KINDS = (
    Kind("backup_create", ("creating",), healed=_CREATE_FAILED, heals_queued=True),
    Kind("backup_restore", ("restoring",), healed=_RESTORE_FAILED, heals_queued=True),
    Kind("backup_delete", ("deleting",), healed="its next start resumes the delete", deletes=True),
)
# An imported record has no host until it is done. It is passed from one cinder-backup to the next until one has the
# driver that it needs (cinder/backup/manager.py import_record), and takes no longer than reading one record.
IMPORT = Kind("backup_import", ("creating",))
_OF_NO_VOLUME = "00000000-0000-0000-0000-000000000000"  # cinder/backup/api.py IMPORT_VOLUME_ID
_ENCRYPTED_DELETE = "its next start sets the backup to error_deleting, because its volume is encrypted"


class CinderBackup(cinder.CinderEvidence):
    """Evidence of one cinder-backup."""

    PROFILE = Profile(
        name="cinder-backup",
        quiesce=True,
        heartbeat_while_draining=False,  # report_count was never seen to change after SIGTERM
        # Between its two hops it exits at once, and its next start sets the backup to error.
        keeps_work=False,
        first_report_waits=True,  # cinder/service.py Service.start: initial_delay=self.report_interval
        reports=True,
        refreshes_workers=False,  # it has no worker rows
        exit_seconds=10.0,  # the longest idle exit took 5.8 s
        start_ends_claims=True,  # _cleanup_one_backup, of whatever is on its host
    )

    def __init__(self) -> None:
        super().__init__()
        self._reporters = Reporters()

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        services = self._services.rows(query, config)
        self._reporters.update(services, config.report_interval)
        working = cinder.statuses(KINDS)
        rows = query(
            "SELECT id, host, status, created_at, updated_at FROM backups"
            f" WHERE deleted = 0 AND (host = %s AND status IN ({marks(working)})"
            " OR host IS NULL AND status = 'creating' AND volume_id = %s"
            f" AND {cinder.age_of('updated_at', 'created_at')} < %s)",
            [config.host, *working, _OF_NO_VOLUME, cinder.CLEANUP],
        )
        doubt = doubt_of(config.host) if config.host in self._reporters.shared else ""
        operations = tuple(
            replace(_operation(row), unattributed=doubt) for row in rows if row["host"] in (config.host, None)
        )
        return Activity(self._reporters.told(cinder.heartbeats(config, services), config), operations)

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        wanted = ids(operation.id for operation in operations)
        rows = query(
            "SELECT b.id, b.status, b.encryption_key_id, b.deleted, v.status AS restored"
            " FROM backups b LEFT JOIN volumes v ON v.id = b.restore_volume_id AND v.deleted = 0"
            f" WHERE b.id IN ({marks(wanted)})",
            wanted,
        )
        backups = {row["id"]: row for row in rows}
        return tuple(_ending(operation, backups.get(operation.id)) for operation in operations)


def _operation(row: Row) -> Operation:
    kind = cinder.kind_of(row["status"], KINDS if row["host"] else (IMPORT,))
    assert kind is not None  # the query selects only these statuses
    # claimed: no row tells whether the request has left the queue
    written = utc(row["updated_at"] or row["created_at"])
    ended = bool(row["host"]) and kind.heals_queued
    return Operation(
        kind.name, row["id"], row["status"], since=written, written=written, ended_by_start=ended
    )


def _ending(operation: Operation, row: Row | None) -> Ending:
    kind = next(kind for kind in (*KINDS, IMPORT) if kind.name == operation.kind)
    status = None if row is None or row["deleted"] else str(row["status"])
    if row is not None and status == "deleting" and kind.deletes and row["encryption_key_id"]:
        return Ending(operation, Outcome.INTERRUPTED, status, _ENCRYPTED_DELETE, _ENCRYPTED_DELETE)
    if row is not None and kind.name == "backup_restore" and status == "available":
        return _restore_ending(operation, row["restored"])
    return cinder.ending(operation, kind, status, None, "backup")


def _restore_ending(operation: Operation, volume: str | None) -> Ending:
    """Judge a restore by its volume, because the backup is available after a failed restore as well."""
    if volume is not None and volume.startswith("error"):
        fate = f"ended in error; the backup is available, the volume is {volume}"
    elif volume == "restoring-backup":
        fate = "the backup is available, and the volume stays restoring-backup until an operator resets it"
    else:
        return Ending(operation, Outcome.FINISHED, "available")
    return Ending(operation, Outcome.INTERRUPTED, volume, fate)

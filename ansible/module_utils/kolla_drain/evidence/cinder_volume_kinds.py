"""The kinds of cinder-volume's operations: the statuses that show them, and what the next start does with them.

From the sources of cinder 29.0.0. cinder_volume_reading finds operations by these statuses, cinder_volume_endings
judges them.
"""

from __future__ import annotations

from . import cinder
from .cinder import Kind

# The next start, cinder/volume/manager.py _do_cleanup, goes by worker rows and nothing else.
_ERROR = "its next start sets it to error"
_RESUMED = "its next start resumes the delete"
_SET_BACK = "its next start sets it back to available or in-use"
# For the fate of the volume of a backup see cinder/backup/manager.py _cleanup_one_volume.
_BACKUP_FAILED = "cinder-backup's next start sets the {} and the backup to error"
_RESTORE_FAILED = "cinder-backup's next start sets the volume to error_restoring"
VOLUME = (
    Kind("volume_create", ("creating", "downloading"), healed=_ERROR, needs_worker=True),
    Kind("volume_delete", ("deleting",), healed=_RESUMED, needs_worker=True, deletes=True),
    # The delete of a volume that could not be managed. Nothing creates a worker row for this status.
    Kind("volume_delete_unmanaged", ("error_managing_deleting",), deletes=True),
    # _do_cleanup handles this status, but nothing creates a worker row for an upload.
    Kind("volume_upload", ("uploading",), healed=_SET_BACK, needs_worker=True),
    Kind("volume_extend", ("extending",)),
    Kind("volume_retype", ("retyping",)),
    Kind("volume_manage", ("managing",)),
    Kind("volume_unmanage", ("unmanaging",), deletes=True),
    Kind("volume_revert", ("reverting",)),
    # cinder-volume's part in a backup: cinder-backup's calls provide the device before the copy and remove it
    # afterwards.
    Kind(
        "volume_backup", ("backing-up",), healed=_BACKUP_FAILED.format("volume back to its previous status")
    ),
    Kind("volume_restore", ("restoring-backup",), healed=_RESTORE_FAILED),
)
# cinder-api writes these before it calls for a connection (cinder/volume/api.py _attachment_reserve, reserve_volume,
# begin_detaching), and they stay until Nova is done, however long that takes. While they are young a call may be in
# the process. Later they only inform, except a reservation, which can last for weeks and is then ignored.
ATTACH = (
    Kind("volume_reserve", ("reserved",)),
    Kind("volume_attach", ("attaching",)),
    Kind("volume_detach", ("detaching",)),
)
# The same for a further attachment of a volume, which stays in-use.
ATTACHMENT = (
    Kind("attachment_reserve", ("reserved",)),
    Kind("attachment_attach", ("attaching",)),
    Kind("attachment_detach", ("detaching",)),
)
# Lasts until somebody ends it.
MAINTENANCE = Kind("volume_maintenance", ("maintenance",), informs=True)
# Shown by volumes.migration_status, which the next start does not look at.
MIGRATE = Kind("volume_migrate", ("starting", "migrating", "completing"))
# The other end of a migration, whose migration_status names the source (cinder/volume/manager.py).
TARGET = Kind("volume_migrate_target", ())
TARGET_OF = "target:"
SNAPSHOT = (
    Kind("snapshot_create", ("creating",), healed=_ERROR, needs_worker=True),
    Kind("snapshot_delete", ("deleting",), deletes=True),
    Kind("snapshot_update", ("updating",)),
    Kind("snapshot_unmanage", ("unmanaging",), deletes=True),
    Kind("snapshot_backup", ("backing-up",), healed=_BACKUP_FAILED.format("snapshot back to available")),
    # "restoring" belongs to a revert, which the volume's own status shows.
)
GROUP = (
    Kind("group_create", ("creating",)),
    Kind("group_delete", ("deleting",), deletes=True),
    Kind("group_update", ("updating",)),
)
GROUP_REPLICATION = Kind("group_replication", ("enabling", "disabling", "failing-over"))
GROUP_SNAPSHOT = (
    Kind("group_snapshot_create", ("creating",)),
    Kind("group_snapshot_delete", ("deleting",), deletes=True),
    Kind("group_snapshot_update", ("updating",)),
)
FAILOVER = Kind("backend_failover", ("failing-over",))
# A revert deletes its temporary snapshot after the volume is available again, and the snapshot's status is available
# as well (cinder/volume/manager.py revert_to_snapshot). After a failed revert it is kept on purpose.
REVERT_CLEANUP = Kind("snapshot_revert_cleanup", ("available",), deletes=True)

VOLUME_AGE = cinder.age_of("deleted_at", "updated_at", "created_at")

"""TODO: say what this is."""

from __future__ import annotations

from . import cinder
from .cinder import Kind

# The next start, cinder/volume/manager.py _do_cleanup: by worker rows, and nothing else.
_ERROR = "its next start sets it to error"
VOLUME_KINDS = (
    Kind("volume_create", ("creating", "downloading"), healed=_ERROR, needs_worker=True),
    Kind(
        "volume_delete",
        ("deleting",),
        healed="its next start resumes the delete",
        needs_worker=True,
        deletes=True,
    ),
    # The delete of a volume that could not be managed; no worker row is made for this status.
    Kind("volume_delete_unmanaged", ("error_managing_deleting",), deletes=True),
    # Its status is among those that _do_cleanup knows, but nothing makes a worker row for an upload.
    Kind(
        "volume_upload",
        ("uploading",),
        healed="its next start sets it back to available or in-use",
        needs_worker=True,
    ),
    Kind("volume_extend", ("extending",)),
    Kind("volume_retype", ("retyping",)),
    Kind("volume_manage", ("managing",)),
    Kind("volume_unmanage", ("unmanaging",), deletes=True),
    Kind("volume_revert", ("reverting",)),
    # The part in a backup: the device is made before the copying and taken back after it, by calls from
    # cinder-backup. cinder/backup/manager.py _cleanup_one_volume says what becomes of the volume.
    Kind(
        "volume_backup",
        ("backing-up",),
        healed="cinder-backup's next start sets the volume back to its previous status and the backup to error",
    ),
    Kind(
        "volume_restore",
        ("restoring-backup",),
        healed="cinder-backup's next start sets the volume to error_restoring",
    ),
)
# cinder-api writes these before it calls for a connection (cinder/volume/api.py _attachment_reserve,
# reserve_volume, begin_detaching), and they stay until Nova is done, however long that takes. A call can be in the
# process while they are young; later they only inform, and a reservation, at rest for weeks with some, not even that.
ATTACH_KINDS = (
    Kind("volume_reserve", ("reserved",)),
    Kind("volume_attach", ("attaching",)),
    Kind("volume_detach", ("detaching",)),
)
# The same of an attachment beside others, whose volume stays in-use.
ATTACHMENT_KINDS = (
    Kind("attachment_reserve", ("reserved",)),
    Kind("attachment_attach", ("attaching",)),
    Kind("attachment_detach", ("detaching",)),
)
# It lasts for as long as a person takes.
MAINTENANCE = Kind("volume_maintenance", ("maintenance",), informs=True)
# Known by volumes.migration_status; nothing at the next start looks at it.
MIGRATE = Kind("volume_migrate", ("starting", "migrating", "completing"))
# The other end of a migration: its migration_status names the source, cinder/volume/manager.py.
TARGET = Kind("volume_migrate_target", (), deletes=True)
TARGET_OF = "target:"
SNAPSHOT_KINDS = (
    Kind("snapshot_create", ("creating",), healed=_ERROR, needs_worker=True),
    Kind("snapshot_delete", ("deleting",), deletes=True),
    Kind("snapshot_update", ("updating",)),
    Kind("snapshot_unmanage", ("unmanaging",), deletes=True),
    Kind(
        "snapshot_backup",
        ("backing-up",),
        healed="cinder-backup's next start sets the snapshot back to available and the backup to error",
    ),
    # "restoring" belongs to a revert, which the volume's own status shows already.
)
GROUP_KINDS = (
    Kind("group_create", ("creating",)),
    Kind("group_delete", ("deleting",), deletes=True),
    Kind("group_update", ("updating",)),
)
GROUP_REPLICATION = Kind("group_replication", ("enabling", "disabling", "failing-over"))
GROUP_SNAPSHOT_KINDS = (
    Kind("group_snapshot_create", ("creating",)),
    Kind("group_snapshot_delete", ("deleting",), deletes=True),
    Kind("group_snapshot_update", ("updating",)),
)
FAILOVER = Kind("backend_failover", ("failing-over",))
# The temporary snapshot of a revert is deleted after the volume is available again, in its status available
# (cinder/volume/manager.py revert_to_snapshot); after a revert that failed it is kept on purpose.
REVERT_CLEANUP = Kind("snapshot_revert_cleanup", ("available",), deletes=True)

VOLUME_AGE = cinder.age_of("deleted_at", "updated_at", "created_at")

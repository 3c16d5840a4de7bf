"""The posix backup driver of Cinder with a pause at each chunk."""

from cinder import interface
from cinder.backup.drivers import posix

from kolla_drain_testbed.pauses import pause


@interface.backupdriver
class SlowPosixBackupDriver(posix.PosixBackupDriver):
    """A chunk is one file of backup_file_size; every one of them waits as it is told."""

    def get_object_writer(self, container, object_name, extra_metadata=None):
        if not object_name.endswith(("_metadata", "_sha256file")):
            pause("backup_chunk", object_name)
        return super().get_object_writer(container, object_name, extra_metadata)

    def get_object_reader(self, container, object_name, extra_metadata=None):
        if not object_name.endswith(("_metadata", "_sha256file")):
            pause("restore_chunk", object_name)
        return super().get_object_reader(container, object_name, extra_metadata)

    def delete_backup(self, backup):
        pause("backup_delete", backup.id)
        super().delete_backup(backup)

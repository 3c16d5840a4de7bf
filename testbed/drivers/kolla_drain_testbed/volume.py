"""A volume driver on sparse files, as slow as it is told to be."""

import io
import os

from cinder import interface
from cinder.image import image_utils
from cinder.volume import configuration, driver
from oslo_concurrency import processutils
from oslo_config import cfg

from kolla_drain_testbed.images import IMAGE_SIZE
from kolla_drain_testbed.pauses import pause
from kolla_drain_testbed.touching import install as install_touching

OPTIONS = [
    cfg.StrOpt(
        "testbed_volumes_dir",
        default="/var/lib/cinder/volumes",
        help="Folder that holds the volumes, one sparse file each.",
    )
]
cfg.CONF.register_opts(OPTIONS, group=configuration.SHARED_CONF_GROUP)
install_touching()
GIB = 1024**3


@interface.volumedriver
class SlowFileDriver(driver.VolumeDriver):
    """Volumes are sparse files, snapshots and clones are sparse copies."""

    VERSION = "1.0"
    SUPPORTS_ACTIVE_ACTIVE = True  # or cinder-volume refuses to be a member of a cluster
    CI_WIKI_NAME = "none"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)
        self.folder = self.configuration.testbed_volumes_dir

    @staticmethod
    def get_driver_options():
        return OPTIONS

    def check_for_setup_error(self):
        os.makedirs(self.folder, exist_ok=True)

    def local_path(self, volume):
        # name_id and not id: after a migration or a retype they differ.
        return os.path.join(self.folder, f"volume-{volume.name_id}")

    def _snapshot_path(self, snapshot):
        return os.path.join(self.folder, f"snapshot-{snapshot.id}")

    @staticmethod
    def _resize(path, gigabytes):
        with open(path, "ab") as file:
            file.truncate(gigabytes * GIB)

    @staticmethod
    def _copy(source, target):
        processutils.execute("cp", "--sparse=always", "--reflink=auto", source, target)

    @staticmethod
    def _remove(path):
        if os.path.exists(path):
            os.remove(path)

    def create_volume(self, volume):
        pause("volume_create", volume.id)
        self._resize(self.local_path(volume), volume.size)

    def create_volume_from_snapshot(self, volume, snapshot):
        pause("volume_from_snapshot", volume.id)
        self._copy(self._snapshot_path(snapshot), self.local_path(volume))
        self._resize(self.local_path(volume), volume.size)

    def create_cloned_volume(self, volume, src_vref):
        pause("volume_clone", volume.id)
        self._copy(self.local_path(src_vref), self.local_path(volume))
        self._resize(self.local_path(volume), volume.size)

    def delete_volume(self, volume):
        pause("volume_delete", volume.id)
        self._remove(self.local_path(volume))

    def extend_volume(self, volume, new_size):
        pause("volume_extend", volume.id)
        self._resize(self.local_path(volume), new_size)

    def create_snapshot(self, snapshot):
        pause("snapshot_create", snapshot.id)
        self._copy(self.local_path(snapshot.volume), self._snapshot_path(snapshot))

    def delete_snapshot(self, snapshot):
        pause("snapshot_delete", snapshot.id)
        self._remove(self._snapshot_path(snapshot))

    def revert_to_snapshot(self, context, volume, snapshot):
        pause("volume_revert", volume.id)
        self._copy(self._snapshot_path(snapshot), self.local_path(volume))
        self._resize(self.local_path(volume), volume.size)

    def copy_image_to_volume(self, context, volume, image_service, image_id, disable_sparse=False):
        pause("volume_from_image", volume.id)
        image_utils.fetch_to_raw(
            context,
            image_service,
            image_id,
            self.local_path(volume),
            self.configuration.volume_dd_blocksize,
            size=volume.size,
            disable_sparse=disable_sparse,
        )
        self._resize(self.local_path(volume), volume.size)

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        pause("volume_to_image", volume.id)
        # Only where an image may be: a whole GiB would take longer than what is looked at.
        with open(self.local_path(volume), "rb") as file:
            begin = io.BytesIO(file.read(IMAGE_SIZE))
        image_service.update(context, image_meta["id"], {}, begin)

    def retype(self, context, volume, new_type, diff, host):
        pause("volume_retype", volume.id)
        return True, {}

    def ensure_export(self, context, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def remove_export(self, context, volume):
        pass

    def create_export_snapshot(self, context, snapshot, connector):
        pass

    def remove_export_snapshot(self, context, snapshot):
        pass

    @staticmethod
    def _connection(path):
        return {"driver_volume_type": "local", "data": {"device_path": path}}

    def initialize_connection(self, volume, connector, **kwargs):
        pause("volume_attach", volume.id)
        return self._connection(self.local_path(volume))

    def terminate_connection(self, volume, connector, **kwargs):
        pause("volume_detach", volume.id)

    def initialize_connection_snapshot(self, snapshot, connector, **kwargs):
        return self._connection(self._snapshot_path(snapshot))

    def terminate_connection_snapshot(self, snapshot, connector, **kwargs):
        pass

    def _update_volume_stats(self):
        self._stats = {
            "volume_backend_name": self.configuration.safe_get("volume_backend_name"),
            "vendor_name": "kolla-drain",
            "driver_version": self.VERSION,
            "storage_protocol": "local",
            "total_capacity_gb": 100000,
            "free_capacity_gb": 100000,
            "thin_provisioning_support": True,
            "max_over_subscription_ratio": "20.0",
            "multiattach": False,
        }

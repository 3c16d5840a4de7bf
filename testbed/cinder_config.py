"""The configuration of the stack's containers, laid out as Kolla does on a host."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import Collision
from testbed.paths import KOLLA_DIR, MARKER

BACKENDS = ("file-1", "file-2")


@dataclass(frozen=True)
class Settings:
    """The settings of the Cinder services that a person may choose."""

    mode: str = "eventlet"
    service_timeout: int = 600
    service_down_time: int = 60
    report_interval: int = 10
    host: str | None = None
    cluster: str | None = None
    debug: bool = False
    image: str = "cinder"  # or one of images.OLD_RELEASES


@dataclass(frozen=True)
class Endpoints:
    """Addresses, ports and passwords of the stack's parts."""

    mariadb_port: int
    rabbitmq_port: int
    epmd_port: int
    rabbitmq_dist_port: int
    api_port: int
    images_port: int
    root_password: str
    database_password: str
    rabbitmq_password: str
    # Where MariaDB and RabbitMQ are, and where the API listens: all on this machine, or on managed hosts.
    address: str = "127.0.0.1"
    listen: str = "127.0.0.1"

    @property
    def database_url(self) -> str:
        return f"mysql+pymysql://cinder:{self.database_password}@{self.address}:{self.mariadb_port}/cinder"

    @property
    def broker_url(self) -> str:
        return f"rabbit://openstack:{self.rabbitmq_password}@{self.address}:{self.rabbitmq_port}//"


def cinder_conf(
    settings: Settings, ends: Endpoints, backends: Sequence[str] = BACKENDS, images_path: str = ""
) -> str:
    """One cinder.conf for every service, as Kolla's are but for the two slow drivers and the slow Image API.

    The path tells the Image API who asks, so that it knows how long that one's downloads are told to take.
    """
    host = f"host = {settings.host}\n" if settings.host else ""
    cluster = f"cluster = {settings.cluster}\n" if settings.cluster else ""
    sections = "".join(_backend(name) for name in backends)
    return f"""[DEFAULT]
debug = {settings.debug}
{host}{cluster}transport_url = {ends.broker_url}
auth_strategy = noauth
api_paste_config = /etc/cinder/api-paste.ini
rootwrap_config = /etc/cinder/rootwrap.conf
state_path = /var/lib/cinder
osapi_volume_listen = {ends.listen}
osapi_volume_listen_port = {ends.api_port}
osapi_volume_workers = 1
enabled_backends = {",".join(backends)}
graceful_shutdown_timeout = {settings.service_timeout}
service_down_time = {settings.service_down_time}
report_interval = {settings.report_interval}
glance_api_servers = http://127.0.0.1:{ends.images_port}{images_path}
# Read by the API and the scheduler: a lane's volumes are backed up by the lane's own cinder-backup.
backup_use_same_host = True
# A scheduler that has just started places nothing on a backend whose last report it missed.
backend_stats_polling_interval = 10
backup_driver = kolla_drain_testbed.backup.SlowPosixBackupDriver
backup_posix_path = /var/lib/cinder/backup
# A volume of 1 GiB is 16 chunks.
backup_file_size = 67108864
backup_sha_block_size_bytes = 4194304
backup_compression_algorithm = none

[database]
connection = {ends.database_url}

[oslo_messaging_notifications]
driver = noop

[oslo_concurrency]
lock_path = /var/lib/cinder/tmp

[coordination]
backend_url = file:///var/lib/cinder/coordination

{sections}"""


def _backend(name: str) -> str:
    return f"""[{name}]
volume_driver = kolla_drain_testbed.volume.SlowFileDriver
volume_backend_name = {name}
testbed_volumes_dir = /var/lib/cinder/volumes/{name}

"""


def folder_of(service: str) -> Path:
    """/etc/kolla/<service>, with Kolla's spelling."""
    return KOLLA_DIR / service.replace("_", "-")


def refuse_strangers(service: str) -> None:
    """Refuse a folder that the testbed did not make."""
    folder = folder_of(service)
    if folder.exists() and not (folder / MARKER).exists():
        raise Collision(
            f"{folder} is there and the testbed did not make it: this machine seems to run a real Kolla, "
            "and the testbed must not share names with it; use another machine."
        )


def write(service: str, file_name: str, text: str) -> str:
    """Write a service's file for root alone, and return its fingerprint."""
    folder = folder_of(service)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / MARKER).touch()
    file = folder / file_name
    if not file.exists() or file.read_text() != text:
        # In place: a file that is mounted into a container must keep its inode.
        file.write_text(text)
    file.chmod(0o644)  # the folder is closed; inside a container any user may have to read it
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""The configuration of Manila's, Ironic's and Heat's containers, laid out as Kolla does on a host."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.cinder_config import Endpoints

BACKEND = "slow"
SHARE_TYPE = "testbed"
ENGINES = 2  # processes of heat-engine
# Seconds that each step of a deployment takes; Ironic reads it as it starts.
DEPLOY_DELAY = 10


@dataclass(frozen=True)
class MoreEndpoints:
    """Ports and passwords of the three."""

    manila_port: int
    ironic_port: int
    heat_port: int
    database_password: str
    project_id: str

    @property
    def token(self) -> str:
        return f"admin:{self.project_id}"

    def database_url(self, project: str, shared: Endpoints) -> str:
        """By a user that is called as the project."""
        return f"mysql+pymysql://{project}:{self.database_password}@127.0.0.1:{shared.mariadb_port}/{project}"

    def port(self, project: str) -> int:
        """Where a project's API listens."""
        ports = {"manila": self.manila_port, "ironic": self.ironic_port, "heat": self.heat_port}
        return ports[project]


def conf(project: str, own: MoreEndpoints, shared: Endpoints) -> str:
    """One file for every service of a project, as Kolla's are but for the missing Keystone."""
    write = {"manila": _manila, "ironic": _ironic, "heat": _heat}
    return f"""[DEFAULT]
debug = False
transport_url = {shared.broker_url}
{write[project]()}
[database]
connection = {own.database_url(project, shared)}
max_retries = -1

[oslo_concurrency]
lock_path = /var/lib/{project}/locks

[oslo_messaging_notifications]
driver = noop
"""


def _manila() -> str:
    return f"""auth_strategy = noauth
api_paste_config = /etc/manila/api-paste.ini
state_path = /var/lib/manila
enabled_share_protocols = NFS
enabled_share_backends = {BACKEND}
default_share_type = {SHARE_TYPE}
# A scheduler that has just started places nothing on a backend whose last report it missed.
periodic_interval = 10

[{BACKEND}]
share_backend_name = {BACKEND}
share_driver = kolla_drain_testbed.share.SlowDummyDriver
driver_handles_share_servers = False
dummy_driver_default_driver_method_delay = 0
dummy_driver_driver_methods_delays = create_share:0
"""


def _ironic() -> str:
    fake = "".join(
        f"enabled_{name}_interfaces = fake\n" for name in ("boot", "deploy", "management", "power")
    )
    none = "".join(
        f"enabled_{name}_interfaces = no-{name},fake\n"
        for name in ("bios", "firmware", "inspect", "raid", "rescue", "vendor")
    )
    return f"""auth_strategy = noauth
rpc_transport = oslo
state_path = /var/lib/ironic
enabled_hardware_types = fake-hardware
{fake}{none}enabled_console_interfaces = no-console
enabled_network_interfaces = noop
default_network_interface = noop
enabled_storage_interfaces = noop

[conductor]
automated_clean = False

[fake]
deploy_delay = {DEPLOY_DELAY}
"""


def _heat() -> str:
    return f"""num_engine_workers = {ENGINES}
deferred_auth_method = password
keystone_backend = heat.engine.clients.os.keystone.fake_keystoneclient.FakeKeystoneClient
auth_encryption_key = {"0" * 32}

[paste_deploy]
flavor = noauth

[oslo_policy]
# An administrator is not a reader there.
enforce_new_defaults = False
enforce_scope = False
"""

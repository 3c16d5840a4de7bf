"""The configuration of Nova's containers, laid out as Kolla does on a host."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.cinder_config import Endpoints

CELL0 = "00000000-0000-0000-0000-000000000000"
CELL1 = "c0ffee00-0000-4000-8000-000000000001"
DATABASES = ("nova_api", "nova_cell0", "nova", "placement")
# The [database] that Kolla gives to each service; nova-compute has none.
DATABASE_OF = {
    "nova_conductor": "nova",
    "nova_scheduler": "nova_cell0",
    "nova_api": "nova_cell0",
    "nova_compute": None,
}


# What [DEFAULT]/concurrency_backend calls them.
BACKENDS = {"threads": "threading", "eventlet": "eventlet"}


@dataclass(frozen=True)
class NovaSettings:
    """What a person may choose of the Nova services; all as Nova's own defaults."""

    mode: str = "threads"
    report_interval: int = 10
    service_down_time: int = 60
    graceful_shutdown_timeout: int = 180
    manager_shutdown_timeout: int = 160
    host: str | None = None
    debug: bool = False
    image: str = "nova"  # or one of images.OLD_RELEASES


@dataclass(frozen=True)
class NovaEndpoints:
    """Ports and passwords of Nova's parts."""

    api_port: int
    placement_port: int
    neighbours_port: int
    database_password: str
    project_id: str

    @property
    def token(self) -> str:
        return f"admin:{self.project_id}"

    def database_url(self, database: str, shared: Endpoints) -> str:
        """By the user ``nova``, as cell mappings and configuration hold it."""
        return f"mysql+pymysql://nova:{self.database_password}@127.0.0.1:{shared.mariadb_port}/{database}"


def nova_conf(service: str, settings: NovaSettings, own: NovaEndpoints, shared: Endpoints) -> str:
    """One service's nova.conf, as Kolla's is but for the slow driver and the missing Keystone."""
    host = f"host = {settings.host}\n" if settings.host else ""
    driver = (
        "compute_driver = kolla_drain_testbed.compute.SlowFakeDriver\n" if service == "nova_compute" else ""
    )
    neighbours = f"http://127.0.0.1:{own.neighbours_port}"
    placement = f"http://127.0.0.1:{own.placement_port}"
    return f"""[DEFAULT]
debug = {settings.debug}
{host}{driver}state_path = /var/lib/nova
my_ip = 127.0.0.1
allow_resize_to_same_host = true
transport_url = {shared.broker_url}
concurrency_backend = {BACKENDS[settings.mode]}
graceful_shutdown_timeout = {settings.graceful_shutdown_timeout}
manager_shutdown_timeout = {settings.manager_shutdown_timeout}
service_down_time = {settings.service_down_time}
report_interval = {settings.report_interval}

[conductor]
workers = 1

[scheduler]
workers = 1
discover_hosts_in_cells_interval = -1

[wsgi]
api_paste_config = /etc/nova/api-paste.ini

[vnc]
enabled = false

[oslo_concurrency]
lock_path = /var/lib/nova/tmp

[oslo_messaging_notifications]
driver = noop

[upgrade_levels]
compute = auto

[workarounds]
# Upgrades from older releases skip the one between, which Nova refuses otherwise.
disable_compute_service_check_for_ffu = true

[glance]
api_servers = {neighbours}

[quota]
instances = -1
cores = -1
ram = -1

[service_user]
send_service_user_token = true
{_admin_token(own, neighbours)}
[neutron]
endpoint_override = {neighbours}
{_admin_token(own, neighbours)}
[placement]
endpoint_override = {placement}
{_admin_token(own, placement)}
{_databases(service, own, shared)}"""


def _admin_token(own: NovaEndpoints, endpoint: str) -> str:
    return f"auth_type = admin_token\nendpoint = {endpoint}\ntoken = {own.token}\n"


def _databases(service: str, own: NovaEndpoints, shared: Endpoints) -> str:
    database = DATABASE_OF[service]
    if database is None:
        return ""
    return f"""[database]
connection = {own.database_url(database, shared)}
max_retries = -1

[api_database]
connection = {own.database_url("nova_api", shared)}
max_retries = -1
"""


def api_paste_ini(project_id: str) -> str:
    """Return Nova's own pipeline with the testbed's filter in place of Keystone's."""
    return f"""[composite:osapi_compute]
use = call:nova.api.openstack.urlmap:urlmap_factory
/: versions
/v2.1: version
/v2.1/+: compute

[composite:compute]
use = call:nova.api.auth:pipeline_factory_v21
keystone = http_proxy_to_wsgi compute_req_id faultwrap request_log sizelimit noauth keystonecontext application

[filter:noauth]
paste.filter_factory = kolla_drain_testbed.noauth:filter_factory
project_id = {project_id}

[filter:keystonecontext]
paste.filter_factory = nova.api.auth:NovaKeystoneContext.factory

[filter:request_log]
paste.filter_factory = nova.api.openstack.requestlog:RequestLog.factory

[filter:compute_req_id]
paste.filter_factory = nova.api.compute_req_id:ComputeReqIdMiddleware.factory

[filter:faultwrap]
paste.filter_factory = nova.api.openstack:FaultWrapper.factory

[filter:sizelimit]
paste.filter_factory = oslo_middleware:RequestBodySizeLimiter.factory

[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware.http_proxy_to_wsgi:HTTPProxyToWSGI.factory

[app:application]
paste.app_factory = nova.api.openstack.compute:APIRouterV21.factory

[pipeline:versions]
pipeline = faultwrap request_log http_proxy_to_wsgi versions_app

[pipeline:version]
pipeline = compute_req_id faultwrap request_log http_proxy_to_wsgi version_app

[app:versions_app]
paste.app_factory = nova.api.openstack.compute.versions:Versions.factory

[app:version_app]
paste.app_factory = nova.api.openstack.compute.versions:VersionsV2.factory
"""


def placement_conf(own: NovaEndpoints, shared: Endpoints) -> str:
    """Placement makes its own schema as it starts."""
    return f"""[DEFAULT]
debug = False

[api]
auth_strategy = noauth2

[placement_database]
connection = {own.database_url("placement", shared)}
sync_on_startup = True
"""

"""Write the page of the services with evidence: a table of their containers, and the rights that reading them needs.

Both are made from what the services' profiles declare.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "services.rst"
sys.path.insert(0, str(ROOT / "ansible" / "module_utils"))

from kolla_drain import kolla  # noqa: E402
from kolla_drain.database.rights import BY_SERVICE  # noqa: E402
from kolla_drain.evidence import profile_for  # noqa: E402
from kolla_drain.model import Profile  # noqa: E402
from kolla_drain.profiles import NAMES, declared  # noqa: E402

INTRODUCTION = """\
======================
Services with evidence
======================

What kolla-drain reads of each container before it sends the signal, while the container drains, and after its exit.

The work of a container is **its own** where its processes report it at SIGUSR2, or where a row names the host or
the process. Where no row does, it is **anybody's**: any container of the service may be the one that works on it,
unless no other has a heartbeat. Such work is waited for during a part of the time only, because on a busy cloud
there is always some. If it is still unfinished in the end, what became of it is unknown.

A service of which some release drops its work at the signal is said to do so.

"""
OTHERS = """\
The other containers of Kolla
=============================

The exit of these is awaited up to the time-out, and nothing can be said of their work.

"""
# Those of the roles of kolla-ansible 22.2.
WITHOUT = {
    "APIs: the exit waits for their requests, so take them out of the load balancer first": """
        aodh_api barbican_api blazar_api cinder_api cloudkitty_api cyborg_api designate_api glance_api
        gnocchi_api heat_api heat_api_cfn horizon ironic_api keystone magnum_api manila_api masakari_api
        mistral_api neutron_server nova_api nova_metadata octavia_api placement_api skyline_apiserver
        tacker_server trove_api watcher_api
    """,
    "Work in flight that is not looked at": """
        barbican_worker blazar_manager cloudkitty_processor cyborg_conductor ironic_dnsmasq ironic_tftp
        keystone_fernet mistral_engine neutron_bgp_dragent neutron_dhcp_agent neutron_l3_agent
        neutron_openvswitch_agent neutron_rpc_server neutron_sriov_agent octavia_housekeeping tacker_conductor
    """,
    "Connections of users and hosts": """
        ironic_http keystone_httpd nova_novncproxy nova_serialproxy nova_spicehtml5proxy nova_ssh
        skyline_console
    """,
    "Infrastructure: the order of hosts and containers counts": """
        etcd fluentd hacluster_corosync hacluster_pacemaker hacluster_pacemaker_remote haproxy iscsid
        keepalived mariadb memcached multipathd nova_libvirt opensearch openvswitch_db openvswitch_vswitchd
        ovn_controller ovn_nb_db ovn_northd ovn_sb_db ovn_sb_db_relay ovsdpdk_db ovsdpdk_vswitchd
        prometheus_server proxysql rabbitmq tgtd valkey_sentinel valkey_server
    """,
    "Nothing that a stop loses": """
        aodh_evaluator aodh_listener aodh_notifier barbican_keystone_listener ceilometer_central
        ceilometer_compute ceilometer_ipmi ceilometer_notification collectd cron cyborg_agent
        designate_backend_bind9 designate_mdns designate_sink gnocchi_metricd gnocchi_statsd grafana
        haproxy_ssh ironic_neutron_agent ironic_prometheus_exporter ironic_pxe_filter keystone_ssh
        kolla_toolbox letsencrypt_lego letsencrypt_webserver masakari_hostmonitor masakari_instancemonitor
        mistral_event_engine neutron_eswitchd neutron_metadata_agent neutron_metering_agent neutron_mlnx_agent
        neutron_ovn_agent neutron_ovn_maintenance_worker neutron_ovn_metadata_agent neutron_ovn_vpn_agent
        neutron_periodic_worker octavia_driver_agent opensearch_dashboards prometheus_alertmanager
        prometheus_blackbox_exporter prometheus_cadvisor prometheus_elasticsearch_exporter
        prometheus_libvirt_exporter prometheus_memcached_exporter prometheus_mysqld_exporter
        prometheus_node_exporter prometheus_openstack_exporter prometheus_openstack_network_exporter
        prometheus_valkey_exporter trove_conductor
    """,
}
RIGHTS = """\
The rights
==========

The columns that an account needs which reads evidence and nothing else (:doc:`database-account`, which has those of
Cinder and Nova). The names of the databases are those that Kolla gives them.

"""
HEADINGS = (
    "container",
    "tables",
    "its work",
    "heartbeat",
    "before the signal",
    "after the signal",
    "not shown",
)


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each container, in the order of the names."""
    for container in sorted(kolla.CONTAINERS):
        service = kolla.kolla_service(container)
        assert service is not None
        profile, found = profile_for(service, {}), declared(service)
        tables = sorted({table for tables in BY_SERVICE[service].values() for table in tables})
        keeps = "goes on with its work" if profile.keeps_work else "may drop its work"
        yield (
            f"``{container}``",
            ", ".join(f"``{table}``" for table in tables),
            whose(profile),
            "yes" if found is None or found.beat else "none",
            "waits until there is no work" if profile.quiesce else "does not wait",
            keeps,
            found.unseen if found else "",
        )


def whose(profile: Profile) -> str:
    """Say whose work the evidence of a service shows."""
    if not profile.rows_tell:
        return "its own, by its report" if profile.reports else "not seen"
    found = declared(profile.name)
    shared = [work.shared for work in found.work] if found else [profile.name == "cinder-scheduler", False]
    rows = "anybody's" if all(shared) else "its own, some of it anybody's" if any(shared) else "its own"
    return f"{rows}; requests by its report" if profile.reports else rows


def grants(service: str) -> Iterator[str]:
    """Yield the statements that let an account read a service's evidence."""
    schemas: Mapping[str, Mapping[str, frozenset[str]]] = BY_SERVICE[service]
    for schema, tables in schemas.items():
        for table, columns in tables.items():
            names = ", ".join("`binary`" if name == "binary" else name for name in sorted(columns))
            yield from textwrap.wrap(f"GRANT SELECT ({names})", 110, subsequent_indent="   ")
            yield f"   ON {schema}.{table} TO 'drain'@'%';"


def page() -> str:
    """The whole page as reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (HEADINGS, *rows()):
        lines += [f"   {'*' if place == 0 else ' '} - {cell}".rstrip() for place, cell in enumerate(row)]
    lines += ["", OTHERS.rstrip(), ""]
    for what, containers in WITHOUT.items():
        lines += [
            what,
            *textwrap.wrap(" ".join(containers.split()), 110, initial_indent="   ", subsequent_indent="   "),
        ]
    lines += ["", RIGHTS + ".. code-block:: sql", ""]
    for service in NAMES:
        lines += [f"   -- {service}", *(f"   {line}" for line in grants(service)), ""]
    return INTRODUCTION + "\n".join(lines)


def generate(_app: object = None) -> None:
    """Write the page, unless it is the same already."""
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page():
        TARGET.write_text(page(), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

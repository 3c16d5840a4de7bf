"""Kolla's containers whose service has no rows: what a stop does to each.

From the roles of kolla-ansible 22.2 and 23.0, and from the sources and manuals of what they run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# The signal at which a program ends its connections before itself, by the program's name; at SIGTERM it cuts them.
# https://httpd.apache.org/docs/2.4/stopping.html, https://nginx.org/en/docs/control.html,
# https://docs.haproxy.org/2.8/management.html#4
SIGNALS: Mapping[str, str] = {
    "apache2": "SIGWINCH",
    "httpd": "SIGWINCH",
    "nginx": "SIGQUIT",
    "haproxy": "SIGUSR1",
}

# The containers of these two releases that run one of them; in others a program may run in another container.
PROGRAMS: Mapping[str, str] = {
    "haproxy": "haproxy",
    "ironic_http": "apache2",
    "keystone_httpd": "apache2",
    "letsencrypt_webserver": "apache2",
    "skyline_console": "nginx",
}


class Group(NamedTuple):
    """Containers that have in common what a stop does to them."""

    title: str
    text: str
    containers: Mapping[str, str]  # what is to be known of each, a clause; "" for nothing more
    service: str = ""  # whose evidence is read of them; empty: none is


def signal_of(container: str) -> str:
    """Return the signal that a container of this name drains on; empty where it is SIGTERM or not known."""
    return SIGNALS.get(PROGRAMS.get(container, ""), "")


def _plain(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "")


GROUPS = (
    Group(
        "Requests",
        "Each connection to a port on which the container listens is a request in flight. At its signal uWSGI, as "
        "Kolla sets it up, lets its workers finish, but the answers are lost with its router, and what connects until "
        "the exit gets none. So an API is taken out of the load balancer first, and signalled as soon as it is without "
        "a request. One that never is, because it is still being sent new ones, is signalled after half a minute.",
        {
            **_plain(
                """
                aodh_api barbican_api blazar_api cinder_api cloudkitty_api cyborg_api designate_api gnocchi_api
                heat_api heat_api_cfn horizon ironic_api keystone keystone_api magnum_api manila_api masakari_api
                mistral_api neutron_server nova_api nova_metadata octavia_api placement_api trove_api
                """
            ),
            "ironic_http": "nodes load images from it",
            "keystone_httpd": "stands before keystone for federated logins",
            "skyline_apiserver": "gunicorn, which gives requests 30 s",
            "skyline_console": "",
            "tacker_server": "a server of oslo.service",
            "watcher_api": "a server of oslo.service",
        },
        service="requests",
    ),
    Group(
        "Consoles",
        "Consoles that are open are told, and cut: they may stay so for days, and can be opened again.",
        _plain("nova_novncproxy nova_serialproxy nova_spicehtml5proxy"),
        service="consoles",
    ),
    Group(
        "Sessions",
        "The signal waits for the sessions, because it cuts them.",
        {"nova_ssh": "cold migrations copy disks through it, those of other hosts, too"},
        service="sessions",
    ),
    Group(
        "Work in flight that is not looked at",
        "The exit is awaited up to the time-out.",
        {
            "cloudkitty_processor": "a period that it works on may be rated twice",
            "ironic_dnsmasq": "nodes that boot from the network need it",
            "ironic_tftp": "nodes that boot from the network need it",
            "keystone_fernet": "cron; a rotation of keys may be half done",
        },
    ),
    Group(
        "Infrastructure",
        "The order of containers and hosts counts.",
        {
            "etcd": "hands its leadership over; one host after the other",
            "fluentd": "writes out what it has in memory",
            "hacluster_corosync": "after pacemaker",
            "hacluster_pacemaker": "stops its resources first",
            "hacluster_pacemaker_remote": "Masakari takes its loss for that of the host and evacuates the instances, "
            "so put the host into maintenance in Masakari first",
            "haproxy": "after keepalived; a session that never ends is cut at the time-out",
            "iscsid": "sessions stay in the kernel; after nova_compute and cinder_volume",
            "keepalived": "the address goes to another host at once; before haproxy and proxysql",
            "mariadb": "one host after the other, if the cluster can spare it; last of all",
            "memcached": "what it has cached is gone; after keystone",
            "multipathd": "paths that fail meanwhile do not come back; after nova_compute and cinder_volume",
            "nova_libvirt": "after nova_compute; instances live on, unless they run in its control group, which "
            "preflight tells (``guests_inside``)",
            "opensearch": "",
            "openvswitch_db": "after openvswitch_vswitchd",
            "openvswitch_vswitchd": "flows that the kernel knows go on, new ones are dropped until it is back; after "
            "the agents and ovn_controller",
            "ovn_controller": "at SIGTERM it removes its chassis and flows, so that gateways go to other hosts; "
            "``ovn-appctl -t ovn-controller exit --restart`` keeps them for instances that run on; after the agents",
            "ovn_nb_db": "a voter of its cluster; one host after the other, after ovn_northd",
            "ovn_northd": "a standby of another host takes over",
            "ovn_sb_db": "a voter of its cluster; one host after the other, after ovn_northd and ovn_controller",
            "ovn_sb_db_relay": "its clients connect to another",
            "ovsdpdk_db": "after ovsdpdk_vswitchd",
            "ovsdpdk_vswitchd": "all traffic of the host's instances stops",
            "prometheus_server": "may take minutes to close its database",
            "proxysql": "cuts its sessions; after keepalived",
            "rabbitmq": "one host after the other, if its quorum queues can spare it; after ``rabbitmq-upgrade drain``",
            "tgtd": "after cinder_volume; initiators that are connected lose their disks",
            "valkey_sentinel": "",
            "valkey_server": "saves first; after octavia, designate, gnocchi and ironic, whose locks are in it",
        },
    ),
    Group(
        "Nothing that a stop loses",
        "What these do repeats by itself or ends within moments.",
        {
            **_plain(
                """
                aodh_evaluator aodh_listener aodh_notifier barbican_keystone_listener ceilometer_central
                ceilometer_compute ceilometer_ipmi ceilometer_notification collectd cron cyborg_agent
                designate_backend_bind9 designate_mdns designate_sink gnocchi_metricd gnocchi_statsd grafana haproxy_ssh
                ironic_neutron_agent ironic_prometheus_exporter ironic_pxe_filter keystone_ssh letsencrypt_lego
                letsencrypt_webserver masakari_instancemonitor mistral_event_engine neutron_eswitchd
                neutron_infoblox_ipam_agent neutron_metadata_agent neutron_metering_agent neutron_mlnx_agent
                neutron_ovn_agent neutron_ovn_maintenance_worker neutron_ovn_metadata_agent neutron_ovn_vpn_agent
                neutron_periodic_worker opensearch_dashboards prometheus_alertmanager prometheus_blackbox_exporter
                prometheus_cadvisor prometheus_elasticsearch_exporter prometheus_libvirt_exporter
                prometheus_memcached_exporter prometheus_mysqld_exporter prometheus_node_exporter
                prometheus_openstack_exporter prometheus_openstack_network_exporter prometheus_valkey_exporter
                trove_conductor
                """
            ),
            "kolla_toolbox": "modules of kolla-ansible run in it",
            "masakari_hostmonitor": "before pacemaker",
            "octavia_driver_agent": "after neutron_server, whose events it takes in",
        },
    ),
)
# The group of each container.
OTHERS: Mapping[str, Group] = {name: group for group in GROUPS for name in group.containers}

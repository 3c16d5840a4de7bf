"""neutron-openvswitch-agent, from the sources of neutron 29.0.0: the ports that it is to wire.

neutron-server blocks a port that it binds from getting ACTIVE until the agent of its host has wired it
(provisioningblocks). The block of a port whose instance is shut off stays as well, so only a young one is waited for.

Kolla gives all of Neutron's services the same neutron.conf, so that the agents' names the database too.
"""

from __future__ import annotations

from ...model import Profile
from ..form import Beat, Kind, Option, Options, Service, Work

OPTIONS = Options(interval=Option("report_interval", 30, "AGENT"), down=Option("agent_down_time", 75))
BEAT = Beat("agents", seen=("t.heartbeat_timestamp",), disabled="t.admin_state_up = 0")
WAITED_FOR = 300  # by Nova, its vif_plugging_timeout
WRITTEN = ("a.updated_at", "a.created_at")
OF_PORT = (
    "JOIN standardattributes a ON a.id = t.standard_attr_id"
    " JOIN ports p ON p.standard_attr_id = t.standard_attr_id"
)


def wiring(*types: str) -> Work:
    """Return the ports with a virtual interface of these types that the agent of their host has yet to wire."""
    of_type = ", ".join(f"'{name}'" for name in types)
    return Work(
        "port",
        "provisioningblocks",
        id="p.id",
        status="t.entity",
        host="b.host",
        join=f"{OF_PORT} JOIN ml2_port_bindings b ON b.port_id = p.id",
        live="t.entity = 'L2'",  # another row of the same port waits for the DHCP agents
        # A port that is about to move has an inactive binding at the other host.
        where=f"b.status = 'ACTIVE' AND b.vif_type IN ({of_type})",
        written=WRITTEN,
        stale=WAITED_FOR,
        kinds=(
            Kind(
                "port_wire",
                ("L2",),
                fate="its next start wires the port; by then Nova may have given up an instance that waits for it",
                deletes=True,
            ),
        ),
    )


SERVICE = Service(
    # It ends after the turn of its loop, when the ports that it has begun are done. Its heartbeat ends at once.
    Profile("neutron-openvswitch-agent", quiesce=True, keeps_work=True, exit_seconds=25.0),
    schema="neutron",
    options=OPTIONS,
    beat=BEAT,
    work=(wiring("ovs", "vhostuser"),),
    unseen="changes of ports that are wired, which its next start does",
)

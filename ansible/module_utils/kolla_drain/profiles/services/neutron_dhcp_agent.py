"""neutron-dhcp-agent, from the sources of neutron 29.0.0: the ports whose addresses it has yet to give to dnsmasq.

neutron-server blocks such a port from getting ACTIVE until one of the agents of its network is done. The dnsmasq
processes of an agent serve on while it is stopped.
"""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work
from .neutron_openvswitch_agent import BEAT, OF_PORT, OPTIONS, WAITED_FOR, WRITTEN

SERVICE = Service(
    # It waits for its RPC servers and for each of its threads, for up to 5 s, and not for its queue.
    Profile("neutron-dhcp-agent", quiesce=True, keeps_work=False, exit_seconds=25.0),
    schema="neutron",
    options=OPTIONS,
    beat=BEAT,
    work=(
        Work(
            "port",
            "provisioningblocks",
            id="p.id",
            status="t.entity",
            host="g.host",
            join=(
                f"{OF_PORT} JOIN networkdhcpagentbindings n ON n.network_id = p.network_id"
                " JOIN agents g ON g.id = n.dhcp_agent_id"
            ),
            live="t.entity = 'DHCP'",  # another row of the same port waits for the agent that wires it
            written=WRITTEN,
            stale=WAITED_FOR,
            kinds=(
                Kind(
                    "port_dhcp",
                    ("DHCP",),
                    fate="its next start or another agent of the network does it; by then Nova may have given up an "
                    "instance that waits for it",
                    deletes=True,
                ),
            ),
        ),
    ),
    unseen="networks that it sets up or takes down, which its next start does",
)

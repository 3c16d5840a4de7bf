"""neutron-l3-agent, from the sources of neutron 29.0.0: its heartbeat alone, as no row tells of a router in work.

The routers in it route on while it is stopped.
"""

from __future__ import annotations

from ...model import Profile
from ..form import Service
from .neutron_openvswitch_agent import BEAT, OPTIONS

SERVICE = Service(
    # It waits for its RPC servers, and not for its queue. With cleanup_on_shutdown it takes all its routers down first.
    Profile("neutron-l3-agent", rows_tell=False, keeps_work=False, exit_seconds=25.0),
    schema="neutron",
    options=OPTIONS,
    beat=BEAT,
    unseen="routers that it sets up or changes, which its next start does",
)

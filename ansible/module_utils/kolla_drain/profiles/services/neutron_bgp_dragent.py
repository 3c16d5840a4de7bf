"""neutron-bgp-dragent, from the sources of neutron-dynamic-routing 29.0.0: its heartbeat alone.

It is the speaker itself, so that its sessions with its peers end with it.
"""

from __future__ import annotations

from ...model import Profile
from ..form import Service
from .neutron_openvswitch_agent import BEAT, OPTIONS

SERVICE = Service(
    Profile("neutron-bgp-dragent", rows_tell=False, keeps_work=False, exit_seconds=25.0),
    schema="neutron",
    options=OPTIONS,
    beat=BEAT,
    unseen="its sessions with its peers, which its next start takes up again",
)

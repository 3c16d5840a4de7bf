"""neutron-sriov-nic-agent, which Kolla calls neutron_sriov_agent, from the sources of neutron 29.0.0."""

from __future__ import annotations

from ...model import Profile
from ..form import Service
from .neutron_openvswitch_agent import BEAT, OPTIONS, wiring

SERVICE = Service(
    # It ends after the turn of its loop, when the ports that it has begun are done. Its heartbeat ends at once.
    Profile("neutron-sriov-agent", quiesce=True, keeps_work=True, exit_seconds=25.0),
    schema="neutron",
    binary="neutron-sriov-nic-agent",
    options=OPTIONS,
    beat=BEAT,
    work=(wiring("hw_veb", "hostdev_physical"),),
    unseen="changes of ports that are wired, which its next start does",
)

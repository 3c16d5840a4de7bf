"""The declared services, one file each. This file is written by tools/profiles.

Ansible sends what an import names, and nothing else; nothing here is imported until it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (  # noqa: F401
        barbican_worker,
        blazar_manager,
        cyborg_conductor,
        designate_central,
        designate_producer,
        designate_worker,
        glance_api,
        heat_engine,
        ironic_conductor,
        magnum_conductor,
        manila_data,
        manila_scheduler,
        manila_share,
        masakari_engine,
        mistral_engine,
        mistral_executor,
        neutron_bgp_dragent,
        neutron_dhcp_agent,
        neutron_l3_agent,
        neutron_openvswitch_agent,
        neutron_rpc_server,
        neutron_sriov_agent,
        octavia_health_manager,
        octavia_housekeeping,
        octavia_worker,
        tacker_conductor,
        trove_taskmanager,
        watcher_applier,
        watcher_engine,
    )

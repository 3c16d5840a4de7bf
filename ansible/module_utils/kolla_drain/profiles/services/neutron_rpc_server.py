"""neutron-rpc-server, from the sources of neutron 29.0.0: it has no row, and its processes tell what it works on.

It answers the agents' calls. Its stop() does not wait for them (neutron/service.py RpcWorker), and an agent whose call
is lost makes a full sync when it has waited for rpc_response_timeout.
"""

from __future__ import annotations

from ...model import Profile
from ..form import Service

SERVICE = Service(
    Profile(
        "neutron-rpc-server", quiesce=True, rows_tell=False, keeps_work=False, reports=True, exit_seconds=15.0
    ),
    schema="neutron",
)

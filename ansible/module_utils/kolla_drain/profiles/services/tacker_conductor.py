"""tacker-conductor, from the sources of tacker 16.0.0.

A start of any tacker-conductor gives up the operations of all of them that came by the API of version 2
(tacker/sol_refactored/conductor/conductor_v2.py _change_lcm_op_state), so stop one after the other, and only at rest.
"""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Kind, Options, Service, Work

_FAILED = ("FAILED_TEMP", "FAILED")

SERVICE = Service(
    # It waits for its RPC servers, in which all operations run, up to graceful_shutdown_timeout.
    Profile(
        "tacker-conductor",
        quiesce=True,
        keeps_work=True,
        reports=True,
        works_in_requests=True,
        exit_seconds=25.0,
    ),
    schema="tacker",
    options=Options(limits=(GRACEFUL,)),
    work=(
        Work(
            "operation",
            "vnf_lcm_op_occs",
            status="t.operation_state",
            live="t.deleted = 0",
            stale=7200,
            kinds=(Kind("vnf_operation", ("STARTING", "PROCESSING", "ROLLING_BACK"), failed=_FAILED),),
        ),
        Work(
            "operation",
            "VnfLcmOpOccV2",
            status="t.operationState",
            written=("t.stateEnteredTime",),
            stale=7200,
            kinds=(
                Kind(
                    "vnf_operation_v2_begin",
                    ("STARTING",),
                    fate="the next start of any tacker-conductor sets it to ROLLED_BACK",
                    failed=(*_FAILED, "ROLLED_BACK"),
                ),
                Kind(
                    "vnf_operation_v2",
                    ("PROCESSING", "ROLLING_BACK"),
                    fate="the next start of any tacker-conductor sets it to FAILED_TEMP, from which it can be retried",
                    failed=_FAILED,
                ),
            ),
        ),
    ),
)

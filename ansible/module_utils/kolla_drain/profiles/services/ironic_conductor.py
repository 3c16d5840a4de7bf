"""ironic-conductor, from the sources of ironic 39.0.0, and seen in operation with fake-hardware.

A conductor reserves a node within the call that accepts the work, and releases it at the end. States in which it waits
for the node, such as "deploy wait", hold no reservation and survive a stop.
"""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Beat, Kind, Option, Options, Service, Work

# The states of a node in which it is worked on, and those that tell of a failure. The next start sets the latter, see
# ironic/conductor/base_manager.py _correct_stuck_states.
_KINDS = (
    ("node_deploy", ("deploying",), ("deploy failed",)),
    ("node_clean", ("cleaning",), ("clean failed",)),
    ("node_service", ("servicing",), ("service failed",)),
    ("node_verify", ("verifying",), ("enroll",)),
    ("node_inspect", ("inspecting",), ("inspect failed",)),
    ("node_adopt", ("adopting",), ("adopt failed",)),
    ("node_rescue", ("rescuing", "unrescuing"), ("rescue failed", "unrescue failed")),
    ("node_delete", ("deleting",), ("error",)),
)

SERVICE = Service(
    Profile(
        "ironic-conductor",
        quiesce=True,
        keeps_work=True,  # its executor waits; at graceful_shutdown_timeout it exits in the middle, with code 0
        heartbeat_while_draining=False,  # it goes offline at the signal, while it works on
        # Idle 4.5 s alone; where there are others it first waits hash_ring_reset_interval, 15 s.
        exit_seconds=25.0,
        # SIGUSR2 asks for a drain of drain_shutdown_timeout, but graceful_shutdown_timeout ends that as well.
        signal="SIGTERM",
    ),
    schema="ironic",
    options=Options(
        interval=Option("heartbeat_interval", 10, "conductor"),
        down=Option("heartbeat_timeout", 60, "conductor"),
        limits=(GRACEFUL, Option("graceful_shutdown_timeout", 60, "conductor")),
        full_name=True,  # ironic/conf/default.py
    ),
    beat=Beat("conductors", host="t.hostname", binary=""),
    work=(
        Work(
            "node",
            "nodes",
            id="t.uuid",
            status="t.provision_state",
            host="t.reservation",
            held=True,
            kinds=(
                *(
                    Kind(
                        name,
                        statuses,
                        f"its next start sets the node to {' or '.join(failed)}",
                        failed=failed,
                    )
                    for name, statuses, failed in _KINDS
                ),
                Kind("node_task", fate="its next start releases the node and gives up a power operation"),
            ),
        ),
    ),
    unseen="reads, which share a node; allocations, which the next start resumes",
)

"""heat-engine, from the sources of heat 27.0.1.

The status of a stack says nothing about one engine: all of them work on a stack, by way of a queue. What an engine must
not lose is a resource that it holds, or in a stack without convergence the stack.
"""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Beat, Kind, Option, Options, Service, Work

_STATUS = "CONCAT(t.action, '_', t.status)"
_ACTIONS = "ADOPT CHECK CREATE DELETE RESTORE RESUME ROLLBACK SNAPSHOT SUSPEND UPDATE"
_FAILED = tuple(f"{action}_FAILED" for action in _ACTIONS.split())

SERVICE = Service(
    Profile(
        "heat-engine",
        quiesce=True,
        keeps_work=True,  # stop() waits for its RPC servers and threads, up to graceful_shutdown_timeout
        heartbeat_while_draining=True,
        # Idle 11 to 13.4 s: it closes three RPC servers one after the other, each within 5 s.
        reports=True,
        exit_seconds=25.0,
    ),
    schema="heat",
    options=Options(
        interval=Option("periodic_interval", 60),
        down=Option("periodic_interval", 60, times=2),
        limits=(GRACEFUL,),
    ),
    # Each process has a row of its own, with an id that is new at each start, and deletes it at a clean exit.
    beat=Beat("service", live="t.deleted_at IS NULL", owner="t.engine_id"),
    work=(
        Work(
            "resource",
            "resource",
            id="t.uuid",
            status=_STATUS,
            owner="t.engine_id",
            held=True,
            kinds=(
                Kind(
                    "resource_action",
                    failed=_FAILED,
                    fate="its stack stays IN_PROGRESS until an update or a delete of the stack finds the engine gone",
                ),
            ),
        ),
        Work(
            "stack",
            "stack",
            status=_STATUS,
            owner="l.engine_id",
            held=True,
            live="t.deleted_at IS NULL",
            join="LEFT JOIN stack_lock l ON l.stack_id = t.id",
            kinds=(
                Kind(
                    "stack_action",
                    failed=_FAILED,
                    fate="the next start of any heat-engine sets the stack to FAILED",
                ),
            ),
        ),
    ),
    unseen="requests in the queue, which other engines take or the next start does",
)

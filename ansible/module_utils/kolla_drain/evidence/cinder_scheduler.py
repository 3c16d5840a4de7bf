"""Evidence of cinder-scheduler: volumes that have no host yet, and worker rows that it holds.

From the sources of cinder 29.0.0. Requests that only pass through it (extend, retype, migrate,
snapshots, groups, backups) leave no trace of the passage, so the evidence is not complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Ending, Heartbeat, Operation, Outcome, Profile
from ..service_config import ServiceConfig
from . import cinder
from .cinder import Worker
from .database import Query, Row
from .rows import ids, marks, utc

PROFILE = Profile(
    name="cinder-scheduler",
    quiesce=True,
    heartbeat_while_draining=False,  # cinder/service.py: the same Service.stop as cinder-volume's
    # cinder/service.py Service.wait waits for the RPC server's threads on eventlet; see cinder.adapt.
    keeps_work=True,
    refreshes_workers=False,
    evidence_complete=False,
    exit_seconds=5.0,  # the longest idle exit took 3.1 s (TESTBED)
)
adapt = cinder.adapt

KIND = "volume_schedule"


def read(query: Query, config: ServiceConfig) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
    """Return heartbeats and operations of this container. Raises EvidenceUnavailable."""
    rows = cinder.services(query, config)
    own = {row["id"] for row in rows}
    held = cinder.workers(query, own)
    volumes = _creating(query, [name for kind, name in held if kind == "Volume"])
    waiting = cinder.workers(query, own, [("Volume", row["id"]) for row in volumes])
    found = [_operation(row, waiting.get(("Volume", row["id"])), config) for row in volumes]
    return cinder.heartbeats(query, config, rows), tuple(
        operation for operation in found if operation is not None
    )


def _creating(query: Query, held: Sequence[str]) -> list[Row]:
    """Return volumes being created that have no host yet, and those whose worker row is ours."""
    return query(
        "SELECT id, host, status, created_at,"
        " TIMESTAMPDIFF(SECOND, COALESCE(scheduled_at, updated_at, created_at), UTC_TIMESTAMP()) AS age"
        f" FROM volumes WHERE deleted = 0 AND status = 'creating' AND (host IS NULL OR id IN ({marks(held)}))",
        list(held),
    )


def _operation(row: Row, worker: Worker | None, config: ServiceConfig) -> Operation | None:
    ours = worker is not None and worker.holder == "us"
    if worker is not None and not ours and worker.holder != "nobody":
        return None  # another scheduler has it
    here = row["host"] is None
    # Scheduling takes seconds. What waits for longer than a service may be silent is no longer
    # scheduled: it was lost, or it waits for a cinder-volume that is away; that informs.
    old = row["age"] is None or row["age"] > config.service_down_time
    return Operation(
        kind=KIND,
        id=row["id"],
        status=row["status"],
        since=worker.since if worker else utc(row["created_at"]),
        # With a host it waits for that cinder-volume to take it, which takes over the worker row.
        claimed=ours and here,
        touched=worker.touched if worker is not None and ours else None,
        informs=old,
    )


def endings(query: Query, config: ServiceConfig, operations: Sequence[Operation]) -> tuple[Ending, ...]:
    """Return for each operation what its rows say now. Raises EvidenceUnavailable."""
    wanted = ids(operation.id for operation in operations)
    if not wanted:
        return ()
    own = {row["id"] for row in cinder.services(query, config)}
    rows = query(f"SELECT id, host, status, deleted FROM volumes WHERE id IN ({marks(wanted)})", wanted)
    volumes = {row["id"]: row for row in rows}
    held = cinder.workers(query, own, [("Volume", operation.id) for operation in operations])
    return tuple(
        _ending(operation, volumes.get(operation.id), held.get(("Volume", operation.id)))
        for operation in operations
    )


def _ending(operation: Operation, row: Row | None, worker: Worker | None) -> Ending:
    if row is None or row["deleted"]:
        return Ending(operation, Outcome.FINISHED, "deleted")
    status = str(row["status"])
    if status.startswith("error"):
        return Ending(operation, Outcome.INTERRUPTED, status, f"ended in error; the volume is {status}")
    if status != "creating":
        return Ending(operation, Outcome.FINISHED, status)
    return _creating_ending(operation, row["host"], worker)


def _creating_ending(operation: Operation, host: str | None, worker: Worker | None) -> Ending:
    ours = worker is not None and worker.holder == "us"
    if host is None and ours:
        # CleanableManager.init_host, cinder/scheduler/manager.py _do_cleanup.
        return Ending(operation, Outcome.INTERRUPTED, "creating", "its next start sets the volume to error")
    if host is None:
        fate = "nobody took it: done at the next start if its request still waits in the queue, else it stays creating"
        return Ending(operation, Outcome.UNKNOWN, "creating", fate)
    if ours:
        fate = (
            f"its request waits for cinder-volume at {host}; if it still waits at this scheduler's next start, "
            "the volume is shown as error until it is taken"
        )
        return Ending(operation, Outcome.UNKNOWN, "creating", fate)
    return Ending(operation, Outcome.FINISHED, "creating")

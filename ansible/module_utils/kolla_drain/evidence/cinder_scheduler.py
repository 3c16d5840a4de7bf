"""Evidence of cinder-scheduler: volumes without a host, its worker rows, and requests passing through it.

These rows show the requests of cinder/scheduler/rpcapi.py, from the sources of cinder 29.0.0 (volume/api.py,
volume/flows/api/manage_existing.py, backup/api.py, group/api.py, scheduler/manager.py):

    create_volume               volumes.status creating with a worker row, from the cast on; the scheduler claims the
                                row and holds it until cinder-volume does
    create_snapshot, extend_volume, retype, migrate_volume, manage_existing[_snapshot], create_group, create_backup
                                a transitional status that cinder-api writes before it casts. The status continues
                                in the service that receives the request next, so only its age, and what that
                                service writes on receipt, show that the request has passed: see PASSING
    validate_host_capacity, get_pools, work_cleanup, get_log_levels
                                no row; calls that are answered at once, and whose callers get an error otherwise
    do_cleanup                  the worker rows that it claims
    update_service_capabilities, notify_service_capabilities, set_log_levels
                                no row; repeated every minute, or their effect ends with the process

A request passes within milliseconds. One that takes longer than PASSAGE is missed: a scheduler that has just started
holds requests for up to scheduler_driver_init_wait_time, until the backends have reported to it. With several
schedulers a passing request is shown for each of them, because no row tells which one has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..database.connection import Query, Row
from ..model import Ending, Operation, Outcome, Profile
from ..service.config import ServiceConfig
from . import cinder
from .base import Activity
from .cinder import Worker
from .rows import ids, marks, utc

KIND = "volume_schedule"

# Seconds after cinder-api wrote its status during which a request can be on its way through a scheduler.
PASSAGE = 5
# The same where a row shows that the scheduler has passed it on: that row is written just before the message is sent.
HANDOVER = 2


@dataclass(frozen=True)
class Passing:
    """A status that cinder-api writes to a table before it sends a request through the scheduler."""

    kind: str
    table: str
    thing: str  # how a sentence names the resource
    status: str
    column: str = "status"
    # The columns with the time of that write; the first that is set counts.
    written: tuple[str, ...] = ("created_at",)
    requests: str = "TRUE"  # SQL condition: the request passes through the scheduler
    arrived: str = "FALSE"  # SQL condition: the next service has received it
    failed: str = "error"  # the status that the scheduler sets if it finds no backend
    # What becomes of a request that a scheduler takes before it knows its pools; empty if such requests wait.
    at_once: str = ""


_UPDATED = ("updated_at", "created_at")
PASSING = (
    Passing(
        "volume_schedule_extend",
        "volumes",
        "volume",
        "extending",
        written=_UPDATED,
        failed="",
        at_once="the volume keeps its size",
    ),
    # A retype with a migration continues under the migration's own status.
    Passing(
        "volume_schedule_retype",
        "volumes",
        "volume",
        "retyping",
        written=_UPDATED,
        arrived="migration_status IN ('starting', 'migrating', 'completing')",
        failed="",
    ),
    # cinder-volume writes migrating when it begins. A retype's migration does not pass through the scheduler.
    Passing(
        "volume_schedule_migrate",
        "volumes",
        "volume",
        "starting",
        column="migration_status",
        written=_UPDATED,
        requests="status <> 'retyping'",
    ),
    # The scheduler adds the pool to the host named by the request.
    Passing(
        "volume_schedule_manage",
        "volumes",
        "volume",
        "managing",
        arrived="host LIKE '%%#%%'",
        failed="error_managing",
    ),
    # The scheduler's cast creates the worker row, except for a snapshot to be managed. Snapshots of a group do not
    # pass through the scheduler.
    Passing(
        "snapshot_schedule",
        "snapshots",
        "snapshot",
        "creating",
        requests="group_snapshot_id IS NULL",
        arrived="EXISTS (SELECT 1 FROM workers WHERE workers.resource_type = 'Snapshot'"
        " AND workers.resource_id = snapshots.id AND workers.deleted = 0)",
    ),
    # The scheduler chooses its host. cinder-api itself sets the host of a group made from another.
    Passing("group_schedule", "`groups`", "group", "creating", arrived="host IS NOT NULL"),
    # cinder-backup writes its driver's name to the row. An imported record has no volume and does not pass through the
    # scheduler.
    Passing(
        "backup_schedule",
        "backups",
        "backup",
        "creating",
        requests="volume_id <> '00000000-0000-0000-0000-000000000000'",
        arrived="service IS NOT NULL",
        at_once="the backup ends in error",
    ),
)
_PASSING = {passing.kind: passing for passing in PASSING}


class CinderScheduler(cinder.CinderEvidence):
    """Evidence of one cinder-scheduler."""

    PROFILE = Profile(
        name="cinder-scheduler",
        quiesce=True,
        heartbeat_while_draining=False,  # cinder/service.py: the same Service.stop as cinder-volume's
        keeps_work=True,  # cinder/service.py Service.wait waits for the RPC server's threads, on eventlet
        refreshes_workers=False,
        exit_seconds=5.0,  # the longest idle exit took 3.1 s
    )

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        rows = cinder.services(query, config)
        own = {row["id"] for row in rows}
        held = cinder.workers(query, own)
        volumes = _creating(query, [resource_id for kind, resource_id in held if kind == "Volume"])
        workers = cinder.workers(query, own, [("Volume", row["id"]) for row in volumes])
        scheduled = [_operation(row, workers.get(("Volume", row["id"])), config) for row in volumes]
        operations = [operation for operation in scheduled if operation is not None]
        for passing in PASSING:
            operations += _passing(query, passing)
        return Activity(cinder.heartbeats(query, config, rows), tuple(operations))

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        endings = {ending.operation.key: ending for ending in _scheduled(query, config, operations)}
        for passing in PASSING:
            endings.update((ending.operation.key, ending) for ending in _passed(query, passing, operations))
        return tuple(endings[operation.key] for operation in operations)


def _passing(query: Query, passing: Passing) -> list[Operation]:
    rows = query(
        f"SELECT id, {passing.column} AS status, {_written(passing)} AS written FROM {passing.table}"
        f" WHERE deleted = 0 AND {passing.column} = %s AND {passing.requests} AND {_under_way(passing)}",
        [passing.status, PASSAGE, HANDOVER],
    )
    return [
        Operation(
            kind=passing.kind, id=row["id"], status=row["status"], since=utc(row["written"]), claimed=False
        )
        for row in rows
    ]


def _written(passing: Passing) -> str:
    return f"COALESCE({', '.join(passing.written)})"


def _under_way(passing: Passing) -> str:
    """Return an SQL condition with parameters PASSAGE and HANDOVER: the request may still be in a scheduler."""
    age = cinder.age_of(*passing.written)
    return f"{age} < %s AND ({age} < %s OR NOT COALESCE({passing.arrived}, FALSE))"


def _creating(query: Query, held: Sequence[str]) -> list[Row]:
    """Return volumes being created that have no host yet, and those whose worker row is held by this scheduler."""
    return query(
        "SELECT id, host, status, created_at,"
        " TIMESTAMPDIFF(SECOND, COALESCE(scheduled_at, updated_at, created_at), UTC_TIMESTAMP()) AS age"
        f" FROM volumes WHERE deleted = 0 AND status = 'creating' AND (host IS NULL OR id IN ({marks(held)}))",
        list(held),
    )


def _operation(row: Row, worker: Worker | None, config: ServiceConfig) -> Operation | None:
    ours = worker is not None and worker.holder == "us"
    if worker is not None and not ours and worker.holder != "nobody":
        return None  # another service has it
    here = row["host"] is None
    # Scheduling takes seconds. A request older than service_down_time is no longer being scheduled: it was lost, or
    # waits for a cinder-volume that is down. Such an operation only informs.
    old = row["age"] is None or row["age"] > config.service_down_time
    return Operation(
        kind=KIND,
        id=row["id"],
        status=row["status"],
        since=worker.since if worker else utc(row["created_at"]),
        # Once it has a host it waits for that cinder-volume, which claims the worker row.
        claimed=ours and here,
        touched=worker.touched if worker is not None and ours else None,
        informs=old,
    )


def _scheduled(query: Query, config: ServiceConfig, operations: Sequence[Operation]) -> list[Ending]:
    asked = [operation for operation in operations if operation.kind not in _PASSING]
    wanted = ids(operation.id for operation in asked)
    if not wanted:
        return []
    own = {row["id"] for row in cinder.services(query, config)}
    rows = query(f"SELECT id, host, status, deleted FROM volumes WHERE id IN ({marks(wanted)})", wanted)
    volumes = {row["id"]: row for row in rows}
    held = cinder.workers(query, own, [("Volume", operation.id) for operation in asked])
    return [
        _ending(operation, volumes.get(operation.id), held.get(("Volume", operation.id)))
        for operation in asked
    ]


def _passed(query: Query, passing: Passing, operations: Sequence[Operation]) -> list[Ending]:
    asked = [operation for operation in operations if operation.kind == passing.kind]
    wanted = ids(operation.id for operation in asked)
    if not wanted:
        return []
    rows = query(
        f"SELECT id, {passing.column} AS status, deleted, ({_under_way(passing)}) AS under_way"
        f" FROM {passing.table} WHERE id IN ({marks(wanted)})",
        [PASSAGE, HANDOVER, *wanted],
    )
    by_id = {row["id"]: row for row in rows}
    return [_passing_ending(operation, passing, by_id.get(operation.id)) for operation in asked]


def _passing_ending(operation: Operation, passing: Passing, row: Row | None) -> Ending:
    if row is None or row["deleted"]:
        return Ending(operation, Outcome.FINISHED, "deleted")
    status = str(row["status"])
    if passing.failed and status == passing.failed:
        fate = f"ended in error; the {passing.thing} is {status}"
        return Ending(operation, Outcome.INTERRUPTED, status, fate)
    if status == passing.status and row["under_way"]:
        fate = (
            "it was passed on, or it is queued and done at the next start, else "
            f"the {passing.thing} stays {status} until an operator resets it"
        )
        # cinder/scheduler/manager.py: extend_volume and create_backup do not call _wait_for_scheduler.
        early = f"if a scheduler that has just started takes it before it knows its pools, {passing.at_once}"
        return Ending(operation, Outcome.UNKNOWN, status, fate, early if passing.at_once else "")
    # Whatever the next service does with it, the scheduler is done.
    return Ending(operation, Outcome.FINISHED, status)


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

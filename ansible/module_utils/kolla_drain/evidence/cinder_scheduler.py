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
from .base import Activity, ids, marks, utc
from .cinder import Kind, Worker

KIND = Kind("volume_schedule", ("creating",))

# Seconds after cinder-api wrote its status during which a request can be on its way through a scheduler.
PASSAGE = 5
# The same where a row shows that the scheduler has passed it on: that row is written just before the message is sent.
HANDOVER = 2


@dataclass(frozen=True)
class Passing:
    """A status that cinder-api writes to a row before it sends a request through the scheduler."""

    kind: str  # begins with what a sentence calls the resource; its table is the plural
    status: str
    column: str = "status"
    # The columns with the time of that write; the first that is set counts.
    written: tuple[str, ...] = ("created_at",)
    requests: str = "TRUE"  # SQL condition: the request passes through the scheduler
    arrived: str = "FALSE"  # SQL condition: the next service has received it
    failed: str = "error"  # the status that the scheduler sets if it finds no backend
    # What becomes of a request that a scheduler takes before it knows its pools; empty if such requests wait.
    at_once: str = ""

    @property
    def thing(self) -> str:
        """What a sentence calls the resource."""
        return self.kind.split("_")[0]

    @property
    def table(self) -> str:
        """The table of the resource."""
        return f"`{self.thing}s`"

    @property
    def under_way(self) -> str:
        """An SQL condition with parameters PASSAGE and HANDOVER: the request may still be in a scheduler."""
        age = cinder.age_of(*self.written)
        return f"{age} < %s AND ({age} < %s OR NOT COALESCE({self.arrived}, FALSE))"


_UPDATED = ("updated_at", "created_at")
_MOVING = "migration_status IN ('starting', 'migrating', 'completing')"
_HAS_WORKER = (
    "EXISTS (SELECT 1 FROM workers WHERE workers.resource_type = 'Snapshot'"
    " AND workers.resource_id = snapshots.id AND workers.deleted = 0)"
)
_OF_A_VOLUME = "volume_id <> '00000000-0000-0000-0000-000000000000'"
_KEPT = "the volume keeps its size"
PASSING = (
    Passing("volume_schedule_extend", "extending", written=_UPDATED, failed="", at_once=_KEPT),
    # A retype with a migration continues under the migration's own status.
    Passing("volume_schedule_retype", "retyping", written=_UPDATED, arrived=_MOVING, failed=""),
    # cinder-volume writes migrating when it begins. A retype's migration does not pass through the scheduler.
    Passing(
        "volume_schedule_migrate", "starting", "migration_status", _UPDATED, requests="status <> 'retyping'"
    ),
    # The scheduler adds the pool to the host named by the request.
    Passing("volume_schedule_manage", "managing", arrived="host LIKE '%%#%%'", failed="error_managing"),
    # The scheduler's cast creates the worker row, except for a snapshot to be managed. Snapshots of a group do not
    # pass through the scheduler.
    Passing("snapshot_schedule", "creating", requests="group_snapshot_id IS NULL", arrived=_HAS_WORKER),
    # The scheduler chooses its host. cinder-api itself sets the host of a group made from another.
    Passing("group_schedule", "creating", arrived="host IS NOT NULL"),
    # cinder-backup writes its driver's name to the row. An imported record has no volume and does not pass through the
    # scheduler.
    Passing(
        "backup_schedule",
        "creating",
        requests=_OF_A_VOLUME,
        arrived="service IS NOT NULL",
        at_once="the backup ends in error",
    ),
)


class CinderScheduler(cinder.CinderEvidence):
    """Evidence of one cinder-scheduler."""

    PROFILE = Profile(
        name="cinder-scheduler",
        quiesce=True,
        heartbeat_while_draining=False,  # cinder/service.py: the same Service.stop as cinder-volume's
        keeps_work=True,  # cinder/service.py Service.wait waits for the RPC server's threads, on eventlet
        first_report_waits=True,  # cinder/service.py Service.start: initial_delay=self.report_interval
        reports=True,
        refreshes_workers=False,
        exit_seconds=5.0,  # the longest idle exit took 3.1 s
    )

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        services = self._services.rows(query, config)
        own = {row["id"] for row in services}
        held = [id_ for resource, id_ in cinder.workers(query, own) if resource == "Volume"]
        # Volumes being created that have no host yet, and those whose worker row this scheduler holds.
        volumes = query(
            "SELECT id, host, status, created_at, COALESCE(scheduled_at, updated_at, created_at) AS written,"
            f" {cinder.age_of('scheduled_at', 'updated_at', 'created_at')} AS age FROM volumes"
            f" WHERE deleted = 0 AND status = 'creating' AND (host IS NULL OR id IN ({marks(held)}))",
            held,
        )
        workers = cinder.workers(query, own, [("Volume", row["id"]) for row in volumes])
        scheduled = [_operation(row, workers.get(("Volume", row["id"])), config) for row in volumes]
        operations = [operation for operation in scheduled if operation is not None]
        operations += _passing(query)
        return Activity(cinder.heartbeats(config, services), tuple(operations))

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        asked = [operation for operation in operations if operation.kind == KIND.name]
        own = [row["id"] for row in self._services.rows(query, config)] if asked else []
        endings = {ending.operation.key: ending for ending in _scheduled(query, own, asked)}
        for passing in PASSING:
            endings.update((ending.operation.key, ending) for ending in _passed(query, passing, operations))
        return tuple(endings[operation.key] for operation in operations)


def _passing(query: Query) -> list[Operation]:
    """Return the requests that pass through a scheduler, of all hosts.

    No index has a status or the time of a write, so each table is gone through, once for all requests that it shows.
    """
    found = []
    for table in dict.fromkeys(passing.table for passing in PASSING):
        here = [passing for passing in PASSING if passing.table == table]
        shown = [f"{p.column} = %s AND {p.requests} AND {p.under_way}" for p in here]
        cases = " ".join(f"WHEN {condition} THEN %s" for condition in shown)
        columns = dict.fromkeys(column for p in here for column in (p.column, *p.written))
        rows = query(
            f"SELECT id, {', '.join(columns)}, CASE {cases} END AS kind FROM {table}"
            f" WHERE deleted = 0 AND ({' OR '.join(shown)})",
            [
                *(param for p in here for param in (p.status, PASSAGE, HANDOVER, p.kind)),
                *(param for p in here for param in (p.status, PASSAGE, HANDOVER)),
            ],
        )
        for passing in here:
            found += [_operation_of(passing, row) for row in rows if row["kind"] == passing.kind]
    return found


def _operation_of(passing: Passing, row: Row) -> Operation:
    written = utc(next((row[column] for column in passing.written if row[column] is not None), None))
    return Operation(
        passing.kind, row["id"], row[passing.column], since=written, claimed=False, written=written
    )


def _operation(row: Row, worker: Worker | None, config: ServiceConfig) -> Operation | None:
    ours = worker is not None and worker.holder == "us"
    if worker is not None and not ours and worker.holder != "nobody":
        return None  # another service has it
    # Scheduling takes seconds. A request older than service_down_time is no longer being scheduled: it was lost, or
    # waits for a cinder-volume that is down. Such an operation only informs.
    old = row["age"] is None or row["age"] > config.service_down_time
    return Operation(
        kind=KIND.name,
        id=row["id"],
        status=row["status"],
        since=worker.since if worker else utc(row["created_at"]),
        # Once it has a host it waits for that cinder-volume, which claims the worker row.
        claimed=ours and row["host"] is None,
        touched=worker.touched if worker and ours else None,
        informs=old,
        written=utc(row["written"]),
    )


def _scheduled(query: Query, own: Sequence[int], asked: Sequence[Operation]) -> list[Ending]:
    wanted = ids(operation.id for operation in asked)
    if not wanted:
        return []
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
        f"SELECT id, {passing.column} AS status, deleted, ({passing.under_way}) AS under_way"
        f" FROM {passing.table} WHERE id IN ({marks(wanted)})",
        [PASSAGE, HANDOVER, *wanted],
    )
    by_id = {row["id"]: row for row in rows}
    return [_passing_ending(operation, passing, by_id.get(operation.id)) for operation in asked]


def _passing_ending(operation: Operation, passing: Passing, row: Row | None) -> Ending:
    if row is None or row["deleted"]:
        return Ending(operation, Outcome.FINISHED, "deleted")
    status = str(row["status"])
    if status == passing.failed:
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
    if row is None or row["deleted"] or row["status"] != "creating":
        status = None if row is None or row["deleted"] else str(row["status"])
        return cinder.ending(operation, KIND, status, worker, "volume")
    host, ours = row["host"], worker is not None and worker.holder == "us"
    if host is not None and not ours:
        return Ending(operation, Outcome.FINISHED, "creating")
    if host is not None:
        fate = (
            f"its request waits for cinder-volume at {host}; if it still waits at this scheduler's next start, "
            "the volume is shown as error until it is taken"
        )
    elif ours:
        # CleanableManager.init_host, cinder/scheduler/manager.py _do_cleanup.
        return Ending(operation, Outcome.INTERRUPTED, "creating", "its next start sets the volume to error")
    else:
        fate = "nobody took it: done at the next start if its request still waits in the queue, else it stays creating"
    return Ending(operation, Outcome.UNKNOWN, "creating", fate)

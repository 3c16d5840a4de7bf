"""Evidence of nova-compute: task states, migrations and open events, from the sources of nova 34.0.0.

An operation is identified by its kind and its instance, so that it remains the same while the task state changes
(networking, spawning, …). If several rows describe work on one instance there is one operation: from its migration
if there is one, because that says most, else from the task state, else from the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..database.connection import Query, Row
from ..model import Ending, Operation, Outcome
from ..service.config import ServiceConfig
from . import nova
from .base import Activity, ids, marks, utc

# How the states of nova/compute/task_states.py begin, by the operation that the user asked for; the first match counts.
_TASKS = {
    "instance_build": ("scheduling", "networking", "block_device_mapping", "spawning"),
    "instance_backup": ("image_backup",),
    "instance_snapshot": ("image_",),
    "instance_resize_revert": ("resize_reverting",),
    "instance_resize_confirm": ("resize_confirming",),
    "instance_resize": ("resize_",),
    "instance_reboot": ("reboot",),
    "instance_rebuild": ("rebuild",),
    "instance_live_migration": ("migrating",),
    "instance_delete": ("deleting", "soft-deleting"),
    "instance_shelve": ("shelving",),
}
_KIND_OF_MIGRATION = {
    "live-migration": "instance_live_migration",
    "resize": "instance_resize",
    "migration": "instance_resize",  # a cold migration is a resize to the same size
    "evacuation": "instance_evacuation",
}
# One migration accompanies a resize from start to confirmation; these statuses show which part it is in.
# A "finished" resize waits for a user to confirm it.
_FINISHED = "finished"
_KIND_OF_STATUS = {
    "confirming": "instance_resize_confirm",
    "reverting": "instance_resize_revert",
    _FINISHED: "instance_resize_to_confirm",
}
# The final statuses (nova/db/main/api.py migration_get_in_progress_by_host_and_node).
_GOOD = ("confirmed", "reverted", "completed", "done")
_BAD = ("error", "failed", "cancelled")

# What the next start does with an interrupted one: nova/compute/manager.py _init_instance.
_HEALED = {
    "instance_build": "its next start sets the instance to error",
    "instance_rebuild": "its next start sets the instance to error",
    "instance_snapshot": "its next start clears the task; the image stays unfinished",
    "instance_resize": "its next start rolls it back if it had begun to move, else an operator must reset it",
    "instance_live_migration": "the next start on the source aborts it if it still runs and resets the instance",
    "instance_delete": "its next start resumes the delete",
    "instance_reboot": "its next start reboots the instance or, where it runs, clears the task",
    "instance_pausing": "its next start clears the task if the instance runs",
    "instance_unpausing": "its next start unpauses the instance or clears the task",
    "instance_powering_off": "its next start stops the instance",
    "instance_powering_on": "its next start starts the instance",
}
# The task states of instances that are being moved, as the index has them.
_ON_THE_WAY = " OR ".join(
    f"i.task_state {states}"
    for states in ("= 'migrating'", "LIKE 'resize!_%%' ESCAPE '!'", "LIKE 'rebuild%%'")
)
_LEFT_BEHIND = "its migration has completed, so its task state was left behind"
_EVENT, _EVENT_KIND = "compute_", "instance_event_"
# A build has an event as well, which stays open a moment longer than its task: it is one operation all the same.
_EVENT_OF_BUILD = "compute__do_build_and_run_instance"


class NovaCompute(nova.NovaEvidence):
    """Evidence of one nova-compute."""

    # Work in flight continues after SIGTERM, but 34.0.0 loses the requests that arrive from then until its exit: it
    # was seen to take them from the queue and never run them. At a quiet moment that time is short.
    PROFILE = nova.profile(
        "nova-compute",
        rows_tell=True,
        # Seen in 34.0.0: the process stays, its heartbeat moves, it consumes from its queue and runs no request.
        no_reload="on native threads SIGHUP leaves nova-compute deaf to requests while its heartbeat moves",
    )

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        sources = (read(query, config.host) for read in (_migrations, _tasks, _events))
        return Activity(nova.heartbeats(query, config), _one_an_instance(*sources))

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        wanted = ids(operation.id for operation in operations)
        rows = query(
            f"SELECT uuid, vm_state, task_state, deleted FROM instances WHERE uuid IN ({marks(wanted)})",
            wanted,
        )
        instances = {row["uuid"]: row for row in rows}
        moves = query(
            "SELECT instance_uuid, status, migration_type FROM migrations"
            f" WHERE deleted = 0 AND instance_uuid IN ({marks(wanted)}) ORDER BY id",
            wanted,
        )
        events = query(
            "SELECT a.instance_uuid, e.event FROM instance_actions a"
            " JOIN instance_actions_events e ON e.action_id = a.id AND e.deleted = 0"
            f" WHERE a.deleted = 0 AND a.instance_uuid IN ({marks(wanted)})"
            " AND e.host = %s AND e.finish_time IS NULL",
            [*wanted, config.host],
        )
        started = {(_event_kind(row["event"]), row["instance_uuid"]) for row in events}
        return tuple(
            _ending(operation, instances.get(operation.id), _last_status(operation, moves), started)
            for operation in operations
        )


def _one_an_instance(*sources: Sequence[Operation]) -> tuple[Operation, ...]:
    """Keep one operation of each instance: the first that is waited for, best source first, else the first.

    What was written last counts, because an old migration may hide a task of now.
    """
    kept: dict[str, Operation] = {}
    written: dict[str, list[str | None]] = {}
    for operation in (operation for source in sources for operation in source):
        before = kept.get(operation.id)
        if before is None or (not _counts(before) and _counts(operation)):
            kept[operation.id] = operation
        written.setdefault(operation.id, []).append(operation.written)
    return tuple(replace(operation, written=_last(written[id_])) for id_, operation in kept.items())


def _counts(operation: Operation) -> bool:
    return not (operation.informs or operation.passed_over)


def _last(moments: Sequence[str | None]) -> str | None:
    """Return the last of these moments, None if any of them is not known."""
    known = [moment for moment in moments if moment is not None]
    return max(known) if len(known) == len(moments) else None


def _tasks(query: Query, host: str) -> list[Operation]:
    # By COALESCE the server cannot read the index of task states, in which all hosts' are.
    rows = query(
        "SELECT uuid, host, task_state, created_at, updated_at FROM instances"
        " WHERE deleted = 0 AND host = %s AND COALESCE(task_state, '') <> ''",
        [host],
    )
    rows = [row for row in rows if row["host"] == host and row["task_state"]]
    over = _migrated(query, [row["uuid"] for row in rows if row["task_state"] == "migrating"])
    return [
        Operation(
            kind=_kind_of_task(row["task_state"]),
            id=row["uuid"],
            status=row["task_state"],
            since=utc(row["updated_at"] or row["created_at"]),
            written=utc(row["updated_at"] or row["created_at"]),
            passed_over=_LEFT_BEHIND if row["uuid"] in over else "",
        )
        for row in rows
    ]


def _migrated(query: Query, uuids: Sequence[str]) -> set[str]:
    """Return those of these instances whose last live migration has completed, which is written after all else.

    Their task state was left behind, as after a destination that did not answer at the end (nova/compute/manager.py
    _post_live_migration).
    """
    if not uuids:
        return set()
    rows = query(
        "SELECT instance_uuid, status,"
        " COALESCE(updated_at, created_at) < UTC_TIMESTAMP() - INTERVAL 1 MINUTE AS settled FROM migrations"
        f" WHERE deleted = 0 AND migration_type = 'live-migration' AND instance_uuid IN ({marks(uuids)}) ORDER BY id",
        uuids,
    )
    last = {row["instance_uuid"]: row for row in rows}
    return {uuid for uuid, row in last.items() if row["status"] == "completed" and row["settled"]}


def _kind_of_task(state: str) -> str:
    known = (kind for kind, beginnings in _TASKS.items() if state.startswith(beginnings))
    return next(known, "instance_" + state.replace("-", "_"))


def _migrations(query: Query, host: str) -> list[Operation]:
    """Return the migrations from or to this host.

    A row that has not changed for a day and whose instance has no task was left behind by a failure. The destination
    is found by the host's instances, by those that any host is moving, and by what was written lately, as when a
    migration is rolled back.
    """
    ends = [*_GOOD, *_BAD]
    select = (
        "SELECT m.id, m.instance_uuid, m.source_compute, m.dest_compute, m.status, m.migration_type, m.created_at,"
        " COALESCE(m.updated_at, m.created_at) AS written"
        " FROM migrations m JOIN instances i ON i.uuid = m.instance_uuid AND i.deleted = 0"
        f" WHERE m.deleted = 0 AND m.status NOT IN ({marks(ends)})"
        " AND (m.status <> %s OR i.vm_state = 'resized')"
        " AND (i.task_state IS NOT NULL OR m.status = %s"
        " OR COALESCE(m.updated_at, m.created_at) > UTC_TIMESTAMP() - INTERVAL 1 DAY) AND "
    )
    # Up to 2025.1 no index has the destination.
    places = (
        ("m.source_compute = %s", [host]),
        (f"m.dest_compute = %s AND (i.host = %s OR {_ON_THE_WAY})", [host, host]),
        ("m.dest_compute = %s AND m.updated_at > UTC_TIMESTAMP() - INTERVAL 1 HOUR", [host]),
    )
    rows = query(
        " UNION ".join(select + where for where, _ in places) + " ORDER BY id",
        [param for _, params in places for param in (*ends, _FINISHED, _FINISHED, *params)],
    )
    return [
        Operation(
            kind=_KIND_OF_STATUS.get(row["status"]) or _kind_of_migration(row),
            id=row["instance_uuid"],
            status=row["status"],
            since=utc(row["created_at"]),
            informs=row["status"] == _FINISHED,
            written=utc(row["written"]),
        )
        for row in rows
        # The database ignores case and accents. Of an evacuation the destination does the work: the source is down.
        if row["dest_compute"] == host
        or (row["source_compute"] == host and row["migration_type"] != "evacuation")
    ]


def _kind_of_migration(row: Row) -> str:
    return _KIND_OF_MIGRATION.get(row["migration_type"] or "", "instance_migration")


def _events(query: Query, host: str) -> list[Operation]:
    """Return the open events of nova-compute on this host's instances, which alone show attachments.

    The query starts from the host's instances because the events' table has no suitable index. Of their actions it
    takes those of the last day, because the start of an event updates its action (nova/db/main/api.py
    action_event_start), except for what nova-compute resumes at its own start, which the task states show. A killed
    nova-compute leaves its events open for good, so they only inform after an hour and are ignored after a day. A
    conductor on a host of the same name writes events too, with another prefix.
    """
    rows = query(
        "SELECT i.uuid, i.host, e.event, e.start_time,"
        " e.start_time < UTC_TIMESTAMP() - INTERVAL 1 HOUR AS old"
        " FROM instances i"
        " JOIN instance_actions a ON a.instance_uuid = i.uuid AND a.deleted = 0"
        " AND a.updated_at > UTC_TIMESTAMP() - INTERVAL 1 DAY"
        " JOIN instance_actions_events e ON e.action_id = a.id AND e.deleted = 0"
        " WHERE i.deleted = 0 AND i.host = %s AND e.host = %s AND e.finish_time IS NULL"
        " AND e.start_time > UTC_TIMESTAMP() - INTERVAL 1 DAY AND e.event LIKE %s ESCAPE '!'"
        " ORDER BY e.start_time, e.id",
        [host, host, "compute!_%"],
    )
    return [
        Operation(
            kind=_event_kind(row["event"]),
            id=row["uuid"],
            status="started",
            since=utc(row["start_time"]),
            informs=bool(row["old"]),
            written=utc(row["start_time"]),
        )
        for row in rows
        if row["host"] == host
    ]


def _event_kind(event: str) -> str:
    return "instance_build" if event == _EVENT_OF_BUILD else _EVENT_KIND + event[len(_EVENT) :]


def _last_status(operation: Operation, migrations: Sequence[Row]) -> str | None:
    """Return the status of the instance's newest migration of the operation's kind."""
    of_resize = operation.kind in _KIND_OF_STATUS.values()
    kind = "instance_resize" if of_resize else operation.kind
    of_kind = (
        row["status"]
        for row in reversed(migrations)
        if row["instance_uuid"] == operation.id and _kind_of_migration(row) == kind
    )
    return next(of_kind, None)


def _ending(
    operation: Operation, row: Row | None, migration: str | None, started: set[tuple[str, str]]
) -> Ending:
    if row is None or row["deleted"]:
        return Ending(operation, Outcome.FINISHED, "deleted")
    state, task = str(row["vm_state"] or ""), row["task_state"]
    of_event = operation.kind.startswith(_EVENT_KIND)
    if operation.key in started if of_event else _unfinished(operation.kind, task, migration):
        status = task or migration or operation.status
        left = f"it stays {status} until an operator resets it"
        if of_event:
            left = "what was done by then stays, the rest is not done"
        return Ending(operation, Outcome.INTERRUPTED, status, _HEALED.get(operation.kind, left))
    if migration in _BAD:
        fate = f"ended in error; its migration is {migration}, the instance is {state}"
        return Ending(operation, Outcome.INTERRUPTED, "error", fate)
    if state == "error":
        return Ending(operation, Outcome.INTERRUPTED, "error", "ended in error; the instance is in error")
    if operation.kind == "instance_delete" and state != "soft-delete":
        return Ending(
            operation, Outcome.INTERRUPTED, state, f"it was given up; the instance is {state} again"
        )
    return Ending(operation, Outcome.FINISHED, migration or state)


def _unfinished(kind: str, task: str | None, migration: str | None) -> bool:
    if task and _kind_of_task(task) == kind:
        return True
    return migration not in (None, *_GOOD, *_BAD) and _KIND_OF_STATUS.get(migration, kind) == kind

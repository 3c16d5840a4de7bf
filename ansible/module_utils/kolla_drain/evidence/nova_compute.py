"""Evidence of nova-compute: task states, migrations and open events, from the sources of nova 34.0.0.

An operation is identified by its kind and its instance, so that it remains the same while the task state changes
(networking, spawning, …). If several rows describe work on one instance there is one operation: from its migration
if there is one, because that says most, else from the task state, else from the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..database.connection import Query, Row
from ..model import Ending, Operation, Outcome
from ..service.config import ServiceConfig
from . import nova
from .base import Activity
from .rows import ids, marks, utc

# The states of nova/compute/task_states.py, by the operation that the user asked for.
_TASKS = {
    "instance_build": ("scheduling", "networking", "block_device_mapping", "spawning"),
    "instance_snapshot": (
        "image_snapshot",
        "image_snapshot_pending",
        "image_pending_upload",
        "image_uploading",
    ),
    "instance_backup": ("image_backup",),
    "instance_resize": ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"),
    "instance_resize_revert": ("resize_reverting",),
    "instance_resize_confirm": ("resize_confirming",),
    "instance_reboot": (
        "rebooting",
        "reboot_pending",
        "reboot_started",
        "rebooting_hard",
        "reboot_pending_hard",
        "reboot_started_hard",
    ),
    "instance_rebuild": ("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"),
    "instance_live_migration": ("migrating",),
    "instance_delete": ("deleting", "soft-deleting"),
    "instance_shelve": (
        "shelving",
        "shelving_image_pending_upload",
        "shelving_image_uploading",
        "shelving_offloading",
    ),
}
_KIND_OF_TASK = {task: kind for kind, tasks in _TASKS.items() for task in tasks}
_KIND_OF_MIGRATION = {
    "live-migration": "instance_live_migration",
    "resize": "instance_resize",
    "migration": "instance_resize",  # a cold migration is a resize to the same size
    "evacuation": "instance_evacuation",
}
# One migration accompanies a resize from start to confirmation; these statuses show which part it is in.
_KIND_OF_STATUS = {"confirming": "instance_resize_confirm", "reverting": "instance_resize_revert"}
_CONFIRM = "instance_resize_to_confirm"
_KINDS_OF_RESIZE = (*_KIND_OF_STATUS.values(), _CONFIRM)

# A "finished" resize waits for a user to confirm it; the other statuses are final (nova/db/main/api.py
# migration_get_in_progress_by_host_and_node).
_FINISHED = "finished"
_GOOD = ("confirmed", "reverted", "completed", "done", _FINISHED)
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
_STAYS = "it stays {task} until an operator resets it"
_HALF_DONE = "what was done by then stays, the rest is not done"


class NovaCompute(nova.NovaEvidence):
    """Evidence of one nova-compute."""

    # Work in flight continues after SIGTERM, but 34.0.0 loses the requests that arrive from then until its exit: it
    # was seen to take them from the queue and never run them. At a quiet moment that time is short.
    PROFILE = nova.profile(
        "nova-compute",
        quiesce=True,
        # Seen in 34.0.0: the process stays, its heartbeat moves, it consumes from its queue and runs no request.
        no_reload="on native threads SIGHUP leaves nova-compute deaf to requests while its heartbeat moves",
    )

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        beats = nova.heartbeats(query, config)
        migrations = _migrations(query, config.host)
        tasks = _tasks(query, config.host)
        events = _events(query, config.host)
        return Activity(beats, _one_an_instance(migrations, tasks, events))

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        wanted = ids(operation.id for operation in operations)
        if not wanted:
            return ()
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
        started = _open_events(query, config.host, wanted)
        return tuple(
            _ending(operation, _now(operation, instances.get(operation.id), moves, started))
            for operation in operations
        )


def _one_an_instance(*sources: Sequence[Operation]) -> tuple[Operation, ...]:
    """Keep one operation of each instance: the first that is waited for, best source first, else the first."""
    kept: dict[str, Operation] = {}
    for operation in (operation for source in sources for operation in source):
        before = kept.get(operation.id)
        if before is None or (before.informs and not operation.informs):
            kept[operation.id] = operation
    return tuple(kept.values())


def _tasks(query: Query, host: str) -> list[Operation]:
    rows = query(
        "SELECT uuid, host, task_state, created_at, updated_at FROM instances"
        " WHERE deleted = 0 AND host = %s AND task_state IS NOT NULL",
        [host],
    )
    return [
        Operation(
            kind=_KIND_OF_TASK.get(row["task_state"]) or _kind_named_after(row["task_state"]),
            id=row["uuid"],
            status=row["task_state"],
            since=utc(row["updated_at"] or row["created_at"]),
        )
        for row in rows
        if row["host"] == host and row["task_state"]
    ]


def _kind_named_after(word: str) -> str:
    return "instance_" + word.replace("-", "_")


def _migrations(query: Query, host: str) -> list[Operation]:
    """Return the migrations from or to this host.

    A row that has not changed for a day and whose instance has no task was left behind by a failure.
    """
    ends = [status for status in _GOOD if status != _FINISHED] + list(_BAD)
    rows = query(
        "SELECT m.id, m.instance_uuid, m.source_compute, m.dest_compute, m.status, m.migration_type, m.created_at,"
        " i.vm_state"
        " FROM migrations m JOIN instances i ON i.uuid = m.instance_uuid AND i.deleted = 0"
        " WHERE m.deleted = 0 AND (m.source_compute = %s OR m.dest_compute = %s)"
        f" AND m.status NOT IN ({marks(ends)})"
        " AND (i.task_state IS NOT NULL OR m.status = %s"
        " OR COALESCE(m.updated_at, m.created_at) > UTC_TIMESTAMP() - INTERVAL 1 DAY)"
        " ORDER BY m.id",
        [host, host, *ends, _FINISHED],
    )
    operations = [_migration(row, host) for row in rows]
    return [operation for operation in operations if operation is not None]


def _migration(row: Row, host: str) -> Operation | None:
    if host not in (row["source_compute"], row["dest_compute"]):
        return None  # the database ignores case and accents
    if row["migration_type"] == "evacuation" and row["dest_compute"] != host:
        return None  # the source is down by definition, the destination does the work
    if row["status"] == _FINISHED:
        if row["vm_state"] != "resized":
            return None
        return _migration_operation(row, _CONFIRM, informs=True)
    kind = _KIND_OF_STATUS.get(row["status"]) or _KIND_OF_MIGRATION.get(
        row["migration_type"] or "", "instance_migration"
    )
    return _migration_operation(row, kind)


def _migration_operation(row: Row, kind: str, informs: bool = False) -> Operation:
    return Operation(
        kind=kind,
        id=row["instance_uuid"],
        status=row["status"],
        since=utc(row["created_at"]),
        informs=informs,
    )


def _events(query: Query, host: str) -> list[Operation]:
    """Return the open events of nova-compute on this host's instances, which alone show attachments.

    The query starts from the host's instances because the events' table has no suitable index. A killed nova-compute
    leaves its events open for good, so they only inform after an hour and are ignored after a day. A conductor on a
    host of the same name writes events too, with another prefix.
    """
    rows = query(
        "SELECT i.uuid, i.host, e.event, e.start_time,"
        " e.start_time < UTC_TIMESTAMP() - INTERVAL 1 HOUR AS old"
        " FROM instances i"
        " JOIN instance_actions a ON a.instance_uuid = i.uuid AND a.deleted = 0"
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
        )
        for row in rows
        if row["host"] == host
    ]


_EVENT = "compute_"
_EVENT_KIND = "instance_event_"


def _event_kind(event: str) -> str:
    return _EVENT_KIND + event[len(_EVENT) :]


@dataclass(frozen=True)
class _Now:
    """The current state of one instance by its rows."""

    vm_state: str
    task_state: str | None
    gone: bool
    migration: str | None  # the status of its newest migration of the operation's kind
    open_events: frozenset[str]


def _open_events(query: Query, host: str, wanted: Sequence[object]) -> dict[str, set[str]]:
    rows = query(
        "SELECT a.instance_uuid, e.event FROM instance_actions a"
        " JOIN instance_actions_events e ON e.action_id = a.id AND e.deleted = 0"
        f" WHERE a.deleted = 0 AND a.instance_uuid IN ({marks(wanted)}) AND e.host = %s AND e.finish_time IS NULL",
        [*wanted, host],
    )
    kinds: dict[str, set[str]] = {}
    for row in rows:
        kinds.setdefault(row["instance_uuid"], set()).add(_event_kind(row["event"]))
    return kinds


def _now(operation: Operation, row: Row | None, moves: Sequence[Row], started: dict[str, set[str]]) -> _Now:
    statuses = [
        move["status"]
        for move in moves
        if move["instance_uuid"] == operation.id and operation.kind in _kinds_of(move["migration_type"] or "")
    ]
    return _Now(
        vm_state=str(row["vm_state"] or "") if row else "",
        task_state=row["task_state"] if row else None,
        gone=row is None or bool(row["deleted"]),
        migration=statuses[-1] if statuses else None,
        open_events=frozenset(started.get(operation.id, ())),
    )


def _kinds_of(migration_type: str) -> tuple[str, ...]:
    kind = _KIND_OF_MIGRATION.get(migration_type, "instance_migration")
    return (kind, *_KINDS_OF_RESIZE) if kind == "instance_resize" else (kind,)


def _ending(operation: Operation, now: _Now) -> Ending:
    if now.gone:
        return Ending(operation, Outcome.FINISHED, "deleted")
    if _unfinished(operation, now):
        task = now.task_state or now.migration or operation.status
        left = _HALF_DONE if operation.kind.startswith(_EVENT_KIND) else _STAYS.format(task=task)
        fate = _HEALED.get(operation.kind, left)
        return Ending(operation, Outcome.INTERRUPTED, task, fate)
    if now.migration in _BAD:
        fate = f"ended in error; its migration is {now.migration}, the instance is {now.vm_state}"
        return Ending(operation, Outcome.INTERRUPTED, "error", fate)
    if now.vm_state == "error":
        return Ending(operation, Outcome.INTERRUPTED, "error", "ended in error; the instance is in error")
    if operation.kind == "instance_delete" and now.vm_state != "soft-delete":
        return Ending(
            operation,
            Outcome.INTERRUPTED,
            now.vm_state,
            f"it was given up; the instance is {now.vm_state} again",
        )
    return Ending(operation, Outcome.FINISHED, now.migration or now.vm_state)


def _unfinished(operation: Operation, now: _Now) -> bool:
    if operation.kind.startswith(_EVENT_KIND):
        return operation.kind in now.open_events
    tasks = _TASKS.get(operation.kind)
    if tasks is None and now.task_state:
        tasks = (now.task_state,) if _kind_named_after(now.task_state) == operation.kind else ()
    if now.task_state and now.task_state in (tasks or ()):
        return True
    return _migration_unfinished(operation.kind, now.migration)


def _migration_unfinished(kind: str, status: str | None) -> bool:
    if status is None or status in _GOOD + _BAD:
        return kind == _CONFIRM and status == _FINISHED
    return _KIND_OF_STATUS.get(status, kind) == kind

"""What became of cinder-volume's operations, judged by their rows. From the sources of cinder 29.0.0."""

from __future__ import annotations

from collections.abc import Sequence

from ..database.connection import Query, Row
from ..model import Ending, Operation, Outcome
from . import cinder
from . import cinder_volume_kinds as kinds
from .base import ids, marks
from .cinder import Kind, Worker

_KINDS = {
    kind.name: kind
    for kind in (
        *kinds.VOLUME,
        *kinds.ATTACH,
        *kinds.ATTACHMENT,
        *kinds.SNAPSHOT,
        *kinds.GROUP,
        *kinds.GROUP_SNAPSHOT,
        kinds.MAINTENANCE,
        kinds.MIGRATE,
        kinds.TARGET,
        kinds.GROUP_REPLICATION,
        kinds.FAILOVER,
        kinds.REVERT_CLEANUP,
        Kind("volume_reimage", ("downloading",)),
    )
}
# Where the rows of an operation are, by what it works on: table and columns.
_TABLES = {
    "volume": ("volumes", f"id, status, migration_status, deleted, launched_at, {kinds.VOLUME_AGE} AS age"),
    "snapshot": ("snapshots", "id, status, deleted"),
    "group": ("`groups`", "id, status, replication_status, deleted"),
    "group_snapshot": ("group_snapshots", "id, status, deleted"),
    "attachment": (
        "volume_attachment",
        f"id, attach_status AS status, deleted, {cinder.age_of('updated_at', 'created_at')} AS age",
    ),
}


def endings(query: Query, services: Sequence[Row], operations: Sequence[Operation]) -> tuple[Ending, ...]:
    """Return, for each operation of these services, what its rows say now. Raises EvidenceUnavailable."""
    workers = cinder.workers(query, [row["id"] for row in services], map(_worker_key, operations))
    rows: dict[tuple[str, str], Row] = {("backend", row["host"]): {**row, "deleted": 0} for row in services}
    for thing, (table, columns) in _TABLES.items():
        wanted = ids(operation.id for operation in operations if _thing(operation) == thing)
        if wanted:
            found = query(f"SELECT {columns} FROM {table} WHERE id IN ({marks(wanted)})", wanted)
            rows.update({(thing, row["id"]): row for row in found})
    return tuple(
        _ending(operation, rows.get((_thing(operation), operation.id)), workers.get(_worker_key(operation)))
        for operation in operations
    )


def _thing(operation: Operation) -> str:
    """Return what an operation works on, with which the name of its kind begins."""
    return "group_snapshot" if operation.kind.startswith("group_snapshot_") else operation.kind.split("_")[0]


def _worker_key(operation: Operation) -> tuple[str, str]:
    return _thing(operation).capitalize(), operation.id


def _ending(operation: Operation, row: Row | None, worker: Worker | None) -> Ending:
    kind = _KINDS[operation.kind]
    column = "status"
    if kind in (kinds.MIGRATE, kinds.TARGET):
        column, worker = "migration_status", None
    elif kind in (kinds.GROUP_REPLICATION, kinds.FAILOVER):
        column = "replication_status"
    status = None if row is None or row["deleted"] else str(row[column] or "none")
    if row is None or status is None:
        return Ending(operation, Outcome.FINISHED, "deleted")
    if operation.unattributed and worker is not None and worker.member and worker.status in kind.statuses:
        return Ending(operation, Outcome.UNKNOWN, status, anothers=worker.member)
    if kind in (*kinds.ATTACH, *kinds.ATTACHMENT):
        # No row says whether a call was answered or given up, but an old one is over.
        if status not in kind.statuses or not cinder.young(row, cinder.ATTACH_CALL):
            return Ending(operation, Outcome.FINISHED, status)
        fate = "a call for a connection may have been cut; its caller is told, and can ask again"
        return Ending(operation, Outcome.UNKNOWN, status, fate)
    claimed = worker is not None and worker.holder == "us" and worker.status in kind.statuses
    fate = ""
    if kind is kinds.TARGET and status.startswith(kinds.TARGET_OF):
        fate = "the half-made copy stays until an operator deletes it"
    elif kind is kinds.REVERT_CLEANUP:
        fate = "the temporary snapshot of a revert stays until an operator deletes it"
    elif kind.name == "volume_create" and status == "reserved" and claimed and not row["launched_at"]:
        # It was reserved while it was being created, and the worker row says that the create has not ended.
        fate = "the volume stays reserved, and is not complete"
    if fate:
        return Ending(operation, Outcome.INTERRUPTED, status, fate)
    return cinder.ending(operation, kind, status, worker, _thing(operation).replace("_", " "))

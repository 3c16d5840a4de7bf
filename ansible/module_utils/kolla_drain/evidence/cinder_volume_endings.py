"""What became of cinder-volume's operations, judged by their rows. From the sources of cinder 29.0.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..database.connection import Query, Row
from ..model import Ending, Operation, Outcome
from ..service.config import ServiceConfig
from . import cinder
from .cinder import Kind, Worker
from .cinder_volume_kinds import (
    ATTACH_KINDS,
    ATTACHMENT_KINDS,
    FAILOVER,
    GROUP_KINDS,
    GROUP_REPLICATION,
    GROUP_SNAPSHOT_KINDS,
    MAINTENANCE,
    MIGRATE,
    REVERT_CLEANUP,
    SNAPSHOT_KINDS,
    TARGET,
    TARGET_OF,
    VOLUME_AGE,
    VOLUME_KINDS,
)
from .rows import ids, marks


def endings(query: Query, config: ServiceConfig, operations: Sequence[Operation]) -> tuple[Ending, ...]:
    """Return, for each operation, what its rows say now. Raises EvidenceUnavailable."""
    services = cinder.services(query, config)
    own = {row["id"] for row in services}
    resources = [_worker_key(operation) for operation in operations if _resource(operation)]
    held = cinder.workers(query, own, resources) if resources else {}
    tables = _Tables(
        volumes=_now(query, "volumes", _VOLUME_NOW, operations, "volume_"),
        snapshots=_now(query, "snapshots", "id, status, deleted", operations, "snapshot_"),
        groups=_now(query, "`groups`", "id, status, replication_status, deleted", operations, "group_"),
        group_snapshots=_now(query, "group_snapshots", "id, status, deleted", operations, "group_snapshot_"),
        attachments=_now(query, "volume_attachment", _ATTACHMENT_NOW, operations, "attachment_"),
        services={row["host"]: row for row in services},
    )
    return tuple(_ending(operation, tables, held.get(_worker_key(operation))) for operation in operations)


_VOLUME_NOW = f"id, status, migration_status, deleted, launched_at, {VOLUME_AGE} AS age"
_ATTACHMENT_NOW = f"id, attach_status AS status, deleted, {cinder.age_of('updated_at', 'created_at')} AS age"


@dataclass(frozen=True)
class _Tables:
    volumes: Mapping[str, Row]
    snapshots: Mapping[str, Row]
    groups: Mapping[str, Row]
    group_snapshots: Mapping[str, Row]
    attachments: Mapping[str, Row]
    services: Mapping[str, Row]


def _resource(operation: Operation) -> str:
    prefix = operation.kind.split("_", 1)[0]
    return {"volume": "Volume", "snapshot": "Snapshot"}.get(prefix, "")


def _worker_key(operation: Operation) -> tuple[str, str]:
    return _resource(operation), operation.id


def _now(
    query: Query, table: str, columns: str, operations: Sequence[Operation], prefix: str
) -> dict[str, Row]:
    """Return the rows of the operations whose kind has this prefix, deleted rows included."""
    wanted = ids(operation.id for operation in operations if _prefix(operation.kind) == prefix)
    if not wanted:
        return {}
    rows = query(f"SELECT {columns} FROM {table} WHERE id IN ({marks(wanted)})", wanted)
    return {row["id"]: row for row in rows}


def _prefix(kind: str) -> str:
    return "group_snapshot_" if kind.startswith("group_snapshot_") else kind.split("_", 1)[0] + "_"


_KINDS = {
    kind.name: kind
    for kind in (
        *VOLUME_KINDS,
        *ATTACH_KINDS,
        *ATTACHMENT_KINDS,
        MAINTENANCE,
        MIGRATE,
        TARGET,
        *SNAPSHOT_KINDS,
        *GROUP_KINDS,
        GROUP_REPLICATION,
        *GROUP_SNAPSHOT_KINDS,
        FAILOVER,
        REVERT_CLEANUP,
        Kind("volume_reimage", ("downloading",)),
    )
}


def _ending(operation: Operation, tables: _Tables, worker: Worker | None) -> Ending:
    kind = _KINDS.get(operation.kind)
    if kind is None:
        return Ending(
            operation, Outcome.UNKNOWN, operation.status, "this release does not know this kind of operation"
        )
    if kind in (*ATTACH_KINDS, *ATTACHMENT_KINDS):
        rows = tables.volumes if kind in ATTACH_KINDS else tables.attachments
        return _call_ending(operation, kind, rows.get(operation.id))
    if kind in (MIGRATE, TARGET):
        return _migration_ending(operation, kind, tables.volumes.get(operation.id))
    if kind is GROUP_REPLICATION:
        return cinder.ending(
            operation, kind, _status(tables.groups.get(operation.id), "replication_status"), None, "group"
        )
    if kind is FAILOVER:
        row = tables.services.get(operation.id)
        return cinder.ending(operation, kind, row["replication_status"] if row else None, None, "backend")
    rows = {
        "volume_": tables.volumes,
        "snapshot_": tables.snapshots,
        "group_": tables.groups,
        "group_snapshot_": tables.group_snapshots,
    }[_prefix(kind.name)]
    thing = _prefix(kind.name).strip("_").replace("_", " ")
    if kind.name == "volume_create" and _reserved_unfinished(rows.get(operation.id), worker):
        return Ending(
            operation, Outcome.INTERRUPTED, "reserved", "the volume stays reserved, and is not complete"
        )
    if kind is REVERT_CLEANUP and rows.get(operation.id) is not None:
        return _leftover(operation, rows[operation.id])
    return cinder.ending(operation, kind, _status(rows.get(operation.id), "status"), worker, thing)


def _call_ending(operation: Operation, kind: Kind, row: Row | None) -> Ending:
    """Judge a call by its age: no row says whether it was answered or given up, but an old one is over."""
    status = _status(row, "status")
    if row is not None and status in kind.statuses and cinder.young(row, cinder.ATTACH_CALL):
        fate = "a call for a connection may have been cut; its caller is told, and can ask again"
        return Ending(operation, Outcome.UNKNOWN, status or "", fate)
    return Ending(operation, Outcome.FINISHED, status or "deleted")


def _reserved_unfinished(row: Row | None, worker: Worker | None) -> bool:
    """Return whether a volume was reserved while it was being created and the create has not ended."""
    held = worker is not None and worker.holder == "us" and worker.status in ("creating", "downloading")
    return held and row is not None and row["status"] == "reserved" and not row["launched_at"]


def _leftover(operation: Operation, row: Row) -> Ending:
    if row["deleted"]:
        return Ending(operation, Outcome.FINISHED, "deleted")
    fate = "the temporary snapshot of a revert stays until an operator deletes it"
    return Ending(operation, Outcome.INTERRUPTED, row["status"], fate)


def _status(row: Row | None, column: str) -> str | None:
    return None if row is None or row["deleted"] else str(row[column] or "none")


def _migration_ending(operation: Operation, kind: Kind, row: Row | None) -> Ending:
    status = _status(row, "migration_status")
    if kind is MIGRATE or status is None:
        return cinder.ending(operation, kind, status, None, "volume")
    if status.startswith(TARGET_OF):
        fate = "the half-made copy stays until an operator deletes it"
        return Ending(operation, Outcome.INTERRUPTED, status, fate)
    return Ending(operation, Outcome.FINISHED, status)

"""Evidence of cinder-volume: ``services``, ``workers`` and the transitional statuses of what it works on.

Statuses are those that cinder 29.0.0 writes in cinder/volume/api.py, cinder/backup/api.py and
cinder/group/api.py before a request is sent. What leaves no trace in a row (making a connection for
an attachment, statistics) cannot be seen, so the evidence is not complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..model import Ending, Heartbeat, Operation, Outcome, Profile
from ..service_config import ServiceConfig
from . import cinder
from .cinder import Kind, Worker
from .database import Query, Row
from .rows import ids, marks, utc

PROFILE = Profile(
    name="cinder-volume",
    quiesce=True,  # a request that comes after SIGTERM may be lost (TESTBED, "Requests during the drain")
    heartbeat_while_draining=False,  # seen: report_count never moves again after SIGTERM (TESTBED)
    keeps_work=True,  # on eventlet, seen for all kinds (TESTBED); see cinder.adapt for threads
    refreshes_workers=False,  # workers.updated_at is written once, when the row is claimed (TESTBED)
    evidence_complete=False,
    exit_seconds=15.0,  # the longest of eight idle exits took 10.1 s (TESTBED)
)
adapt = cinder.adapt

# The next start, cinder/volume/manager.py _do_cleanup: by worker rows, and nothing else.
_ERROR = "its next start sets it to error"
VOLUME_KINDS = (
    Kind("volume_create", ("creating", "downloading"), healed=_ERROR, needs_worker=True),
    Kind(
        "volume_delete",
        ("deleting",),
        healed="its next start resumes the delete",
        needs_worker=True,
        deletes=True,
    ),
    # The delete of a volume that could not be managed; no worker row is made for this status.
    Kind("volume_delete_unmanaged", ("error_managing_deleting",), deletes=True),
    # Its status is among those that _do_cleanup knows, but nothing makes a worker row for an upload.
    Kind(
        "volume_upload",
        ("uploading",),
        healed="its next start sets it back to available or in-use",
        needs_worker=True,
    ),
    Kind("volume_extend", ("extending",)),
    Kind("volume_retype", ("retyping",)),
    Kind("volume_manage", ("managing",)),
    Kind("volume_unmanage", ("unmanaging",), deletes=True),
    Kind("volume_revert", ("reverting",)),
    # The part in a backup: the device is made before the copying and taken back after it, by calls from
    # cinder-backup. cinder/backup/manager.py _cleanup_one_volume says what becomes of the volume.
    Kind(
        "volume_backup",
        ("backing-up",),
        healed="cinder-backup's next start sets the volume back to its previous status and the backup to error",
    ),
    Kind(
        "volume_restore",
        ("restoring-backup",),
        healed="cinder-backup's next start sets the volume to error_restoring",
    ),
)
# These can last for as long as a person or another service takes.
STANDING_KINDS = (
    Kind("volume_attach", ("attaching",), informs=True),
    Kind("volume_detach", ("detaching",), informs=True),
    Kind("volume_maintenance", ("maintenance",), informs=True),
)
# Known by volumes.migration_status; nothing at the next start looks at it.
MIGRATE = Kind("volume_migrate", ("starting", "migrating", "completing"))
# The other end of a migration: its migration_status names the source, cinder/volume/manager.py.
TARGET = Kind("volume_migrate_target", (), deletes=True)
_TARGET_OF = "target:"
SNAPSHOT_KINDS = (
    Kind("snapshot_create", ("creating",), healed=_ERROR, needs_worker=True),
    Kind("snapshot_delete", ("deleting",), deletes=True),
    Kind("snapshot_update", ("updating",)),
    Kind("snapshot_unmanage", ("unmanaging",), deletes=True),
    Kind(
        "snapshot_backup",
        ("backing-up",),
        healed="cinder-backup's next start sets the snapshot back to available and the backup to error",
    ),
    # "restoring" belongs to a revert, which the volume's own status shows already.
)
GROUP_KINDS = (
    Kind("group_create", ("creating",)),
    Kind("group_delete", ("deleting",), deletes=True),
    Kind("group_update", ("updating",)),
)
GROUP_REPLICATION = Kind("group_replication", ("enabling", "disabling", "failing-over"))
GROUP_SNAPSHOT_KINDS = (
    Kind("group_snapshot_create", ("creating",)),
    Kind("group_snapshot_delete", ("deleting",), deletes=True),
    Kind("group_snapshot_update", ("updating",)),
)
FAILOVER = Kind("backend_failover", ("failing-over",))

_VOLUME_COLUMNS = (
    "id, host, cluster_name, status, migration_status, attach_status, launched_at, created_at, updated_at"
)


def read(query: Query, config: ServiceConfig) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
    """Return heartbeats and operations of this container. Raises EvidenceUnavailable."""
    rows = cinder.services(query, config)
    own = {row["id"] for row in rows}
    hosts = config.service_hosts or tuple(row["host"] for row in rows)
    look = _Look(query, hosts, own, cinder.workers(query, own))
    operations = (
        *look.volumes(),
        *look.snapshots(),
        *look.groups(),
        *look.group_snapshots(),
        *_failovers(rows),
    )
    return cinder.heartbeats(query, config, rows), operations


@dataclass(frozen=True)
class _Look:
    """One look at the resources of these hosts."""

    query: Query
    hosts: Sequence[str]
    own: set[int]
    claimed: Mapping[tuple[str, str], Worker]  # what these services hold

    def volumes(self) -> list[Operation]:
        rows = self._with_ours("Volume", self._volumes_here(), self._volumes_by_id)
        held = self._workers("Volume", rows)
        by_id = _migrations(self.query, rows)
        found = [self._volume(row, held.get(("Volume", row["id"])), by_id) for row in rows]
        return [operation for operation in found if operation is not None]

    def _volumes_here(self) -> list[Row]:
        where, params = cinder.on_hosts("host", self.hosts)
        working = cinder.statuses(VOLUME_KINDS + STANDING_KINDS)
        rows = self.query(
            f"SELECT {_VOLUME_COLUMNS} FROM volumes WHERE deleted = 0 AND {where}"
            f" AND (status IN ({marks(working)}) OR migration_status IN ({marks(MIGRATE.statuses)})"
            " OR migration_status LIKE %s)",
            [*params, *working, *MIGRATE.statuses, _TARGET_OF + "%"],
        )
        return self._here(rows)

    def _volumes_by_id(self, wanted: Sequence[str]) -> list[Row]:
        working = cinder.statuses(VOLUME_KINDS)
        return self.query(
            f"SELECT {_VOLUME_COLUMNS} FROM volumes"
            f" WHERE deleted = 0 AND id IN ({marks(wanted)}) AND status IN ({marks(working)})",
            [*wanted, *working],
        )

    def _volume(self, row: Row, worker: Worker | None, migrations: _Migrations) -> Operation | None:
        if not self._for_us(row, worker):
            return None
        kind = cinder.kind_of(row["status"], VOLUME_KINDS)
        if kind is not None:
            # A volume that was in use once is given another image; only a new one is being created.
            reimage = kind.name == "volume_create" and row["status"] == "downloading" and row["launched_at"]
            name = "volume_reimage" if reimage else kind.name
            return self._operation(name, row, row["status"], worker)
        moving = migrations.kind(row)
        if moving is not None:
            return self._operation(
                moving.name, row, row["migration_status"], worker, migrations.waits_for_nova(row)
            )
        standing = cinder.kind_of(row["status"], STANDING_KINDS)
        return self._operation(standing.name, row, row["status"], worker, True) if standing else None

    def snapshots(self) -> list[Operation]:
        rows = self._with_ours("Snapshot", self._snapshots_here(), self._snapshots_by_id)
        held = self._workers("Snapshot", rows)
        found = []
        for row in rows:
            worker = held.get(("Snapshot", row["id"]))
            kind = cinder.kind_of(row["status"], SNAPSHOT_KINDS)
            if kind is not None and self._for_us(row, worker):
                found.append(self._operation(kind.name, row, row["status"], worker))
        return found

    def _snapshots_here(self) -> list[Row]:
        # A snapshot has no host of its own. A volume goes after its snapshots, so no live snapshot is
        # missed by looking at live volumes, whose index begins with deleted.
        where, params = cinder.on_hosts("v.host", self.hosts)
        working = cinder.statuses(SNAPSHOT_KINDS)
        rows = self.query(
            "SELECT s.id, s.status, s.created_at, s.updated_at, v.host, v.cluster_name"
            " FROM snapshots s JOIN volumes v ON v.id = s.volume_id"
            f" WHERE s.deleted = 0 AND v.deleted = 0 AND {where} AND s.status IN ({marks(working)})",
            [*params, *working],
        )
        return self._here(rows)

    def _snapshots_by_id(self, wanted: Sequence[str]) -> list[Row]:
        working = cinder.statuses(SNAPSHOT_KINDS)
        return self.query(
            "SELECT s.id, s.status, s.created_at, s.updated_at, v.host, v.cluster_name"
            " FROM snapshots s JOIN volumes v ON v.id = s.volume_id"
            f" WHERE s.deleted = 0 AND s.id IN ({marks(wanted)}) AND s.status IN ({marks(working)})",
            [*wanted, *working],
        )

    def groups(self) -> list[Operation]:
        where, params = cinder.on_hosts("host", self.hosts)
        working = cinder.statuses(GROUP_KINDS)
        rows = self.query(
            "SELECT id, host, cluster_name, status, replication_status, created_at, updated_at FROM `groups`"
            f" WHERE deleted = 0 AND {where} AND (status IN ({marks(working)})"
            f" OR replication_status IN ({marks(GROUP_REPLICATION.statuses)}))",
            [*params, *working, *GROUP_REPLICATION.statuses],
        )
        return [self._group(row) for row in self._here(rows)]

    def _group(self, row: Row) -> Operation:
        kind = cinder.kind_of(row["status"], GROUP_KINDS)
        if kind is not None:
            return self._operation(kind.name, row, row["status"], None)
        return self._operation(GROUP_REPLICATION.name, row, row["replication_status"], None)

    def group_snapshots(self) -> list[Operation]:
        where, params = cinder.on_hosts("g.host", self.hosts)
        working = cinder.statuses(GROUP_SNAPSHOT_KINDS)
        rows = self.query(
            "SELECT s.id, s.status, s.created_at, s.updated_at, g.host"
            " FROM group_snapshots s JOIN `groups` g ON g.id = s.group_id"
            f" WHERE s.deleted = 0 AND {where} AND s.status IN ({marks(working)})",
            [*params, *working],
        )
        found = []
        for row in self._here(rows):
            kind = cinder.kind_of(row["status"], GROUP_SNAPSHOT_KINDS)
            if kind is not None:
                found.append(self._operation(kind.name, row, row["status"], None))
        return found

    def _here(self, rows: Sequence[Row]) -> list[Row]:
        # Exactly: the database compares without regard to case and accents.
        return [row for row in rows if cinder.service_host(row["host"]) in self.hosts]

    def _with_ours(self, resource: str, here: list[Row], by_id: _ById) -> list[Row]:
        """Add what our services have claimed though its host is another's, as happens in a cluster.

        A worker row counts only with a resource that is still in a transitional status. Rows outlive
        a failure, and where the resource is gone or at rest Cinder itself takes them for nothing:
        cinder/manager.py do_cleanup skips a missing resource and a status that is not the row's.
        """
        known = {row["id"] for row in here}
        missing = [name for kind, name in self.claimed if kind == resource and name not in known]
        return [*here, *(by_id(missing) if missing else [])]

    def _workers(self, resource: str, rows: Sequence[Row]) -> dict[tuple[str, str], Worker]:
        return cinder.workers(self.query, self.own, [(resource, row["id"]) for row in rows]) if rows else {}

    def _for_us(self, row: Row, worker: Worker | None) -> bool:
        """Whether this container does the work: in a cluster another member may hold it.

        Without a cluster the host decides, even against a worker row that a service of the same host
        held which was since removed and made again under another id.
        """
        if worker is not None and worker.holder == "us":
            return True
        if cinder.service_host(row["host"]) not in self.hosts:
            return False
        another_member = worker is not None and worker.holder not in ("nobody", "cinder-scheduler")
        return not (row["cluster_name"] and another_member)

    def _operation(
        self, kind: str, row: Row, status: str, worker: Worker | None, informs: bool = False
    ) -> Operation:
        return Operation(
            kind=kind,
            id=row["id"],
            status=status,
            since=worker.since if worker else utc(row["updated_at"] or row["created_at"]),
            claimed=_claimed(worker, status),
            touched=worker.touched if worker and worker.holder == "us" else None,
            informs=informs,
        )


class _ById(Protocol):
    """A question for rows by their ids."""

    def __call__(self, wanted: Sequence[str]) -> list[Row]: ...


def _claimed(worker: Worker | None, status: str) -> bool | None:
    """Whether the service has taken it, where a worker row tells.

    A create comes from the scheduler with a worker row that the scheduler holds until
    cinder-volume takes it (cinder/scheduler/manager.py create_volume).
    """
    if worker is None or worker.status != status:
        return None
    if worker.holder == "us":
        return True
    return False if worker.holder in ("nobody", "cinder-scheduler") else None


@dataclass(frozen=True)
class _Migrations:
    """The other ends of the migrations that some volumes take part in."""

    sources_moving: frozenset[str]  # ids of volumes that are being moved
    ready_targets: frozenset[str]  # ids of volumes whose target has been created

    def kind(self, row: Row) -> Kind | None:
        status = row["migration_status"] or ""
        if status in MIGRATE.statuses:
            return MIGRATE
        # The target keeps its mark when a migration failed; only a source that moves makes it work.
        if status.startswith(_TARGET_OF) and status[len(_TARGET_OF) :] in self.sources_moving:
            return TARGET
        return None

    def waits_for_nova(self, row: Row) -> bool:
        """Whether Nova copies the data now: of an attached volume, once the target is there.

        cinder/volume/manager.py _migrate_volume_generic hands such a volume to Nova and returns; that
        can last for hours, and Nova's own call completes it.
        """
        attached = row["attach_status"] == "attached"
        return attached and row["migration_status"] == "migrating" and row["id"] in self.ready_targets


def _migrations(query: Query, rows: Sequence[Row]) -> _Migrations:
    targets = [
        row["migration_status"] for row in rows if (row["migration_status"] or "").startswith(_TARGET_OF)
    ]
    moving = [row["id"] for row in rows if row["migration_status"] in MIGRATE.statuses]
    sources = ids(mark[len(_TARGET_OF) :] for mark in targets)
    return _Migrations(
        sources_moving=_sources_moving(query, sources) if sources else frozenset(),
        ready_targets=_ready_targets(query, moving) if moving else frozenset(),
    )


def _sources_moving(query: Query, volume_ids: Sequence[object]) -> frozenset[str]:
    rows = query(
        f"SELECT id FROM volumes WHERE deleted = 0 AND id IN ({marks(volume_ids)})"
        f" AND migration_status IN ({marks(MIGRATE.statuses)})",
        [*volume_ids, *MIGRATE.statuses],
    )
    return frozenset(row["id"] for row in rows)


def _ready_targets(query: Query, moving: Sequence[str]) -> frozenset[str]:
    targets = [_TARGET_OF + volume_id for volume_id in moving]
    rows = query(
        "SELECT migration_status FROM volumes"
        f" WHERE deleted = 0 AND status <> 'creating' AND migration_status IN ({marks(targets)})",
        targets,
    )
    return frozenset(row["migration_status"][len(_TARGET_OF) :] for row in rows)


def _failovers(rows: Sequence[Row]) -> list[Operation]:
    return [
        Operation(
            kind=FAILOVER.name, id=row["host"], status=row["replication_status"], since=utc(row["updated_at"])
        )
        for row in rows
        if row["replication_status"] in FAILOVER.statuses
    ]


def endings(query: Query, config: ServiceConfig, operations: Sequence[Operation]) -> tuple[Ending, ...]:
    """Return for each operation what its rows say now. Raises EvidenceUnavailable."""
    services = cinder.services(query, config)
    own = {row["id"] for row in services}
    resources = [_worker_key(operation) for operation in operations if _resource(operation)]
    held = cinder.workers(query, own, resources) if resources else {}
    tables = _Tables(
        volumes=_now(query, "volumes", "id, status, migration_status, deleted", operations, "volume_"),
        snapshots=_now(query, "snapshots", "id, status, deleted", operations, "snapshot_"),
        groups=_now(query, "`groups`", "id, status, replication_status, deleted", operations, "group_"),
        group_snapshots=_now(query, "group_snapshots", "id, status, deleted", operations, "group_snapshot_"),
        services={row["host"]: row for row in services},
    )
    return tuple(_ending(operation, tables, held.get(_worker_key(operation))) for operation in operations)


@dataclass(frozen=True)
class _Tables:
    volumes: Mapping[str, Row]
    snapshots: Mapping[str, Row]
    groups: Mapping[str, Row]
    group_snapshots: Mapping[str, Row]
    services: Mapping[str, Row]


def _resource(operation: Operation) -> str:
    prefix = operation.kind.split("_", 1)[0]
    return {"volume": "Volume", "snapshot": "Snapshot"}.get(prefix, "")


def _worker_key(operation: Operation) -> tuple[str, str]:
    return _resource(operation), operation.id


def _now(
    query: Query, table: str, columns: str, operations: Sequence[Operation], prefix: str
) -> dict[str, Row]:
    """Return the rows of those operations whose kind begins with the prefix, deleted ones too."""
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
        *STANDING_KINDS,
        MIGRATE,
        TARGET,
        *SNAPSHOT_KINDS,
        *GROUP_KINDS,
        GROUP_REPLICATION,
        *GROUP_SNAPSHOT_KINDS,
        FAILOVER,
        Kind("volume_reimage", ("downloading",)),
    )
}


def _ending(operation: Operation, tables: _Tables, worker: Worker | None) -> Ending:
    kind = _KINDS.get(operation.kind)
    if kind is None:
        return Ending(
            operation, Outcome.UNKNOWN, operation.status, "this release does not know this kind of operation"
        )
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
    return cinder.ending(operation, kind, _status(rows.get(operation.id), "status"), worker, thing)


def _status(row: Row | None, column: str) -> str | None:
    return None if row is None or row["deleted"] else str(row[column] or "none")


def _migration_ending(operation: Operation, kind: Kind, row: Row | None) -> Ending:
    status = _status(row, "migration_status")
    if kind is MIGRATE or status is None:
        return cinder.ending(operation, kind, status, None, "volume")
    if status.startswith(_TARGET_OF):
        fate = "the half-made copy stays until an operator deletes it"
        return Ending(operation, Outcome.INTERRUPTED, status, fate)
    return Ending(operation, Outcome.FINISHED, status)

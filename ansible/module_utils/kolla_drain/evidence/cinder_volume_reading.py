"""What cinder-volume is working on, read from its rows. From the sources of cinder 29.0.0.

Rows of ``volumes``, ``snapshots``, ``groups``, ``group_snapshots`` and ``volume_attachment`` in a transitional status
show the work. Rows of ``workers`` tell whether a service has claimed it, and which service in a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..database.connection import Query, Row
from ..model import Operation
from ..service.config import ServiceConfig
from . import cinder
from .base import Activity
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
from .rows import ids, marks, utc

_VOLUME_COLUMNS = (
    "id, host, cluster_name, status, migration_status, attach_status, launched_at, created_at, updated_at, deleted,"
    f" {VOLUME_AGE} AS age"
)
_SNAPSHOT_COLUMNS = (
    "s.id, s.status, s.created_at, s.updated_at, s.deleted, v.host, v.cluster_name,"
    f" {cinder.age_of('s.deleted_at', 's.updated_at', 's.created_at')} AS age"
)


def read(query: Query, config: ServiceConfig) -> Activity:
    """Return heartbeats and operations of all backends in ``config``. Raises EvidenceUnavailable."""
    rows = cinder.services(query, config)
    own = {row["id"] for row in rows}
    hosts = config.service_hosts or tuple(row["host"] for row in rows)
    resources = _Resources(query, hosts, own, cinder.workers(query, own))
    operations = (
        *resources.volumes(),
        *resources.snapshots(),
        *resources.groups(),
        *resources.group_snapshots(),
        *resources.attachments(),
        *resources.revert_cleanups(),
        *_failovers(rows),
    )
    return Activity(cinder.heartbeats(query, config, rows), operations)


@dataclass(frozen=True)
class _Resources:
    """One reading of the resources on these hosts."""

    query: Query
    hosts: Sequence[str]
    own: set[int]
    claimed: Mapping[tuple[str, str], Worker]  # the worker rows that these services hold

    def volumes(self) -> list[Operation]:
        rows = self._with_ours("Volume", self._volumes_here(), self._volumes_by_id)
        held = self._workers("Volume", rows)
        migrations = _migrations(self.query, rows)
        operations = [self._volume(row, held.get(("Volume", row["id"])), migrations) for row in rows]
        return [operation for operation in operations if operation is not None]

    def _volumes_here(self) -> list[Row]:
        where, params = cinder.on_hosts("host", self.hosts)
        working = cinder.statuses((*VOLUME_KINDS, *ATTACH_KINDS, MAINTENANCE))
        working.remove("reserved")
        rows = self.query(
            f"SELECT {_VOLUME_COLUMNS} FROM volumes WHERE deleted = 0 AND {where}"
            f" AND (status IN ({marks(working)}) OR migration_status IN ({marks(MIGRATE.statuses)})"
            f" OR migration_status LIKE %s OR (status = 'reserved' AND {VOLUME_AGE} < %s))",
            [*params, *working, *MIGRATE.statuses, TARGET_OF + "%", cinder.ATTACH_CALL],
        )
        return self._here(rows)

    def _volumes_by_id(self, wanted: Sequence[str]) -> list[Row]:
        return self.query(
            f"SELECT {_VOLUME_COLUMNS} FROM volumes WHERE id IN ({marks(wanted)})", list(wanted)
        )

    def _volume(self, row: Row, worker: Worker | None, migrations: _Migrations) -> Operation | None:
        if not self._for_us(row, worker):
            return None
        kind = None if row["deleted"] else cinder.kind_of(row["status"], VOLUME_KINDS)
        if kind is not None:
            # A volume that was launched before is being given another image, not created.
            reimage = kind.name == "volume_create" and row["status"] == "downloading" and row["launched_at"]
            name = "volume_reimage" if reimage else kind.name
            return self._operation(name, row, row["status"], worker)
        held = self._held(row, worker, VOLUME_KINDS)
        if held is not None or row["deleted"]:
            return held
        moving = migrations.kind(row)
        if moving is not None:
            return self._operation(
                moving.name, row, row["migration_status"], worker, migrations.waits_for_nova(row)
            )
        standing = cinder.kind_of(row["status"], (*ATTACH_KINDS, MAINTENANCE))
        if standing is None:
            return None
        informs = standing.informs or not cinder.young(row, cinder.ATTACH_CALL)
        if informs and row["status"] == "reserved":
            return None
        return self._operation(standing.name, row, row["status"], worker, informs)

    def _held(self, row: Row, worker: Worker | None, kinds: Sequence[Kind]) -> Operation | None:
        """Return an operation that is still claimed although the resource is at rest.

        That is one about to finish, or a create whose volume was reserved meanwhile: cinder/volume/api.py
        _attachment_reserve accepts a volume that is downloading, and its create continues.
        """
        kind = cinder.kind_of(worker.status, kinds) if worker and worker.holder == "us" else None
        if kind is None:
            return None
        reserved = row["status"] in ("reserved", "attaching") and not row["launched_at"]
        if not cinder.young(row, cinder.TAIL) and not (kind.name == "volume_create" and reserved):
            return None
        status = "deleted" if row["deleted"] else row["status"]
        return replace(self._operation(kind.name, row, status, worker), claimed=True)

    def snapshots(self) -> list[Operation]:
        rows = self._with_ours("Snapshot", self._snapshots_here(), self._snapshots_by_id)
        held = self._workers("Snapshot", rows)
        operations: list[Operation | None] = []
        for row in rows:
            worker = held.get(("Snapshot", row["id"]))
            kind = None if row["deleted"] else cinder.kind_of(row["status"], SNAPSHOT_KINDS)
            if kind is not None and self._for_us(row, worker):
                operations.append(self._operation(kind.name, row, row["status"], worker))
            elif kind is None:
                operations.append(self._held(row, worker, SNAPSHOT_KINDS))
        return [operation for operation in operations if operation is not None]

    def _snapshots_here(self) -> list[Row]:
        # A snapshot has no host of its own. Volumes are deleted after their snapshots, so selecting live volumes, whose
        # index begins with deleted, misses no live snapshot.
        where, params = cinder.on_hosts("v.host", self.hosts)
        working = cinder.statuses(SNAPSHOT_KINDS)
        rows = self.query(
            f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshots s JOIN volumes v ON v.id = s.volume_id"
            f" WHERE s.deleted = 0 AND v.deleted = 0 AND {where} AND s.status IN ({marks(working)})",
            [*params, *working],
        )
        return self._here(rows)

    def _snapshots_by_id(self, wanted: Sequence[str]) -> list[Row]:
        return self.query(
            f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshots s JOIN volumes v ON v.id = s.volume_id"
            f" WHERE s.id IN ({marks(wanted)})",
            list(wanted),
        )

    def revert_cleanups(self) -> list[Operation]:
        where, params = cinder.on_hosts("v.host", self.hosts)
        rows = self.query(
            f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshots s JOIN volumes v ON v.id = s.volume_id"
            f" WHERE s.deleted = 0 AND v.deleted = 0 AND {where}"
            " AND s.status = 'available' AND s.use_quota = 0 AND s.display_name LIKE '[revert] volume %%'"
            f" AND v.status IN ('available', 'in-use') AND {cinder.age_of('v.updated_at')} < %s",
            [*params, cinder.CLEANUP],
        )
        return [self._operation(REVERT_CLEANUP.name, row, row["status"], None) for row in self._here(rows)]

    def attachments(self) -> list[Operation]:
        where, params = cinder.on_hosts("v.host", self.hosts)
        calling = cinder.statuses(ATTACHMENT_KINDS)
        age = cinder.age_of("a.updated_at", "a.created_at")
        rows = self.query(
            "SELECT a.id, a.attach_status AS status, a.created_at, a.updated_at, v.host"
            " FROM volume_attachment a JOIN volumes v ON v.id = a.volume_id"
            f" WHERE a.deleted = 0 AND v.deleted = 0 AND {where} AND v.status = 'in-use'"
            f" AND a.attach_status IN ({marks(calling)}) AND {age} < %s",
            [*params, *calling, cinder.ATTACH_CALL],
        )
        return self._of_kinds(rows, ATTACHMENT_KINDS)

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
        return self._of_kinds(rows, GROUP_SNAPSHOT_KINDS)

    def _of_kinds(self, rows: Sequence[Row], kinds: Sequence[Kind]) -> list[Operation]:
        """Return the operations of rows for which the status alone decides."""
        by_kind = [(cinder.kind_of(row["status"], kinds), row) for row in self._here(rows)]
        return [self._operation(kind.name, row, row["status"], None) for kind, row in by_kind if kind]

    def _here(self, rows: Sequence[Row]) -> list[Row]:
        # Compared again here because the database ignores case and accents.
        return [row for row in rows if cinder.service_host(row["host"]) in self.hosts]

    def _with_ours(self, resource: str, here: list[Row], by_id: _ById) -> list[Row]:
        """Add the resources that our services have claimed although their host is another one, as in a cluster.

        A worker row counts only if its resource is in a transitional status, or was a moment ago (_held). Worker rows
        outlive failures, and Cinder ignores them too if the resource is gone or at rest: cinder/manager.py do_cleanup
        skips a missing resource and one whose status is not the row's.
        """
        known = {row["id"] for row in here}
        missing = [id_ for kind, id_ in self.claimed if kind == resource and id_ not in known]
        return [*here, *(by_id(missing) if missing else [])]

    def _workers(self, resource: str, rows: Sequence[Row]) -> dict[tuple[str, str], Worker]:
        return cinder.workers(self.query, self.own, [(resource, row["id"]) for row in rows]) if rows else {}

    def _for_us(self, row: Row, worker: Worker | None) -> bool:
        """Return whether this container does the work; in a cluster another member may hold it.

        Without a cluster the host decides, even if the worker row names another service: the ``services`` row of this
        host may have been removed and created again with another id.
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
    """A query for rows by their ids."""

    def __call__(self, wanted: Sequence[str]) -> list[Row]: ...


def _claimed(worker: Worker | None, status: str) -> bool | None:
    """Return whether the service has claimed the request, or None if no worker row says so.

    A create arrives with a worker row that the scheduler holds until cinder-volume claims it
    (cinder/scheduler/manager.py create_volume).
    """
    if worker is None or worker.status != status:
        return None
    if worker.holder == "us":
        return True
    return False if worker.holder in ("nobody", "cinder-scheduler") else None


@dataclass(frozen=True)
class _Migrations:
    """The other ends of the volumes' migrations."""

    sources_moving: frozenset[str]  # ids of volumes that are being moved, or were until lately
    ready_targets: frozenset[str]  # ids of volumes whose target has been created

    def kind(self, row: Row) -> Kind | None:
        status = row["migration_status"] or ""
        if status in MIGRATE.statuses:
            return MIGRATE
        # A target keeps its mark after a failed migration. It is being worked on only while its source moves, or has
        # just given up, when the target is deleted (cinder/volume/manager.py _clean_temporary_volume).
        if status.startswith(TARGET_OF) and status[len(TARGET_OF) :] in self.sources_moving:
            return TARGET
        return None

    def waits_for_nova(self, row: Row) -> bool:
        """Return whether Nova is copying the data, as it does for an attached volume once the target exists.

        cinder/volume/manager.py _migrate_volume_generic hands such a volume to Nova and returns. The copy can take
        hours, and a call from Nova completes the migration.
        """
        attached = row["attach_status"] == "attached"
        return attached and row["migration_status"] == "migrating" and row["id"] in self.ready_targets


def _migrations(query: Query, rows: Sequence[Row]) -> _Migrations:
    targets = [
        row["migration_status"] for row in rows if (row["migration_status"] or "").startswith(TARGET_OF)
    ]
    moving = [row["id"] for row in rows if row["migration_status"] in MIGRATE.statuses]
    sources = ids(mark[len(TARGET_OF) :] for mark in targets)
    return _Migrations(
        sources_moving=_sources_moving(query, sources) if sources else frozenset(),
        ready_targets=_ready_targets(query, moving) if moving else frozenset(),
    )


def _sources_moving(query: Query, volume_ids: Sequence[object]) -> frozenset[str]:
    rows = query(
        f"SELECT id FROM volumes WHERE deleted = 0 AND id IN ({marks(volume_ids)})"
        f" AND (migration_status IN ({marks(MIGRATE.statuses)})"
        f" OR (migration_status = 'error' AND {cinder.age_of('updated_at')} < %s))",
        [*volume_ids, *MIGRATE.statuses, cinder.CLEANUP],
    )
    return frozenset(row["id"] for row in rows)


def _ready_targets(query: Query, moving: Sequence[str]) -> frozenset[str]:
    targets = [TARGET_OF + volume_id for volume_id in moving]
    rows = query(
        "SELECT migration_status FROM volumes"
        f" WHERE deleted = 0 AND status <> 'creating' AND migration_status IN ({marks(targets)})",
        targets,
    )
    return frozenset(row["migration_status"][len(TARGET_OF) :] for row in rows)


def _failovers(rows: Sequence[Row]) -> list[Operation]:
    return [
        Operation(
            kind=FAILOVER.name, id=row["host"], status=row["replication_status"], since=utc(row["updated_at"])
        )
        for row in rows
        if row["replication_status"] in FAILOVER.statuses
    ]

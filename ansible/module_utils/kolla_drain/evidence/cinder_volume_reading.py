"""What cinder-volume is working on, read from its rows. From the sources of cinder 29.0.0.

Rows of ``volumes``, ``snapshots``, ``groups``, ``group_snapshots`` and ``volume_attachment`` in a transitional status
show the work. Rows of ``workers`` tell whether a service has claimed it, and which service in a cluster.

The members of a cluster take requests from one queue, and so do processes that share one row of ``services``. Where no
row tells which of them works on something it is unattributed: see _Resources._attributed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..database.connection import Query, Row
from ..model import Operation
from ..service.config import ServiceConfig
from . import cinder
from . import cinder_volume_kinds as kinds
from .base import Activity, ids, marks, utc
from .cinder import Kind, Worker
from .cinder_volume_sharing import Reporters, doubt_of

_TARGET_OF, _MOVING = kinds.TARGET_OF, kinds.MIGRATE.statuses
# By kind, the statuses of a worker row that is not left over from something else.
_CLAIMED_AS = {kind.name: kind.statuses for kind in (*kinds.VOLUME, *kinds.SNAPSHOT)}
_VOLUMES = (
    "SELECT id, host, cluster_name, status, migration_status, attach_status, launched_at, created_at, updated_at,"
    f" deleted, {kinds.VOLUME_AGE} AS age FROM volumes"
)
_SNAPSHOTS = (
    "SELECT s.id, s.status, s.created_at, s.updated_at, s.deleted, v.host, v.cluster_name,"
    f" {cinder.age_of('s.deleted_at', 's.updated_at', 's.created_at')} AS age"
    " FROM snapshots s JOIN volumes v ON v.id = s.volume_id"
)


def read(query: Query, config: ServiceConfig, services: Sequence[Row], reporters: Reporters) -> Activity:
    """Return heartbeats and operations of all backends in ``config``, whose rows these are.

    Raises EvidenceUnavailable.
    """
    reporters.update(services, config.report_interval)
    own = [row["id"] for row in services]
    hosts = config.service_hosts or tuple(row["host"] for row in services)
    clusters = list(dict.fromkeys(row["cluster_name"] for row in services if row["cluster_name"]))
    resources = _Resources(query, hosts, clusters, reporters.shared, own, cinder.workers(query, own))
    operations = (
        *resources.volumes(),
        *resources.snapshots(),
        *resources.groups(),
        *resources.group_snapshots(),
        *resources.attachments(),
        *resources.revert_cleanups(),
        *(
            # Every heartbeat writes this row, so its time says nothing of the failover.
            Operation(
                kinds.FAILOVER.name,
                row["host"],
                row["replication_status"],
                since=utc(row["updated_at"]),
                written=None,
            )
            for row in services
            if row["replication_status"] in kinds.FAILOVER.statuses
        ),
    )
    return Activity(reporters.told(cinder.heartbeats(config, services), config), operations)


@dataclass(frozen=True)
class _Resources:
    """One reading of the resources on these hosts."""

    query: Query
    hosts: Sequence[str]
    clusters: Sequence[str]  # that these services belong to, as services.cluster_name has it
    shared: Collection[str]  # those of the hosts in whose row other processes report, too
    own: Sequence[int]
    claimed: Mapping[tuple[str, str], Worker]  # the worker rows that these services hold

    def volumes(self) -> list[Operation]:
        working = cinder.statuses((*kinds.VOLUME, *kinds.ATTACH, kinds.MAINTENANCE))
        working.remove("reserved")
        rows = self._rows(
            f"{_VOLUMES} WHERE deleted = 0 AND (status IN ({marks(working)})"
            f" OR migration_status IN ({marks(_MOVING)}) OR migration_status LIKE %s"
            f" OR (status = 'reserved' AND {kinds.VOLUME_AGE} < %s))",
            [*working, *_MOVING, _TARGET_OF + "%", cinder.ATTACH_CALL],
            also=(_VOLUMES, "id", "Volume"),
        )
        held = self._workers("Volume", rows)
        migrations = _migrations(self.query, rows)
        found = []
        for row in rows:
            worker = held.get(("Volume", row["id"]))
            found += self._attributed(self._volume(row, worker, migrations), row, worker)
        return found

    def _volume(self, row: Row, worker: Worker | None, migrations: _Migrations) -> Operation | None:
        kind = None if row["deleted"] else cinder.kind_of(row["status"], kinds.VOLUME)
        if kind is not None:
            # A volume that was launched before is being given another image, not created.
            reimage = kind.name == "volume_create" and row["status"] == "downloading" and row["launched_at"]
            return _operation("volume_reimage" if reimage else kind.name, row, worker)
        held = _held(row, worker, kinds.VOLUME)
        if held is not None or row["deleted"]:
            return held
        moving = migrations.kind(row)
        if moving is not None:
            shown = {**row, "status": row["migration_status"]}
            return _operation(moving.name, shown, worker, migrations.waits_for_nova(row))
        standing = cinder.kind_of(row["status"], (*kinds.ATTACH, kinds.MAINTENANCE))
        if standing is None:
            return None
        informs = standing.informs or not cinder.young(row, cinder.ATTACH_CALL)
        if informs and row["status"] == "reserved":
            return None
        return _operation(standing.name, row, worker, informs)

    def snapshots(self) -> list[Operation]:
        # A snapshot has no host of its own. Volumes are deleted after their snapshots, so selecting live volumes, whose
        # index begins with deleted, misses no live snapshot.
        working = cinder.statuses(kinds.SNAPSHOT)
        rows = self._rows(
            f"{_SNAPSHOTS} WHERE s.deleted = 0 AND v.deleted = 0 AND s.status IN ({marks(working)})",
            working,
            of="v.",
            also=(_SNAPSHOTS, "s.id", "Snapshot"),
        )
        held = self._workers("Snapshot", rows)
        found = []
        for row in rows:
            worker = held.get(("Snapshot", row["id"]))
            kind = None if row["deleted"] else cinder.kind_of(row["status"], kinds.SNAPSHOT)
            operation = _operation(kind.name, row, worker) if kind else _held(row, worker, kinds.SNAPSHOT)
            found += self._attributed(operation, row, worker)
        return found

    def revert_cleanups(self) -> list[Operation]:
        rows = self._rows(
            f"{_SNAPSHOTS} WHERE s.deleted = 0 AND v.deleted = 0"
            " AND s.status = 'available' AND s.use_quota = 0 AND s.display_name LIKE '[revert] volume %%'"
            f" AND v.status IN ('available', 'in-use') AND {cinder.age_of('v.updated_at')} < %s",
            [cinder.CLEANUP],
            of="v.",
        )
        return self._of_kinds(rows, (kinds.REVERT_CLEANUP,))

    def attachments(self) -> list[Operation]:
        calling = cinder.statuses(kinds.ATTACHMENT)
        rows = self._rows(
            "SELECT a.id, a.attach_status AS status, a.created_at, a.updated_at, v.host, v.cluster_name"
            " FROM volume_attachment a JOIN volumes v ON v.id = a.volume_id"
            " WHERE a.deleted = 0 AND v.deleted = 0 AND v.status = 'in-use'"
            f" AND a.attach_status IN ({marks(calling)}) AND {cinder.age_of('a.updated_at', 'a.created_at')} < %s",
            [*calling, cinder.ATTACH_CALL],
            of="v.",
        )
        return self._of_kinds(rows, kinds.ATTACHMENT)

    def groups(self) -> list[Operation]:
        working, replicating = cinder.statuses(kinds.GROUP), kinds.GROUP_REPLICATION.statuses
        rows = self._rows(
            "SELECT id, host, cluster_name, created_at, updated_at,"
            f" IF(status IN ({marks(working)}), status, replication_status) AS status"
            " FROM `groups` WHERE deleted = 0"
            f" AND (status IN ({marks(working)}) OR replication_status IN ({marks(replicating)}))",
            [*working, *working, *replicating],
        )
        return self._of_kinds(rows, (*kinds.GROUP, kinds.GROUP_REPLICATION))

    def group_snapshots(self) -> list[Operation]:
        working = cinder.statuses(kinds.GROUP_SNAPSHOT)
        rows = self._rows(
            "SELECT s.id, s.status, s.created_at, s.updated_at, g.host, g.cluster_name"
            " FROM group_snapshots s JOIN `groups` g ON g.id = s.group_id"
            f" WHERE s.deleted = 0 AND s.status IN ({marks(working)})",
            working,
            of="g.",
        )
        return self._of_kinds(rows, kinds.GROUP_SNAPSHOT)

    def _rows(
        self,
        statement: str,
        params: Sequence[object],
        of: str = "",
        also: tuple[str, str, str] = ("", "", ""),
    ) -> list[Row]:
        """Return the rows whose resource is on our hosts, or in our clusters, by the columns of the table ``of``.

        ``also`` (the statement's beginning, its column of ids, a type of resource) adds the resources that our services
        have claimed although their host is another one, as in a cluster. A worker row counts only if its resource is in
        a transitional status, or was a moment ago (_held). Worker rows outlive failures, and Cinder ignores them too if
        the resource is gone or at rest: cinder/manager.py do_cleanup skips a missing resource and one whose status is
        not the row's.
        """
        on_host, hosts = cinder.on_hosts(f"{of}host", self.hosts)
        in_cluster, clusters = cinder.on_hosts(f"{of}cluster_name", self.clusters)
        statement, params = f"{statement} AND ({on_host} OR {in_cluster})", [*params, *hosts, *clusters]
        select, key, resource = also
        claimed = [id_ for kind, id_ in self.claimed if kind == resource]
        if claimed:
            statement += f" UNION {select} WHERE {key} IN ({marks(claimed)})"
        rows = self.query(statement, [*params, *claimed])
        # The hosts are compared again because the database ignores case and accents.
        return [row for row in rows if self._here(row) or row["id"] in claimed]

    def _here(self, row: Row) -> bool:
        return _without_pool(row["host"]) in self.hosts or self._is_clustered(row)

    def _is_clustered(self, row: Row) -> bool:
        return _without_pool(row["cluster_name"]) in self.clusters

    def _workers(self, resource: str, rows: Sequence[Row]) -> dict[tuple[str, str], Worker]:
        return cinder.workers(self.query, self.own, [(resource, row["id"]) for row in rows]) if rows else {}

    def _of_kinds(self, rows: Sequence[Row], of: Sequence[Kind]) -> list[Operation]:
        """Return the operations of rows for which the status alone decides."""
        found = []
        for row in rows:
            kind = cinder.kind_of(row["status"], of)
            if kind is not None:
                found += self._attributed(_operation(kind.name, row, None), row, None)
        return found

    def _attributed(self, operation: Operation | None, row: Row, worker: Worker | None) -> list[Operation]:
        """Return the operation with the reason if it may be another process's; nothing if it is known to be.

        In a cluster the worker row names the member, where there is one and it has been claimed. The host does not: any
        member is given the requests for a volume, and only a create puts its own host there (cinder/volume/manager.py
        _set_resource_host). Where processes share a row of ``services``, a worker row names them all.

        Without a cluster the host decides, even if the worker row names another service: the ``services`` row of this
        host may have been removed and created again with another id.
        """
        if operation is None:
            return []
        if worker is not None and worker.status not in _CLAIMED_AS.get(operation.kind, ()):
            worker = None
        if row["cluster_name"] and worker is not None and worker.member:
            return []
        host, doubt = _without_pool(row["host"]), ""
        if host in self.shared:
            doubt = doubt_of(host)
        elif self._is_clustered(row) and (worker is None or worker.holder != "us"):
            cluster = _without_pool(row["cluster_name"])
            doubt = f"any member of the cluster {cluster} may work on it"
        return [replace(operation, unattributed=doubt)]


def _without_pool(host: str | None) -> str:
    return (host or "").split("#", 1)[0]


def _held(row: Row, worker: Worker | None, of: Sequence[Kind]) -> Operation | None:
    """Return an operation that is still claimed although the resource is at rest.

    That is one about to finish, or a create whose volume was reserved meanwhile: cinder/volume/api.py
    _attachment_reserve accepts a volume that is downloading, and its create continues.
    """
    kind = cinder.kind_of(worker.status, of) if worker and worker.holder == "us" else None
    if kind is None:
        return None
    reserved = row["status"] in ("reserved", "attaching") and not row["launched_at"]
    if not cinder.young(row, cinder.TAIL) and not (kind.name == "volume_create" and reserved):
        return None
    shown = {**row, "status": "deleted"} if row["deleted"] else row
    return replace(_operation(kind.name, shown, worker), claimed=True)


def _operation(kind: str, row: Row, worker: Worker | None, informs: bool = False) -> Operation:
    # A create arrives with a worker row that the scheduler holds until cinder-volume claims it
    # (cinder/scheduler/manager.py create_volume). None: no worker row tells whether the request is claimed.
    ours = worker is not None and worker.holder == "us"
    tells = worker is not None and worker.status == row["status"] and (ours or worker.waits)
    written = utc(row["updated_at"] or row["created_at"])
    return Operation(
        kind=kind,
        id=row["id"],
        status=row["status"],
        since=worker.since if worker else written,
        claimed=ours if tells else None,
        touched=worker.touched if worker and ours else None,
        informs=informs,
        written=None if ours else written,  # whatever its status, a row that is claimed is not left behind
        # cinder/manager.py do_cleanup takes the worker rows of its service whose status is still the resource's.
        ended_by_start=tells and ours and row["status"] in ("creating", "downloading"),
    )


@dataclass(frozen=True)
class _Migrations:
    """The other ends of the volumes' migrations, by id."""

    moving: set[str]  # sources that are being moved, or were until lately
    ready: set[str]  # volumes whose target has been created

    def kind(self, row: Row) -> Kind | None:
        status = row["migration_status"] or ""
        if status in _MOVING:
            return kinds.MIGRATE
        # A target keeps its mark after a failed migration. It is being worked on only while its source moves, or has
        # just given up, when the target is deleted (cinder/volume/manager.py _clean_temporary_volume).
        is_target = status.startswith(_TARGET_OF) and status[len(_TARGET_OF) :] in self.moving
        return kinds.TARGET if is_target else None

    def waits_for_nova(self, row: Row) -> bool:
        """Return whether Nova is copying the data, as it does for an attached volume once the target exists.

        cinder/volume/manager.py _migrate_volume_generic hands such a volume to Nova and returns. The copy can take
        hours, and a call from Nova completes the migration.
        """
        attached = row["attach_status"] == "attached"
        return attached and row["migration_status"] == "migrating" and row["id"] in self.ready


def _migrations(query: Query, rows: Sequence[Row]) -> _Migrations:
    marked = [
        row["migration_status"] for row in rows if (row["migration_status"] or "").startswith(_TARGET_OF)
    ]
    sources = ids(status[len(_TARGET_OF) :] for status in marked)
    targets = [_TARGET_OF + row["id"] for row in rows if row["migration_status"] in _MOVING]
    moving, ready = [], []
    if sources:
        moving = query(
            f"SELECT id FROM volumes WHERE deleted = 0 AND id IN ({marks(sources)})"
            f" AND (migration_status IN ({marks(_MOVING)})"
            f" OR (migration_status = 'error' AND {cinder.age_of('updated_at')} < %s))",
            [*sources, *_MOVING, cinder.CLEANUP],
        )
    if targets:
        ready = query(
            "SELECT migration_status FROM volumes"
            f" WHERE deleted = 0 AND status <> 'creating' AND migration_status IN ({marks(targets)})",
            targets,
        )
    return _Migrations(
        {row["id"] for row in moving}, {row["migration_status"][len(_TARGET_OF) :] for row in ready}
    )

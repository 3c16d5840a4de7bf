"""Evidence of cinder-volume: ``services``, ``workers`` and the transitional statuses of what it works on.

What tells of each request of cinder/volume/rpcapi.py, from before its message is sent until its work has
ended, by the sources of cinder 29.0.0 (cinder/volume/api.py, backup/api.py, group/api.py, transfer/api.py,
volume/manager.py, objects/cleanable.py); casts but for those marked as calls, whose callers wait for the answer:

    create_volume                    volumes.status creating, downloading, and a worker row from the API on
    delete_volume                    deleting (unmanaging, error_managing_deleting), with a worker row from the cast on
      of a backup's temporary volume     backing-up until it is gone
      of what a migration has left       deleting; after a failed one ``target:``, see _sources_moving
    create_snapshot                  snapshots.status creating; a worker row from the scheduler's cast on
    delete_snapshot                  deleting, unmanaging; a revert's temporary one: see REVERT_CLEANUP
    manage_existing[_snapshot]       volumes.status managing; snapshots.status creating
    copy_volume_to_image, extend_volume[_completion], retype, revert_to_snapshot, reimage
                                     uploading, extending, retyping, reverting, downloading
    migrate_volume[_completion]      volumes.migration_status at both ends
    get_backup_device                volumes.status or snapshots.status backing-up, until the backup has ended
    *_group, *_group_snapshot, *_replication (group)
                                     groups.status, groups.replication_status, group_snapshots.status
    failover, failover_completed     services.replication_status
    do_cleanup                       worker rows that it takes over, each before its work begins
    for backups, restores and migrations (calls): initialize_connection[_snapshot], terminate_connection[_snapshot],
    remove_export[_snapshot], attach_volume, detach_volume, secure_file_operations_enabled, update_migrated_volume,
    get_capabilities                 what the caller's own operation shows: backing-up, restoring-backup, migrating
    attach_volume, attachment_update, initialize_connection (calls) of a reservation just made
                                     volumes.status reserved, attaching, volume_attachment, see ATTACH_KINDS
    terminate_connection, detach_volume (calls) after os-begin_detaching
                                     detaching, see ATTACH_KINDS

No row tells of these; all but the two marked are calls, whose callers get an error if no answer comes:

    attachment_update of an older reservation, attachment_delete, terminate_connection without os-begin_detaching
    accept_transfer                  (the volume stays awaiting-transfer and can be accepted again)
    freeze_host, thaw_host
    get_manageable_*, get_capabilities, get_log_levels, list_replication_targets    (only read)
    remove_export                    (cast; only of a migration's source, which is exported again when needed)
    publish_service_capabilities, set_log_levels    (casts; done again by themselves, or lost with the process anyway)

So no request that was accepted to be done later is missed, but a connection being made for somebody who waits
for it can be; in a cluster, see ``configured``, others can too. What goes on after the final status was written
(notifications, quota, the notice to Nova of a larger volume) takes milliseconds; where there is a worker row it
shows that too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..model import Ending, Exit, Heartbeat, Operation, Outcome, Profile
from ..service_config import Backend, ServiceConfig
from . import cinder
from .cinder import Kind, Worker
from .database import Query, Row
from .rows import escaped, ids, marks, utc

PROFILE = Profile(
    name="cinder-volume",
    quiesce=True,  # a request that comes after SIGTERM may be lost (TESTBED, "Requests during the drain")
    heartbeat_while_draining=False,  # seen: report_count never moves again after SIGTERM (TESTBED)
    keeps_work=True,  # on eventlet, seen for all kinds (TESTBED); see cinder.adapt for threads
    refreshes_workers=False,  # workers.updated_at is written once, when the row is claimed (TESTBED)
    # A call for a connection can be missed, see above. Its caller waits for it and is told; a signal does it no
    # better, for it loses the calls that come while the service drains.
    evidence_complete=False,
    freezable=True,
    exit=Exit.FREEZE,
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
# cinder-api writes these before it calls for a connection (cinder/volume/api.py _attachment_reserve,
# reserve_volume, begin_detaching), and they stay until Nova is done, however long that takes. A call can be in the
# process while they are young; later they only inform, and a reservation, at rest for weeks with some, not even that.
ATTACH_KINDS = (
    Kind("volume_reserve", ("reserved",)),
    Kind("volume_attach", ("attaching",)),
    Kind("volume_detach", ("detaching",)),
)
# The same of an attachment beside others, whose volume stays in-use.
ATTACHMENT_KINDS = (
    Kind("attachment_reserve", ("reserved",)),
    Kind("attachment_attach", ("attaching",)),
    Kind("attachment_detach", ("detaching",)),
)
# It lasts for as long as a person takes.
MAINTENANCE = Kind("volume_maintenance", ("maintenance",), informs=True)
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
# The temporary snapshot of a revert is deleted after the volume is available again, in its status available
# (cinder/volume/manager.py revert_to_snapshot); after a revert that failed it is kept on purpose.
REVERT_CLEANUP = Kind("snapshot_revert_cleanup", ("available",), deletes=True)

_VOLUME_AGE = cinder.age_of("deleted_at", "updated_at", "created_at")
_VOLUME_COLUMNS = (
    "id, host, cluster_name, status, migration_status, attach_status, launched_at, created_at, updated_at, deleted,"
    f" {_VOLUME_AGE} AS age"
)
_SNAPSHOT_COLUMNS = (
    "s.id, s.status, s.created_at, s.updated_at, s.deleted, v.host, v.cluster_name,"
    f" {cinder.age_of('s.deleted_at', 's.updated_at', 's.created_at')} AS age"
)


class Watch:
    """The evidence of one container from the first look to the last; it knows the backends that run, also by name.

    The process that is to be stopped has the configuration that it was started with, and kolla-ansible writes the next
    one before it stops it. So a row of this host whose heartbeat is fresh counts whatever the files say, and goes on
    to count when it falls silent, as all do from the signal on. One that was silent all the time is of a backend that
    is gone.
    """

    PROFILE = PROFILE

    def __init__(self) -> None:
        self._others: dict[str, Backend] = {}  # that run and are not in the configuration, by services.host

    def adapt(self, profile: Profile, env: Mapping[str, str]) -> Profile:
        """As the module's own."""
        return adapt(profile, env)

    def read(
        self, query: Query, config: ServiceConfig
    ) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
        """Return heartbeats and operations of this container. Raises EvidenceUnavailable."""
        if config.backends:  # without any all rows of its host are taken
            self._others.update(_beating(query, config))
        heartbeats, operations = _read(query, self._running(config))
        # Whoever waits until the next process serves must not wait for a backend that it does not have.
        configured = tuple(one for one in heartbeats if one.host in config.service_hosts)
        return configured or heartbeats, operations

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        """Return for each operation what its rows say now. Raises EvidenceUnavailable."""
        return endings(query, self._running(config), operations)

    def _running(self, config: ServiceConfig) -> ServiceConfig:
        others = (one for host, one in self._others.items() if host not in config.service_hosts)
        return replace(config, backends=(*config.backends, *others))


def _beating(query: Query, config: ServiceConfig) -> dict[str, Backend]:
    """The backends of this host whose heartbeat is fresh, by services.host."""
    found = query(
        "SELECT host FROM services WHERE deleted = 0 AND `binary` = %s AND host LIKE %s ESCAPE '!'"
        f" AND {cinder.age_of('updated_at', 'created_at')} <= %s",
        [config.service, escaped(config.host) + "@%", config.service_down_time],
    )
    start = config.host + "@"  # exactly: the database compares without regard to case and accents
    hosts = [row["host"] for row in found if row["host"].startswith(start)]
    return {host: Backend(host[len(start) :], config.host) for host in hosts}


def read(query: Query, config: ServiceConfig) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
    """Return heartbeats and operations of this container, as of a first look. Raises EvidenceUnavailable."""
    return Watch().read(query, config)


def _read(query: Query, config: ServiceConfig) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
    rows = cinder.services(query, config)
    own = {row["id"] for row in rows}
    hosts = config.service_hosts or tuple(row["host"] for row in rows)
    look = _Look(query, hosts, own, cinder.workers(query, own))
    operations = (
        *look.volumes(),
        *look.snapshots(),
        *look.groups(),
        *look.group_snapshots(),
        *look.attachments(),
        *look.revert_cleanups(),
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
        working = cinder.statuses((*VOLUME_KINDS, *ATTACH_KINDS, MAINTENANCE))
        working.remove("reserved")
        rows = self.query(
            f"SELECT {_VOLUME_COLUMNS} FROM volumes WHERE deleted = 0 AND {where}"
            f" AND (status IN ({marks(working)}) OR migration_status IN ({marks(MIGRATE.statuses)})"
            f" OR migration_status LIKE %s OR (status = 'reserved' AND {_VOLUME_AGE} < %s))",
            [*params, *working, *MIGRATE.statuses, _TARGET_OF + "%", cinder.ATTACH_CALL],
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
            # A volume that was in use once is given another image; only a new one is being created.
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
        """What we still hold although its row is at rest: the tail, or a create whose volume was reserved meanwhile.

        cinder/volume/api.py _attachment_reserve takes a volume that is downloading; its create goes on.
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
        found: list[Operation | None] = []
        for row in rows:
            worker = held.get(("Snapshot", row["id"]))
            kind = None if row["deleted"] else cinder.kind_of(row["status"], SNAPSHOT_KINDS)
            if kind is not None and self._for_us(row, worker):
                found.append(self._operation(kind.name, row, row["status"], worker))
            elif kind is None:
                found.append(self._held(row, worker, SNAPSHOT_KINDS))
        return [operation for operation in found if operation is not None]

    def _snapshots_here(self) -> list[Row]:
        # A snapshot has no host of its own. A volume goes after its snapshots, so no live snapshot is
        # missed by looking at live volumes, whose index begins with deleted.
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
        """What these rows tell by their status alone."""
        found = [(cinder.kind_of(row["status"], kinds), row) for row in self._here(rows)]
        return [self._operation(kind.name, row, row["status"], None) for kind, row in found if kind]

    def _here(self, rows: Sequence[Row]) -> list[Row]:
        # Exactly: the database compares without regard to case and accents.
        return [row for row in rows if cinder.service_host(row["host"]) in self.hosts]

    def _with_ours(self, resource: str, here: list[Row], by_id: _ById) -> list[Row]:
        """Add what our services have claimed though its host is another's, as happens in a cluster.

        A worker row counts only with a resource that is still in a transitional status, or was a moment ago
        (_held). Rows outlive a failure, and where the resource is gone or at rest Cinder itself takes them for
        nothing: cinder/manager.py do_cleanup skips a missing resource and a status that is not the row's.
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

    sources_moving: frozenset[str]  # ids of volumes that are being moved, or were lately
    ready_targets: frozenset[str]  # ids of volumes whose target has been created

    def kind(self, row: Row) -> Kind | None:
        status = row["migration_status"] or ""
        if status in MIGRATE.statuses:
            return MIGRATE
        # The target keeps its mark when a migration failed; only a source that moves makes it work, or
        # one that has just given up, whose target is then deleted (manager.py _clean_temporary_volume).
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
        f" AND (migration_status IN ({marks(MIGRATE.statuses)})"
        f" OR (migration_status = 'error' AND {cinder.age_of('updated_at')} < %s))",
        [*volume_ids, *MIGRATE.statuses, cinder.CLEANUP],
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
        volumes=_now(query, "volumes", _VOLUME_NOW, operations, "volume_"),
        snapshots=_now(query, "snapshots", "id, status, deleted", operations, "snapshot_"),
        groups=_now(query, "`groups`", "id, status, replication_status, deleted", operations, "group_"),
        group_snapshots=_now(query, "group_snapshots", "id, status, deleted", operations, "group_snapshot_"),
        attachments=_now(query, "volume_attachment", _ATTACHMENT_NOW, operations, "attachment_"),
        services={row["host"]: row for row in services},
    )
    return tuple(_ending(operation, tables, held.get(_worker_key(operation))) for operation in operations)


_VOLUME_NOW = f"id, status, migration_status, deleted, launched_at, {_VOLUME_AGE} AS age"
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
    if kind.name == "volume_create" and _reserved_half_made(rows.get(operation.id), worker):
        return Ending(
            operation, Outcome.INTERRUPTED, "reserved", "the volume stays reserved, and is not complete"
        )
    if kind is REVERT_CLEANUP and rows.get(operation.id) is not None:
        return _leftover(operation, rows[operation.id])
    return cinder.ending(operation, kind, _status(rows.get(operation.id), "status"), worker, thing)


def _call_ending(operation: Operation, kind: Kind, row: Row | None) -> Ending:
    """A call that was answered or given up is over, whatever its caller makes of it; a row cannot tell which it was."""
    status = _status(row, "status")
    if row is not None and status in kind.statuses and cinder.young(row, cinder.ATTACH_CALL):
        fate = "a call for a connection may have been cut; its caller is told, and can ask again"
        return Ending(operation, Outcome.UNKNOWN, status or "", fate)
    return Ending(operation, Outcome.FINISHED, status or "deleted")


def _reserved_half_made(row: Row | None, worker: Worker | None) -> bool:
    """Whether a volume was reserved while it was being made, and its create has not come to its end."""
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
    if status.startswith(_TARGET_OF):
        fate = "the half-made copy stays until an operator deletes it"
        return Ending(operation, Outcome.INTERRUPTED, status, fate)
    return Ending(operation, Outcome.FINISHED, status)

"""What became of an operation, by its rows. The rows come from a table here; real ones are in tests/functional."""

from __future__ import annotations

import re

import pytest

from kolla_drain.evidence import cinder_volume_endings
from kolla_drain.evidence.cinder_backup import CinderBackup
from kolla_drain.evidence.cinder_scheduler import CinderScheduler
from kolla_drain.evidence.cinder_volume import CinderVolume
from kolla_drain.evidence.nova_compute import NovaCompute
from kolla_drain.model import Operation, Outcome
from kolla_drain.service.config import Backend, ServiceConfig

VOLUME = ServiceConfig("cinder-volume", "ctl", backends=(Backend("b", "ctl"),))
BACKUP = ServiceConfig("cinder-backup", "ctl")
SCHEDULER = ServiceConfig("cinder-scheduler", "ctl")
COMPUTE = ServiceConfig("nova-compute", "ctl")
FINISHED, INTERRUPTED, UNKNOWN = Outcome.FINISHED, Outcome.INTERRUPTED, Outcome.UNKNOWN
OURS, SCHEDULERS, ANOTHERS = 1, 2, 3


def fake(**tables):
    """A query that answers with the rows of the first table that the statement reads."""
    tables.setdefault(
        "services",
        [
            _service(OURS, "cinder-volume", "ctl@b"),
            _service(SCHEDULERS, "cinder-scheduler", "ctl"),
            _service(ANOTHERS, "cinder-volume", "other@b"),
        ],
    )

    def query(sql, params=()):
        table = re.search(r"FROM `?(\w+)`?", sql)[1]
        rows = tables.get(table, [])
        if table == "services":
            return [row for row in rows if row["binary"] in params or row["id"] in params]
        keys = ("id", "resource_id", "uuid", "instance_uuid")
        return [row for row in rows if any(row.get(key) in params for key in keys)]

    return query


def _service(number, binary, host):
    return {
        "id": number,
        "binary": binary,
        "host": host,
        "cluster_name": None,
        "replication_status": "disabled",
        "newest": ANOTHERS,
    }


def volume(status, migration=None, deleted=0):
    return {"id": "v", "status": status, "migration_status": migration, "deleted": deleted}


def snapshot(status, deleted=0):
    return {"id": "v", "status": status, "deleted": deleted}


def worker(status, holder, kind="Volume", member=None):
    return {
        "resource_type": kind,
        "resource_id": "v",
        "status": status,
        "service_id": holder,
        "binary": {SCHEDULERS: "cinder-scheduler", ANOTHERS: "cinder-volume"}.get(holder),
        "member": member,
        "created_at": None,
        "updated_at": None,
    }


def check(service, config, query, kind, outcome, status, words):
    operation = Operation(kind, "v", "as it was")
    (ending,) = service().endings(query, config, (operation,))
    assert ending.operation is operation
    assert (ending.outcome, ending.status) == (outcome, status)
    assert words in ending.fate
    if outcome is FINISHED:
        assert ending.fate == ""
    else:
        assert ending.fate != ""


@pytest.mark.parametrize(
    ("unattributed", "status", "member", "anothers"),
    [
        ("any member may", "creating", "other@b", "other@b"),
        ("", "creating", "other@b", ""),
        ("any member may", "deleting", "other@b", ""),  # left over from something else
        ("any member may", "creating", None, ""),
    ],
)
def test_what_another_member_has_taken(unattributed, status, member, anothers):
    query = fake(volumes=[volume("creating")], workers=[worker(status, ANOTHERS, member=member)])
    operation = Operation("volume_create", "v", "creating", unattributed=unattributed)
    (ending,) = CinderVolume().endings(query, VOLUME, (operation,))
    assert ending.anothers == anothers


STAYS = "until an operator resets it"
VOLUMES = [
    ("volume_create", volume("available"), None, FINISHED, "available", ""),
    ("volume_create", volume("in-use"), None, FINISHED, "in-use", ""),
    ("volume_create", volume("deleting"), worker("deleting", OURS), FINISHED, "deleting", ""),
    ("volume_create", volume("available", deleted=1), None, FINISHED, "deleted", ""),
    ("volume_create", None, None, FINISHED, "deleted", ""),
    ("volume_create", volume("error"), None, INTERRUPTED, "error", "ended in error"),
    (
        "volume_create",
        volume("creating"),
        worker("creating", OURS),
        INTERRUPTED,
        "creating",
        "sets it to error",
    ),
    (
        "volume_create",
        volume("downloading"),
        worker("downloading", OURS),
        INTERRUPTED,
        "downloading",
        "sets it to error",
    ),
    # do_cleanup skips a worker row whose status is not the volume's
    ("volume_create", volume("downloading"), worker("creating", OURS), INTERRUPTED, "downloading", STAYS),
    (
        "volume_create",
        volume("creating"),
        worker("creating", SCHEDULERS),
        UNKNOWN,
        "creating",
        "nobody took it",
    ),
    ("volume_create", volume("creating"), worker("creating", None), UNKNOWN, "creating", "nobody took it"),
    ("volume_create", volume("creating"), worker("creating", ANOTHERS), INTERRUPTED, "creating", STAYS),
    ("volume_create", volume("creating"), None, INTERRUPTED, "creating", STAYS),
    ("volume_delete", volume("deleted", deleted=1), None, FINISHED, "deleted", ""),
    (
        "volume_delete",
        volume("deleting"),
        worker("deleting", OURS),
        INTERRUPTED,
        "deleting",
        "resumes the delete",
    ),
    ("volume_delete", volume("deleting"), worker("deleting", None), UNKNOWN, "deleting", "nobody took it"),
    ("volume_delete", volume("deleting"), None, INTERRUPTED, "deleting", STAYS),
    ("volume_delete", volume("error_deleting"), None, INTERRUPTED, "error_deleting", "ended in error"),
    ("volume_delete", volume("available"), None, INTERRUPTED, "available", "given up"),
    (
        "volume_delete_unmanaged",
        volume("error_managing_deleting"),
        None,
        INTERRUPTED,
        "error_managing_deleting",
        STAYS,
    ),
    ("volume_extend", volume("available"), None, FINISHED, "available", ""),
    ("volume_extend", volume("extending"), None, INTERRUPTED, "extending", "stays extending " + STAYS),
    ("volume_extend", volume("error_extending"), None, INTERRUPTED, "error_extending", "ended in error"),
    ("volume_upload", volume("uploading"), None, INTERRUPTED, "uploading", STAYS),
    ("volume_retype", volume("retyping"), None, INTERRUPTED, "retyping", STAYS),
    ("volume_manage", volume("error_managing"), None, INTERRUPTED, "error_managing", "ended in error"),
    ("volume_unmanage", volume("deleted", deleted=1), None, FINISHED, "deleted", ""),
    ("volume_revert", volume("reverting"), None, INTERRUPTED, "reverting", STAYS),
    ("volume_reimage", volume("downloading"), None, INTERRUPTED, "downloading", STAYS),
    ("volume_backup", volume("backing-up"), None, INTERRUPTED, "backing-up", "cinder-backup's next start"),
    ("volume_backup", volume("in-use"), None, FINISHED, "in-use", ""),
    ("volume_restore", volume("error_restoring"), None, INTERRUPTED, "error_restoring", "ended in error"),
    ("volume_migrate", volume("available", "migrating"), None, INTERRUPTED, "migrating", STAYS),
    ("volume_migrate", volume("available", "success"), None, FINISHED, "success", ""),
    ("volume_migrate", volume("available", None), None, FINISHED, "none", ""),
    ("volume_migrate", volume("available", "error"), None, INTERRUPTED, "error", "ended in error"),
    (
        "volume_migrate_target",
        volume("available", "target:w"),
        None,
        INTERRUPTED,
        "target:w",
        "half-made copy",
    ),
    ("volume_migrate_target", volume("available", "x", deleted=1), None, FINISHED, "deleted", ""),
    ("volume_migrate_target", volume("available", None), None, FINISHED, "none", ""),
]


@pytest.mark.parametrize(("kind", "row", "work", "outcome", "status", "words"), VOLUMES)
def test_volumes(kind, row, work, outcome, status, words):
    query = fake(volumes=[row] if row else [], workers=[work] if work else [])
    check(CinderVolume, VOLUME, query, kind, outcome, status, words)


@pytest.mark.parametrize(
    ("kind", "row", "work", "outcome", "status", "words"),
    [
        ("snapshot_create", snapshot("available"), None, FINISHED, "available", ""),
        (
            "snapshot_create",
            snapshot("creating"),
            worker("creating", OURS, "Snapshot"),
            INTERRUPTED,
            "creating",
            "to error",
        ),
        (
            "snapshot_create",
            snapshot("creating"),
            worker("creating", None, "Snapshot"),
            UNKNOWN,
            "creating",
            "nobody took it",
        ),
        # a worker row of a volume with the same id is not the snapshot's
        (
            "snapshot_create",
            snapshot("creating"),
            worker("creating", OURS, "Volume"),
            INTERRUPTED,
            "creating",
            STAYS,
        ),
        ("snapshot_delete", snapshot("deleting"), None, INTERRUPTED, "deleting", STAYS),
        ("snapshot_delete", snapshot("deleted", deleted=1), None, FINISHED, "deleted", ""),
        (
            "snapshot_backup",
            snapshot("backing-up"),
            None,
            INTERRUPTED,
            "backing-up",
            "cinder-backup's next start",
        ),
        (
            "snapshot_revert_cleanup",
            snapshot("available"),
            None,
            INTERRUPTED,
            "available",
            "until an operator deletes it",
        ),
        ("snapshot_revert_cleanup", snapshot("deleted", deleted=1), None, FINISHED, "deleted", ""),
    ],
)
def test_snapshots(kind, row, work, outcome, status, words):
    query = fake(snapshots=[row], workers=[work] if work else [])
    check(CinderVolume, VOLUME, query, kind, outcome, status, words)


@pytest.mark.parametrize(
    ("kind", "tables", "outcome", "status", "words"),
    [
        ("group_create", {"groups": [snapshot("available")]}, FINISHED, "available", ""),
        ("group_update", {"groups": [snapshot("updating")]}, INTERRUPTED, "updating", "the group stays"),
        ("group_delete", {"groups": [snapshot("deleted", 1)]}, FINISHED, "deleted", ""),
        (
            "group_replication",
            {"groups": [{**snapshot("available"), "replication_status": "enabling"}]},
            INTERRUPTED,
            "enabling",
            STAYS,
        ),
        (
            "group_snapshot_create",
            {"group_snapshots": [snapshot("creating")]},
            INTERRUPTED,
            "creating",
            "the group snapshot stays",
        ),
        (
            "group_snapshot_delete",
            {"group_snapshots": [snapshot("error_deleting")]},
            INTERRUPTED,
            "error_deleting",
            "ended in error",
        ),
    ],
)
def test_groups(kind, tables, outcome, status, words):
    check(CinderVolume, VOLUME, fake(**tables), kind, outcome, status, words)


def test_a_failover_of_a_backend():
    services = [{**_service(OURS, "cinder-volume", "ctl@b"), "replication_status": "failing-over"}]
    operation = Operation("backend_failover", "ctl@b", "failing-over")
    (ending,) = cinder_volume_endings.endings(fake(services=services), services, (operation,))
    assert (ending.outcome, ending.status) == (INTERRUPTED, "failing-over")


def backup(status, restore=None, key=None, deleted=0):
    return {
        "id": "v",
        "status": status,
        "restore_volume_id": restore,
        "encryption_key_id": key,
        "deleted": deleted,
    }


@pytest.mark.parametrize(
    ("kind", "row", "restored", "outcome", "status", "words"),
    [
        ("backup_create", backup("available"), None, FINISHED, "available", ""),
        ("backup_create", backup("error"), None, INTERRUPTED, "error", "ended in error"),
        ("backup_create", backup("creating"), None, INTERRUPTED, "creating", "sets the backup to error"),
        ("backup_delete", backup("deleted", deleted=1), None, FINISHED, "deleted", ""),
        ("backup_delete", None, None, FINISHED, "deleted", ""),
        ("backup_delete", backup("deleting"), None, INTERRUPTED, "deleting", "resumes the delete"),
        ("backup_delete", backup("deleting", key="k"), None, INTERRUPTED, "deleting", "error_deleting"),
        ("backup_delete", backup("error"), None, INTERRUPTED, "error", "ended in error"),
        (
            "backup_restore",
            backup("restoring", "w"),
            "restoring-backup",
            INTERRUPTED,
            "restoring",
            "error_restoring",
        ),
        ("backup_restore", backup("available", "w"), "available", FINISHED, "available", ""),
        ("backup_restore", backup("available", "w"), "in-use", FINISHED, "available", ""),
        ("backup_restore", backup("available", "w"), None, FINISHED, "available", ""),
        (
            "backup_restore",
            backup("available", "w"),
            "error_restoring",
            INTERRUPTED,
            "error_restoring",
            "ended in error",
        ),
        ("backup_restore", backup("available", "w"), "error", INTERRUPTED, "error", "ended in error"),
        (
            "backup_restore",
            backup("available", "w"),
            "restoring-backup",
            INTERRUPTED,
            "restoring-backup",
            STAYS,
        ),
    ],
)
def test_backups(kind, row, restored, outcome, status, words):
    query = fake(backups=[{**row, "restored": restored}] if row else [])
    check(CinderBackup, BACKUP, query, kind, outcome, status, words)


@pytest.mark.parametrize(
    ("kind", "row", "words"),
    [
        ("backup_create", backup("creating"), "sets the backup to error"),
        ("backup_restore", backup("restoring", "w"), "the volume to error_restoring"),
        ("backup_delete", backup("deleting", key="k"), "error_deleting"),
        ("backup_delete", backup("deleting"), ""),
    ],
)
def test_what_a_start_of_cinder_backup_makes_of_what_is_queued(kind, row, words):
    (ending,) = CinderBackup().endings(fake(backups=[row]), BACKUP, [Operation(kind, "v", "as it was")])
    assert words in ending.queued_fate
    assert bool(words) == bool(ending.queued_fate)


def scheduled(status, host, deleted=0):
    return {"id": "v", "status": status, "host": host, "deleted": deleted}


@pytest.mark.parametrize(
    ("row", "work", "outcome", "status", "words"),
    [
        (scheduled("available", "ctl@b#p"), None, FINISHED, "available", ""),
        (scheduled("error", None), None, INTERRUPTED, "error", "ended in error"),
        (
            scheduled("creating", None),
            worker("creating", SCHEDULERS),
            INTERRUPTED,
            "creating",
            "next start sets the volume",
        ),
        (scheduled("creating", None), worker("creating", None), UNKNOWN, "creating", "nobody took it"),
        (scheduled("creating", None), None, UNKNOWN, "creating", "nobody took it"),
        (
            scheduled("creating", "ctl@b#p"),
            worker("creating", SCHEDULERS),
            UNKNOWN,
            "creating",
            "waits for cinder-volume",
        ),
        (scheduled("creating", "ctl@b#p"), worker("creating", OURS), FINISHED, "creating", ""),
        (scheduled("creating", None, deleted=1), None, FINISHED, "deleted", ""),
        (None, None, FINISHED, "deleted", ""),
    ],
)
def test_scheduling(row, work, outcome, status, words):
    query = fake(volumes=[row] if row else [], workers=[work] if work else [])
    check(CinderScheduler, SCHEDULER, query, "volume_schedule", outcome, status, words)


def instance(vm_state, task=None, deleted=0):
    return {"uuid": "v", "vm_state": vm_state, "task_state": task, "deleted": deleted}


def move(status, kind):
    return {"instance_uuid": "v", "status": status, "migration_type": kind}


@pytest.mark.parametrize(
    ("kind", "row", "moves", "outcome", "status", "words"),
    [
        ("instance_build", instance("active"), [], FINISHED, "active", ""),
        ("instance_build", instance("building", "networking"), [], INTERRUPTED, "networking", "to error"),
        ("instance_build", instance("error"), [], INTERRUPTED, "error", "ended in error"),
        ("instance_build", instance("active", "rebooting"), [], FINISHED, "active", ""),
        ("instance_delete", instance("deleted", None, deleted=7), [], FINISHED, "deleted", ""),
        ("instance_delete", None, [], FINISHED, "deleted", ""),
        ("instance_delete", instance("soft-delete"), [], FINISHED, "soft-delete", ""),
        (
            "instance_delete",
            instance("active", "deleting"),
            [],
            INTERRUPTED,
            "deleting",
            "resumes the delete",
        ),
        ("instance_delete", instance("active"), [], INTERRUPTED, "active", "given up"),
        (
            "instance_snapshot",
            instance("active", "image_uploading"),
            [],
            INTERRUPTED,
            "image_uploading",
            "clears the task",
        ),
        (
            "instance_suspending",
            instance("active", "suspending"),
            [],
            INTERRUPTED,
            "suspending",
            "stays suspending",
        ),
        ("instance_suspending", instance("suspended"), [], FINISHED, "suspended", ""),
        (
            "instance_live_migration",
            instance("active"),
            [move("completed", "live-migration")],
            FINISHED,
            "completed",
            "",
        ),
        (
            "instance_live_migration",
            instance("active", "migrating"),
            [move("running", "live-migration")],
            INTERRUPTED,
            "migrating",
            "aborts it",
        ),
        (
            "instance_live_migration",
            instance("active"),
            [move("cancelled", "live-migration")],
            INTERRUPTED,
            "error",
            "cancelled",
        ),
        (
            "instance_live_migration",
            instance("active"),
            [move("failed", "live-migration"), move("completed", "live-migration")],
            FINISHED,
            "completed",
            "",
        ),
        ("instance_resize", instance("resized"), [move("finished", "resize")], FINISHED, "finished", ""),
        (
            "instance_resize",
            instance("active", "resize_finish"),
            [move("post-migrating", "migration")],
            INTERRUPTED,
            "resize_finish",
            "rolls it back",
        ),
        (
            "instance_resize_confirm",
            instance("resized"),
            [move("confirming", "resize")],
            INTERRUPTED,
            "confirming",
            "stays",
        ),
        (
            "instance_resize_confirm",
            instance("active"),
            [move("confirmed", "resize")],
            FINISHED,
            "confirmed",
            "",
        ),
        (
            "instance_resize_revert",
            instance("resized", "resize_reverting"),
            [move("reverting", "resize")],
            INTERRUPTED,
            "resize_reverting",
            "stays",
        ),
        (
            "instance_resize_to_confirm",
            instance("resized"),
            [move("finished", "resize")],
            INTERRUPTED,
            "finished",
            "stays",
        ),
        ("instance_evacuation", instance("active"), [move("done", "evacuation")], FINISHED, "done", ""),
        # an old failure of another kind of migration says nothing of this one
        ("instance_live_migration", instance("active"), [move("failed", "resize")], FINISHED, "active", ""),
    ],
)
def test_instances(kind, row, moves, outcome, status, words):
    query = fake(instances=[row] if row else [], migrations=moves)
    check(NovaCompute, COMPUTE, query, kind, outcome, status, words)


@pytest.mark.parametrize(
    ("open_events", "outcome", "words"),
    [
        (["compute_attach_volume"], INTERRUPTED, "stays"),
        ([], FINISHED, ""),
        (["compute_detach_volume"], FINISHED, ""),
    ],
)
def test_events(open_events, outcome, words):
    rows = [{"instance_uuid": "v", "event": event} for event in open_events]
    query = fake(instances=[instance("active")], instance_actions=rows)
    status = "as it was" if outcome is INTERRUPTED else "active"
    check(NovaCompute, COMPUTE, query, "instance_event_attach_volume", outcome, status, words)


@pytest.mark.parametrize("service", [CinderBackup, CinderScheduler, NovaCompute])
def test_nothing_asked_is_nothing_answered(service):
    assert service().endings(fake(), SCHEDULER, ()) == ()


def test_each_operation_has_its_ending_in_its_order():
    services = [_service(OURS, "cinder-volume", "ctl@b")]
    query = fake(volumes=[volume("available")], snapshots=[snapshot("creating")])
    asked = (Operation("snapshot_create", "v", "creating"), Operation("volume_create", "v", "creating"))
    endings = cinder_volume_endings.endings(query, services, asked)
    assert [(e.operation, e.outcome) for e in endings] == [(asked[0], INTERRUPTED), (asked[1], FINISHED)]

"""Cinder's evidence on the schema that cinder-manage makes."""

from __future__ import annotations

import uuid

import pytest

from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence.cinder import TAIL
from kolla_drain.evidence.cinder_scheduler import HANDOVER, PASSAGE
from kolla_drain.evidence.cinder_volume import CinderVolume
from kolla_drain.model import Operation, Outcome
from kolla_drain.service.config import Backend, ServiceConfig

BACKUP = ServiceConfig("cinder-backup", "ctl")
SCHEDULER = ServiceConfig("cinder-scheduler", "ctl")


@pytest.fixture
def services(cinder):
    """The rows of both backends, of other hosts and of other binaries."""
    cinder.service("other@a")
    cinder.service("ctl", "cinder-scheduler")
    return {"a": cinder.service("ctl@a"), "b": cinder.service("shared@b")}


def test_heartbeats_one_a_backend(cinder, services, volume_config):
    beats, operations = cinder.read(volume_config)
    assert [(beat.host, beat.up, beat.disabled, beat.report_count) for beat in beats] == [
        ("ctl@a", True, False, 5),
        ("shared@b", True, False, 5),
    ]
    assert all(2 <= beat.age <= 30 for beat in beats)
    assert operations == ()


def test_a_stale_and_a_disabled_service(cinder, volume_config):
    cinder.service("ctl@a", age=61, disabled=1, disabled_reason="by hand")
    cinder.service("shared@b", age=500, deleted=1)
    cinder.service("shared@b", age=1)
    beats, _ = cinder.read(volume_config)
    assert [(beat.host, beat.up, beat.disabled, beat.disabled_reason) for beat in beats] == [
        ("ctl@a", False, True, "by hand"),
        ("shared@b", True, False, ""),
    ]


def test_service_down_time_is_the_services_own(cinder):
    cinder.service("ctl", "cinder-backup", age=61)
    (beat,), _ = cinder.read(ServiceConfig("cinder-backup", "ctl", service_down_time=120))
    assert beat.up


def test_no_row_is_no_rest(cinder, services):
    config = ServiceConfig("cinder-volume", "nowhere", backends=(Backend("a", "nowhere"),))
    with pytest.raises(EvidenceUnavailable, match="no cinder-volume at nowhere@a") as caught:
        cinder.read(config)
    assert not caught.value.passing


def test_without_known_backends_all_rows_of_the_host_are_taken(cinder, services):
    cinder.service("ctl2@a")
    cinder.service("CTL@c")
    beats, _ = cinder.read(ServiceConfig("cinder-volume", "ctl"))
    assert [beat.host for beat in beats] == ["ctl@a"]


def test_a_backend_that_runs_and_is_configured_no_more(cinder, services, volume_config):
    """The configuration may be the next process's already; this one works on with the old."""
    removed = cinder.service("ctl@removed", replication_status="failing-over")
    ours = cinder.volume("ctl@removed#p", "creating")
    cinder.worker(ours, removed, "creating")
    extending = cinder.volume("ctl@removed#p", "extending")
    snapshot = cinder.snapshot(cinder.volume("ctl@removed#p", "available"), "deleting")
    group = cinder.insert("groups", id="g1", host="ctl@removed#p", status="creating")
    assert cinder.operations(volume_config) == {
        ("volume_create", ours, True),
        ("volume_extend", extending, None),
        ("snapshot_delete", snapshot, None),
        ("group_create", group, None),
        ("backend_failover", "ctl@removed", None),
    }
    beats, _ = cinder.read(volume_config)
    assert [beat.host for beat in beats] == ["ctl@a", "shared@b"]  # the next process has no other


@pytest.mark.parametrize(
    ("host", "columns"),
    [
        ("ctl@gone", {"age": 61}),
        ("ctl@gone", {"deleted": 1}),
        ("ctl@gone", {"binary": "cinder-backup"}),
        ("ctl@gone", {"updated_at": None}),  # and made long ago
        ("CTL@gone", {}),
        ("ctl2@gone", {}),
        ("shared@gone", {}),  # a backend_host is not the host of this container alone
    ],
)
def test_a_backend_that_does_not_run_or_is_another_hosts(cinder, services, volume_config, host, columns):
    cinder.service(host, **columns)
    cinder.volume(f"{host}#p", "creating")
    assert cinder.read(volume_config)[1] == ()


@pytest.mark.parametrize("host", ["ctl_1", "50%", "!x", "zürich"])
def test_a_removed_backend_is_matched_exactly(cinder, host):
    config = ServiceConfig("cinder-volume", host, backends=(Backend("a", host),))
    cinder.service(f"{host}@a")
    cinder.service(f"{host}@old_%")
    for stranger in ("ctlx1", "500", "x", "zurich"):
        cinder.service(f"{stranger}@old_%")
        cinder.volume(f"{stranger}@old_%#p", "creating")
    ours = cinder.volume(f"{host}@old_%#p", "creating")
    assert cinder.operations(config) == {("volume_create", ours, None)}


def test_a_removed_backend_counts_to_the_end_though_its_heartbeat_stops_with_the_signal(
    cinder, volume_config
):
    ids = [cinder.service(host) for host in ("ctl@a", "ctl@removed", "shared@b")]
    volume = cinder.volume("ctl@removed#p", "creating")
    cinder.worker(volume, ids[1], "creating")
    evidence = CinderVolume()
    assert cinder.operations(volume_config, evidence) == {("volume_create", volume, True)}
    for one in ids:
        cinder.update("services", one, updated_at=cinder.now(-300))
    assert cinder.operations(volume_config, evidence) == {("volume_create", volume, True)}
    (ending,) = cinder.endings(
        volume_config, Operation("volume_create", volume, "creating"), evidence=evidence
    )
    assert (ending.outcome, "error" in ending.fate) == (Outcome.INTERRUPTED, True)
    assert cinder.operations(volume_config) == set()  # a first look now could not tell it from one long gone
    cinder.update("services", ids[1], deleted=1)  # an operator clears up meanwhile
    assert [op.id for op in cinder.read(volume_config, evidence)[1]] == [volume]


def test_a_backend_that_comes_to_life_while_it_is_looked_at(cinder, services, volume_config):
    """After an outage of the database its first heartbeat may come later than our first look."""
    removed = cinder.service("ctl@removed", age=90)
    volume = cinder.volume("ctl@removed#p", "extending")
    evidence = CinderVolume()
    assert cinder.operations(volume_config, evidence) == set()
    cinder.update("services", removed, updated_at=cinder.now())
    assert cinder.operations(volume_config, evidence) == {("volume_extend", volume, None)}


def test_all_backends_have_another_name(cinder):
    config = ServiceConfig("cinder-volume", "ctl", backends=(Backend("new", "ctl"),))
    old = cinder.service("ctl@old")
    volume = cinder.volume("ctl@old#p", "extending")
    beats, operations = cinder.read(config)
    assert ([beat.host for beat in beats], [op.id for op in operations]) == (["ctl@old"], [volume])
    cinder.update("services", old, updated_at=cinder.now(-61))
    with pytest.raises(EvidenceUnavailable, match="no cinder-volume at ctl@new"):
        cinder.read(config)


VOLUME_STATUSES = [
    ("creating", "volume_create"),
    ("downloading", "volume_create"),
    ("deleting", "volume_delete"),
    ("error_managing_deleting", "volume_delete_unmanaged"),
    ("uploading", "volume_upload"),
    ("extending", "volume_extend"),
    ("retyping", "volume_retype"),
    ("managing", "volume_manage"),
    ("unmanaging", "volume_unmanage"),
    ("reverting", "volume_revert"),
    ("backing-up", "volume_backup"),
    ("restoring-backup", "volume_restore"),
]


@pytest.mark.parametrize(("status", "kind"), VOLUME_STATUSES)
def test_volumes_in_a_transitional_status(cinder, services, volume_config, status, kind):
    with_pool = cinder.volume("ctl@a#pool", status)
    without = cinder.volume("shared@b", status)
    cinder.volume("ctl@a#pool", status, deleted=1)
    cinder.volume("ctl@b#pool", status)
    cinder.volume("other@a#pool", status)
    cinder.volume("ctl@ab#pool", status)
    cinder.volume(None, status)
    assert cinder.operations(volume_config) == {(kind, with_pool, None), (kind, without, None)}


@pytest.mark.parametrize(
    "status",
    [
        "available",
        "in-use",
        "error",
        "error_deleting",
        "error_extending",
        "reserved",
        "awaiting-transfer",
        "error_restoring",
    ],
)
def test_volumes_at_rest(cinder, services, volume_config, status):
    cinder.volume("ctl@a#pool", status, updated_at=cinder.now(-15))
    assert cinder.read(volume_config)[1] == ()


@pytest.mark.parametrize(
    ("status", "kind"),
    [("attaching", "volume_attach"), ("detaching", "volume_detach"), ("maintenance", "volume_maintenance")],
)
def test_states_that_can_last_only_inform(cinder, services, volume_config, status, kind):
    cinder.volume("ctl@a#pool", status, updated_at=cinder.now(-15))
    (operation,) = cinder.read(volume_config)[1]
    assert (operation.kind, operation.informs) == (kind, True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [("reserved", "volume_reserve"), ("attaching", "volume_attach"), ("detaching", "volume_detach")],
)
def test_a_call_for_a_connection_is_waited_for_while_its_row_is_young(
    cinder, services, volume_config, status, kind
):
    volume = cinder.volume("ctl@a#pool", status, updated_at=cinder.now(-3))
    cinder.volume("other@a#pool", status, updated_at=cinder.now())
    assert cinder.operations(volume_config) == {(kind, volume, None)}
    (young,) = cinder.endings(volume_config, Operation(kind, volume, status))
    cinder.update("volumes", volume, updated_at=cinder.now(-15))
    (old,) = cinder.endings(volume_config, Operation(kind, volume, status))
    assert (young.outcome, old.outcome) == (Outcome.UNKNOWN, Outcome.FINISHED)


def test_an_attachment_beside_others(cinder, services, volume_config):
    volume = cinder.volume("ctl@a#pool", "in-use")
    of = {"volume_id": volume, "created_at": cinder.now(-600)}
    for number, (status, age) in enumerate([("attached", 1), ("attaching", 15), ("reserved", 500)]):
        cinder.insert(
            "volume_attachment", id=f"o{number}", attach_status=status, updated_at=cinder.now(-age), **of
        )
    cinder.insert("volume_attachment", id="n1", attach_status="attaching", updated_at=cinder.now(-1), **of)
    cinder.insert(
        "volume_attachment", id="n2", attach_status="reserved", volume_id=volume, created_at=cinder.now(-1)
    )
    assert cinder.operations(volume_config) == {
        ("attachment_attach", "n1", None),
        ("attachment_reserve", "n2", None),
    }
    cinder.update("volume_attachment", "n1", attach_status="attached")
    endings = cinder.endings(
        volume_config,
        Operation("attachment_attach", "n1", "attaching"),
        Operation("attachment_reserve", "n2", "reserved"),
    )
    assert [ending.outcome for ending in endings] == [Outcome.FINISHED, Outcome.UNKNOWN]


def test_a_volume_that_is_reserved_while_its_image_comes(cinder, services, volume_config):
    """Nova reserves a volume that is downloading; its create goes on behind the new status."""
    volume = cinder.volume("ctl@a#p", "reserved", updated_at=cinder.now(-300), launched_at=None)
    cinder.worker(volume, services["a"], "creating")
    assert cinder.operations(volume_config) == {("volume_create", volume, True)}
    (ending,) = cinder.endings(volume_config, Operation("volume_create", volume, "reserved"))
    assert ending.outcome is Outcome.INTERRUPTED
    cinder.update("volumes", volume, launched_at=cinder.now())
    (ending,) = cinder.endings(volume_config, Operation("volume_create", volume, "reserved"))
    assert ending.outcome is Outcome.FINISHED


def test_the_tail_of_an_operation_is_seen_by_its_worker_row(cinder, services, volume_config):
    """The row goes last: after the final status, the quota and what else the service does."""
    made = cinder.volume("ctl@a#p", "available")
    gone = cinder.volume("ctl@a#p", "deleted", deleted=1)
    snapshot = cinder.snapshot(made, "available")
    cinder.worker(made, services["a"], "creating")
    cinder.worker(gone, services["a"], "deleting")
    cinder.worker(snapshot, services["a"], "creating", kind="Snapshot")

    def look():
        cinder.update("volumes", made, updated_at=cinder.now(-1))
        cinder.update("volumes", gone, deleted_at=cinder.now(-1))
        cinder.update("snapshots", snapshot, updated_at=cinder.now(-1))
        return cinder.operations(volume_config)

    seen = {("volume_create", made, True), ("volume_delete", gone, True), ("snapshot_create", snapshot, True)}
    assert cinder.in_time(TAIL - 1, look) == seen
    endings = cinder.endings(
        volume_config,
        Operation("volume_create", made, "available"),
        Operation("volume_delete", gone, "deleted"),
        Operation("snapshot_create", snapshot, "available"),
    )
    assert [ending.outcome for ending in endings] == [Outcome.FINISHED] * 3


def test_the_temporary_snapshot_of_a_revert(cinder, services, volume_config):
    def reverted(status, age, **snapshot):
        volume = cinder.volume("ctl@a#p", status, updated_at=cinder.now(-age))
        name = f"[revert] volume {volume} backup snapshot"
        return cinder.snapshot(volume, "available", **{"display_name": name, "use_quota": 0, **snapshot})

    cleaning = reverted("available", 5)
    reverted("available", 90)
    reverted("error", 5)  # of a revert that failed: kept for the operator
    reverted("available", 5, use_quota=1)
    reverted("available", 5, display_name="mine")
    assert cinder.operations(volume_config) == {("snapshot_revert_cleanup", cleaning, None)}
    asked = Operation("snapshot_revert_cleanup", cleaning, "available")
    assert cinder.endings(volume_config, asked)[0].outcome is Outcome.INTERRUPTED
    cinder.update("snapshots", cleaning, deleted=1)
    assert cinder.endings(volume_config, asked)[0].outcome is Outcome.FINISHED


def test_the_target_of_a_migration_that_has_just_failed_is_being_deleted(cinder, services, volume_config):
    failed = cinder.volume("other@a#p", "available", migration_status="error", updated_at=cinder.now(-5))
    target = cinder.volume("ctl@a#p", "available", migration_status=f"target:{failed}")
    assert cinder.operations(volume_config) == {("volume_migrate_target", target, None)}


def test_a_new_image_for_an_old_volume(cinder, services, volume_config):
    volume = cinder.volume("ctl@a#pool", "downloading", launched_at=cinder.now(-9000))
    assert cinder.operations(volume_config) == {("volume_reimage", volume, None)}


def test_workers_tell_who_has_taken_it(cinder, services, volume_config):
    scheduler = cinder.service("ctl", "cinder-scheduler")
    ours, queued, with_scheduler = (
        cinder.volume("ctl@a#p", status) for status in ("creating", "deleting", "creating")
    )
    cinder.worker(ours, services["a"], "creating")
    cinder.worker(queued, None, "deleting")
    cinder.worker(with_scheduler, scheduler, "creating")
    assert cinder.operations(volume_config) == {
        ("volume_create", ours, True),
        ("volume_delete", queued, False),
        ("volume_create", with_scheduler, False),
    }


def test_microseconds_of_a_worker_are_kept(cinder, services, volume_config):
    volume = cinder.volume("ctl@a#p", "creating")
    cinder.worker(volume, services["a"], "creating", updated_at="2026-11-21 01:02:03.000045")
    (operation,) = cinder.read(volume_config)[1]
    assert operation.touched == "2026-11-21T01:02:03.000045Z"


def test_a_workers_row_that_outlived_its_work_is_none(cinder, services, volume_config):
    cinder.worker(cinder.volume("ctl@a#p", "available"), services["a"], "creating")
    cinder.worker(cinder.volume("ctl@a#p", "error"), services["a"], "creating")
    cinder.worker(cinder.volume("ctl@a#p", "deleting", deleted=1), services["a"], "deleting")
    cinder.worker("gone", services["a"], "deleting")
    assert cinder.read(volume_config)[1] == ()


def test_the_sentinel_and_deleted_workers_are_nothing(cinder, services, volume_config):
    volume = cinder.volume("ctl@a#p", "creating")
    cinder.worker(volume, services["a"], "creating", deleted=1)
    cinder.worker("SUB-SECOND", services["a"], "OK", kind="SENTINEL")
    assert cinder.operations(volume_config) == {("volume_create", volume, None)}


def test_in_a_cluster_the_claim_decides(cinder, volume_config):
    ours = cinder.service("ctl@a", cluster_name="big@a")
    another = cinder.service("member2@a", cluster_name="big@a")
    names = {}
    for name, host, holder in (
        ("ours on our host", "ctl@a#p", ours),
        ("ours on another's host", "member2@a#p", ours),
        ("another's on our host", "ctl@a#p", another),
        ("another's", "member2@a#p", another),
        ("queued on our host", "ctl@a#p", None),
        ("queued on another's host", "member2@a#p", None),
    ):
        names[name] = cinder.volume(host, "deleting", cluster_name="big@a#p")
        cinder.worker(names[name], holder, "deleting")
    assert cinder.operations(volume_config) == {
        ("volume_delete", names["ours on our host"], True),
        ("volume_delete", names["ours on another's host"], True),
        ("volume_delete", names["queued on our host"], False),
        ("volume_delete", names["queued on another's host"], False),
    }
    found = {op.id: op.unattributed for op in cinder.read(volume_config)[1]}
    assert len(found) == 4  # each once, though a claimed one on our host is found in three ways
    doubt = "any member of the cluster big@a may work on it"
    assert {id_ for id_, why in found.items() if why == doubt} == {
        names["queued on our host"],
        names["queued on another's host"],
    }


def unattributed(cinder, config, evidence=None):
    return {(op.kind, op.id) for op in cinder.read(config, evidence)[1] if op.unattributed}


def test_in_a_cluster_what_has_no_worker_row_may_be_any_members(cinder, volume_config):
    """Whichever member created the volume; that of another cluster is nobody's here."""
    cinder.service("ctl@a", cluster_name="big@a")
    extending = [
        cinder.volume(f"{member}@a#p", "extending", cluster_name="big@a#p") for member in ("ctl", "m2")
    ]
    cinder.volume("ctl2@a#p", "extending", cluster_name="bigger@a#p")
    alone = cinder.volume("ctl@a#p", "extending")
    volume = cinder.volume("m2@a#p", "in-use", cluster_name="big@a#p", updated_at=cinder.now(-600))
    snapshot = cinder.snapshot(volume, "deleting")
    attachment = cinder.insert(
        "volume_attachment", id="n1", attach_status="attaching", volume_id=volume, created_at=cinder.now()
    )
    cinder.insert("groups", id="g1", host="m2@a#p", cluster_name="big@a#p", status="creating")
    cinder.insert("groups", id="g2", host="m2@a#p", cluster_name="big@a#p", status="available")
    cinder.insert("group_snapshots", id="s1", group_id="g2", status="deleting", group_type_id="t")
    assert unattributed(cinder, volume_config) == {
        *(("volume_extend", id_) for id_ in extending),
        ("snapshot_delete", snapshot),
        ("attachment_attach", attachment),
        ("group_create", "g1"),
        ("group_snapshot_delete", "s1"),
    }
    assert ("volume_extend", alone, None) in cinder.operations(volume_config)


def test_a_worker_row_left_over_from_something_else_names_nobody(cinder, volume_config):
    ours = cinder.service("ctl@a", cluster_name="big@a")
    another = cinder.service("m2@a", cluster_name="big@a")
    volumes = [cinder.volume("ctl@a#p", "extending", cluster_name="big@a#p") for _ in range(3)]
    cinder.worker(volumes[0], another, "creating")  # its create failed there
    cinder.worker(volumes[1], ours, "creating")
    assert unattributed(cinder, volume_config) == {("volume_extend", id_) for id_ in volumes}


def test_a_member_that_was_removed_names_nobody(cinder, volume_config):
    """It may be this one, whose row was made anew with another id."""
    cinder.service("ctl@a", cluster_name="big@a")
    removed = cinder.service("m2@a", cluster_name="big@a", deleted=1)
    volume = cinder.volume("m2@a#p", "creating", cluster_name="big@a#p")
    cinder.worker(volume, removed, "creating")
    assert unattributed(cinder, volume_config) == {("volume_create", volume)}


def test_what_another_member_takes_is_its(cinder, volume_config):
    cinder.service("ctl@a", cluster_name="big@a")
    another = cinder.service("m2@a", cluster_name="big@a")
    volume = cinder.volume("ctl@a#p", "creating", cluster_name="big@a#p")
    worker = cinder.worker(volume, None, "creating")
    (queued,) = cinder.read(volume_config)[1]
    cinder.update("workers", worker, service_id=another)
    assert cinder.read(volume_config)[1] == ()
    (ending,) = cinder.endings(volume_config, queued)
    assert ending.anothers == "m2@a"
    (known,) = cinder.endings(volume_config, Operation("volume_create", volume, "creating"))
    assert known.anothers == "", "what was this one's stays this one's"


# --- one row of several processes


@pytest.mark.parametrize(("added", "shared"), [(2, None), (9, True)])
def test_a_row_that_grows_faster_than_one_process_can_make_it(cinder, volume_config, added, shared):
    rows = {host: cinder.service(host, age=0) for host in ("ctl@a", "shared@b")}
    evidence = CinderVolume()
    ours, theirs = cinder.volume("ctl@a#p", "extending"), cinder.volume("shared@b#p", "creating")
    cinder.worker(theirs, rows["shared@b"], "creating")
    assert unattributed(cinder, volume_config, evidence) == set()
    cinder.update("services", rows["shared@b"], report_count=5 + added)
    beats, operations = cinder.read(volume_config, evidence)
    assert {beat.host: beat.shared for beat in beats} == {"ctl@a": False, "shared@b": shared}
    assert {op.id: op.claimed for op in operations} == {ours: None, theirs: True}
    assert {op.id for op in operations if op.unattributed} == ({theirs} if shared else set())


@pytest.mark.parametrize(
    ("count", "age", "shared"),
    [(5, 900, False), (90, 900, False), (150, 900, None), (3, 0, None), (2, 0, False)],
)
def test_a_row_whose_count_is_too_high_for_its_age(cinder, count, age, shared):
    config = ServiceConfig("cinder-volume", "ctl", backends=(Backend("a", "ctl"),))
    cinder.service("ctl@a", age=0, report_count=count, created_at=cinder.now(-age))
    assert [beat.shared for beat in cinder.read(config)[0]] == [shared]


def test_what_the_next_start_sets_to_error(cinder, services, volume_config):
    def claimed(status, worker_status=None, holder=services["b"], kind="Volume"):
        volume = cinder.volume("shared@b#p", status if kind == "Volume" else "available")
        resource = volume if kind == "Volume" else cinder.snapshot(volume, status)
        cinder.worker(resource, holder, worker_status or status, kind=kind)
        return resource

    ended = {claimed("creating"), claimed("downloading"), claimed("creating", kind="Snapshot")}
    claimed("deleting")
    claimed("creating", holder=None)
    claimed("downloading", "creating")
    assert {op.id for op in cinder.read(volume_config)[1] if op.ended_by_start} == ended


def test_without_a_cluster_the_host_decides(cinder, services, volume_config):
    """A service that was removed and came back under another id left its worker row with the old one."""
    old = cinder.service("ctl@a", deleted=1)
    volume = cinder.volume("ctl@a#p", "creating")
    cinder.worker(volume, old, "creating")
    assert cinder.operations(volume_config) == {("volume_create", volume, None)}


def test_a_clustered_service_is_disabled_with_its_cluster(cinder, volume_config):
    cinder.insert(
        "clusters",
        name="big@a",
        binary="cinder-volume",
        disabled=1,
        disabled_reason="away",
        race_preventer=0,
        frozen=0,
    )
    cinder.insert(
        "clusters", name="big@a", binary="cinder-volume", disabled=0, race_preventer=9, frozen=0, deleted=1
    )
    cinder.service("ctl@a", cluster_name="big@a")
    (beat,), _ = cinder.read(volume_config)
    assert (beat.cluster, beat.disabled, beat.disabled_reason) == ("big@a", True, "away")


@pytest.mark.parametrize("status", ["starting", "migrating", "completing"])
def test_a_migration_at_its_source(cinder, services, volume_config, status):
    volume = cinder.volume("ctl@a#p", "available", migration_status=status)
    assert cinder.operations(volume_config) == {("volume_migrate", volume, None)}


@pytest.mark.parametrize("status", [None, "", "success", "error", "none"])
def test_a_migration_that_has_ended(cinder, services, volume_config, status):
    cinder.volume("ctl@a#p", "available", migration_status=status)
    assert cinder.read(volume_config)[1] == ()


def test_a_migration_at_its_destination_works_while_the_source_moves(cinder, services, volume_config):
    moving = cinder.volume("other@a#p", "available", migration_status="migrating")
    failed = cinder.volume("other@a#p", "available", migration_status="error", updated_at=cinder.now(-90))
    target = cinder.volume("ctl@a#p", "available", migration_status=f"target:{moving}")
    cinder.volume("ctl@a#p", "available", migration_status=f"target:{failed}")
    assert cinder.operations(volume_config) == {("volume_migrate_target", target, None)}


@pytest.mark.parametrize(
    ("attached", "target", "informs"),
    [
        ("attached", "available", True),
        ("attached", "creating", False),
        ("attached", None, False),
        ("detached", "available", False),
    ],
)
def test_a_migration_that_nova_copies_only_informs(
    cinder, services, volume_config, attached, target, informs
):
    volume = cinder.volume("ctl@a#p", "in-use", migration_status="migrating", attach_status=attached)
    if target:
        cinder.volume("other@a#p", target, migration_status=f"target:{volume}")
    (operation,) = cinder.read(volume_config)[1]
    assert (operation.kind, operation.informs) == ("volume_migrate", informs)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("creating", "snapshot_create"),
        ("deleting", "snapshot_delete"),
        ("updating", "snapshot_update"),
        ("unmanaging", "snapshot_unmanage"),
        ("backing-up", "snapshot_backup"),
    ],
)
def test_snapshots_have_the_host_of_their_volume(cinder, services, volume_config, status, kind):
    ours = cinder.snapshot(cinder.volume("ctl@a#p", "available"), status)
    cinder.snapshot(cinder.volume("ctl@a#p", "available"), status, deleted=1)
    cinder.snapshot(cinder.volume("other@a#p", "available"), status)
    cinder.snapshot(cinder.volume("ctl@a#p", "available"), "available")
    assert cinder.operations(volume_config) == {(kind, ours, None)}


def test_the_worker_of_a_snapshot(cinder, services, volume_config):
    snapshot = cinder.snapshot(cinder.volume("ctl@a#p", "available"), "creating")
    cinder.worker(snapshot, services["a"], "creating", kind="Snapshot")
    assert cinder.operations(volume_config) == {("snapshot_create", snapshot, True)}


def test_a_snapshot_that_is_claimed_in_a_cluster(cinder, volume_config):
    ours = cinder.service("ctl@a", cluster_name="big@a")
    snapshot = cinder.snapshot(cinder.volume("member2@a#p", "available", cluster_name="big@a#p"), "creating")
    cinder.worker(snapshot, ours, "creating", kind="Snapshot")
    assert cinder.operations(volume_config) == {("snapshot_create", snapshot, True)}


def test_groups_and_group_snapshots(cinder, services, volume_config):
    creating = cinder.insert("groups", id="g1", host="ctl@a#p", status="creating")
    enabling = cinder.insert(
        "groups", id="g2", host="shared@b", status="available", replication_status="enabling"
    )
    cinder.insert("groups", id="g3", host="ctl@a#p", status="available")
    cinder.insert("groups", id="g4", host="ctl@a#p", status="deleting", deleted=1)
    cinder.insert("groups", id="g5", host="other@a#p", status="updating")
    deleting = cinder.insert("group_snapshots", id="s1", group_id="g3", status="deleting", group_type_id="t")
    cinder.insert("group_snapshots", id="s2", group_id="g5", status="creating", group_type_id="t")
    assert cinder.operations(volume_config) == {
        ("group_create", creating, None),
        ("group_replication", enabling, None),
        ("group_snapshot_delete", deleting, None),
    }


def test_a_backend_that_fails_over(cinder, volume_config):
    cinder.service("ctl@a", replication_status="failing-over")
    cinder.service("shared@b", replication_status="enabled")
    assert cinder.operations(volume_config) == {("backend_failover", "ctl@a", None)}


@pytest.mark.parametrize(
    ("host", "strangers"),
    [
        ("ctl_1", ["ctlx1", "ctl-1", "CTL_1"]),
        ("50%", ["50", "500", "50 percent"]),
        ("!x", ["x", "!!x"]),
        ("back\\slash", ["backslash", "back\\\\slash"]),
        ("zürich", ["zurich", "ZÜRICH"]),
        ("straße", ["strasse"]),
        ("trailing", ["trailing "]),
        ("主机", ["主", "机"]),
        ("it's", ['it"s', "it''s"]),
        ("😀", ["😁"]),
    ],
)
def test_hosts_are_matched_exactly(cinder, host, strangers):
    """The database's collation takes é for e and capitals for small letters; LIKE has wild cards."""
    if host == "😀":
        cinder.service("ctl@a")
        config = ServiceConfig("cinder-volume", host, backends=(Backend("a", host),))
        with pytest.raises(EvidenceUnavailable, match="contains a character"):
            cinder.read(config)  # Cinder's utf8mb3 tables cannot hold it, but the question must not fail
        return
    config = ServiceConfig("cinder-volume", host, backends=(Backend("a_%", host),))
    for name in strangers:
        cinder.service(f"{name}@a_%", report_count=99)
        cinder.volume(f"{name}@a_%#p", "creating")
        cinder.volume(f"{host}@a_x#p", "creating")
        cinder.insert("groups", id=str(uuid.uuid4()), host=f"{name}@a_%#p", status="creating")
    own = cinder.service(f"{host}@a_%")
    ours = cinder.volume(f"{host}@a_%#p_%", "creating")
    cinder.worker(ours, own, "creating")
    beats, _ = cinder.read(config)
    assert [(beat.host, beat.report_count) for beat in beats] == [(f"{host}@a_%", 5)]
    assert cinder.operations(config) == {("volume_create", ours, True)}
    unknown_backends, _ = cinder.read(ServiceConfig("cinder-volume", host))
    assert [beat.host for beat in unknown_backends] == [f"{host}@a_%"]


def test_a_host_that_looks_like_sql(cinder):
    host = "x' OR 1=1; DROP TABLE volumes; -- "
    cinder.service("ctl@a")
    with pytest.raises(EvidenceUnavailable, match="no cinder-volume"):
        cinder.read(ServiceConfig("cinder-volume", host, backends=(Backend("a", host),)))
    assert cinder.server.execute("SHOW TABLES LIKE 'volumes'", (), "cinder")


@pytest.mark.parametrize(
    ("status", "kind"),
    [("creating", "backup_create"), ("restoring", "backup_restore"), ("deleting", "backup_delete")],
)
def test_backups(cinder, status, kind):
    cinder.service("ctl", "cinder-backup")
    ours = cinder.backup("ctl", status)
    for host in ("CTL", "ctl2", "ctl ", None):
        cinder.backup(host, status)
    cinder.backup("ctl", status, deleted=1)
    cinder.backup("ctl", "available")
    cinder.backup("ctl", "error")
    assert cinder.operations(BACKUP) == {(kind, ours, None)}


def test_a_backup_record_that_is_imported(cinder):
    """It has no host until the cinder-backup that can has imported it."""
    cinder.service("ctl", "cinder-backup")
    of_none = {"volume_id": "00000000-0000-0000-0000-000000000000", "updated_at": None}
    young = cinder.backup(None, "creating", created_at=cinder.now(-5), **of_none)
    cinder.backup(None, "creating", created_at=cinder.now(-90), **of_none)
    assert cinder.operations(BACKUP) == {("backup_import", young, None)}
    asked = Operation("backup_import", young, "creating")
    assert cinder.endings(BACKUP, asked)[0].outcome is Outcome.INTERRUPTED
    cinder.update("backups", young, status="available", host="another")
    assert cinder.endings(BACKUP, asked)[0].outcome is Outcome.FINISHED


def test_the_endings_of_backups(cinder):
    cinder.service("ctl", "cinder-backup")
    volume = cinder.volume("ctl@a#p", "error_restoring")
    made, gone = cinder.backup("ctl", "available"), cinder.backup("ctl", "deleted", deleted=1)
    failed = cinder.backup("ctl", "available", restore_volume_id=volume)
    endings = cinder.endings(
        BACKUP,
        Operation("backup_create", made, "creating"),
        Operation("backup_delete", gone, "deleting"),
        Operation("backup_restore", failed, "restoring"),
        Operation("backup_delete", "purged", "deleting"),
    )
    assert [(ending.outcome, ending.status) for ending in endings] == [
        (Outcome.FINISHED, "available"),
        (Outcome.FINISHED, "deleted"),
        (Outcome.INTERRUPTED, "error_restoring"),
        (Outcome.FINISHED, "deleted"),
    ]


def test_the_endings_of_volumes(cinder, services, volume_config):
    created = cinder.volume("ctl@a#p", "available")
    dropped = cinder.volume("ctl@a#p", "creating")
    cinder.worker(dropped, services["a"], "creating")
    stuck = cinder.volume("ctl@a#p", "extending")
    lost = cinder.volume("ctl@a#p", "deleting")
    cinder.worker(lost, None, "deleting")
    snapshot = cinder.snapshot(created, "deleted", deleted=1)
    endings = cinder.endings(
        volume_config,
        Operation("volume_create", created, "creating"),
        Operation("volume_create", dropped, "creating"),
        Operation("volume_extend", stuck, "extending"),
        Operation("volume_delete", lost, "deleting"),
        Operation("snapshot_delete", snapshot, "deleting"),
    )
    assert [(ending.outcome, ending.status) for ending in endings] == [
        (Outcome.FINISHED, "available"),
        (Outcome.INTERRUPTED, "creating"),
        (Outcome.INTERRUPTED, "extending"),
        (Outcome.UNKNOWN, "deleting"),
        (Outcome.FINISHED, "deleted"),
    ]


@pytest.fixture
def scheduler(cinder):
    """The ids of our scheduler and of another."""
    return cinder.service("ctl", "cinder-scheduler"), cinder.service("ctl2", "cinder-scheduler")


def test_what_the_scheduler_holds(cinder, scheduler):
    ours, others = scheduler
    scheduling, handed_over, elsewhere = (cinder.volume(host, "creating") for host in (None, "x@a#p", None))
    cinder.worker(scheduling, ours, "creating")
    cinder.worker(handed_over, ours, "creating")
    cinder.worker(elsewhere, others, "creating")
    queued = cinder.volume(None, "creating")
    cinder.worker(queued, None, "creating")
    cinder.volume(None, "creating", deleted=1)
    cinder.volume("x@a#p", "creating")
    assert cinder.operations(SCHEDULER) == {
        ("volume_schedule", scheduling, True),
        ("volume_schedule", handed_over, False),
        ("volume_schedule", queued, False),
    }


def test_what_waits_for_long_is_not_waited_for(cinder, scheduler):
    old = cinder.volume(None, "creating", created_at=cinder.now(-90), updated_at=None)
    (operation,) = cinder.read(SCHEDULER)[1]
    assert (operation.id, operation.informs) == (old, True)


def written(cinder, table, age, **columns):
    """A row that cinder-api wrote ``age`` seconds ago, in place of the one that was there."""
    cinder.execute(f"DELETE FROM `{table}`")
    times = {"created_at": cinder.now(-600), "updated_at": cinder.now(-age)}
    if columns.pop("new", False):
        times = {"created_at": cinder.now(-age), "updated_at": None}
    made = {
        "volumes": lambda: cinder.volume(
            columns.pop("host", "x@a#p"), columns.pop("status"), **times, **columns
        ),
        "snapshots": lambda: cinder.snapshot("v", columns.pop("status"), **times, **columns),
        "backups": lambda: cinder.backup(
            columns.pop("host", None), columns.pop("status"), **times, **columns
        ),
        "groups": lambda: cinder.insert("groups", id=str(uuid.uuid4()), **times, **columns),
    }
    return made[table]()


PASSING = [
    ("volume_schedule_extend", "volumes", {"status": "extending"}, None),
    ("volume_schedule_retype", "volumes", {"status": "retyping"}, {"migration_status": "migrating"}),
    (
        "volume_schedule_migrate",
        "volumes",
        {"status": "available", "migration_status": "starting"},
        {"migration_status": "migrating"},
    ),
    (
        "volume_schedule_manage",
        "volumes",
        {"status": "managing", "host": "x@a", "new": True},
        {"host": "x@a#p"},
    ),
    ("group_schedule", "groups", {"status": "creating", "new": True}, {"host": "x@a#p"}),
    (
        "backup_schedule",
        "backups",
        {"status": "creating", "host": None, "new": True},
        {"host": "h", "service": "posix"},
    ),
]


@pytest.mark.parametrize(("kind", "table", "row", "arrived"), PASSING)
def test_what_passes_through_the_scheduler(cinder, scheduler, kind, table, row, arrived):
    def ended(key):
        (ending,) = cinder.endings(SCHEDULER, Operation(kind, key, "as it was", claimed=False))
        return ending.outcome

    def seen(age, **columns):
        key = written(cinder, table, age, **columns)
        return key, cinder.operations(SCHEDULER), ended(key)

    for age in (1, 2.6):
        passing, found, outcome = cinder.in_time(PASSAGE - age, lambda age=age: seen(age, **row))
        assert found == {(kind, passing, False)}
        assert outcome is Outcome.UNKNOWN
    old = written(cinder, table, 7, **row)
    assert cinder.operations(SCHEDULER) == set()
    assert ended(old) is Outcome.FINISHED  # the row goes on in the next service; here it is over
    if arrived is not None:
        just, found, _ = cinder.in_time(HANDOVER + 1, lambda: seen(-1, **{**row, **arrived}))
        assert found == (
            {(kind, just, False)} if "migration_status" not in arrived or "retyp" in row["status"] else set()
        )
        gone_on = written(cinder, table, 2.6, **{**row, **arrived})
        assert cinder.operations(SCHEDULER) == set()
        assert ended(gone_on) is Outcome.FINISHED
    assert ended("no such row") is Outcome.FINISHED


def test_a_snapshot_passes_until_it_has_its_worker_row(cinder, scheduler):
    made = [(2.6, {}), (2.6, {}), (1, {"group_snapshot_id": "g"}), (9, {})]
    rows = [cinder.snapshot("v", "creating", **more) for _, more in made]
    passing, gone_on, _of_a_group, old = rows
    cinder.worker(gone_on, None, "creating", kind="Snapshot")

    def look():
        for key, (age, _) in zip(rows, made):
            cinder.update("snapshots", key, created_at=cinder.now(-age))
        return cinder.operations(SCHEDULER)

    assert cinder.in_time(PASSAGE - 2.6, look) == {("snapshot_schedule", passing, False)}
    cinder.update("snapshots", passing, status="error")
    endings = cinder.endings(
        SCHEDULER,
        *(Operation("snapshot_schedule", key, "creating", claimed=False) for key in (passing, gone_on, old)),
    )
    assert [(ending.outcome, ending.status) for ending in endings] == [
        (Outcome.INTERRUPTED, "error"),
        (Outcome.FINISHED, "creating"),
        (Outcome.FINISHED, "creating"),
    ]


def test_a_failed_extend_is_not_the_schedulers(cinder, scheduler):
    volume = cinder.volume("x@a#p", "error_extending")
    asked = (
        Operation("volume_schedule_extend", volume, "extending", claimed=False),
        Operation("volume_schedule", volume, "creating"),
    )
    assert [ending.outcome for ending in cinder.endings(SCHEDULER, *asked)] == [
        Outcome.FINISHED,
        Outcome.INTERRUPTED,
    ]


def test_an_imported_backup_does_not_pass_through_the_scheduler(cinder, scheduler):
    cinder.backup(
        None, "creating", created_at=cinder.now(), volume_id="0" * 8 + "-0000-0000-0000-" + "0" * 12
    )
    assert cinder.operations(SCHEDULER) == set()


# --- when rows were last written


def test_an_operation_is_as_old_as_its_row(cinder, services, volume_config):
    """The time by which a wreck is told from work; a row that is claimed, or written by each heartbeat, has none."""
    old = cinder.now(-400 * 86400)
    times = {"created_at": cinder.now(-500 * 86400), "updated_at": old}
    extending = cinder.volume("ctl@a#p", "extending", **times)
    never_updated = cinder.volume("ctl@a#p", "managing", created_at=old, updated_at=None)
    timeless = cinder.volume("ctl@a#p", "reverting", created_at=None, updated_at=None)
    claimed = cinder.volume("ctl@a#p", "creating", **times)
    cinder.worker(claimed, services["a"], "creating")
    queued = cinder.volume("ctl@a#p", "creating", **times)
    cinder.worker(queued, None, "creating")
    snapshot = cinder.snapshot(cinder.volume("ctl@a#p", "available"), "deleting", **times)
    cinder.insert("groups", id="g1", host="ctl@a#p", status="creating", **times)
    cinder.service("ctl", "cinder-backup")
    backup = cinder.backup("ctl", "creating", **times)
    operations = (*cinder.read(volume_config)[1], *cinder.read(BACKUP)[1])
    found = {op.id: op.written for op in operations}
    moment = old.replace(microsecond=0).isoformat(timespec="microseconds") + "Z"
    aged = dict.fromkeys((extending, never_updated, queued, snapshot, "g1", backup), moment)
    assert found == {**aged, timeless: None, claimed: None}

"""Nova's evidence on the schema that nova-manage makes."""

from __future__ import annotations

import pytest

from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.model import Operation, Outcome
from kolla_drain.service.config import ServiceConfig

COMPUTE = ServiceConfig("nova-compute", "ctl")


@pytest.fixture
def compute(nova):
    nova.service("ctl", "nova-conductor")
    nova.service("ctl2")
    return nova.service("ctl")


def test_the_heartbeat_is_last_seen_up_and_not_updated_at(nova):
    nova.service("ctl", age=61)
    (beat,), _ = nova.read(COMPUTE)
    assert (beat.service, beat.host, beat.up, beat.report_count) == ("nova-compute", "ctl", False, 5)
    assert 60 <= beat.age <= 90


def test_a_service_that_was_never_seen_is_as_old_as_its_row(nova):
    nova.service("ctl", age=None, created_at=nova.now(-7))
    (beat,), _ = nova.read(COMPUTE)
    assert beat.up
    assert beat.age >= 6


@pytest.mark.parametrize(
    ("columns", "up", "disabled", "reason"),
    [
        ({}, True, False, ""),
        ({"disabled": 1, "disabled_reason": "by hand"}, True, True, "by hand"),
        ({"forced_down": 1}, False, False, ""),
    ],
)
def test_disabled_and_forced_down(nova, columns, up, disabled, reason):
    nova.service("ctl", **columns)
    (beat,), _ = nova.read(COMPUTE)
    assert (beat.up, beat.disabled, beat.disabled_reason) == (up, disabled, reason)


def test_deleted_rows_and_hosts_that_only_look_alike(nova):
    gone = nova.service("zürich", age=2)
    nova.update("services", gone, deleted=gone)
    nova.service("zurich", report_count=99)
    with pytest.raises(EvidenceUnavailable, match=r"no nova-compute at zürich.*right cell"):
        nova.read(ServiceConfig("nova-compute", "zürich"))


@pytest.mark.parametrize(
    ("service", "schema"),
    [("nova-conductor", "nova"), ("nova-conductor", "cell0"), ("nova-scheduler", "cell0")],
)
def test_conductor_and_scheduler_have_a_heartbeat_and_no_operations(request, service, schema):
    rows = request.getfixturevalue(schema)
    rows.service("ctl", service)
    (beat,), operations = rows.read(ServiceConfig(service, "ctl"))
    assert (beat.service, beat.up) == (service, True)
    assert operations == ()


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("scheduling", "instance_build"),
        ("block_device_mapping", "instance_build"),
        ("spawning", "instance_build"),
        ("image_pending_upload", "instance_snapshot"),
        ("resize_migrating", "instance_resize"),
        ("reboot_started_hard", "instance_reboot"),
        ("rebuild_spawning", "instance_rebuild"),
        ("migrating", "instance_live_migration"),
        ("deleting", "instance_delete"),
        ("soft-deleting", "instance_delete"),
        ("powering-off", "instance_powering_off"),
        ("a-new_state", "instance_a_new_state"),
    ],
)
def test_task_states(nova, compute, task, kind):
    ours = nova.instance("ctl", task=task)
    nova.instance("ctl2", task=task)
    nova.instance("CTL", task=task)
    nova.instance(None, task=task)
    nova.instance("ctl", task=task, deleted=7)
    nova.instance("ctl")
    assert nova.operations(COMPUTE) == {(kind, ours, None)}


@pytest.mark.parametrize(("source", "dest"), [("ctl", "ctl2"), ("ctl2", "ctl")])
@pytest.mark.parametrize(
    ("migration", "status", "kind"),
    [
        ("live-migration", "accepted", "instance_live_migration"),
        ("live-migration", "running", "instance_live_migration"),
        ("live-migration", "post-migrating", "instance_live_migration"),
        ("resize", "pre-migrating", "instance_resize"),
        ("migration", "migrating", "instance_resize"),
        ("resize", "confirming", "instance_resize_confirm"),
        ("migration", "reverting", "instance_resize_revert"),
    ],
)
def test_migrations_at_both_ends(nova, compute, migration, status, kind, source, dest):
    instance = nova.instance("elsewhere")
    nova.migration(instance, status, migration, source, dest)
    assert nova.operations(COMPUTE) == {(kind, instance, None)}


@pytest.mark.parametrize(
    "status", ["confirmed", "reverted", "error", "failed", "completed", "cancelled", "done"]
)
def test_migrations_that_have_ended(nova, compute, status):
    nova.migration(nova.instance("ctl"), status, "live-migration", "ctl", "ctl2")
    assert nova.read(COMPUTE)[1] == ()


def test_a_resize_that_waits_to_be_confirmed_only_informs(nova, compute):
    waiting = nova.instance("ctl", vm_state="resized")
    nova.migration(waiting, "finished", "resize", "ctl2", "ctl")
    nova.migration(nova.instance("ctl"), "finished", "resize", "ctl2", "ctl")
    (operation,) = nova.read(COMPUTE)[1]
    assert (operation.kind, operation.id, operation.informs) == ("instance_resize_to_confirm", waiting, True)


def test_an_evacuation_is_its_destinations(nova, compute):
    here = nova.instance("ctl2", task="rebuilding")
    nova.migration(here, "pre-migrating", "evacuation", "ctl2", "ctl")
    away = nova.instance("ctl3")
    nova.migration(away, "accepted", "evacuation", "ctl", "ctl3")
    assert nova.operations(COMPUTE) == {("instance_evacuation", here, None)}


def test_leftovers_of_old_migrations_are_nothing(nova, compute):
    nova.migration(nova.instance("ctl"), "migrating", "resize", "ctl", "ctl2", updated_at=nova.now(-90000))
    nova.migration(nova.instance("ctl", deleted=9), "running", "live-migration", "ctl", "ctl2")
    busy = nova.instance("ctl", task="migrating")
    nova.migration(busy, "running", "live-migration", "ctl", "ctl2", updated_at=nova.now(-90000))
    assert nova.operations(COMPUTE) == {("instance_live_migration", busy, None)}


@pytest.mark.parametrize(
    ("host", "task", "kind", "written", "found"),
    [
        ("ctl", "powering-off", "live-migration", -90000, True),
        ("ctl2", "migrating", "live-migration", -90000, True),
        ("ctl2", "resize_migrating", "migration", -90000, True),
        (None, "rebuild_spawning", "evacuation", -90000, True),
        ("ctl2", None, "live-migration", -600, True),  # its source has given up, and it is being rolled back
        ("ctl2", None, "live-migration", -7200, False),
    ],
)
def test_a_migration_to_this_host_is_found_without_an_index_of_destinations(
    nova, compute, host, task, kind, written, found
):
    instance = nova.instance(host, task=task)
    at = nova.now(written)
    nova.migration(instance, "running", kind, "ctl2", "ctl", created_at=at, updated_at=at)
    nova.migration(nova.instance("ctl2", task=task), "running", kind, "ctl2", "ctl3")
    shown = {"live-migration": "instance_live_migration", "migration": "instance_resize"}
    operation = (shown.get(kind, "instance_evacuation"), instance)
    assert [(op.kind, op.id) for op in nova.read(COMPUTE)[1]] == [operation] * found


def test_one_operation_an_instance(nova, compute):
    instance = nova.instance("ctl", task="resize_prep")
    nova.migration(instance, "pre-migrating", "resize", "ctl", "ctl2")
    nova.event(instance, "compute_prep_resize", "ctl")
    assert nova.operations(COMPUTE) == {("instance_resize", instance, None)}


def test_what_works_goes_before_what_informs(nova, compute):
    instance = nova.instance("ctl", vm_state="resized", task="deleting")
    nova.migration(instance, "finished", "resize", "ctl", "ctl2")
    assert nova.operations(COMPUTE) == {("instance_delete", instance, None)}


def test_open_events(nova, compute):
    instance = nova.instance("ctl")
    nova.event(instance, "compute_attach_volume", "ctl")
    finished, conductors, elsewhere, old = (nova.instance("ctl") for _ in range(4))
    nova.event(finished, "compute_attach_volume", "ctl", finished=True)
    nova.event(conductors, "conductor_migrate_server", "ctl")
    nova.event(elsewhere, "compute_attach_volume", "ctl2")
    nova.event(old, "compute_attach_volume", "ctl", started=-90000)
    assert nova.operations(COMPUTE) == {("instance_event_attach_volume", instance, None)}


def test_the_end_of_a_build_is_no_operation_of_its_own(nova, compute):
    """Its event is open, and its task is over."""
    instance = nova.instance("ctl")
    nova.event(instance, "compute__do_build_and_run_instance", "ctl")
    assert nova.operations(COMPUTE) == {("instance_build", instance, None)}


def test_an_event_that_is_open_for_an_hour_only_informs(nova, compute):
    nova.event(nova.instance("ctl"), "compute_swap_volume", "ctl", started=-4000)
    (operation,) = nova.read(COMPUTE)[1]
    assert operation.informs


def test_endings(nova, compute):
    built, deleted = nova.instance("ctl"), nova.instance("ctl", deleted=3)
    failed = nova.instance("ctl")
    nova.migration(failed, "failed", "live-migration", "ctl", "ctl2")
    moved = nova.instance("ctl")
    nova.migration(moved, "failed", "live-migration", "ctl", "ctl2")
    nova.migration(moved, "completed", "live-migration", "ctl", "ctl2")
    attaching = nova.instance("ctl")
    nova.event(attaching, "compute_attach_volume", "ctl")
    building = nova.instance("ctl", vm_state="building", task="spawning")
    endings = nova.endings(
        COMPUTE,
        Operation("instance_build", built, "spawning"),
        Operation("instance_delete", deleted, "deleting"),
        Operation("instance_live_migration", failed, "running"),
        Operation("instance_live_migration", moved, "running"),
        Operation("instance_event_attach_volume", attaching, "started"),
        Operation("instance_build", building, "networking"),
        Operation("instance_delete", "purged", "deleting"),
    )
    assert [(ending.outcome, ending.status) for ending in endings] == [
        (Outcome.FINISHED, "active"),
        (Outcome.FINISHED, "deleted"),
        (Outcome.INTERRUPTED, "error"),
        (Outcome.FINISHED, "completed"),
        (Outcome.INTERRUPTED, "started"),
        (Outcome.INTERRUPTED, "spawning"),
        (Outcome.FINISHED, "deleted"),
    ]


def test_an_operation_is_as_old_as_what_was_written_last_for_its_instance(nova, compute):
    """The time by which a wreck is told from work: an old migration must not hide a task of now."""
    old, new = nova.now(-400 * 86400), nova.now(-5)
    left_behind = nova.instance("ctl", task="migrating", updated_at=old)
    nova.migration(left_behind, "completed", "live-migration", "ctl", "ctl2", updated_at=old)
    stuck = nova.instance("ctl", task="migrating", updated_at=old)
    nova.migration(stuck, "running", "live-migration", "ctl", "ctl2", created_at=old, updated_at=None)
    busy = nova.instance("ctl", task="powering-off", updated_at=new)
    nova.migration(busy, "running", "live-migration", "ctl", "ctl2", updated_at=old)
    timeless = nova.instance("ctl", task="powering-off", created_at=None, updated_at=None)
    nova.migration(timeless, "running", "live-migration", "ctl", "ctl2", updated_at=old)
    found = {op.id: op.written for op in nova.read(COMPUTE)[1]}
    then, now = (at.replace(microsecond=0).isoformat(timespec="microseconds") + "Z" for at in (old, new))
    assert found == {left_behind: then, stuck: then, busy: now, timeless: None}

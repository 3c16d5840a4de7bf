"""What is advised for an operation that did not finish."""

from __future__ import annotations

import pytest

from kolla_drain.controller.report.remedies import REMEDIES, advice
from kolla_drain.evidence import cinder_backup, cinder_scheduler, cinder_volume_kinds, nova_compute
from kolla_drain.profiles import NAMES, declared


def known() -> set[tuple[str, str]]:
    """The kinds of operations that services may have, by project."""
    kinds = [
        *cinder_volume_kinds.VOLUME, *cinder_volume_kinds.SNAPSHOT, *cinder_volume_kinds.GROUP,
        *cinder_volume_kinds.GROUP_SNAPSHOT, cinder_volume_kinds.MIGRATE, cinder_volume_kinds.TARGET,
        cinder_volume_kinds.REVERT_CLEANUP, *cinder_backup.KINDS, cinder_backup.IMPORT, cinder_scheduler.KIND,
    ]  # fmt: skip
    found = {("cinder", kind.name) for kind in kinds}
    found |= {("nova", kind) for kind in nova_compute._HEALED}
    found |= {("nova", kind) for kind in nova_compute._TASKS}
    found |= {("nova", kind) for kind in nova_compute._KIND_OF_MIGRATION.values()}
    for name in NAMES:
        service = declared(name)
        assert service is not None
        found |= {(name.split("-")[0], kind.name) for work in service.work for kind in work.kinds}
    return found


def test_each_remedy_is_that_of_a_kind_there_is() -> None:
    named = {(project, kind) for project, kinds in REMEDIES.items() for kind in kinds}

    assert named <= known()


@pytest.mark.parametrize(("project", "kind"), sorted((p, k) for p, kinds in REMEDIES.items() for k in kinds))
def test_a_stuck_one_has_a_command_or_a_note(project: str, kind: str) -> None:
    stays = "the thing stays creating until an operator resets it"
    found = advice(f"{project}-service", kind, "an id", "interrupted", "creating", stays)

    assert found is not None
    assert found.text.startswith("The thing stays creating until an operator resets it.")
    assert not any("'an id'" not in command and " ID" in command for command in found.commands)


STAYS = "the volume stays extending until an operator resets it"
QUEUED = (
    "nobody took it: done at the next start if its request is still queued, else the volume stays creating"
)


@pytest.mark.parametrize(
    ("service", "kind", "outcome", "fate", "commands"),
    [
        # It stays: reset it.
        ("cinder-volume", "volume_extend", "interrupted", STAYS, ["openstack volume set --state available 7"]),
        ("cinder-volume", "volume_create", "interrupted", "the volume stays creating until an operator resets it",
         ["openstack volume set --state error 7", "openstack volume delete 7"]),
        # A start puts it right: look, and tidy up.
        ("cinder-volume", "volume_create", "interrupted", "its next start sets it to error",
         ["openstack volume show 7", "openstack volume delete 7"]),
        # Unknown: look first, and reset nothing that may go on.
        ("cinder-volume", "volume_create", "unknown", QUEUED, ["openstack volume show 7"]),
        ("cinder-volume", "volume_create", "unknown", f"{QUEUED} until an operator resets it",
         ["openstack volume show 7", "openstack volume set --state error 7"]),
        # The same name is another thing in another project.
        ("nova-compute", "instance_reboot", "interrupted", "it stays rebooting until an operator resets it",
         ["openstack server set --state active 7", "openstack server reboot --hard 7"]),
        ("trove-taskmanager", "instance_reboot", "interrupted", "the instance stays task 3 until an operator resets it",
         ["openstack database instance reset status 7"]),
        # A kind of the same thing without a remedy of its own.
        ("nova-compute", "instance_event_attach_volume", "interrupted", "what was done by then stays",
         ["openstack server show 7"]),
        # Nothing is known: the fate alone.
        ("nova-conductor", "build_instances", "interrupted", "its caller gets an error", []),
        ("made-up", "thing", "interrupted", "", []),
    ],
)  # fmt: skip
def test_the_commands_follow_the_fate(
    service: str, kind: str, outcome: str, fate: str, commands: list[str]
) -> None:
    found = advice(service, kind, "7", outcome, "creating", fate)

    assert found is not None
    assert found.text
    assert list(found.commands) == commands


def test_what_finished_needs_nothing() -> None:
    assert advice("cinder-volume", "volume_create", "7", "finished", "available", "") is None


def test_an_id_is_one_word_of_a_command() -> None:
    found = advice("cinder-volume", "volume_create", "7; reboot", "interrupted", "error", "ended in error")

    assert found is not None
    assert found.commands[0] == "openstack volume show '7; reboot'"

"""Nova's plays over several hosts and two cells, with stand-ins for the modules."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.plays.site import DOES, ROOT, Site, reading

# "edge" is a cell of its own, and the one host with both a conductor and a compute.
INVENTORY = """
[nova-api]
control
[nova-scheduler]
control
[nova-conductor]
control
edge
[edge-conductor]
edge
[compute]
compute1
edge
[edge-conductor:vars]
nova_cell_conductor_group=edge-conductor
[all:vars]
ansible_connection=local
nova_api_healthcheck_url=
nova_console=none
"""
RECORDS = "python3 -c " + shlex.quote((ROOT / "roles/nova/files/services.py").read_text().rstrip("\n"))
LIST = (
    "nova-scheduler control - enabled :-) 2026-11-21 18:46:23 74 - cell0\n"
    "nova-conductor control - enabled :-) 2026-11-21 18:46:21 74 - c0ffee00-0000\n"
    "nova-compute edge - enabled :-) 2026-11-21 18:46:26 74 - edge\n"
)
ORPHANS = (
    "nova-conductor gone - enabled XXX 2026-11-01 18:46:21 73 - edge\n"
    "nova-compute gone - enabled XXX 2026-11-01 18:46:21 73 - edge\n"
)
BUSY = {"operations": [{"kind": "instance_build", "id": "7d0c", "status": "spawning", "since": "now"}]}


def nova_site(folder: Path) -> Site:
    found = Site(folder)
    (folder / "hosts").write_text(INVENTORY)
    for host in ("compute1", "edge"):
        row = reading("nova-compute", host)
        row["heartbeat"]["rows"][0]["host"] = host
        found.answers[f"drain_status nova_compute {host}"] = row
    found.answers[f"run {RECORDS}"] = {"rc": 0, "stdout": LIST}
    return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return nova_site(tmp_path)


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All of it; the compute on edge is busy for a while. For tests that only look."""
    site = nova_site(tmp_path_factory.mktemp("upgraded"))
    usual = site.answers["drain_status nova_compute edge"]
    site.answers["drain_status nova_compute edge"] = [usual, usual | BUSY, usual]
    return site.play("upgrade.yml")


def commands(site: Site) -> list[tuple[str, str]]:
    """The one-off commands without their frame, and where they ran."""
    found = []
    for _, text, host in site.did("run"):
        sync = re.search(r"&& (nova-manage .*?) && echo after", text, re.DOTALL)
        found.append(("records" if text.startswith("python3") else sync[1].strip() if sync else text, host))
    return found


def test_the_documented_order(upgraded: Site) -> None:
    assert upgraded.code == 0
    assert [(whom, host) for _, whom, host in upgraded.did(*DOES)] == [
        ("nova_conductor", "control"),
        ("nova_conductor", "edge"),
        ("nova_scheduler", "control"),
        ("nova_compute", "edge"),
        ("nova_compute", "compute1"),
        ("nova_api", "control"),
    ]
    assert [command for command, _ in commands(upgraded)] == [
        "nova-manage api_db sync",
        "nova-manage db sync",
        "nova-manage db sync --local_cell",
        "nova-manage db sync --local_cell",
        "records",
        "nova-status upgrade check",
        "records",
        "records",
        "nova-manage db online_data_migrations --max-count 1000",
        "nova-manage db online_data_migrations --max-count 1000",
        "nova-manage db online_data_migrations --max-count 1000",
    ]
    assert "versions (RPC/object): nova-compute 74, nova-conductor 74, nova-scheduler 74" in upgraded.output


def test_compute_is_disabled_and_emptied_before_the_conductor_of_its_host(upgraded: Site) -> None:
    assert upgraded.code == 0
    steps = [step for step in upgraded.did("disabled", "enabled", "drain_status", *DOES) if step[2] == "edge"]
    upgrade = [step[:2] for step in steps[2:]]
    assert upgrade[:6] == [
        ("disabled", "nova-compute@edge"),
        ("drain_status", "nova_compute"),
        ("drain_status", "nova_compute"),
        ("recreate_or_restart_container", "nova_conductor"),
        ("drain_status", "nova_conductor"),
        ("enabled", "nova-compute@edge"),
    ]
    elsewhere = [step for step in upgraded.did("disabled") if step[2] != "edge"]
    assert elsewhere == [("disabled", "nova-compute@compute1", "compute1")], "in its own turn alone"


@pytest.mark.parametrize(("on_timeout", "ends_well"), [("leave", False), ("kill", True)])
def test_a_compute_that_stays_busy(site: Site, on_timeout: str, ends_well: bool) -> None:
    site.answers["drain_status nova_compute edge"] |= BUSY
    limits = f"nova_compute_graceful_shutdown_timeout=5 graceful_shutdown_on_timeout={on_timeout}"

    site.play("upgrade.yml", "--limit", "edge", "-e", limits)

    assert (site.code == 0) is ends_well
    assert bool(site.did("recreate_or_restart_container")) is ends_well
    assert site.did("disabled")[0][1] == site.did("enabled")[0][1] == "nova-compute@edge"
    assert ("nova-conductor on edge: it was not touched" in site.output) is not ends_well
    assert (
        "instance_build 7d0c (spawning)" in site.output.split("TASK [kolla_drain : Enable")[-1]
    ) is not ends_well


def test_stop_ends_the_conductors_last(site: Site) -> None:
    site.play("stop.yml")

    assert site.code == 0
    order = [whom for _, whom, _ in site.did(*DOES)]
    assert order == [
        "nova_api", "nova_scheduler", "nova_compute", "nova_compute", "nova_conductor", "nova_conductor",
    ]  # fmt: skip


def test_orphaned_computes_are_left_to_the_api(site: Site) -> None:
    site.answers[f"run {RECORDS}"]["stdout"] = LIST + ORPHANS

    site.play(
        "upgrade.yml", "--limit", "control", "--tags", "orphans", "-e", '{"remove_orphaned_services": true}'
    )

    removed = [text[len(RECORDS) :] for _, text, _ in site.did("run") if text != RECORDS]
    assert set(removed) == {" remove nova-conductor gone"}
    assert "nova-compute on gone was last heard of at 2026-11-01" in site.output
    assert "openstack compute service delete ID" in site.output


def test_migrations_of_a_cell_go_on_as_their_exit_code_says(site: Site) -> None:
    answers: list[dict[str, Any]] = [{"rc": 0, "stdout": ""}, {"rc": 1, "failed": True, "stdout": ""}]
    site.answers["run nova-manage db online_data_migrations --max-count 50"] = [
        *answers,
        {"rc": 0, "stdout": ""},
    ]

    site.play(
        "upgrade.yml",
        "--limit",
        "control,edge",
        "--tags",
        "migrations",
        "-e",
        '{"online_migrations_max_count": 50}',
    )

    assert site.code == 0
    assert len(site.did("run")) == 4, "the API, a cell of two rounds, a cell"

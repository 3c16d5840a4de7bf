"""stop.yml and reload.yml for projects other than Cinder and Nova, with stand-ins for the modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plays.site import DOES, Site, reading

INVENTORY = """
[manila-api]
control
[manila-scheduler]
control
[manila-share]
storage1
storage2
[manila-data]
storage1
[octavia:children]
manila-share
[octavia-worker:children]
octavia
[octavia-housekeeping:children]
octavia
[heat-engine]
control
[loadbalancer]
control
[elsewhere]
other
[all:vars]
ansible_connection=local
"""
RUNS = {
    "control": ["manila_api", "manila_scheduler", "heat_engine"],
    "storage1": ["manila_share", "manila_data", "octavia_worker", "octavia_housekeeping"],
    "storage2": ["manila_share", "octavia_worker", "octavia_housekeeping"],
}


def other_site(folder: Path) -> Site:
    """A site whose containers are where RUNS says, whatever the inventory's groups are."""
    site = Site(folder)
    (folder / "hosts").write_text(INVENTORY)
    site.answers["drain_status"] = {"verdict": "absent"}
    for host, names in RUNS.items():
        for name in names:
            site.answers[f"drain_status {name} {host}"] = reading(name.replace("_", "-"), host)
    return site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return other_site(tmp_path)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two projects, of which one has several hosts; for tests that only look."""
    return other_site(tmp_path_factory.mktemp("stopped")).play("stop.yml", "--tags", "manila,octavia")


def test_each_turn_ends_on_all_hosts_before_the_next(stopped: Site) -> None:
    assert stopped.code == 0
    assert [(whom, host) for _, whom, host in stopped.did(*DOES)] == [
        ("manila_api", "control"),
        ("manila_data", "storage1"),
        ("octavia_worker", "storage1"),
        ("octavia_worker", "storage2"),
        ("manila_share", "storage1"),
        ("manila_share", "storage2"),
        ("manila_scheduler", "control"),
        ("octavia_housekeeping", "storage1"),
        ("octavia_housekeeping", "storage2"),
    ]
    assert {one["host"] for one in stopped.calls} == set(RUNS)
    assert "absent" not in stopped.output, "what is not deployed is not spoken of"


def test_the_shares_are_given_no_new_work_meanwhile(stopped: Site) -> None:
    steps = stopped.did("disabled", "enabled", "stop_container")
    assert [step for step in steps if step[2] == "storage2" and "manila" in step[1]] == [
        ("disabled", "manila-share@storage2", "storage2"),
        ("stop_container", "manila_share", "storage2"),
        ("enabled", "manila-share@storage2", "storage2"),
    ]
    assert {whom.split("@")[0] for _, whom, _ in stopped.did("disabled")} == {"manila-share"}


def test_the_api_leaves_haproxy_before_it_stops(stopped: Site) -> None:
    (taken_out,) = [one for one in stopped.calls if one["what"] == "haproxy-drain"]
    assert taken_out["given"]["backends"] == ["manila_api_back", "manila_api_external_back"]
    order = [one["what"] for one in stopped.calls]
    assert order.index("haproxy-drain") < order.index("stop_container")


def test_each_has_the_time_that_its_work_takes(stopped: Site) -> None:
    looks = ("stop_container", "drain_status")
    times = {
        one["whom"]: one["given"]["graceful_shutdown_timeout"]
        for one in stopped.calls
        if one["what"] in looks and "graceful_shutdown_timeout" in one["given"]
    }
    assert times == {
        "manila_api": 180, "manila_data": 3600, "manila_share": 900, "manila_scheduler": 180,
        "octavia_worker": 900, "octavia_housekeeping": 180,
    }  # fmt: skip


def test_one_service_of_one_host_with_its_own_time(site: Site) -> None:
    """A variable of the container's name, which is in none of our files."""
    variables = {"octavia_housekeeping_graceful_shutdown_timeout": 77}

    site.play(
        "stop.yml", "--tags", "octavia-housekeeping", "--limit", "storage2", "-e", json.dumps(variables)
    )

    assert site.code == 0
    (stop,) = [one for one in site.calls if one["what"] == "stop_container"]
    assert (stop["whom"], stop["host"]) == ("octavia_housekeeping", "storage2")
    assert stop["given"]["graceful_shutdown_timeout"] == 77
    assert {one["host"] for one in site.calls} == {"storage2"}


def test_without_a_tag_of_theirs_they_are_left_alone(site: Site) -> None:
    site.play("stop.yml", "--tags", "cinder")
    assert (site.code, site.calls) == (0, [])


def test_a_host_that_fails_ends_it(site: Site) -> None:
    site.answers["stop_container octavia_worker storage1"] = {"failed": True, "msg": "It works on."}

    site.play("stop.yml", "--tags", "octavia")

    assert site.code != 0
    assert [whom for _, whom, _ in site.did(*DOES)] == ["octavia_worker"]
    assert "octavia-worker on storage1: It works on." in site.output


def test_check_mode_only_looks(site: Site) -> None:
    operation = {"kind": "share_create", "id": "7d0c", "status": "creating", "since": "now"}
    site.answers["drain_status manila_share storage1"]["operations"] = [operation]

    site.play("stop.yml", "--tags", "manila", "--check")

    assert site.code == 0
    assert {one["what"] for one in site.calls} == {"drain_status", "status"}
    assert "in flight: share_create 7d0c (creating, since now)" in site.output


def test_a_reload_goes_the_other_way_host_by_host(site: Site) -> None:
    site.play("reload.yml", "--tags", "manila,heat-engine")

    assert site.code == 0
    assert [(what, whom, host) for what, whom, host in site.did(*DOES)] == [
        ("reload_container", whom, host)
        for whom, host in (
            ("manila_scheduler", "control"),
            ("manila_api", "control"),
            ("heat_engine", "control"),
            ("manila_share", "storage1"),
            ("manila_data", "storage1"),
            ("manila_share", "storage2"),
        )
    ]

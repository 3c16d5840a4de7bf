"""The plays over several hosts, with stand-ins for the modules: order, limits, and every way out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plays.site import DOES, LIST, ORPHAN, ROOT, UPGRADED, Site

FAILED_CHECK = """\
+-------------------------+
| Check: {}     |
| Result: Failure         |
| Details: Not good.      |
+-------------------------+
"""


def failed(check: str) -> dict[str, Any]:
    return {"rc": 2, "failed": True, "msg": "ended with exit code 2", "stdout": FAILED_CHECK.format(check)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- runs that several tests look at


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All of it, with an orphan, a failed check that is ignored, and versions that are newer afterwards."""
    site = Site(tmp_path_factory.mktemp("upgraded"))
    site.answers["run cinder-status upgrade check"] = failed("Service UUIDs")
    site.answers["run cinder-manage service list"] = [
        {"rc": 0, "stdout": LIST + ORPHAN},
        {"rc": 0, "stdout": UPGRADED + ORPHAN},
    ]
    return site.play("upgrade.yml")


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two services, of which one is off, with variables by old names, a dead backend, and an API that is away."""
    site = Site(tmp_path_factory.mktemp("varied"))
    site.answers["status"] = {"failed": True, "msg": "Cinder's API cannot be reached."}
    rows = [{"service": "cinder-volume", "host": "storage1@ceph", "up": True},
            {"service": "cinder-volume", "host": "storage1@dead", "up": False}]  # fmt: skip
    site.answers["drain_status cinder_volume storage1"]["heartbeat"] = {"up": False, "rows": rows}
    old = {"on_timeout": "kill", "fence": "never", "exit": "freeze", "ready_timeout": 7}
    variables = {**old, "enable_cinder_backup": False}
    return site.play("upgrade.yml", "--tags", "cinder-volume,cinder-backup", "-e", json.dumps(variables))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """stop.yml, which stops the API first, so that it is away for the others."""
    site = Site(tmp_path_factory.mktemp("stopped"))
    away = {"failed": True, "msg": "Cinder's API cannot be reached."}
    site.answers["disabled"] = site.answers["enabled"] = away
    return site.play("stop.yml")


# --- upgrade.yml


def test_the_documented_order(upgraded: Site) -> None:
    assert upgraded.code == 0
    assert [(whom, host) for _, whom, host in upgraded.did("recreate_or_restart_container")] == [
        ("cinder_scheduler", "control"),
        ("cinder_volume", "storage1"),
        ("cinder_volume", "storage2"),
        ("cinder_backup", "storage1"),
        ("cinder_backup", "storage2"),
        ("cinder_api", "control"),
    ]
    sync = upgraded.runs[2]
    assert "cinder-manage db sync" in sync
    assert upgraded.runs == [
        "cinder-manage service list",
        "cinder-status upgrade check",
        sync,
        "cinder-manage service list",
        "cinder-manage db online_data_migrations --max_count 1000",
        "cinder-manage service list",
    ]
    steps = [one["what"] for one in upgraded.calls]
    assert steps.index("ensure_image") < steps.index("run") < steps.index("recreate_or_restart_container")
    assert max(place for place, what in enumerate(steps) if what == "ensure_image") < steps.index("run")


def test_each_is_disabled_just_around_its_turn(upgraded: Site) -> None:
    steps = upgraded.did("disabled", "enabled", *DOES)
    until = next(place for place, (what, _, _) in enumerate(steps) if what == "reload_container")
    assert [step for step in steps[:until] if re.search("cinder.volume", step[1])][:6] == [
        (what, whom, host)
        for host in ("storage1", "storage2")
        for what, whom in (
            ("disabled", f"cinder-volume@{host}"),
            ("recreate_or_restart_container", "cinder_volume"),
            ("enabled", f"cinder-volume@{host}"),
        )
    ]


@pytest.mark.parametrize(
    ("serial", "failure"),
    [
        (1, {"unreachable": True}),
        (2, {"unreachable": True}),
        (2, {"failed": True, "msg": "It did not come up."}),
    ],
)
def test_a_host_that_fails_ends_it_and_all_is_enabled(
    site: Site, serial: int, failure: dict[str, Any]
) -> None:
    site.answers["recreate_or_restart_container cinder_volume storage1"] = failure

    variables = {"kolla_serial": serial, "kolla_container_engine": "podman"}

    site.play("upgrade.yml", "--tags", "cinder-volume,cinder-api", "-e", json.dumps(variables))

    assert site.code != 0
    touched = ["storage1", "storage2"][:serial]
    assert sorted(host for what, whom, host in site.did("disabled")) == touched
    assert sorted(host for what, whom, host in site.did("enabled")) == touched
    assert sorted(host for _, whom, host in site.did(*DOES) if whom == "cinder_volume") == touched
    assert "cinder_api" not in [whom for _, whom, _ in site.did(*DOES)]
    said = failure.get("msg", "the connection to storage1 was lost")
    assert f"cinder-volume on storage1: {said}" in site.output
    assert "undefined" not in site.output
    assert ("look at 'podman ps -a' there" in site.output) is ("unreachable" in failure)


def test_what_cannot_be_enabled_is_named_with_the_command(site: Site) -> None:
    undo = ["openstack volume service set --enable storage1@ceph cinder-volume"]
    site.answers["enabled"] = {"failed": True, "msg": "It is disabled still.", "undo": undo}

    site.play("upgrade.yml", "--limit", "storage1", "--tags", "cinder-volume")

    assert site.code != 0
    assert re.search(
        r"cinder-volume on storage1: .*could not be enabled.*It is disabled still\. .*Enable it with: openstack",
        site.output,
    )


def test_check_mode_only_looks(site: Site) -> None:
    operation = {"kind": "volume_create", "id": "7d0c", "status": "creating", "since": "now"}
    site.answers["drain_status cinder_volume storage1"]["operations"] = [operation]

    site.play("upgrade.yml", "--check", "--diff")

    assert site.code == 0
    assert {one["what"] for one in site.calls} == {
        "drain_status", "compare_container", "get_container_state", "timeouts", "status",
    }  # fmt: skip
    assert "in flight: volume_create 7d0c (creating, since now)" in site.output


def test_an_equal_site_is_left_alone(site: Site) -> None:
    site.answers["compare_container"] = {"changed": False, "differences": []}
    site.answers["run"]["stdout"] = "before: a\nafter: a\n"

    site.play("upgrade.yml")

    assert site.code == 0
    assert site.did(*DOES, "disabled", "enabled") == []
    assert set(re.findall(r"changed=(\d+)", site.output)) == {"0"}


def test_of_equal_containers_only_what_is_due_is_done(site: Site) -> None:
    """Each for its own reason: a unit that differs, an interrupted run, and a configuration that is newer."""
    site.answers["compare_container"] = {"changed": False, "differences": []}
    site.answers["compare_container cinder_volume storage1"] = {
        "changed": True, "differences": [], "status": "running",
    }  # fmt: skip
    site.answers["start_container"] = {"changed": True, "differences": [], "unit_written": True}
    site.answers["status cinder-volume@storage2"] = {"services": [{"disabled_by_us": True}], "undo": []}
    site.answers["timeouts cinder-backup storage2"] = {"findings": [], "newer": True}

    site.play("upgrade.yml", "--tags", "cinder-volume,cinder-backup")

    assert site.code == 0
    assert site.did("disabled", "enabled", "start_container", *DOES) == [
        ("start_container", "cinder_volume", "storage1"),
        ("enabled", "cinder-volume@storage2", "storage2"),
        ("disabled", "cinder-backup@storage2", "storage2"),
        ("recreate_or_restart_container", "cinder_backup", "storage2"),
        ("enabled", "cinder-backup@storage2", "storage2"),
    ]
    assert site.output.count('"cinder-volume: its unit was written anew, it runs on"') == 1, "in the summary"


def test_a_host_that_is_lost_before_anything_was_done_is_not_taken_for_equal(site: Site) -> None:
    usual = site.answers["compare_container"]
    site.answers["compare_container cinder_volume storage1"] = [usual, {"unreachable": True}]

    site.play("upgrade.yml", "--limit", "storage1", "--tags", "cinder-volume")

    assert site.code != 0
    assert site.did("disabled", *DOES) == []
    assert "UNREACHABLE! => " in site.output
    assert "nothing to do" not in site.output


@pytest.mark.parametrize(
    ("variable", "value"), [("graceful_shutdown_on_timeout", "later"), ("enable_cinder_backup", "perhaps")]
)
def test_an_argument_of_a_wrong_kind_is_refused_before_anything_is_touched(
    site: Site, variable: str, value: str
) -> None:
    site.play("upgrade.yml", "--limit", "control", "-e", f"{variable}={value}")

    assert site.code != 0
    assert site.calls == []
    assert re.search(rf"{variable}.*{value}", site.output)


def test_a_service_that_is_off_is_left_out(site: Site) -> None:
    site.play("upgrade.yml", "-e", "enable_cinder=no")

    assert site.code == 0
    assert site.calls == []


def test_backup_that_is_off_and_other_steps_are_left_out(varied: Site) -> None:
    assert varied.code == 0
    assert {whom for _, whom, _ in varied.did(*DOES)} == {"cinder_volume"}
    assert varied.runs == []


def test_limit_leaves_the_others_and_the_database_alone(site: Site) -> None:
    site.play("upgrade.yml", "--limit", "storage2")

    assert site.code == 0
    assert {one["host"] for one in site.calls} == {"storage2"}
    assert site.runs == []


def test_an_order_is_refused_by_the_name_of_the_fixed_one(site: Site) -> None:
    site.play("upgrade.yml", "-e", json.dumps({"cinder_upgrade_order": ["cinder-backup"]}))

    assert site.code != 0
    assert site.calls == []
    fixed = "cinder-scheduler, cinder-volume, cinder-backup, cinder-api"
    assert f"cinder_upgrade_order is set, and the order of the services is fixed: {fixed}." in site.output


def test_a_service_without_a_play_is_not_left_out(site: Site) -> None:
    services = {
        "cinder-volum": {"container_name": "cinder_volume", "group": "cinder-volume", "enabled": True},
        "cinder-api": {"container_name": "cinder_api", "group": "cinder-api", "enabled": True},
    }

    site.play("upgrade.yml", "-e", json.dumps({"cinder_services": services}))

    assert site.code != 0
    assert site.calls == []
    assert "cinder-volum on storage1 has no play and would be left out" in site.output


def test_a_service_may_have_a_time_of_its_own_to_become_ready(site: Site) -> None:
    own = {"cinder_volume_ready_timeout": 600, "kolla_drain_ready_timeout": 90}

    site.play(
        "upgrade.yml",
        "--limit",
        "storage1,control",
        "--tags",
        "cinder-volume,cinder-api",
        "-e",
        json.dumps(own),
    )

    assert site.code == 0
    replaced = [one for one in site.calls if one["what"] == "recreate_or_restart_container"]
    given = {one["whom"]: int(one["given"]["ready_timeout"]) for one in replaced}
    assert given == {"cinder_volume": 600, "cinder_api": 90}


def test_old_names_are_taken_over_with_a_warning_of_both(varied: Site) -> None:
    assert varied.code == 0
    given = next(one["given"] for one in varied.calls if one["what"] == "recreate_or_restart_container")
    assert (given["on_timeout"], given["ready_timeout"]) == ("kill", 7)
    assert varied.did("status", "disabled") == [], "which is why nobody misses the API"
    said = " ".join(varied.output.split())
    assert "on_timeout is set, and the variable is named graceful_shutdown_on_timeout now; rename it." in said
    assert "exit is set, and the variable has no effect any more; remove it." in said


def test_a_backend_that_did_not_report_before_holds_up_nobody(varied: Site) -> None:
    assert varied.code == 0
    assert "cinder-volume on storage1@dead does not report, and did not before" in varied.output


def test_a_backend_that_reported_before_has_to_report(site: Site) -> None:
    usual = site.answers["drain_status cinder_volume storage1"]
    row = {"service": "cinder-volume", "host": "storage1@ceph", "up": False}
    other = {"service": "cinder-volume", "host": "storage1@new", "up": True}
    silent = {**usual, "heartbeat": {"up": False, "rows": [row, other]}}
    site.answers["drain_status cinder_volume storage1"] = [usual, silent]

    site.play(
        "upgrade.yml", "--tags", "cinder-volume", "--limit", "storage1", "-e", "kolla_drain_ready_timeout=1"
    )

    assert site.code != 0


def test_every_play_has_its_service_in_the_order_that_it_names() -> None:
    for name in ("upgrade.yml", "stop.yml"):
        plays = yaml.safe_load((ROOT / "ansible" / name).read_text())
        for project in ("cinder", "nova"):
            mine = [
                play["vars"] for play in plays if play.get("vars", {}).get("kolla_drain_project") == project
            ]
            assert [one["kolla_drain_name"] for one in mine if "kolla_drain_name" in one] == mine[0][
                "kolla_drain_order"
            ]
            renamed = yaml.safe_load((ROOT / "roles/kolla_drain/vars/main.yml").read_text())[
                "kolla_drain_orders"
            ]
            assert (
                renamed[f"{project}_{name[:-4]}_order"].split()
                == ", ".join(mine[0]["kolla_drain_order"]).split()
            )


def test_work_that_cannot_be_seen_ends_it_before_anything_is_touched(site: Site) -> None:
    site.answers["drain_status cinder_volume storage2"] |= {
        "evidence": "unavailable",
        "evidence_why": "no way in",
    }

    site.play("upgrade.yml")

    assert site.code != 0
    assert "cinder-volume: no way in" in site.output
    assert site.did(*DOES, "run", "ensure_image") == []
    assert (
        site.play(
            "upgrade.yml",
            "--limit",
            "storage2",
            "--tags",
            "cinder-volume",
            "-e",
            "graceful_shutdown_without_evidence=warn",
        ).code
        == 0
    )


@pytest.mark.parametrize(("disable", "ends_well"), [("auto", True), ("always", False)])
def test_an_api_that_is_away(site: Site, disable: str, ends_well: bool) -> None:
    site.answers["status"] = {"failed": True, "msg": "Cinder's API cannot be reached."}

    site.play(
        "upgrade.yml",
        "--limit",
        "storage1",
        "--tags",
        "cinder-volume",
        "-e",
        f"kolla_drain_disable={disable}",
    )

    assert (site.code == 0) is ends_well
    assert site.did("disabled", "enabled") == []
    assert bool(site.did(*DOES)) is ends_well
    assert "Cinder's API cannot be reached." in site.output


def test_an_api_that_is_away_in_the_middle_does_not_hold_up_a_stop(stopped: Site) -> None:
    assert stopped.code == 0
    assert len(stopped.did("stop_container")) == 6
    assert "cinder-volume: not disabled: Cinder's API cannot be reached." in stopped.output


def test_a_failed_upgrade_check_ends_it(site: Site) -> None:
    site.answers["run cinder-status upgrade check"] = failed("Removed Drivers")

    site.play("upgrade.yml")

    assert site.code != 0
    assert site.did(*DOES) == []
    assert "Removed Drivers: Not good." in site.output


def test_a_failed_upgrade_check_that_does_not_matter_is_only_shown(upgraded: Site) -> None:
    assert upgraded.code == 0
    assert "Service UUIDs" in upgraded.output


@pytest.mark.parametrize(
    ("codes", "rounds", "said"),
    [([1, 1, 0], 3, ""), ([1, 2], 2, "needs a person"), ([1], 4, "there is still data to migrate")],
)
def test_migrations_go_on_as_their_exit_code_says(
    site: Site, codes: list[int], rounds: int, said: str
) -> None:
    name = "run cinder-manage db online_data_migrations --max_count 50"
    site.answers[name] = [{"rc": code, "failed": code != 0, "stdout": ""} for code in codes]
    limits = {"online_migrations_max_count": 50, "online_migrations_max_rounds": 3}

    site.play("upgrade.yml", "--limit", "control", "--tags", "migrations", "-e", json.dumps(limits))

    assert (site.code == 0) is (not said)
    assert said in site.output
    assert len(site.runs) == rounds


def test_a_one_off_command_that_does_not_end_fails_the_play(site: Site) -> None:
    """As a schema change does whose database hangs; nothing has been stopped then."""
    site.answers["run"]["takes"] = 30.0
    site.play("upgrade.yml", "-e", "kolla_one_off_timeout=1")
    assert site.code != 0
    assert re.search(r"Timed out after 1 s|in the expected time frame \(1\)", site.output)
    assert site.did(*DOES) == []


def test_orphans_are_listed(upgraded: Site) -> None:
    assert "cinder-volume on gone@ceph was last heard of at 2026-11-01" in upgraded.output
    assert not [command for command in upgraded.runs if "remove" in command]


def test_orphans_are_removed_when_asked(site: Site) -> None:
    site.answers["run cinder-manage service list"]["stdout"] = LIST + ORPHAN

    site.play(
        "upgrade.yml", "--limit", "control", "--tags", "orphans", "-e", '{"remove_orphaned_services": true}'
    )

    assert "cinder-volume on gone@ceph was last heard of at 2026-11-01" in site.output
    assert "cinder-manage service remove cinder-volume gone@ceph" in site.runs


def test_pins_of_old_versions_are_dropped_by_a_reload(upgraded: Site) -> None:
    assert upgraded.code == 0
    reloaded = [(whom, host) for what, whom, host in upgraded.did(*DOES) if what == "reload_container"]
    assert reloaded == [
        ("cinder_scheduler", "control"),
        ("cinder_api", "control"),
        ("cinder_volume", "storage1"),
        ("cinder_backup", "storage1"),
        ("cinder_volume", "storage2"),
        ("cinder_backup", "storage2"),
    ]


BALANCED = '{"kolla_drain_haproxy_hosts": ["control", "storage1"]}'


def test_an_api_that_haproxy_does_not_let_go_is_not_touched(site: Site) -> None:
    site.answers["haproxy-drain"] = {"failed": True, "answered": True, "msg": "Permission denied."}

    site.play("upgrade.yml", "--limit", "control", "--tags", "cinder-api", "-e", BALANCED)

    assert site.code != 0
    assert site.did(*DOES) == []
    assert (
        "cinder-api on control: it was not touched, because it could not be taken out of HAProxy."
        in site.output
    )
    assert len(site.did("haproxy-ready")) == 2, "one of them may have let it go"


def test_an_api_is_put_back_into_haproxy_on_every_way_out_and_else_named_with_the_command(site: Site) -> None:
    site.answers["recreate_or_restart_container cinder_api"] = {"failed": True, "msg": "It did not come up."}
    refuses = {"failed": True, "answered": True, "msg": "It is back but not up."}
    site.answers["haproxy-ready"] = [{"changed": True, "servers": []}, refuses]

    site.play("upgrade.yml", "--limit", "control", "--tags", "cinder-api", "-e", BALANCED)

    assert site.code != 0
    assert [what for what, _, _ in site.did("haproxy-drain", "haproxy-ready", *DOES)] == [
        "haproxy-drain", "haproxy-drain", "recreate_or_restart_container", "haproxy-ready", "haproxy-ready",
    ]  # fmt: skip
    assert re.search(
        r"cinder-api on control: It did not come up\. Besides, it could not be put back into HAProxy\."
        r" HAProxy on storage1: It is back but not up\."
        r".*echo 'set server cinder_api_back/control state ready; .*' \| socat stdio /",
        site.output,
    )


def test_a_balancer_that_cannot_be_reached_is_told_and_holds_up_nobody(site: Site) -> None:
    site.answers["haproxy-drain"] = site.answers["haproxy-ready"] = {"unreachable": True}

    site.play(
        "upgrade.yml",
        "--limit",
        "control",
        "--tags",
        "cinder-api",
        "-e",
        '{"kolla_drain_haproxy_hosts": ["storage1"]}',
    )

    assert site.code == 0
    assert [what for what, _, _ in site.did(*DOES)] == ["recreate_or_restart_container"]
    assert re.search(
        "HAProxy on storage1 was not asked: .*If it keeps the server out, put it back there with: echo",
        site.output,
    )


def test_stop_goes_by_its_own_order(stopped: Site) -> None:
    assert stopped.code == 0
    assert [(whom, host) for _, whom, host in stopped.did(*DOES)] == [
        ("cinder_api", "control"),
        ("cinder_backup", "storage1"),
        ("cinder_backup", "storage2"),
        ("cinder_volume", "storage1"),
        ("cinder_volume", "storage2"),
        ("cinder_scheduler", "control"),
    ]
    assert stopped.runs == []


def test_operations_to_ignore_reach_every_look_and_every_stop(site: Site) -> None:
    wanted = {"graceful_shutdown_ignore_operations": ["7d0c"]}

    site.play("stop.yml", "--tags", "cinder-volume", "-e", json.dumps(wanted))

    assert site.code == 0
    looks_and_stops = [one for one in site.calls if one["what"] in ("drain_status", *DOES)]
    assert {one["what"] for one in looks_and_stops} >= {"drain_status", "stop_container"}
    assert [one["given"].get("ignore_operations") for one in looks_and_stops] == [["7d0c"]] * len(
        looks_and_stops
    )


def test_reload_takes_one_host_after_the_other(site: Site) -> None:
    site.play("reload.yml", "--tags", "cinder-volume,cinder-backup")

    assert site.code == 0
    assert [(whom, host) for _, whom, host in site.did(*DOES)] == [
        ("cinder_volume", "storage1"),
        ("cinder_backup", "storage1"),
        ("cinder_volume", "storage2"),
        ("cinder_backup", "storage2"),
    ]


DUMPS = {
    "whole": "cat > {0}/credentials; echo 'CREATE TABLE x'; echo '-- Dump completed on 2026-11-21'",
    "cut": "cat > {0}/credentials; echo 'CREATE TABLE x'",
    "refused": "echo 'Access denied' >&2; exit 2",
}


@pytest.mark.parametrize("kind", DUMPS)
def test_a_dump_is_whole_and_keeps_the_secret(site: Site, kind: str) -> None:
    engine = site.folder / "podman"
    engine.write_text(f'#!/bin/sh\necho "$@" > {site.folder}/asked\n{DUMPS[kind].format(site.folder)}\n')
    engine.chmod(0o755)
    by_hand = {"kolla_drain_database_backup_command": ["sh", "-c", DUMPS[kind].format(site.folder)]}
    variables = {
        "cinder_database_connection": "mysql+pymysql://cinder:se%40cret@192.0.2.1:3307/cinder?charset=utf8",
        "kolla_drain_database_backup_path": str(site.folder / "dumps"),
        **({"kolla_container_engine": str(engine)} if kind == "whole" else by_hand),
    }

    site.play(
        "upgrade.yml", "--limit", "control", "--tags", "database-backup", "-vvv", "-e", json.dumps(variables)
    )

    left = list((site.folder / "dumps").iterdir())
    assert (site.code == 0) is (kind == "whole")
    assert len(left) == (kind == "whole")
    assert not {"se@cret", "password="} & set(re.findall(r"se@cret|password=", site.output))
    if kind == "refused":
        assert "Access denied" in site.output
        return
    credentials = (site.folder / "credentials").read_text()
    assert 'password="se@cret"' in credentials
    assert "port=3307" in credentials
    for file in left:
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().startswith("CREATE TABLE")
    if kind == "whole":
        assert (site.folder / "asked").read_text().startswith("exec -i mariadb mariadb-dump "), (
            "the site's engine"
        )

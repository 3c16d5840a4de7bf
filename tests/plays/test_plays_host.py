"""The plays over whole hosts, with stand-ins for the modules: waves, what is refused, and the way back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.plays.site import Site

CONTROL = [
    "cinder_api", "cinder_scheduler", "cinder_volume", "cinder_backup", "cron", "haproxy", "heat_engine", "keepalived",
    "keystone", "mariadb", "nova_api", "nova_conductor", "nova_scheduler", "our_own", "rabbitmq",
]  # fmt: skip
COMPUTE = ["nova_compute", "nova_libvirt", "neutron_openvswitch_agent", "openvswitch_vswitchd", "cron"]
WAVES = [
    "heat_engine", "cinder_backup", "cinder_volume", "cinder_api,nova_api", "nova_conductor",
    "cinder_scheduler,nova_scheduler", "our_own", "keystone", "cron", "keepalived", "haproxy", "rabbitmq", "mariadb",
]  # fmt: skip
INVENTORY = """
[control]
c1
c2
[compute]
k1
[loadbalancer:children]
control
[all:vars]
ansible_connection=local
"""
SPARED = {"can_spare": True, "why": "3 of 3 members serve, and 2 are left"}
NEEDED = {"can_spare": False, "why": "2 of 3 members serve, 2 must, and 1 would be left"}
SYNCED = {"synced": True}
UP = {
    "servers": [{"backend": "cinder_api_back", "status": "UP", "sessions": 0}],
    "sessions": 0,
    "changed": True,
}
ROWS = {"cinder_volume": "cinder-volume", "cinder_backup": "cinder-backup", "nova_compute": "nova-compute"}


def running(name: str, host: str, **more: Any) -> dict[str, Any]:
    beat = {"up": True, "rows": [{"service": ROWS[name], "host": host, "up": True}]} if name in ROWS else {}
    evidence = "ok" if beat else "none"
    one = {
        "name": name,
        "status": "running",
        "evidence": evidence,
        "operations": [],
        "preflight": [],
        "heartbeat": beat,
    }
    return {**one, **more}


class HostSite(Site):
    """Two controllers, a compute, and an engine that is a script."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "hosts").write_text(INVENTORY)
        for host, names in {"c1": CONTROL, "c2": CONTROL, "k1": COMPUTE}.items():
            self.runs_on(host, names)
        self.answers |= {
            "galera": {**SPARED, **SYNCED},
            "haproxy-drain": UP,
            "haproxy-ready": UP,
            "disabled": {"changed": True, "services": [], "undo": [], "reason": "it was disabled"},
            "start_container": {"changed": True, "ready_after": 1.0, "ready_by": "its heartbeat moves"},
            "drain_status": {"status": "running"},
        }
        self.engine("exit 0")

    def runs_on(self, host: str, names: list[str], **more: dict[str, Any]) -> None:
        found = [running(name, host, **more.get(name, {})) for name in names]
        self.answers[f"drain_status all {host}"] = {"containers": found}

    def engine(self, script: str) -> None:
        path = self.folder / "engine"
        path.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/engine.calls\n{script}\n')
        path.chmod(0o755)

    @property
    def execs(self) -> list[str]:
        path = self.folder / "engine.calls"
        return path.read_text().splitlines() if path.exists() else []

    def state(self, host: str) -> Path:
        return self.folder / host / "host.json"

    def remember(self, host: str, names: list[str], **more: Any) -> None:
        """As a drain of this host has kept it."""
        self.state(host).parent.mkdir()
        kept = {"since": "2026-11-22T03:00:00Z", "containers": names, "disabled": [], "backends": [], **more}
        self.state(host).write_text(json.dumps(kept))

    def run(self, name: str, limit: str, *arguments: str) -> HostSite:
        variables = {
            "kolla_drain_host_state_file": f"{self.folder}/{{{{ inventory_hostname }}}}/host.json",
            "kolla_container_engine": str(self.folder / "engine"),
        }
        self.play(name, "--limit", limit, "-e", json.dumps(variables), *arguments)
        return self

    def stops(self, host: str) -> list[str]:
        return [whom for _, whom, where in self.did("stop_container") if where == host]


@pytest.fixture
def site(tmp_path: Path) -> HostSite:
    return HostSite(tmp_path)


@pytest.fixture(scope="module")
def drained(tmp_path_factory: pytest.TempPathFactory) -> HostSite:
    """A controller after reboot_prepare.yml; for tests that only look."""
    return HostSite(tmp_path_factory.mktemp("drained")).run("reboot_prepare.yml", "c1")


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> HostSite:
    """A controller of a site with Podman after reboot_prepare.yml --check."""
    site = HostSite(tmp_path_factory.mktemp("looked"))
    operation = {"kind": "volume_create", "id": "7d0c", "status": "creating", "since": "now"}
    site.runs_on("c1", CONTROL, cinder_volume={"operations": [operation]})
    return site.run("reboot_prepare.yml", "c1", "--check", "-e", "kolla_container_engine=podman")


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> HostSite:
    """Two controllers, of which one is lost in the third wave, and on the other something was cut before."""
    site = HostSite(tmp_path_factory.mktemp("lost"))
    site.answers["stop_container cinder_volume c1"] = {"unreachable": True}
    site.answers["stop_container heat_engine c2"] = {"changed": True, "verdict": "cut", "reason": "by itself"}
    return site.run("reboot_prepare.yml", "c1,c2")


def test_a_controller_is_drained_wave_by_wave(drained: HostSite) -> None:
    assert drained.code == 0
    assert drained.stops("c1") == WAVES
    assert {host for _, _, host in drained.did("stop_container", "disabled")} == {"c1"}
    order = [one["what"] for one in drained.calls]
    assert max(place for place, what in enumerate(order) if what == "disabled") < order.index(
        "stop_container"
    )
    assert drained.did("disabled") == [
        ("disabled", "cinder-volume@c1", "c1"),
        ("disabled", "cinder-backup@c1", "c1"),
    ]
    assert drained.did("enabled") == []
    assert drained.output.count("it was disabled") == 2, "in the summary, the module's own words"
    assert "15 containers: 15 drained" in drained.output
    assert "lost: nothing that could be seen" in drained.output
    assert "undefined" not in drained.output


def test_the_apis_leave_haproxy_just_before_they_stop(drained: HostSite) -> None:
    taken_out = [one for one in drained.calls if one["what"] == "haproxy-drain" and not one["check"]]
    assert [one["given"]["backends"] for one in taken_out] == [["cinder_api_back"]] * 2, (
        "on both that balance"
    )
    order = [one["whom"] for one in drained.calls if one in taken_out or one["what"] == "stop_container"]
    apis = order.index("cinder_api,nova_api")
    assert order[apis - 3 : apis] == ["cinder_volume", "c1", "c1"]


def test_the_queues_leaders_leave_before_the_bus_stops(drained: HostSite) -> None:
    asked = "rabbitmq-diagnostics check_if_node_is_quorum_critical"
    assert drained.execs == [f"exec rabbitmq sh -c {asked} && rabbitmq-upgrade drain"]


def test_the_longest_of_a_wave_is_its_time(drained: HostSite) -> None:
    stops = [one for one in drained.calls if one["what"] == "stop_container"]
    times = {one["whom"]: one["given"]["graceful_shutdown_timeout"] for one in stops}
    assert (times["cinder_volume"], times["cinder_scheduler,nova_scheduler"], times["our_own"]) == (
        900,
        210,
        180,
    )


def test_a_load_balancer_is_not_left_running_for_a_session_that_nobody_reaches(drained: HostSite) -> None:
    stops = {one["whom"]: one["given"] for one in drained.calls if one["what"] == "stop_container"}
    found = {name: (stops[name]["on_timeout"], stops[name]["graceful_shutdown_timeout"]) for name in stops}
    assert found["haproxy"] == ("kill", 90)
    assert found["keepalived"] == ("leave", 180)


def test_stop_with_limit_drains_the_whole_host_once(site: HostSite) -> None:
    """A compute without instances: all of it."""
    site.run("stop.yml", "k1")

    assert site.code == 0
    assert site.stops("k1") == [
        "nova_compute", "neutron_openvswitch_agent", "nova_libvirt", "cron", "openvswitch_vswitchd",
    ]  # fmt: skip


def test_a_bus_that_cannot_be_emptied_is_not_stopped(site: HostSite) -> None:
    site.runs_on("c1", ["cron", "mariadb", "rabbitmq"])
    site.engine("echo it is critical >&2; exit 70")

    site.run("reboot_prepare.yml", "c1")

    assert site.code != 0
    assert site.stops("c1") == ["cron"]
    assert re.search(
        r"rabbitmq on c1 was not stopped, .*rabbitmq-upgrade drain.*70.*it is critical", site.output
    )


def test_check_mode_tells_all_waves_and_touches_nothing(looked: HostSite) -> None:
    assert looked.code == 0
    assert {one["what"] for one in looked.calls} == {"drain_status", "status", "galera", "haproxy-drain"}
    assert all(one["check"] for one in looked.calls if one["what"] == "haproxy-drain")
    assert "volumes, shares and bare metal: cinder_volume" in looked.output
    assert "cinder_volume: in flight: volume_create 7d0c (creating, since now)" in looked.output
    assert "the database: 3 of 3 members serve, and 2 are left" in looked.output
    assert not looked.state("c1").exists()
    assert looked.execs == []


def test_a_cluster_that_cannot_spare_its_member_stands_against_all(site: HostSite) -> None:
    site.runs_on("c1", ["cron", "mariadb"])
    site.answers["galera"] = NEEDED

    site.run("reboot_prepare.yml", "c1")

    assert site.code != 0
    assert site.did("stop_container", "disabled") == []
    assert not site.state("c1").exists()
    assert re.search(
        r"mariadb on c1 was not touched, .*2 must, and 1 would be left.*kolla_drain_stop_mariadb=always",
        site.output,
    )


@pytest.mark.parametrize(
    ("kolla_drain_stop_mariadb", "stopped"), [("always", ["cron", "mariadb"]), ("never", ["cron"])]
)
def test_one_variable_overrides_the_cluster(
    site: HostSite, kolla_drain_stop_mariadb: str, stopped: list[str]
) -> None:
    site.runs_on("c1", ["cron", "mariadb"])
    site.answers["galera"] = NEEDED

    site.run("reboot_prepare.yml", "c1", "-e", f"kolla_drain_stop_mariadb={kolla_drain_stop_mariadb}")

    assert site.code == 0
    assert site.stops("c1") == stopped
    assert ("left running: mariadb" in site.output) is (kolla_drain_stop_mariadb == "never")


def test_a_cluster_that_has_lost_a_member_meanwhile_keeps_this_one(site: HostSite) -> None:
    site.runs_on("c1", ["cron", "mariadb"])
    site.answers["galera"] = [SPARED, NEEDED]

    site.run("reboot_prepare.yml", "c1")

    assert site.code != 0
    assert site.stops("c1") == ["cron"]


def test_of_several_hosts_the_cluster_is_asked_for_all(site: HostSite) -> None:
    for host in ("c1", "c2"):
        site.runs_on(host, ["cron", "mariadb"])
    site.answers["galera 2 c1"] = site.answers["galera 2 c2"] = NEEDED

    site.run("reboot_prepare.yml", "c1,c2")

    assert site.code != 0
    assert site.did("stop_container") == []


def test_several_hosts_go_wave_by_wave_and_their_databases_one_by_one(site: HostSite) -> None:
    site.run("reboot_prepare.yml", "all")

    assert site.code == 0
    calls = [(whom, host) for _, whom, host in site.did("stop_container")]
    first = [place for place, (whom, _) in enumerate(calls) if whom == "cinder_backup"]
    compute = calls.index(("nova_compute", "k1"))
    conductors = [place for place, (whom, _) in enumerate(calls) if whom == "nova_conductor"]
    assert max(*first, compute) < min(conductors), "computes before conductors, over all hosts"
    assert calls[-4:] == [("rabbitmq", "c1"), ("mariadb", "c1"), ("rabbitmq", "c2"), ("mariadb", "c2")]
    leaving = [one["whom"] for one in site.calls if one["what"] == "galera"]
    assert leaving == ["2", "2", "1", "1"]


def test_instances_are_told_and_keep_what_they_need(site: HostSite) -> None:
    site.engine("echo 7d0c-1; echo 7d0c-2; echo")

    site.run("reboot_prepare.yml", "k1")

    assert site.code == 0
    assert site.stops("k1") == ["nova_compute", "cron"]
    assert site.did("disabled") == [("disabled", "nova-compute@k1", "k1")]
    told = "2 instances run on it and go down with it, unless they are migrated before: 7d0c-1, 7d0c-2"
    assert site.output.count(told) == 2, "in the plan and at the end"
    assert "left running: nova_libvirt, openvswitch_vswitchd, neutron_openvswitch_agent" in site.output


def test_instances_that_cannot_be_listed_are_told(site: HostSite) -> None:
    site.engine("echo no connection >&2; exit 1")

    site.run("reboot_prepare.yml", "k1", "--check")

    assert site.code == 0
    assert "the instances on it cannot be listed: no connection" in site.output


def test_work_that_cannot_be_seen_stands_against_all(site: HostSite) -> None:
    blind = {"evidence": "unavailable", "evidence_why": "the database is away"}
    site.runs_on("c1", ["cinder_volume", "cron"], cinder_volume=blind)

    site.run("reboot_prepare.yml", "c1")

    assert site.code != 0
    assert site.did("stop_container") == []
    assert re.search(
        r"c1: what is in flight cannot be seen.*cinder_volume: the database is away", site.output
    )


LEFT = {
    "failed": True, "msg": "nova_compute was left running.", "verdict": "left_running", "reason": "work in flight",
}  # fmt: skip
BUSY = {
    "kind": "instance_build",
    "id": "7d0c",
    "status": "spawning",
    "outcome": "unknown",
    "last_status": "spawning",
}


def test_what_does_not_end_ends_it_and_a_later_run_goes_on(site: HostSite) -> None:
    site.answers["stop_container nova_compute k1"] = LEFT

    site.run("reboot_prepare.yml", "k1")

    assert site.code != 0
    assert site.stops("k1") == ["nova_compute"]
    assert re.search(r"k1 is not drained, computes and backup: nova_compute was left running\.", site.output)
    assert site.did("enabled") == [], "until start.yml"
    kept = json.loads(site.state("k1").read_text())

    del site.answers["stop_container nova_compute k1"]
    site.runs_on("k1", COMPUTE[:-1])
    site.run("reboot_prepare.yml", "k1")

    assert site.code == 0
    assert json.loads(site.state("k1").read_text()) == kept, "cron, too, which had stopped"


def test_a_host_that_is_lost_ends_it_for_all(lost: HostSite) -> None:
    assert lost.code != 0
    assert {lost.stops(host)[-1] for host in ("c1", "c2")} == {"cinder_volume"}
    assert (
        "c1 is not drained, volumes, shares and bare metal: the connection to the host was lost"
        in lost.output
    )
    assert "undefined" not in lost.output


def test_what_was_lost_is_told_at_the_end(site: HostSite) -> None:
    site.runs_on("c1", ["cinder_volume", "cron", "our_own"])
    site.answers["stop_container cinder_volume c1"] = {
        "changed": True, "verdict": "killed", "reason": "the deadline", "operations": [BUSY],
    }  # fmt: skip
    site.answers["stop_container our_own c1"] = {
        "changed": True,
        "verdict": "killed",
        "reason": "the deadline",
    }

    site.run("reboot_prepare.yml", "c1", "-e", "graceful_shutdown_on_timeout=kill")

    assert site.code == 0
    assert (
        "LOST: cinder_volume: instance_build 7d0c was spawning and is not known to have finished"
        in site.output
    )
    assert "LOST: our_own was killed: the deadline" in site.output
    assert "3 containers: 1 drained, 2 killed" in site.output


def test_without_limit_no_host_is_drained(site: HostSite) -> None:
    site.play("reboot_prepare.yml")

    assert site.code != 0
    assert site.calls == []
    assert "name the hosts to drain with --limit" in site.output


def test_stop_with_a_tag_stops_that_part_alone(site: HostSite) -> None:
    (site.folder / "hosts").write_text(INVENTORY + "[cinder-volume]\nc1\n")

    site.run("stop.yml", "c1", "--tags", "cinder-volume")

    assert site.code == 0
    assert site.stops("c1") == ["cinder_volume"]


def test_start_brings_back_what_ran_in_the_reverse_order(site: HostSite, drained: HostSite) -> None:
    site.state("c1").parent.mkdir()
    site.state("c1").write_text(drained.state("c1").read_text())

    site.run("start.yml", "c1", "-e", "cinder_volume_ready_timeout=600")

    assert site.code == 0
    assert [whom for _, whom, _ in site.did("start_container")] == list(reversed(WAVES))
    starts = [one for one in site.calls if one["what"] == "start_container"]
    assert {("cinder_volume" in one["whom"], int(one["given"]["ready_timeout"])) for one in starts} == {
        (True, 600),
        (False, 120),
    }
    assert site.did("enabled") == [
        ("enabled", "cinder-volume@c1", "c1"),
        ("enabled", "cinder-backup@c1", "c1"),
    ]
    back = [one for one in site.calls if one["what"] == "haproxy-ready"]
    assert [one["given"]["backends"] for one in back] == [["cinder_api_back"]] * 2
    order = [one["what"] for one in site.calls]
    assert (
        len(order) - order[::-1].index("start_container") - 1
        < order.index("haproxy-ready")
        < order.index("enabled")
    )
    assert site.execs[-2:] == [
        "exec rabbitmq rabbitmqctl await_startup",
        "exec rabbitmq rabbitmq-upgrade revive",
    ]
    assert not site.state("c1").exists()


def test_start_leaves_the_rest_until_the_database_is_back(site: HostSite) -> None:
    site.remember("c1", CONTROL)
    site.answers["galera"] = {"synced": False}

    site.run("start.yml", "c1", "-e", "kolla_drain_mariadb_ready_timeout=1")

    assert site.code != 0
    assert [whom for _, whom, _ in site.did("start_container")] == ["mariadb"]
    assert site.state("c1").exists(), "a later run goes on"


def test_start_enables_nothing_that_does_not_report(site: HostSite) -> None:
    site.remember("k1", COMPUTE)
    site.answers["drain_status nova_compute k1"] = {
        "status": "running",
        "heartbeat": {"rows": [{"service": "nova-compute", "host": "k1", "up": False}]},
    }

    site.run("start.yml", "k1", "-e", "kolla_drain_ready_timeout=1")

    assert site.code != 0
    assert "k1 is not back: nova_compute does not report" in site.output
    assert site.did("enabled") == []
    assert site.state("k1").exists()


def test_a_backend_that_was_silent_before_the_drain_holds_up_nobody(site: HostSite) -> None:
    rows = [{"service": "nova-compute", "host": host, "up": host == "k1"} for host in ("k1", "dead")]
    site.runs_on("k1", COMPUTE, nova_compute={"heartbeat": {"up": False, "rows": rows}})
    site.answers["drain_status nova_compute k1"] = {
        "status": "running",
        "heartbeat": {"up": False, "rows": rows},
    }
    site.run("reboot_prepare.yml", "k1")

    site.run("start.yml", "k1", "-e", "kolla_drain_ready_timeout=1")

    assert site.code == 0
    assert "nova-compute on dead does not report, and did not before" in site.output


@pytest.mark.parametrize("play", ["reboot_prepare.yml", "start.yml"])
def test_a_state_file_that_cannot_be_read_ends_it(site: HostSite, play: str) -> None:
    site.state("k1").mkdir(parents=True)

    site.run(play, "k1")

    assert site.code != 0
    assert site.did("stop_container", "start_container", "disabled") == []
    assert site.state("k1").is_dir()


def test_what_is_gone_meanwhile_is_told_and_the_rest_comes_back(site: HostSite) -> None:
    site.remember("k1", COMPUTE)
    site.answers["drain_status cron k1"] = {"verdict": "absent"}

    site.run("start.yml", "k1")

    assert site.code == 0
    assert "removed meanwhile, and not brought back: cron" in site.output
    assert "cron" not in [whom for _, whom, _ in site.did("start_container")]


def test_start_without_anything_remembered_does_nothing(site: HostSite) -> None:
    site.run("start.yml", "k1")

    assert site.code == 0
    assert site.calls == []
    assert "nothing is remembered" in site.output


def test_start_in_check_mode_tells_and_touches_nothing(site: HostSite) -> None:
    site.remember("k1", COMPUTE)
    site.run("start.yml", "k1", "--check")

    assert site.code == 0
    assert {one["what"] for one in site.calls} == {"drain_status"}
    assert "computes and backup: nova_compute" in site.output
    assert site.state("k1").exists()


def test_waves_that_cannot_be_used_are_refused(site: HostSite) -> None:
    waves = [{"name": "a"}, {"containers": [], "one_at_a_time": True}, {"name": "b", "containers": []}]

    site.run("reboot_prepare.yml", "c1", "-e", json.dumps({"kolla_drain_host_waves": waves}))

    assert site.code != 0
    assert site.calls == []
    for words in (
        "one wave, and one only, has to be the rest", "after all others", "wave 2 has no name",
        "wave a has no list of containers",
    ):  # fmt: skip
        assert words in site.output


@pytest.mark.parametrize(
    ("play", "variable", "words"),
    [
        (
            "reboot_prepare.yml",
            "kolla_drain_stop_mariadb",
            "must be one of: auto, always, never, got: perhaps",
        ),
        ("start.yml", "kolla_drain_host_containers", "unable to convert to dict"),
    ],
)
def test_an_argument_of_a_wrong_kind_is_refused_before_anything_is_touched(
    site: HostSite, play: str, variable: str, words: str
) -> None:
    site.run(play, "k1", "-e", f"{variable}=perhaps")

    assert site.code != 0
    assert site.calls == []
    assert re.search(f"{variable}.*{words}", site.output)


def test_a_balancer_that_is_down_is_told_and_holds_up_nobody(site: HostSite) -> None:
    site.runs_on("c1", ["cinder_api", "cron", "heat_engine"])
    site.answers["haproxy-drain c1 c1"] = [UP, {"unreachable": True}, UP, {"unreachable": True}]

    site.run("reboot_prepare.yml", "c1")

    assert site.code == 0
    assert site.stops("c1") == ["heat_engine", "cinder_api", "cron"]
    assert "HAProxy on c2 was not asked: " in site.output


REFUSES = {
    "failed": True,
    "answered": True,
    "msg": "HAProxy at /s refuses to set c1 to drain: Permission denied.",
}
SILENT = {"failed": True, "answered": False, "msg": "HAProxy does not answer at /s (Connection refused)."}


def test_a_balancer_that_would_refuse_stands_against_all(site: HostSite) -> None:
    site.runs_on("c1", ["cinder_api", "cron", "heat_engine"])
    site.answers["haproxy-drain c1 c1"] = [UP, REFUSES]

    site.run("reboot_prepare.yml", "c1")

    assert site.code != 0
    assert site.did("stop_container", "disabled") == []
    assert not site.state("c1").exists()
    assert re.search(r"Nothing was touched, .*HAProxy on c2: .*Permission denied", site.output)


def test_an_api_that_a_balancer_does_not_let_go_is_not_stopped(site: HostSite) -> None:
    site.runs_on("c1", ["cinder_api", "cron", "heat_engine"])
    site.answers["haproxy-drain c1 c1"] = [UP, UP, UP, REFUSES]

    site.run("reboot_prepare.yml", "c1")

    assert site.code != 0
    assert site.stops("c1") == ["heat_engine"]
    assert re.search(
        r"c1 is not drained, APIs: none of these were stopped, .*HAProxy on c2: .*refuses", site.output
    )


def test_a_balancer_that_went_down_meanwhile_is_told_and_holds_up_nobody(site: HostSite) -> None:
    site.runs_on("c1", ["cinder_api", "cron", "heat_engine"])
    site.answers["haproxy-drain c1 c1"] = [UP, UP, UP, SILENT]

    site.run("reboot_prepare.yml", "c1")

    assert site.code == 0
    assert site.stops("c1") == ["heat_engine", "cinder_api", "cron"]
    assert "HAProxy on c2 was not asked: HAProxy does not answer" in site.output.split("TASK [Summary")[-1]


def test_the_plan_tells_where_it_is_taken_out(looked: HostSite) -> None:
    assert "to be taken out of HAProxy on c1, c2: cinder_api_back" in looked.output


def test_a_host_that_no_balancer_knows_is_told(site: HostSite) -> None:
    site.runs_on("c1", ["cinder_api", "cron", "heat_engine"])
    site.answers["haproxy-drain"] = {"servers": [], "changed": False}

    site.run("reboot_prepare.yml", "c1", "--check")

    assert "HAProxy has no server c1, so nothing is taken out" in site.output


DISABLED = [{"service": "cinder-volume", "host": "c1", "name": "cinder_volume"}]


def kept_for_haproxy(site: HostSite) -> list[str]:
    """The backends that are remembered on c1, where nothing else is."""
    kept = json.loads(site.state("c1").read_text())
    assert not kept.get("containers")
    return list(kept["backends"])


def test_a_balancer_that_does_not_take_it_back_is_an_error_that_a_later_start_repairs(site: HostSite) -> None:
    site.remember("c1", ["cinder_volume", "cron"], backends=["cinder_api_back"], disabled=DISABLED)
    site.answers["haproxy-ready c1 c1"] = [UP, REFUSES]

    site.run("start.yml", "c1")

    assert site.code != 0
    assert len(site.did("enabled")) == 1
    assert re.search(
        r"c1 runs and is enabled, but not back in HAProxy \(cinder_api_back\).*HAProxy on c2", site.output
    )
    assert kept_for_haproxy(site) == ["cinder_api_back"]

    del site.answers["haproxy-ready c1 c1"]
    site.run("start.yml", "c1")

    assert site.code == 0
    assert {one["what"] for one in site.calls} == {"haproxy-ready"}
    assert not site.state("c1").exists()


@pytest.mark.parametrize("failure", [SILENT, {"unreachable": True}])
def test_a_balancer_that_is_down_is_told_and_takes_it_back_later(
    site: HostSite, failure: dict[str, Any]
) -> None:
    site.remember("c1", ["cinder_volume", "cron"], backends=["cinder_api_back"], disabled=DISABLED)
    site.answers["haproxy-ready c1 c1"] = [UP, failure]

    site.run("start.yml", "c1")

    assert site.code == 0
    assert re.search("HAProxy on c2 was not asked: .*run this again, which puts the host back", site.output)
    assert kept_for_haproxy(site) == ["cinder_api_back"]


def test_the_balancers_socket_is_where_the_engine_has_its_volumes(
    drained: HostSite, looked: HostSite
) -> None:
    for site, volumes in (
        (drained, "/var/lib/docker/volumes"), (looked, "/var/lib/containers/storage/volumes"),
    ):  # fmt: skip
        asked = {one["given"]["socket"] for one in site.calls if one["what"] == "haproxy-drain"}
        assert asked == {f"{volumes}/haproxy_socket/_data/haproxy.sock"}


def summaries(site: HostSite) -> str:
    """All that is told between the failure and the end."""
    return site.output.partition("TASK [kolla_host : Summary]")[2]


@pytest.mark.parametrize("failure", ["galera", "galera unreachable", "rabbitmq"])
def test_a_run_that_ends_half_way_says_what_was_lost_on_every_host(site: HostSite, failure: str) -> None:
    for host in ("c1", "c2"):
        site.runs_on(host, ["haproxy", "mariadb", "our_own", "rabbitmq"])
    killed = {"changed": True, "verdict": "killed", "reason": "the deadline"}
    site.answers["stop_container our_own c1"] = {**killed, "operations": [BUSY]}
    site.answers["stop_container our_own c2"] = killed
    lost = {"unreachable": True} if failure == "galera unreachable" else NEEDED
    if failure == "rabbitmq":
        site.engine("exit 70")
    else:
        site.answers["galera 1 c1"] = lost

    site.run("reboot_prepare.yml", "c1,c2", "-e", "graceful_shutdown_on_timeout=kill")

    assert site.code != 0
    assert site.stops("c2")[-1] == "haproxy", "c1 failed first, and c2 had no turn"
    told = summaries(site)
    assert told.count("LOST: our_own: instance_build 7d0c was spawning") == 1
    assert told.count("LOST: our_own was killed: the deadline") == 1
    assert told.count(" drained, 1 killed") == 2
    assert "ansible/start.yml --limit c1,c2" in told
    assert "undefined" not in site.output


def test_a_wave_that_ends_it_says_what_was_lost_on_every_host(lost: HostSite) -> None:
    told = summaries(lost)
    assert told.count("LOST: heat_engine was cut: by itself") == 1
    assert "c2 is not drained: another host failed, which ends the play." in told


def test_what_stopped_last_of_several_hosts_starts_first(site: HostSite) -> None:
    site.remember("c1", ["cron", "mariadb", "rabbitmq"])
    site.remember("c2", ["cron", "mariadb", "rabbitmq"])

    site.run("start.yml", "c1,c2")

    assert site.code == 0
    assert [(whom, host) for _, whom, host in site.did("start_container")][:4] == [
        ("mariadb", "c2"), ("rabbitmq", "c2"), ("mariadb", "c1"), ("rabbitmq", "c1"),
    ]  # fmt: skip


def test_a_libvirt_that_hangs_holds_up_nobody_and_keeps_what_instances_need(site: HostSite) -> None:
    site.engine("exec sleep 600")

    site.run("reboot_prepare.yml", "k1", "-e", "kolla_drain_host_instances_timeout=1")

    assert site.code == 0
    assert (
        "cannot be listed: their list did not end within 1 s; what they need is left running" in site.output
    )
    assert site.stops("k1") == ["nova_compute", "cron"]


def test_a_bus_that_does_not_get_empty_in_time_is_not_stopped(site: HostSite) -> None:
    site.runs_on("c1", ["cron", "mariadb", "rabbitmq"])
    site.engine("exec sleep 600")

    site.run("reboot_prepare.yml", "c1", "-e", "kolla_drain_host_commands_timeout=1")

    assert site.code != 0
    assert site.stops("c1") == ["cron"]
    assert re.search(
        r"rabbitmq on c1 was not stopped, because '.*rabbitmq-upgrade drain' in rabbitmq did not end within 1 s",
        site.output,
    )


@pytest.mark.parametrize("script", ["exec sleep 600", "exit 1"])
def test_a_bus_that_does_not_come_up_in_time_ends_it(site: HostSite, script: str) -> None:
    site.remember("c1", ["cron", "rabbitmq"])
    site.engine(script)

    site.run("start.yml", "c1", "-e", "kolla_drain_ready_timeout=1")

    assert site.code != 0
    assert re.search(
        "c1 is not back, because 'rabbitmqctl await_startup' in rabbitmq did not end within 1 s", site.output
    )
    assert "cron" not in [whom for _, whom, _ in site.did("start_container")]
    assert site.state("c1").exists()


BLIND = {"evidence": "unavailable", "evidence_why": "the database is away"}


def test_what_is_left_alone_is_neither_disabled_nor_asked(site: HostSite) -> None:
    site.runs_on("c1", ["cinder_backup", "cinder_volume", "cron", "our_own"], cinder_volume=BLIND)

    site.run("reboot_prepare.yml", "c1", "-e", '{"kolla_drain_host_leaves": ["cinder_vol*", "our_own"]}')

    assert site.code == 0
    assert site.did("disabled") == [("disabled", "cinder-backup@c1", "c1")]
    assert site.stops("c1") == ["cinder_backup", "cron"]
    assert "left running: cinder_volume, our_own" in site.output


def test_a_second_run_goes_on_where_the_database_is_down_already(site: HostSite) -> None:
    at_rest = {name: {"status": "exited", **BLIND} for name in ROWS}
    site.runs_on(
        "c1", ["cinder_volume", "cinder_backup", "mariadb", "cron"], mariadb={"status": "exited"}, **at_rest
    )

    site.run("reboot_prepare.yml", "c1")

    assert site.code == 0
    assert site.stops("c1") == ["cron"]
    assert site.did("disabled") == []


def test_a_second_drain_after_all_has_stopped_keeps_what_is_remembered(
    site: HostSite, drained: HostSite
) -> None:
    kept = drained.state("c1").read_text()
    site.state("c1").parent.mkdir()
    site.state("c1").write_text(kept)
    site.runs_on("c1", CONTROL, **{name: {"status": "exited"} for name in CONTROL})

    site.run("reboot_prepare.yml", "c1")

    assert site.code == 0
    assert site.did("stop_container", "disabled", "haproxy-drain") == []
    assert json.loads(site.state("c1").read_text()) == json.loads(kept)


def test_start_tells_what_it_could_not_see(site: HostSite) -> None:
    site.remember("k1", ["cron"])
    site.answers["drain_status cron k1"] = [
        {"status": "running"},
        {"failed": True, "as_a_whole": True, "msg": "The engine does not answer."},
    ]

    site.run("start.yml", "k1", "-e", "kolla_drain_ready_timeout=1")

    assert site.code != 0
    assert "k1 is not back: what runs cannot be seen (The engine does not answer)" in site.output
    assert site.state("k1").exists()


def test_start_tells_what_it_could_not_prove(site: HostSite) -> None:
    site.remember("k1", COMPUTE)
    site.answers["drain_status nova_compute k1"] = {"status": "running", **BLIND}

    site.run("start.yml", "k1", "-e", "kolla_drain_ready_timeout=1")

    assert site.code == 0
    assert "nova_compute runs, but whether it serves could not be proved: the database is away" in site.output

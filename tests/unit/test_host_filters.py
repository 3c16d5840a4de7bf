"""Decisions and messages of the plays over whole hosts: the filters of the role kolla_host."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from kolla_drain.kolla import CONTAINERS
from kolla_drain.profiles.others import GROUPS, OTHERS
from tests.support.documented import load_file

UP = {"service": "nova-compute", "host": "k1"}
ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "roles" / "kolla_host" / "filter_plugins" / "kolla_host.py"
VARIABLES = yaml.safe_load((ROOT / "ansible/group_vars/all.yml").read_text())
ORDER = VARIABLES["kolla_drain_host_waves"]


@pytest.fixture(scope="module")
def filters() -> ModuleType:
    return load_file(PLUGIN)


def place(filters: ModuleType, name: str) -> int:
    """The wave of a container by its number."""
    return next(number for number, wave in enumerate(filters.waves([name], ORDER)) if wave["containers"])


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("nova_compute", "nova_conductor"),
        ("nova_compute_ironic_1", "ironic_conductor"),
        ("nova_compute", "cinder_volume"),
        ("cinder_backup", "cinder_volume"),
        ("heat_engine", "nova_api"),
        ("octavia_worker", "neutron_server"),
        ("nova_api", "nova_conductor"),
        ("nova_conductor", "nova_scheduler"),
        ("cinder_api", "cinder_scheduler"),
        ("our_own_service", "keystone"),
        ("nova_compute", "nova_libvirt"),
        ("neutron_openvswitch_agent", "openvswitch_vswitchd"),
        ("openvswitch_vswitchd", "openvswitch_db"),
        ("keystone", "memcached"),
        ("keepalived", "haproxy"),
        ("keepalived", "proxysql"),
        ("haproxy", "rabbitmq"),
        ("nova_api", "keystone_api"),
        ("masakari_hostmonitor", "hacluster_pacemaker"),
        ("neutron_server", "octavia_driver_agent"),
        ("nova_compute", "nova_ssh"),
        ("nova_compute", "iscsid"),
        ("cinder_volume", "tgtd"),
        ("octavia_worker", "valkey_server"),
        ("designate_central", "valkey_server"),
        ("gnocchi_metricd", "valkey_server"),
        ("ironic_conductor", "valkey_server"),
        ("neutron_ovn_metadata_agent", "ovn_controller"),
        ("neutron_rpc_server", "ovn_northd"),
        ("ovn_northd", "ovn_nb_db"),
        ("ovn_controller", "ovn_sb_db_relay"),
        ("ovn_controller", "openvswitch_vswitchd"),
        ("haproxy", "openvswitch_vswitchd"),
        ("openvswitch_db", "rabbitmq"),
        ("rabbitmq", "mariadb"),
        ("fluentd", "mariadb"),
    ],
)
def test_one_stops_before_the_other(filters: ModuleType, first: str, later: str) -> None:
    assert place(filters, first) < place(filters, later)


def test_the_waves_that_come_with_it_are_in_order(filters: ModuleType) -> None:
    assert filters.disorder(ORDER) == []
    assert ORDER[-1]["containers"] == ["mariadb"]


def test_every_container_is_in_one_wave_and_every_wave_is_there(filters: ModuleType) -> None:
    names = ["mariadb", "nova_api", "neutron_server", "neutron_l3_agent", "unknown"]

    found = filters.waves(names, ORDER)

    assert sorted(name for wave in found for name in wave["containers"]) == sorted(names)
    assert [wave["name"] for wave in found] == [wave["name"] for wave in ORDER]


def test_what_follows_an_exclamation_mark_is_not_meant(filters: ModuleType) -> None:
    names = ["keystone", "keystone_api", "nova_api"]
    assert filters.fitting(names, ["*_api", "!keystone_api", "keystone"]) == ["nova_api", "keystone"]
    assert filters.fitting(names, ["!keystone*"]) == []


def test_every_container_of_kolla_is_in_the_wave_of_its_kind(filters: ModuleType) -> None:
    """In the rest there may be services that have nothing to stop before or after."""
    waves = {wave["name"]: set(wave["containers"]) for wave in filters.waves([*OTHERS, *CONTAINERS], ORDER)}
    kinds = {group.title: set(group.containers) for group in GROUPS}

    assert kinds["Requests"] - waves["identity"] <= waves["APIs"]
    assert kinds["Consoles"] <= waves["APIs"]
    assert not waves["the rest"] & (kinds["Infrastructure"] | kinds["Sessions"])


def test_a_load_balancer_is_not_left_running_for_a_session(filters: ModuleType) -> None:
    known = VARIABLES["kolla_drain_host_containers"]
    (call,) = filters.calls(["haproxy"], known, 180)
    assert (call["special"], call["timeout"]) == (False, 90), "its evidence is read with that of the others"
    assert filters.options(["haproxy"], known) == {"on_timeout": "kill"}


def test_a_call_for_all_but_for_those_that_need_options_of_their_own(filters: ModuleType) -> None:
    known: dict[str, Any] = {
        "a": {
            "graceful_shutdown_timeout": 900,
            "ready_timeout": "600",
            "service_config": ["/etc/kolla/a/a.conf"],
            "database": {},
        },
        "b": {"graceful_shutdown_timeout": "60", "database": {"host": "db", "password": "s3cr3t"}},
        "c": {"service_config": ["/opt/c.conf"]},
        "d": {"ready_timeout": "300"},
    }

    # Ansible shows these, so that no password may be in them.
    assert filters.calls(["a", "b", "c", "d"], known, "180") == [
        {"special": False, "names": ["a", "d"], "timeout": 900, "ready_timeout": 600},
        {"special": True, "names": ["b"], "timeout": 60, "ready_timeout": 0},
        {"special": True, "names": ["c"], "timeout": 180, "ready_timeout": 0},
    ]
    assert [filters.options(names, known) for names in (["a", "d"], ["b"], ["c"])] == [
        {},
        {"database": {"host": "db", "password": "s3cr3t"}},
        {"service_config": ["/opt/c.conf"]},
    ]


@pytest.mark.parametrize(
    ("name", "files", "kept"),
    [
        ("cinder_volume", ["cinder-volume/cinder.conf"], False),
        ("nova_compute_ironic_2", ["nova-compute-ironic-2/nova.conf"], False),
        ("cinder_volume", ["cinder-volume/cinder.conf", "cinder-volume/backend.conf"], True),
        ("cinder_volume", ["cinder-volume-2/cinder.conf"], True),
    ],
)
def test_only_kollas_own_file_need_not_be_named(
    filters: ModuleType, name: str, files: list[str], kept: bool
) -> None:
    paths = [f"/etc/kolla/{file}" for file in files]
    options = filters.options([name], {name: {"service_config": paths}})
    assert options == ({"service_config": paths} if kept else {})


def test_those_have_to_report_that_did_before(filters: ModuleType) -> None:
    rows = [{**UP, "up": False}, {"service": "nova-compute", "host": "k2", "up": True}]
    container = {"name": "a", "status": "running", "heartbeat": {"up": False, "rows": rows}}
    told = ["a does not report (nova-compute on k1)"]
    assert filters.down([container], [UP]) == told
    assert filters.down([container], [{"service": "nova-compute", "host": "k2"}]) == []
    assert filters.down([container], []) == []
    assert filters.mute([container]) == ["nova-compute on k1 does not report, and did not before"]
    alone = {**container, "heartbeat": {"rows": rows[:1]}}
    assert filters.down([alone], []) == told


def test_a_later_reading_of_a_container_goes_before_an_earlier_one(filters: ModuleType) -> None:
    first = {"containers": [{"name": "a", "status": "running", "evidence": "unavailable"}, {"name": "b"}]}
    second = {"containers": [{"name": "a", "status": "paused", "evidence": "ok"}]}

    found = filters.readings([first, second, {"skipped": True}])

    assert [(one["item"], one.get("evidence")) for one in found] == [("a", "ok"), ("b", None)]
    assert filters.running(found) == ["a"]


def test_what_is_kept_only_grows_until_it_was_brought_back(filters: ModuleType) -> None:
    target = {"service": "nova-compute", "host": "k1", "name": "nova_compute"}

    first = filters.known_as({}, ["b", "a"], [target], ["x"], [UP], "then")
    second = filters.known_as(first, ["c"], [target], [], [], "now")

    assert second == {
        "since": "then", "containers": ["a", "b", "c"], "disabled": [target], "backends": ["x"], "up": [UP],
    }  # fmt: skip


def test_a_file_of_the_version_before_is_understood(filters: ModuleType) -> None:
    assert filters.disabled_of({"since": "then", "fenced": [UP]}) == [UP]
    assert filters.disabled_of({"since": "then", "disabled": [], "fenced": [UP]}) == []
    assert filters.disabled_of({}) == []


def test_a_wave_that_failed_says_why(filters: ModuleType) -> None:
    well = {"containers": [{"name": "a", "failed": False}], "msg": ""}
    left = {"containers": [{"name": "b", "failed": True}], "msg": "b was left running."}
    broken = {"msg": "The engine does not answer."}

    assert filters.failure({"results": [well]}) == ""
    assert filters.failure({"results": [well, left, broken, {"unreachable": True}]}) == (
        "b was left running. The engine does not answer. "
        "the connection to the host was lost, with unknown result."
    )


def test_only_what_haproxy_finds_up_is_ours(filters: ModuleType) -> None:
    rows = [{"backend": name, "status": name} for name in ("UP", "DRAIN", "MAINT", "DOWN 1/2", "no check")]

    assert filters.open_backends([{"servers": rows}, {"unreachable": True}]) == ["UP", "no check"]


def test_what_haproxy_alone_is_remembered_for_begins_anew(filters: ModuleType) -> None:
    found = filters.known_as({"since": "then", "backends": ["x"]}, ["a"], [], ["y"], [], "now")

    assert found == {"since": "now", "containers": ["a"], "disabled": [], "backends": ["x", "y"], "up": []}


def test_a_container_wants_a_command_or_several(filters: ModuleType) -> None:
    wanted = {"a": ["x", 1], "b": [["y"], ["z", "now"]], "c": [], "d": ["v"]}

    assert filters.commands(["a", "b", "c"], wanted) == [
        {"name": "a", "argv": ["x", "1"]}, {"name": "b", "argv": ["y"]}, {"name": "b", "argv": ["z", "now"]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"rc": 0}, []),
        ({"skipped": True}, []),
        ({"rc": 124}, ["'x now' in a did not end within 30 s"]),
        ({"rc": 137, "stderr": "Killed"}, ["'x now' in a did not end within 30 s"]),
        ({"rc": 70, "stderr": "1\n2\n3\n4\n"}, ["'x now' in a failed (70): 2 3 4"]),
        ({"unreachable": True, "msg": "no route"}, ["'x now' in a failed (-): no route"]),
    ],
)
def test_a_command_that_did_not_end_well_is_told(
    filters: ModuleType, result: dict[str, Any], told: list[str]
) -> None:
    assert filters.unwell([{"item": {"name": "a", "argv": ["x", "now"]}, **result}], 30) == told


def test_what_runs_without_proof_is_told_from_what_is_down(filters: ModuleType) -> None:
    blind = {"evidence": "unavailable", "evidence_why": "no database"}
    containers = [
        {"name": "a", "status": "running", **blind},
        {"name": "b", "status": "exited", **blind},
        {"name": "c", "status": "running", "evidence": "none"},
    ]

    assert filters.unproved(containers) == ["a runs, but whether it serves could not be proved: no database"]
    assert filters.down(containers, []) == ["b is exited"]
    assert filters.unseen([{"containers": []}, {"skipped": True}, {"msg": "No engine."}, {}]) == [
        "what runs cannot be seen (No engine)", "what runs cannot be seen (no answer)",
    ]  # fmt: skip


def test_verdicts_are_counted(filters: ModuleType) -> None:
    drained = {"containers": [{"name": "a", "verdict": "drained"}, {"name": "b", "verdict": "unverified"}]}
    failed = {"containers": [{"name": "c", "verdict": None}]}

    assert filters.counted([drained, failed]) == "3 containers: 1 drained, 1 failed, 1 unverified"
    assert filters.counted([failed]) == "1 container: 1 failed"
    assert filters.counted([]) == "no container"


def test_the_plan_tells_what_may_be_anothers(filters: ModuleType) -> None:
    doubtful = {"kind": "volume_extend", "id": "0ff", "status": "extending", "unattributed": "any member may"}
    seen = {"name": "cinder_volume", "status": "running", "evidence": "ok", "operations": [doubtful]}
    lines = filters.plan(filters.waves(["cinder_volume"], ORDER), [seen])
    assert lines[-1].endswith("in flight: volume_extend 0ff (extending, since unknown): any member may")


def test_the_plan_tells_what_is_passed_over(filters: ModuleType) -> None:
    wreck = {"kind": "volume_extend", "id": "0ff", "status": "extending", "since": "2025", "why": "unchanged"}
    seen = {"name": "cinder_volume", "status": "running", "evidence": "ok", "operations": []}
    lines = filters.plan(filters.waves(["cinder_volume"], ORDER), [{**seen, "passed_over": [wreck]}])
    assert [line.strip() for line in lines[2:]] == [
        "cinder_volume: in flight: nothing",
        "cinder_volume: passed over: volume_extend 0ff (extending): unchanged",
    ]

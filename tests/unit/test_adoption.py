"""What of kolla_container's tasks is drained, and with which options: pure decisions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from kolla_drain import adoption, service_config
from kolla_drain.errors import KollaDrainError, Refused
from kolla_drain.evidence import database


def options(name: str, args: dict[str, Any] | None = None, **variables: Any) -> tuple[dict[str, Any], str]:
    return adoption.drain(
        adoption.asked({"action": "stop_container", "name": name, **(args or {})}), variables.get
    )


@pytest.mark.parametrize(
    ("name", "variables", "expected"),
    [
        ("cinder_volume", {"cinder_volume_graceful_shutdown_timeout": 900, "graceful_shutdown_timeout": 1}, 900),
        ("cinder_volume", {"graceful_shutdown_timeout": "240"}, 240),
        ("nova_super_conductor", {"nova_conductor_graceful_shutdown_timeout": 210}, 210),
        ("nova_super_conductor", {"nova_super_conductor_graceful_shutdown_timeout": 211}, 211),
        ("nova_compute_ironic_2", {"nova_compute_graceful_shutdown_timeout": 600}, 600),
        ("nova_compute_ironic_2", {"nova_compute_ironic_2_graceful_shutdown_timeout": 601}, 601),
        ("neutron_l3_agent_1", {"neutron_l3_agent_graceful_shutdown_timeout": 90}, 90),
        ("nova_novncproxy", {"nova_console_graceful_shutdown_timeout": 30}, 30),
        ("nova_metadata", {"nova_api_graceful_shutdown_timeout": 60}, 60),
        ("my-own.name", {"my_own_name_graceful_shutdown_timeout": 5}, 5),
        ("cinder_volume", {}, 10),
    ],
)  # fmt: skip
def test_the_first_variable_that_is_there_gives_the_time_out(
    name: str, variables: dict[str, Any], expected: int
) -> None:
    found, source = options(name, **variables)
    assert found["graceful_shutdown_timeout"] == expected
    assert source in (*variables, "graceful_timeout")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"graceful_timeout": 45, "common_options": {"graceful_timeout": 60}}, 45),
        ({"common_options": {"graceful_timeout": "60"}}, 60),
        (
            {"graceful_timeout": 0, "common_options": {"graceful_timeout": 60}},
            10,
        ),  # as kolla_container takes 0
        ({"common_options": {"graceful_timeout": None}}, 10),
        ({"common_options": None}, 10),
    ],
)
def test_kolla_ansibles_own_grace_is_understood_as_there(args: dict[str, Any], expected: int) -> None:
    found, source = options("keystone", args)
    assert (found["graceful_shutdown_timeout"], source) == (expected, "graceful_timeout")


@pytest.mark.parametrize("wrong", ["soon", "-1", "0", "1.5", "", True])
def test_a_time_out_that_is_none_is_named(wrong: Any) -> None:
    with pytest.raises(Refused, match=r"cinder_volume_graceful_shutdown_timeout is .*whole seconds"):
        options("cinder_volume", cinder_volume_graceful_shutdown_timeout=wrong)


def test_the_engine_is_the_tasks_own_or_the_common_one() -> None:
    assert options("a", {"common_options": {"container_engine": "podman"}})[0]["container_engine"] == "podman"
    assert options("a")[0]["container_engine"] == "docker"


def test_variables_of_the_plays_are_options_of_the_drain() -> None:
    found, _ = options("keystone", on_timeout="leave", quiesce="always", exit="signal", preflight="off")
    wanted = {"on_timeout": "leave", "quiesce": "always", "exit": "signal", "preflight": "off"}
    assert {key: found[key] for key in wanted} == wanted
    assert not {"on_timeout", "quiesce", "exit", "preflight"} & set(options("keystone")[0])


def test_evidence_is_looked_for_where_kolla_ansible_was_told_to_write() -> None:
    found, _ = options("cinder_volume", node_config_directory="/opt/kolla/", rabbitmq_management_port="15673")
    assert found["service_config"] == ["/opt/kolla/cinder-volume/cinder.conf"]
    assert found["broker"] == {"management_port": "15673"}
    usual, _ = options("cinder_volume", node_config_directory="/etc/kolla")
    assert not {"service_config", "broker"} & set(usual)
    without_evidence, _ = options("memcached", node_config_directory="/opt/kolla", rabbitmq_management_port=1)
    assert not {"service_config", "broker"} & set(without_evidence)


def test_nova_compute_gets_its_database() -> None:
    account = {"host": "db", "user": "drain"}
    assert options("nova_compute", nova_compute_database=account)[0]["database"] == account
    assert "database" not in options("nova_conductor", nova_compute_database=account)[0]
    assert "database" not in options("nova_compute", nova_compute_database={})[0]


@pytest.mark.parametrize(
    "action", ["remove_container", "create_volume", "compare_container", "pull_image", ""]
)
def test_what_stops_nothing_or_names_nothing_is_left_alone(action: str) -> None:
    assert not adoption.asked({"action": action, "name": "a"}).may_stop
    assert not adoption.asked({"action": "stop_container"}).may_stop


def test_a_release_that_does_not_say_in_what_it_differs_is_taken_to_replace() -> None:
    task = adoption.asked({"action": "start_container", "name": "a"})
    assert adoption.way(task, {"changed": True}) is adoption.Way.REPLACE


def test_neither_strategy_restarts_an_equal_one_as_in_kolla_container() -> None:
    task = adoption.asked({"action": "recreate_or_restart_container", "name": "a"})
    assert adoption.way(task, {"changed": False}) is adoption.Way.UNTOUCHED


@pytest.mark.parametrize(
    ("library", "use"),
    [
        ("pymysql", database.client),
        ("oslo_config", lambda: service_config.load(["/nowhere"], "cinder-volume")),
    ],
)
def test_the_cores_words_for_a_missing_library_are_known(
    library: str, use: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(KollaDrainError) as caught:
        use()
    failed = {"failed": True, "changed": False, "msg": f"cinder_volume was not touched: {caught.value}."}
    assert adoption.lacking({}, failed) == str(caught.value)
    assert adoption.lacking({"preflight": "strict"}, failed) == ""
    assert adoption.lacking({}, {**failed, "changed": True}) == ""
    assert adoption.lacking({}, {**failed, "msg": "cinder_volume was not touched: no such file."}) == ""

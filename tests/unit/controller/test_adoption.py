"""What of kolla_container's tasks is drained, and with which options: pure decisions."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain import kolla
from kolla_drain.controller import adoption
from kolla_drain.errors import Refused


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
        ("redis", {"docker_graceful_timeout": 90}, 90),
        ("redis", {"docker_graceful_timeout": "0"}, 10),  # as kolla_container takes 0
        ("redis", {"docker_graceful_timeout": 90, "graceful_shutdown_timeout": 240}, 240),
    ],
)  # fmt: skip
def test_the_first_variable_that_is_there_gives_the_time_out(
    name: str, variables: dict[str, Any], expected: int
) -> None:
    found, source = options(name, **variables)
    assert found["graceful_shutdown_timeout"] == expected
    assert source in variables


def test_a_task_that_says_nothing_at_all_has_what_its_containers_unit_has() -> None:
    found, source = options("redis")
    assert (found["graceful_shutdown_timeout"], source) == (60, "the default of docker_graceful_timeout")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"graceful_timeout": 45, "common_options": {"graceful_timeout": 60}}, 45),
        ({"common_options": {"graceful_timeout": "60"}}, 60),
        (
            {"graceful_timeout": 0, "common_options": {"graceful_timeout": 60}},
            10,
        ),  # as kolla_container takes 0
    ],
)
def test_kolla_ansibles_own_grace_is_understood_as_there(args: dict[str, Any], expected: int) -> None:
    found, source = options("keystone", args, docker_graceful_timeout=90)
    assert (found["graceful_shutdown_timeout"], source) == (expected, "graceful_timeout")


@pytest.mark.parametrize("common", [{"graceful_timeout": None}, {}, None])
def test_common_options_without_a_grace_are_none(common: Any) -> None:
    found, source = options("keystone", {"common_options": common}, docker_graceful_timeout=90)
    assert (found["graceful_shutdown_timeout"], source) == (90, "docker_graceful_timeout")


@pytest.mark.parametrize("wrong", ["soon", "-1", "0", "1.5", "", True])
def test_a_time_out_that_is_none_is_named(wrong: Any) -> None:
    with pytest.raises(Refused, match=r"cinder_volume_graceful_shutdown_timeout is .*whole seconds"):
        options("cinder_volume", cinder_volume_graceful_shutdown_timeout=wrong)


@pytest.mark.parametrize("wrong", ["soon", "-1", "1.5"])
def test_kolla_ansibles_variable_is_named_where_it_is_none(wrong: Any) -> None:
    with pytest.raises(Refused, match=r"docker_graceful_timeout is .*whole seconds"):
        options("redis", docker_graceful_timeout=wrong)


def test_the_engine_is_the_tasks_own_or_the_common_one() -> None:
    assert options("a", {"common_options": {"container_engine": "podman"}})[0]["container_engine"] == "podman"
    assert options("a")[0]["container_engine"] == "docker"


def test_variables_of_the_plays_are_options_of_the_drain() -> None:
    wanted = {"on_timeout": "leave", "quiesce": "always", "preflight": "off"}
    found, _ = options("keystone", **{f"graceful_shutdown_{key}": value for key, value in wanted.items()})
    assert {key: found[key] for key in wanted} == wanted
    assert not set(wanted) & set(options("keystone")[0])


def test_operations_to_ignore_are_handed_on() -> None:
    found, _ = options("cinder_volume", graceful_shutdown_ignore_operations=["d1ce"])
    assert found["ignore_operations"] == ["d1ce"]
    assert "ignore_operations" not in options("cinder_volume", graceful_shutdown_ignore_operations=[])[0]


def test_old_names_are_taken_with_a_warning_of_both() -> None:
    variables = {"on_timeout": "leave", "quiesce": "always", "graceful_shutdown_quiesce": "never"}
    found, _ = options("keystone", **variables)
    assert (found["on_timeout"], found["quiesce"]) == ("leave", "never")
    assert adoption.old_names(variables.get) == [
        f"Deprecated: {old} is set, and the variable is named graceful_shutdown_{old} now; rename it."
        for old in ("on_timeout", "quiesce")
    ]
    assert adoption.old_names({"graceful_shutdown_on_timeout": "kill"}.get) == []


def test_evidence_is_looked_for_where_kolla_ansible_was_told_to_write() -> None:
    found, _ = options("cinder_volume", node_config_directory="/opt/kolla/")
    assert found["service_config"] == ["/opt/kolla/cinder-volume/cinder.conf"]
    assert "service_config" not in options("cinder_volume", node_config_directory="/etc/kolla")[0]
    assert "service_config" not in options("memcached", node_config_directory="/opt/kolla")[0]


@pytest.mark.parametrize("container", kolla.CONTAINERS)
def test_of_every_service_with_evidence_the_time_and_the_files_are_found(container: str) -> None:
    timeout = f"{container}_graceful_shutdown_timeout"
    found, source = options(container, node_config_directory="/opt/kolla", **{timeout: 77})
    assert (found["graceful_shutdown_timeout"], source) == (77, timeout)
    (file,) = found["service_config"]
    assert file.startswith(f"/opt/kolla/{container.replace('_', '-')}/")


def test_nova_compute_gets_its_database() -> None:
    account = {"host": "db", "user": "drain"}
    assert options("nova_compute", nova_compute_database=account)[0]["database"] == account
    assert "database" not in options("nova_conductor", nova_compute_database=account)[0]
    assert "database" not in options("nova_compute", nova_compute_database={})[0]


def test_nova_compute_gets_the_account_that_reads_evidence() -> None:
    kolla = {
        "database_address": "192.0.2.1",
        "database_port": "3306",
        "nova_cell_database_name": "nova_cell1",
    }
    found = options("nova_compute", kolla_drain_database_password="pass", **kolla)[0]["database"]
    assert found == {
        "host": "192.0.2.1", "port": "3306", "name": "nova_cell1", "user": "drain", "password": "pass",
    }  # fmt: skip
    assert "database" not in options("nova_conductor", kolla_drain_database_password="pass", **kolla)[0]
    assert "database" not in options("nova_compute", **kolla)[0]
    own = {"kolla_drain_database_password": "pass", "nova_compute_database": {}}
    assert "database" not in options("nova_compute", **kolla, **own)[0]


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
    ("code", "why"),
    [
        ("driver_missing", "It cannot be read"),
        ("config_missing", "It cannot be read; see whether node_config_directory is right"),
        ("another", ""),
        (None, ""),
    ],
)
def test_what_the_host_lacks_is_told_by_its_code(code: str | None, why: str) -> None:
    failed = {
        "failed": True,
        "msg": "Nothing was touched.",
        "evidence_why": "It cannot be read",
        "code": code,
    }
    assert adoption.lacking({}, failed) == why
    assert adoption.lacking({"preflight": "strict"}, failed) == ""
    assert adoption.lacking({}, {**failed, "changed": True}) == ""
    assert adoption.lacking({}, {**failed, "failed": False}) == ""

"""recreate_or_restart_container on a real engine: prepared first, swapped, proved, and put back where it fails."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.start.exchange import LABEL
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import is_sentence, signalled_once, untouched
from tests.support.services import Service, checks_run
from tests.support.workloads import UNTIL_TOLD, Workloads

RECREATE = "recreate_or_restart_container"
DIES = "sh -c 'exit 3'"


@pytest.fixture
def served(service: Service, run_module: Callable[..., dict[str, Any]]) -> Service:
    """The same, with a container that was started by the module and is ready."""
    result = run_module(service.args("start_container", restart_policy="always"))
    assert result["changed"], result
    service.workload.wait_line("ready")
    return service


def replace(run_module: Any, service: Service, *behaviour: str, **options: Any) -> dict[str, Any]:
    """Recreate it with another environment, which is a difference."""
    environment = {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS", "GENERATION": "2"}
    options = {"restart_policy": "always", "environment": environment, **options}
    result: dict[str, Any] = run_module(service.args(RECREATE, *behaviour, **options))
    return result


def moment_of(workloads: Workloads, container_id: str, action: str) -> int:
    """When the engine saw this first, in nanoseconds."""
    moments = [event["timeNano"] for event in workloads.log.of(container_id) if event["Action"] == action]
    assert moments, f"no {action} of {container_id}"
    return int(moments[0])


# --- it goes well


def test_a_missing_one_is_created(service: Service, run_module: Any) -> None:
    result = run_module(service.args(RECREATE))
    assert result["changed"], result
    service.workload.wait_line("ready")
    assert service.there() == {"NAME": "running"}


def test_an_equal_one_is_restarted(served: Service, run_module: Any) -> None:
    before = served.workload
    result = run_module(served.args(RECREATE, restart_policy="always"))
    assert result["changed"], result
    assert served.workload.id == before.id
    before.wait_line("ready", 2)
    signalled_once(before)
    assert result["gap"] < 100


def test_without_an_image_it_is_restarted(served: Service, run_module: Any) -> None:
    before = served.workload
    args = {"action": RECREATE, "name": served.name, "service": "none"}
    assert run_module(args, check=True)["would"] == "restart"
    assert run_module(args)["changed"]
    assert served.workload.id == before.id
    before.wait_line("ready", 2)


@pytest.mark.parametrize("check", [True, False])
def test_without_an_image_a_missing_one_is_refused(run_module: Any, check: bool) -> None:
    # A name of its own: a run holds it, and others start and replace what they call nobody.
    result = run_module({"action": RECREATE, "name": f"kd_test_{secrets.token_hex(4)}"}, check=check)
    assert result["failed"]
    is_sentence(result["msg"])
    assert "give image" in result["msg"]


def test_with_copy_once_an_equal_one_is_replaced(service: Service, run_module: Any) -> None:
    once = {"KOLLA_CONFIG_STRATEGY": "COPY_ONCE"}
    run_module(service.args("start_container", environment=once))
    service.workload.wait_line("ready")
    before = service.workload.id
    result = run_module(service.args(RECREATE, environment=once))
    assert result["changed"], result
    assert service.workload.id != before


def test_one_that_differs_is_replaced(served: Service, run_module: Any, workloads: Workloads) -> None:
    old = served.workload
    result = replace(run_module, served)
    assert result["changed"], result
    assert not result["rolled_back"]
    new = served.workload
    new.wait_line("ready", 2)
    assert new.id != old.id
    assert result["id"] == new.id
    assert served.there() == {"NAME": "running"}
    signalled_once(old)
    assert new.sent == []
    assert 0 < result["gap"] < 100
    assert [one["setting"] for one in result["differences"]] == ["environment.GENERATION"]
    assert served.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "always"
    died = moment_of(workloads, old.id, "die")
    assert moment_of(workloads, new.id, "create") < died, "prepared while the old one served"
    assert died < moment_of(workloads, new.id, "start"), "started after the old one had gone"


def test_one_that_was_stopped_is_replaced_and_started(served: Service, run_module: Any, driver: Any) -> None:
    run_module({"action": "stop_container", "name": served.name})
    # For a second nobody can tell of podman whether a restart policy brings it back.
    wait_until(lambda: driver.inspect(served.name).at_rest, 180, "it is at rest")
    result = replace(run_module, served)
    assert result["verdict"] == "already_stopped"
    assert served.there() == {"NAME": "running"}
    assert "gap" not in result


def test_a_second_time_it_is_equal(served: Service, run_module: Any) -> None:
    replace(run_module, served)
    environment = {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS", "GENERATION": "2"}
    again = run_module(
        served.args("compare_container", restart_policy="always", environment=environment), diff=True
    )
    assert not again["changed"], again["differences"]


def test_start_replaces_one_that_differs(served: Service, run_module: Any) -> None:
    old = served.workload
    result = run_module(served.args("start_container", restart_policy="unless-stopped"))
    assert result["changed"], result
    assert served.workload.id != old.id
    signalled_once(old)
    started = served.workload.state["StartedAt"]
    again = run_module(served.args("start_container", restart_policy="unless-stopped"))
    assert not again["changed"]
    assert served.workload.state["StartedAt"] == started


# --- it goes wrong


def back_again(service: Service, old_id: str, result: dict[str, Any], *why: str) -> None:
    """The old one serves under its name as before, the failed one is kept for its log, and a sentence says why."""
    assert result["failed"], result
    is_sentence(result["msg"])
    for words in (service.name, *why):
        assert words in result["msg"]
    assert service.workload.id == old_id
    assert service.workload.status == "running"
    assert service.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert set(service.there()) == {"NAME", "NAME.failed"}
    # Podman changes no policy, and starts nothing by itself that it has stopped.
    kept = "always" if engines.is_podman() else "no"
    assert service.inspect(".failed")["HostConfig"]["RestartPolicy"]["Name"] == kept


def test_one_that_ends_at_once(served: Service, run_module: Any) -> None:
    old = served.workload
    result = replace(run_module, served, command=DIES)
    back_again(
        served,
        old.id,
        result,
        "ended at once",
        "the old one serves again",
        f"{engines.name()} logs {served.name}.failed",
    )
    assert result["rolled_back"]
    assert result["gap"] < 100
    old.wait_line("ready", 2)
    signalled_once(old)


def test_one_that_cannot_be_started(served: Service, run_module: Any) -> None:
    old = served.workload.id
    broken = served.args(RECREATE, restart_policy="always", user="nobody_of_this_name")
    back_again(served, old, run_module(broken), "could not be started", "nobody_of_this_name")


def test_one_whose_healthcheck_fails(served: Service, run_module: Any) -> None:
    check = {"test": ["CMD-SHELL", "exit 1"], "interval": "1", "timeout": "1", "retries": "1"}
    old = served.workload.id
    with checks_run(served.name):
        result = replace(run_module, served, healthcheck=check, ready_timeout=15)
    back_again(served, old, result, "healthcheck says unhealthy")


def test_what_failed_before_is_cleared_away(served: Service, run_module: Any) -> None:
    replace(run_module, served, command=DIES)
    served.workload.wait_line("ready", 2)
    result = replace(run_module, served)
    assert not result.get("failed"), result
    assert served.there() == {"NAME": "running"}


def test_an_image_that_cannot_be_had(served: Service, run_module: Any) -> None:
    with untouched(served.workload):
        result = replace(run_module, served, image="127.0.0.1:1/nowhere:none")
    assert result["failed"]
    is_sentence(result["msg"])
    assert served.there() == {"NAME": "running"}


def test_one_that_is_left_running(service: Service, run_module: Any) -> None:
    run_module(service.args("start_container", "--drain", "600", restart_policy="always"))
    service.workload.wait_line("ready")
    old = service.workload
    result = replace(run_module, service, graceful_shutdown_timeout=1, on_timeout="leave")
    assert (result["failed"], result["verdict"]) == (True, "left_running")
    assert (service.workload.id, service.there()) == (old.id, {"NAME": "running"})


@pytest.mark.parametrize("end", [".old", ".new", ".failed"])
def test_a_stranger_under_one_of_the_names_is_left_alone(
    served: Service, run_module: Any, workloads: Workloads, end: str
) -> None:
    stranger = workloads.create(name=served.name + end)
    with untouched(served.workload):
        result = replace(run_module, served)
    assert result["failed"]
    is_sentence(result["msg"])
    assert served.name + end in result["msg"]
    assert stranger.status == "created"


def test_two_runs_at_once(service: Service, start_module: Any, run_module: Any) -> None:
    run_module(service.args("start_container", *UNTIL_TOLD))
    old = service.workload
    old.wait_line("ready")
    first = start_module(service.args(RECREATE, "--drain", "1"))
    wait_until(lambda: "NAME.new" in service.there(), 180, "the first run having prepared")
    second = run_module(service.args(RECREATE, "--drain", "2"))
    assert second["failed"]
    is_sentence(second["msg"])
    assert "Another run" in second["msg"]
    old.end()
    assert not first.result().get("failed"), first.result()
    assert service.there() == {"NAME": "running"}


def test_what_an_interrupted_exchange_left_is_told_by_other_actions(
    served: Service, run_module: Any, workloads: Workloads
) -> None:
    old = served.workload
    old.raw.stop()
    old.wait_status("exited")
    workloads.create(name=served.name + ".new", labels={LABEL: f"{old.id} always 0"})
    old.raw.rename(served.name + ".old")
    for action in ("stop_container", "restart_container", "reload_container", "drain_status"):
        result = run_module({"action": action, "name": served.name})
        assert result["failed"]
        is_sentence(result["msg"])
        assert f"{served.name}.old: action=start_container puts it right" in result["msg"]
    gone = run_module({"action": "stop_container", "name": served.name, "ignore_missing": True})
    assert any("puts it right" in text for text in gone["warnings"])
    again = run_module({"action": "start_container", "name": served.name})
    assert not again.get("failed"), again
    assert served.workload.id == old.id
    assert served.there() == {"NAME": "running"}


# --- check mode


@pytest.mark.parametrize("end", ["", ".old"], ids=["as it is", "with an interrupted exchange"])
def test_check_mode_changes_nothing(served: Service, run_module: Any, workloads: Workloads, end: str) -> None:
    if end:
        labels = {LABEL: f"{served.workload.id} always 0"}
        served.workload.raw.rename(served.name + end)
        workloads.create(name=served.name + ".new", labels=labels)
    raw = workloads.client.containers.get(served.name + end)
    before, there = raw.attrs["State"], served.there()
    environment = {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS", "GENERATION": "2"}
    for action in (RECREATE, "start_container", "compare_container"):
        args = served.args(action, environment=environment, restart_policy="always")
        result = run_module(args, check=True, diff=True)
        assert result["changed"], result
        assert result["diff"] or end
    raw.reload()
    assert (raw.attrs["State"], served.there()) == (before, there)
    if not end:
        assert "GENERATION" in result["diff"][0]["after"]


# --- heartbeats


def test_the_heartbeat_proves_it(service: Service, beating: Callable[..., Any]) -> None:
    started = beating("start_container")
    assert started["ready_by"] == "its heartbeat moves", started
    old = service.workload
    result = beating(RECREATE, "--drain", "1")
    assert not result.get("failed"), result
    assert (result["verdict"], result["ready_by"]) == ("drained", "its heartbeat moves")
    assert result["heartbeat"]["up"]
    signalled_once(old)


def test_without_a_heartbeat_the_old_one_comes_back(service: Service, beating: Callable[..., Any]) -> None:
    beating("start_container")
    old = service.workload.id
    # The old one has the same time to serve again, which on a busy machine is soon over.
    result = beating(RECREATE, command="sleep 600", ready_timeout=20)
    assert result["failed"], result
    is_sentence(result["msg"])
    assert "did not move within 20 s" in result["msg"]
    assert "the old one serves again" in result["msg"]
    assert service.workload.id == old
    assert service.workload.status == "running"


def test_a_long_gap_is_told(service: Service, beating: Callable[..., Any]) -> None:
    conf = {"service_down_time": 2, "report_interval": 1}
    beating("start_container", conf=conf)
    # It ends by itself, so that the old one can be given more time to serve again.
    result = beating(RECREATE, command="sh -c 'sleep 3; exit 3'", conf=conf, ready_timeout=100)
    assert result["rolled_back"], result
    assert result["gap"] > 2
    assert any("service_down_time" in text for text in result["warnings"])


def test_evidence_that_could_not_be_read_before_is_not_held_against_the_new_one(
    service: Service, beating: Callable[..., Any], tmp_path: Path
) -> None:
    beating("start_container")
    wrong = tmp_path / "cinder.conf"
    wrong.write_text(
        "[DEFAULT]\nhost = one\n[database]\nconnection = mysql+pymysql://u:p4ss@127.0.0.1:1/cinder\n"
    )
    old = service.workload.id
    result = beating(
        RECREATE,
        "--drain",
        "1",
        service_config=[str(wrong)],
        ready_timeout=3,
        graceful_shutdown_timeout=3,
    )
    assert not result.get("failed"), result
    assert any("nothing proved that it serves" in text for text in result["warnings"])
    assert "p4ss" not in str(result)
    assert service.workload.id != old

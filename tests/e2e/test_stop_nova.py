"""A real nova-compute with an instance in the making is stopped, and its neighbours beside it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from kolla_drain.host.stories import STORIES
from testbed import containers
from testbed.nova_stack import NovaStack
from testbed.waiting import wait_until
from tests.support.module_run import ROOT, run_module

from .conftest import AdHoc, ad_hoc, clean_nova, kills, spawning, stopped

COMPUTE, CONDUCTOR, SCHEDULER = "nova_compute", "nova_conductor", "nova_scheduler"
# The method in which a conductor waits for the scheduler's answer.
BUILD = "schedule_and_build_instances"
TERM = 15
# Above what Nova itself may take (180 s), or preflight warns; no test comes near it.
LONG = 240


@pytest.fixture
def nova(any_nova: NovaStack) -> NovaStack:
    """As new before each test."""
    clean_nova(any_nova)
    return any_nova


def test_evidence_of_every_service_is_read(nova: NovaStack) -> None:
    result = ad_hoc(f"action=drain_status name={COMPUTE},{CONDUCTOR},{SCHEDULER}")

    assert [one["evidence"] for one in result["containers"]] == ["ok", "ok", "ok"]
    assert [one["heartbeat"]["up"] for one in result["containers"]] == [True, True, True]


def test_a_spawn_in_flight_is_drained(nova: NovaStack) -> None:
    since = time.time()
    server = spawning(nova, 5)

    result = stopped(nova, nova.container(COMPUTE), f"name={COMPUTE} graceful_shutdown_timeout={LONG}")

    assert result["verdict"] == "drained", result["reason"]
    assert result["evidence"] == "ok"
    assert nova.api.status(server) == "ACTIVE"
    (operation,) = result["operations"]
    assert (operation["kind"], operation["id"]) == ("instance_build", server)
    assert (operation["outcome"], operation["last_status"]) == ("finished", "active")
    assert kills(nova.stack, since, COMPUTE) == [TERM]
    assert nova.container(COMPUTE).status == "exited"


@pytest.fixture
def held_build(nova: NovaStack) -> Iterator[str]:
    """An instance whose build nova-conductor works on until nova-scheduler, which is paused, answers."""
    containers.pause(nova.container(SCHEDULER))
    try:
        yield str(nova.api.create_server("held")["id"])
    finally:
        with contextlib.suppress(APIError):
            nova.container(SCHEDULER).unpause()


def kept(words: str) -> bool:
    """Whether a stop that is under way has kept these words in its story."""
    return any(words in path.read_text() for path in Path(STORIES).glob("*.json"))


def test_a_conductor_is_signalled_when_what_it_works_on_has_ended(nova: NovaStack, held_build: str) -> None:
    since = time.time()
    run = AdHoc(f"action=stop_container name={CONDUCTOR} graceful_shutdown_timeout={LONG}")
    try:
        # It gives the build up after its rpc_response_timeout of 60 s.
        wait_until(lambda: kept(BUILD), 180, "the stop having seen the build")
    finally:
        nova.container(SCHEDULER).unpause()

    result = run.result()

    assert result["verdict"] == "drained", result["reason"]
    (operation,) = [one for one in result["operations"] if one["kind"] == BUILD]
    assert (operation["outcome"], operation["last_status"]) == ("finished", "done")
    assert kills(nova.stack, since, CONDUCTOR) == [TERM]
    nova.up()
    nova.api.wait_status(held_build, "ACTIVE")


def test_a_plain_stop_of_a_conductor_loses_what_it_works_on(nova: NovaStack, held_build: str) -> None:
    def handled() -> list[str]:
        return [one["kind"] for one in ad_hoc(f"action=drain_status name={CONDUCTOR}")["operations"]]

    wait_until(lambda: BUILD in handled(), 180, "the conductor at work", on_timeout=lambda: str(handled()))
    nova.container(CONDUCTOR).stop(timeout=10)
    nova.container(SCHEDULER).unpause()
    nova.up()
    later = str(nova.api.create_server("later")["id"])
    nova.api.wait_status(later, "ACTIVE")

    assert nova.api.status(held_build) == "BUILD", "one that came after it has ended long since"


def test_idle_services_end_by_themselves_side_by_side(nova: NovaStack) -> None:
    since = time.time()

    result = ad_hoc(f"action=stop_container name={SCHEDULER},{CONDUCTOR} graceful_shutdown_timeout={LONG}")

    for one in result["containers"]:
        assert one["verdict"] == "drained", one["reason"]
        assert (one["evidence"], one["exit_code"]) == ("ok", 0), one["reason"]
        assert kills(nova.stack, since, one["name"]) == [TERM]


def test_nova_compute_is_disabled_and_enabled_through_the_api(nova: NovaStack) -> None:
    def call(state: str, mode: str = "auto") -> dict[str, Any]:
        asked = {
            "service": "nova-compute",
            "host": nova.host,
            "state": state,
            "disable": mode,
            "auth_type": "none",
            "endpoint_override": nova.api.base,
            "auth": {"token": nova.state.ends.token},
        }
        return run_module(asked, module=ROOT / "library" / "kolla_service.py")

    alone = call("disabled")
    assert (alone["changed"], alone["disabled"]) == (False, False)
    assert "no other nova-compute in zone nova that is enabled and up could take its work" in alone["reason"]
    try:
        disabled = call("disabled", "always")
        assert (disabled["changed"], disabled["disabled"], disabled["method"]) == (True, True, "api")
        row = nova.api.service("nova-compute")
        assert row["status"] == "disabled"
        assert row["disabled_reason"].startswith("kolla-drain: disabled")
    finally:
        enabled = call("enabled")
    assert (enabled["changed"], enabled["disabled"], enabled["method"]) == (True, False, "api")
    assert nova.api.service("nova-compute")["status"] == "enabled"

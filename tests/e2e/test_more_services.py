"""Manila, Ironic and Heat are stopped while they work: what ``docker stop`` loses, and what a drain does not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from testbed.more_stack import SERVICES, MoreStack
from testbed.waiting import wait_until

from .conftest import AdHoc, ad_hoc, begun, clean_more, kills, stopped

SHARE, CONDUCTOR, ENGINE = "manila_share", "ironic_conductor", "heat_engine"
TERM = 15
KILLED = 137
# A resource of a stack takes longer than `docker stop` waits (10 s), and than a stop needs to begin.
STACK_SECONDS = 25
LONG = "graceful_shutdown_timeout=120"


@pytest.fixture
def more(any_more: MoreStack) -> MoreStack:
    """As new before each test."""
    clean_more(any_more)
    return any_more


def creating_share(more: MoreStack) -> str:
    """A share that manila-share creates until ``go_on``, and then for a few seconds; its id."""
    more.hold()
    more.set_pause("share_create", 5)
    share = str(more.manila.create_share("e2e")["id"])

    def taken() -> bool:
        instance = more.one("manila", "SELECT id FROM share_instances WHERE share_id = %s", share)
        return f"share_create of {instance} takes" in more.container(SHARE).logs().decode(errors="replace")

    wait_until(taken, 180, f"manila-share creating share {share}")
    return share


def deploying_node(more: MoreStack) -> str:
    """A node that ironic-conductor deploys; its id."""
    node = more.ironic.enrol("e2e")
    more.ironic.provision(node, "active")
    reserved = "SELECT reservation FROM nodes WHERE uuid = %s AND provision_state = 'deploying'"
    wait_until(lambda: more.one("ironic", reserved, node), 180, f"ironic-conductor deploying node {node}")
    return node


def holder(more: MoreStack, stack: str) -> Any:
    """The engine that has a resource of the stack in work."""
    return more.one("heat", "SELECT engine_id FROM resource WHERE stack_id = %s", stack)


def creating_stack(more: MoreStack, name: str = "e2e") -> str:
    """A stack whose resource a process of heat-engine creates; its id."""
    stack = str(more.heat.create_stack(name, STACK_SECONDS)["id"])
    wait_until(lambda: holder(more, stack), 180, f"heat-engine creating the resource of stack {stack}")
    return stack


def stopped_by_docker(more: MoreStack, name: str) -> int:
    """Stop it as ``docker stop`` does; return its exit code."""
    container = more.container(name)
    container.stop()
    return int(container.wait()["StatusCode"])


def drained(more: MoreStack, name: str, since: float, result: dict[str, Any]) -> dict[str, Any]:
    """Check that one signal ended it, and no work was lost; return what is said of its only operation."""
    assert result["verdict"] == "drained", result["reason"]
    assert result["evidence"] == "ok"
    assert kills(more.stack, since, name) == [TERM]
    assert more.container(name).status == "exited"
    (operation,) = result["operations"]
    assert operation["outcome"] == "finished"
    return dict(operation)


def begun_stop(more: MoreStack, name: str) -> AdHoc:
    """A stop by the module that has begun."""
    run = AdHoc(f"action=stop_container name={name} {LONG}")
    wait_until(lambda: begun(more.container(name)), 180, "the stop having begun")
    return run


def test_docker_stop_loses_a_share_for_good(more: MoreStack) -> None:
    share = creating_share(more)

    assert stopped_by_docker(more, SHARE) == 0, "the exit code tells nothing"

    more.clear_pauses()
    more.restart_service(SHARE)
    more.manila.wait_status(str(more.manila.create_share("after")["id"]), "available")
    assert more.manila.status(share) == "creating"


def test_docker_stop_fails_a_deployment(more: MoreStack) -> None:
    node = deploying_node(more)

    assert stopped_by_docker(more, CONDUCTOR) == KILLED

    more.restart_service(CONDUCTOR)
    more.ironic.wait_status(node, "deploy failed")
    assert "can't be resumed" in more.ironic.last_error(node)


def test_what_each_does_is_told_without_naming_any(more: MoreStack) -> None:
    share, node, stack = creating_share(more), deploying_node(more), creating_stack(more)

    told = {one["name"]: one for one in ad_hoc("action=drain_status")["containers"]}

    instance = more.one("manila", "SELECT id FROM share_instances WHERE share_id = %s", share)
    resource = more.one("heat", "SELECT uuid FROM resource WHERE stack_id = %s", stack)
    wanted = {
        SHARE: ("share_create", instance, "creating"),
        CONDUCTOR: ("node_deploy", node, "deploying"),
        ENGINE: ("resource_action", resource, "CREATE_IN_PROGRESS"),
    }
    assert {*SERVICES} <= {*told}
    for name, (kind, what, status) in wanted.items():
        assert (told[name]["evidence"], told[name]["heartbeat"]["up"]) == ("ok", True)
        (operation,) = told[name]["operations"]
        assert (operation["kind"], operation["id"], operation["status"]) == (kind, what, status)


def test_a_share_in_creation_is_drained(more: MoreStack) -> None:
    since = time.time()
    share = creating_share(more)

    result = stopped(more, more.container(SHARE), f"name={SHARE} {LONG}")

    operation = drained(more, SHARE, since, result)
    assert (operation["kind"], operation["last_status"]) == ("share_create", "available")
    assert more.manila.status(share) == "available"


def test_a_deployment_is_drained(more: MoreStack) -> None:
    since = time.time()
    node = deploying_node(more)

    result = begun_stop(more, CONDUCTOR).result()

    operation = drained(more, CONDUCTOR, since, result)
    assert operation["id"] == node
    assert more.ironic.status(node) == "active"


def test_a_stack_in_creation_is_drained(more: MoreStack) -> None:
    since = time.time()
    stack = creating_stack(more)

    result = begun_stop(more, ENGINE).result()

    drained(more, ENGINE, since, result)
    assert more.one("heat", "SELECT status FROM stack WHERE id = %s", stack) == "COMPLETE"


def test_docker_stop_loses_a_stack_for_good(more: MoreStack) -> None:
    stack = creating_stack(more)
    engine = holder(more, stack)

    assert stopped_by_docker(more, ENGINE) == KILLED

    more.restart_service(ENGINE)
    more.heat.wait_status(str(more.heat.create_stack("after")["id"]), "CREATE_COMPLETE")
    assert more.heat.status(stack) == "CREATE_IN_PROGRESS"
    assert holder(more, stack) == engine, "it waits for an engine that is no more"

"""Manila, Ironic and Heat in the middle of work: what ``docker stop`` loses, and what a drain and an upgrade do not.

One service of each is stopped side by side with the others, because each takes its time.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from testbed import upgrades
from testbed.more_stack import SERVICES, MoreStack
from testbed.waiting import wait_until

from .conftest import AdHoc, ad_hoc, begun, clean_more, kills

SHARE, CONDUCTOR, ENGINE = BUSY = ("manila_share", "ironic_conductor", "heat_engine")
TERM = 15
KILLED = 137
# A resource of a stack takes longer than `docker stop` waits (10 s), and than a stop needs to begin.
STACK_SECONDS = 20
LIMIT = 180


@pytest.fixture
def more(any_more: MoreStack) -> MoreStack:
    """As new before each test."""
    clean_more(any_more)
    return any_more


class Work(NamedTuple):
    """What each of the three has in work, by its id in the API."""

    share: str
    node: str
    stack: str


def in_work(more: MoreStack) -> Work:
    """A share in creation, which ends some seconds after ``go_on``, a node in deployment, and a stack in creation."""
    node = more.ironic.enrol("e2e")
    more.hold()
    more.set_pause("share_create", 5)
    share = str(more.manila.create_share("e2e")["id"])
    more.ironic.provision(node, "active")
    stack = str(more.heat.create_stack("e2e", STACK_SECONDS)["id"])
    reserved = "SELECT reservation FROM nodes WHERE uuid = %s AND provision_state = 'deploying'"
    wait_until(lambda: more.one("ironic", reserved, node), 180, f"{CONDUCTOR} deploying node {node}")
    wait_until(lambda: holder(more, stack), 180, f"{ENGINE} creating stack {stack}")
    taken = f"share_create of {instance_of(more, share)} takes"
    wait_until(
        lambda: taken in more.container(SHARE).logs().decode(errors="replace"),
        180,
        f"{SHARE} creating share {share}",
    )
    return Work(share, node, stack)


def instance_of(more: MoreStack, share: str) -> Any:
    """The row of a share that Manila works on."""
    return more.one("manila", "SELECT id FROM share_instances WHERE share_id = %s", share)


def holder(more: MoreStack, stack: str) -> Any:
    """The process of heat-engine that has the stack's resource in work."""
    return more.one("heat", "SELECT engine_id FROM resource WHERE stack_id = %s", stack)


def operations(more: MoreStack, work: Work) -> dict[str, tuple[str, Any]]:
    """The kind and the id by which each is told."""
    resource = more.one("heat", "SELECT uuid FROM resource WHERE stack_id = %s", work.stack)
    return {
        SHARE: ("share_create", instance_of(more, work.share)),
        CONDUCTOR: ("node_deploy", work.node),
        ENGINE: ("resource_action", resource),
    }


def assert_finished(more: MoreStack, work: Work, results: dict[str, dict[str, Any]], since: float) -> None:
    """Each was drained with one signal, and its work was finished."""
    wanted = operations(more, work)
    for name in BUSY:
        result = results[name]
        assert result["verdict"] == "drained", (name, result["reason"])
        assert result["evidence"] == "ok"
        (operation,) = result["operations"]
        assert (operation["kind"], operation["id"]) == wanted[name]
        assert operation["outcome"] == "finished"
        assert kills(more.stack, since, name) == [TERM]
    assert more.manila.status(work.share) == "available"
    assert more.ironic.status(work.node) == "active"
    assert more.one("heat", "SELECT status FROM stack WHERE id = %s", work.stack) == "COMPLETE"


def test_a_stop_lets_their_work_end(more: MoreStack) -> None:
    since = time.time()
    work = in_work(more)

    told = {one["name"]: one for one in ad_hoc("action=drain_status")["containers"]}
    stop = AdHoc(f"action=stop_container name={','.join(BUSY)} graceful_shutdown_timeout={LIMIT}")
    try:
        wait_until(lambda: all(begun(more.container(name)) for name in BUSY), 180, "the stops having begun")
    finally:
        more.go_on()
    results = {one["name"]: one for one in stop.result()["containers"]}

    assert {*SERVICES} <= {*told}, "without a name it is about all that are Kolla's"
    for name, (kind, what) in operations(more, work).items():
        assert (told[name]["evidence"], told[name]["heartbeat"]["up"]) == ("ok", True)
        (operation,) = told[name]["operations"]
        assert (operation["kind"], operation["id"]) == (kind, what)
    assert_finished(more, work, results, since)
    assert [more.container(name).status for name in BUSY] == ["exited"] * 3


def test_an_upgrade_lets_their_work_end(more: MoreStack) -> None:
    since = time.time()
    image = upgrades.more_image(more.client, "next")
    old = {name: more.container(name) for name in BUSY}
    work = in_work(more)

    runs = {name: AdHoc(json.dumps(replacement(more, name, image))) for name in BUSY}
    try:
        wait_until(lambda: all(begun(container) for container in old.values()), 180, "the stops having begun")
    finally:
        more.go_on()
    results = {name: run.result() for name, run in runs.items()}

    assert_finished(more, work, results, since)
    assert results[ENGINE]["ready_after"] < 60, "its second report is not waited for"
    for name in BUSY:
        new = more.container(name)
        assert (new.status, new.attrs["Config"]["Image"]) == ("running", image)
        assert new.id != old[name].id
        more.wait_ready([name])


def replacement(more: MoreStack, name: str, image: str) -> dict[str, Any]:
    """The arguments that make a container anew, of another image."""
    spec = more.spec(name, image)
    return {
        "action": "recreate_or_restart_container",
        "name": name,
        "image": image,
        "command": " ".join(spec.command),
        "environment": spec.environment,
        "labels": spec.labels,
        "volumes": list(spec.volumes),
        "restart_policy": "no",
        "graceful_shutdown_timeout": LIMIT,
    }


def test_docker_stop_loses_it(more: MoreStack) -> None:
    work = in_work(more)
    engine = holder(more, work.stack)

    def stopped_by_docker(name: str) -> int:
        container = more.container(name)
        container.stop()  # as `docker stop` does: SIGKILL after 10 s
        return int(container.wait()["StatusCode"])

    with ThreadPoolExecutor() as pool:
        codes = dict(zip(BUSY, pool.map(stopped_by_docker, BUSY)))
    more.clear_pauses()
    for name in BUSY:
        more.restart_service(name)

    assert codes == {SHARE: 0, CONDUCTOR: KILLED, ENGINE: KILLED}, "an exit code of 0 tells nothing"
    more.ironic.wait_status(work.node, "deploy failed")
    assert "can't be resumed" in more.ironic.last_error(work.node)
    more.manila.wait_status(str(more.manila.create_share("after")["id"]), "available")
    assert more.manila.status(work.share) == "creating", "nothing takes it up again"
    more.heat.wait_status(str(more.heat.create_stack("after")["id"]), "CREATE_COMPLETE")
    assert more.heat.status(work.stack) == "CREATE_IN_PROGRESS"
    assert holder(more, work.stack) == engine, "a process that is no more has it"

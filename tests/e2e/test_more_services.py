"""Manila, Ironic and Heat in the middle of work: what ``docker stop`` loses; drain, upgrade and the plays do not.

One service of each is stopped side by side with the others, because each takes its time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from testbed import containers, images, upgrades
from testbed.more_config import BACKEND
from testbed.more_stack import SERVICES, MoreStack
from testbed.nova_stack import NOVA, NovaStack
from testbed.stack import CINDER, Stack
from testbed.waiting import wait_until
from tests.support.module_run import ROOT, run_module

from .conftest import AdHoc, ad_hoc, begun, clean_more, clean_nova, creating, kills, spawning
from .playing import Play

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
    share = share_in_creation(more)
    more.ironic.provision(node, "active")
    stack = str(more.heat.create_stack("e2e", STACK_SECONDS)["id"])
    reserved = "SELECT reservation FROM nodes WHERE uuid = %s AND provision_state = 'deploying'"
    wait_until(lambda: more.one("ironic", reserved, node), 180, f"{CONDUCTOR} deploying node {node}")
    wait_until(lambda: holder(more, stack), 180, f"{ENGINE} creating stack {stack}")
    return Work(share, node, stack)


def share_in_creation(more: MoreStack, seconds: float = 5) -> str:
    """A share that manila-share is creating, and that needs ``seconds`` from ``go_on``; its id."""
    more.hold()
    more.set_pause("share_create", seconds)
    share = str(more.manila.create_share("e2e")["id"])
    taken = f"share_create of {instance_of(more, share)} takes"
    wait_until(
        lambda: taken in more.container(SHARE).logs().decode(errors="replace"),
        180,
        f"{SHARE} creating share {share}",
    )
    return share


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


@pytest.fixture
def others(any_stack: Stack, any_nova: NovaStack) -> Iterator[tuple[Stack, NovaStack]]:
    """Cinder and Nova on the same host, as new."""
    any_stack.up(mode="eventlet").clear_pauses()
    clean_nova(any_nova)
    yield any_stack, any_nova
    any_stack.clear_pauses()
    any_nova.clear_pauses()


def test_all_tell_what_they_do_and_a_stop_lets_it_end(
    more: MoreStack, others: tuple[Stack, NovaStack]
) -> None:
    cinder, nova = others
    since = time.time()
    volume, server = creating(cinder, 1), spawning(nova, 1)
    work = in_work(more)

    told = {one["name"]: one for one in ad_hoc("action=drain_status")["containers"]}
    cinder.go_on()
    nova.go_on()
    stop = AdHoc(f"action=stop_container name={','.join(BUSY)} graceful_shutdown_timeout={LIMIT}")
    try:
        wait_until(lambda: all(begun(more.container(name)) for name in BUSY), 180, "the stops having begun")
    finally:
        more.go_on()
    results = {one["name"]: one for one in stop.result()["containers"]}

    assert {*SERVICES, *CINDER, *NOVA} <= {*told}, "without a name it is about all that are Kolla's"
    doing = operations(more, work) | {
        "cinder_volume": ("volume_create", volume),
        "nova_compute": ("instance_build", server),
    }
    for name, (kind, what) in doing.items():
        assert (told[name]["evidence"], told[name]["heartbeat"]["up"]) == ("ok", True)
        (operation,) = told[name]["operations"]
        assert (operation["kind"], operation["id"]) == (kind, what)
    cinder.api.wait_status("volume", volume, "available")
    nova.api.wait_status(server, "ACTIVE")
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


def status_of(more: MoreStack, share: str) -> Any:
    """The status of a share, also where the API does not run."""
    return more.one("manila", "SELECT status FROM share_instances WHERE share_id = %s", share)


def test_the_plays_reload_and_stop_manila(more: MoreStack, tmp_path: Path) -> None:
    """Both times a share is in creation when the play comes to the service, and finished when it ends."""
    inventory = upgrades.write(upgrades.more_inventory(more), tmp_path / "site.json")
    since, before = time.time(), containers.started_at(more.container(SHARE))

    share = share_in_creation(more, seconds=10)
    reload = Play(inventory, "--tags", "manila-share", play="reload.yml")
    reload.when("PLAY [Reload, other_projects]", more.go_on).end()
    assert reload.code == 0
    assert "in flight: share_create" in reload.output
    assert "manila-share: reloaded by SIGHUP" in reload.output
    assert status_of(more, share) == "available"
    assert containers.started_at(more.container(SHARE)) == before
    assert kills(more.stack, since, SHARE) == [], "the engine would take it for a stop"

    share = share_in_creation(more)
    stop = Play(inventory, "--tags", "manila", play="stop.yml")
    try:
        wait_until(lambda: begun(more.container(SHARE)), 180, "the stop having begun")
    finally:
        more.go_on()
    stop.end()
    assert stop.code == 0
    assert "in flight: share_create" in stop.output
    assert "manila-share: drained" in stop.output
    assert status_of(more, share) == "available"
    assert kills(more.stack, since, SHARE) == [TERM]
    ended = [
        more.container(f"manila_{name}").attrs["State"]["FinishedAt"]
        for name in ("api", "share", "scheduler")
    ]
    assert ended == sorted(ended)
    assert more.container(CONDUCTOR).status == "running"


@pytest.fixture
def elsewhere(more: MoreStack) -> Iterator[str]:
    """The backend of another manila-share, on another host."""
    image = images.ensure(more.client, "more")["more"].reference
    spec = more.spec(SHARE, image)
    name = f"{SHARE}_elsewhere"
    environment = {**spec.environment, "OS_DEFAULT__HOST": "elsewhere"}
    backend = f"elsewhere@{BACKEND}"

    def offered() -> bool:
        # The scheduler lists its pools as they were at the last request.
        more.manila.create_share("any")
        return backend in more.manila.pools()

    reported = "SELECT updated_at FROM services WHERE host = %s"
    try:
        containers.ensure(more.client, replace(spec, name=name, environment=environment))
        wait_until(lambda: more.one("manila", reported, backend), 180, f"a report of {backend}")
        wait_until(offered, 180, f"{backend} among the pools", interval=2)
        yield backend
    finally:
        more.delete_all()  # of which it may have some
        containers.remove(more.client, name)
        more.mariadb.execute("DELETE FROM services WHERE host = %s", (backend,), "manila")


def test_manila_share_is_disabled_where_another_has_its_backend(more: MoreStack, elsewhere: str) -> None:
    here = f"{more.host}@{BACKEND}"

    def call(state: str, host: str, **options: Any) -> dict[str, Any]:
        reach = {
            "auth_type": "none",
            "auth": {"token": more.ends.token},
            "endpoint_override": more.manila.base,
        }
        arguments = {"service": SHARE.replace("_", "-"), "host": host, "state": state, **reach, **options}
        return run_module(arguments, module=ROOT / "library" / "kolla_service.py")

    def row() -> Any:
        found = "SELECT CONCAT(disabled, ' ', COALESCE(disabled_reason, '')) FROM services WHERE host = %s"
        return more.one("manila", found, here)

    disabled = call("disabled", more.host)
    refused = call("disabled", "elsewhere")
    host = "SELECT host FROM share_instances WHERE share_id = %s"
    share = str(more.manila.create_share("meanwhile")["id"])
    more.manila.wait_status(share, "available")

    assert (disabled["changed"], disabled["disabled"], disabled["method"]) == (True, True, "api"), disabled
    assert str(row()).startswith("1 kolla-drain: disabled 2")
    assert refused["changed"] is False
    assert "has its backend name slow" in refused["reason"], "the other one is disabled"
    assert str(more.one("manila", host, share)).startswith(f"{elsewhere}#"), "it is given no new share"

    enabled = call("enabled", more.host)
    more.delete_all()
    more.container(f"{SHARE}_elsewhere").kill()
    dead = "UPDATE services SET updated_at = updated_at - INTERVAL 90 SECOND WHERE host = %s"
    more.mariadb.execute(dead, (elsewhere,), "manila")
    alone = call("disabled", more.host)

    assert (enabled["changed"], enabled["disabled"], row()) == (True, False, "0 ")
    assert (alone["changed"], row()) == (False, "0 "), "its API still lists the dead one as up"
    assert "no other manila-share" in alone["reason"]

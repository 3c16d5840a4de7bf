"""The plays over the test stack's Nova: an upgrade with instances in the making.

That a second run changes nothing is test_hosts_upgrade's, about Cinder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import upgrades
from testbed.nova_stack import NOVA, NovaStack
from testbed.waiting import wait_until

from .conftest import begun, clean_nova
from .test_upgrade import Play, Recorder, all_up_and_enabled

TERM = 15
ORDER = ("nova_conductor", "nova_scheduler", "nova_compute", "nova_api")
# What is left of an instance's making once the step that has to wait for it is there.
SECONDS = 10.0


@pytest.fixture(scope="module")
def site(any_nova: NovaStack) -> Iterator[NovaStack]:
    """Nova with its own containers, before and after."""
    nova = any_nova
    clean_nova(nova)
    yield nova
    nova.mariadb.execute("UPDATE services SET disabled = 0, disabled_reason = NULL", database="nova")
    for name in (f"{one}.failed" for one in NOVA):
        for container in nova.client.containers.list(all=True, filters={"name": f"^/{name}$"}):
            container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def to_next(site: NovaStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as it should be after the upgrade."""
    image = upgrades.nova_image(site.client, "next")
    return upgrades.write_nova_inventory(site, tmp_path_factory.mktemp("site") / "next.json", image)


class Load:
    """Instances that are asked for while the play goes on, and made once it waits for them."""

    def __init__(self, nova: NovaStack) -> None:
        self.nova = nova
        self.servers: list[str] = []
        nova.set_pause("instance_spawn", SECONDS)

    def spawn(self) -> None:
        """One more, held until ``go_on``."""
        self.nova.hold()
        server = str(self.nova.api.create_server("upgraded")["id"])
        self.servers.append(server)
        wait_until(lambda: self.nova.task_state(server) == "spawning", 180, f"{server} being spawned")

    def spawn_for_the_stop(self) -> None:
        """One more, that goes on once nova-compute's stop has begun."""
        compute = self.nova.container("nova_compute")
        self.spawn()
        wait_until(lambda: begun(compute), 180, "the stop of nova-compute")
        self.nova.go_on()


@pytest.mark.timeout(900)
def test_an_upgrade_loses_no_instance_in_the_making(site: NovaStack, to_next: Path) -> None:
    load = Load(site)

    with Recorder(site.client, "nova") as recorder:
        play = (
            Play(to_next)
            .when("TASK [kolla_drain : nova-status upgrade check]", load.spawn)
            .when("RETRYING: ", site.go_on)
            .when("PLAY [nova, nova-compute]", load.spawn_for_the_stop)
            .end(600)
        )

    assert play.code == 0
    for server in load.servers:
        site.api.wait_status(server, "ACTIVE", 60)
    images = {site.container(name).attrs["Config"]["Image"] for name in NOVA}
    assert len(images) == 1
    assert images.pop().endswith("-next")
    wait_until(lambda: all_up_and_enabled(site), 180, "every service up and enabled")
    assert recorder.kills == [(name, str(TERM)) for name in ORDER]
    assert re.search(r"RETRYING: .*Empty what works through it, nova-conductor", play.output), (
        "the conductor was not stopped while nova-compute worked"
    )
    assert re.search(r"nova-compute: replaced, drained .*1 operation finished", play.output)
    assert site.state.ends.database_password not in play.output

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

from .conftest import clean_nova
from .playing import NOVA_ORDER, TERM, NovaLoad, Play, Recorder, all_up_and_enabled, images_of


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


@pytest.mark.timeout(1800)
def test_an_upgrade_loses_no_instance_in_the_making(site: NovaStack, to_next: Path) -> None:
    load = NovaLoad(site)

    with Recorder(site.client, "nova") as recorder:
        play = load.during(Play(to_next)).end(1200)

    assert play.code == 0
    for server in load.servers:
        site.api.wait_status(server, "ACTIVE", 300)
    images = images_of(site, NOVA)
    assert len(images) == 1
    assert images.pop().endswith("-next")
    wait_until(lambda: all_up_and_enabled(site), 400, "every service up and enabled")
    assert recorder.kills == [(name, TERM) for name in NOVA_ORDER]
    assert re.search(r"RETRYING: .*Empty what works through it, nova-conductor", play.output), (
        "the conductor was not stopped while nova-compute worked"
    )
    assert re.search(r"nova-compute: replaced, drained .*1 operation finished", play.output)
    assert site.state.ends.database_password not in play.output

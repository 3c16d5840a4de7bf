"""An upgrade that rolls over three managed hosts: two controllers and a storage host, containers under units."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed import kolla_unit, upgrades
from testbed.hosts import Host
from testbed.site import SPREAD, Site
from testbed.waiting import wait_until

from .playing import CINDER_ORDER, TERM, CinderLoad, Play, all_up_and_enabled, with_work

TURNS = [(name, place) for name in CINDER_ORDER for place in SPREAD[name]]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Three hosts, gone afterwards unless somebody had them up before."""
    made = Site()
    was_up = len(made.hosts) > 0
    try:
        yield made.up()
    finally:
        made.clear_pauses() if was_up else made.down()


@dataclass(frozen=True)
class Happened:
    """What an engine said of one of Cinder's containers."""

    at: float
    place: str
    action: str
    name: str
    signal: str


class Chronicle:
    """What the engines of all hosts say of Cinder's containers while it is open, in one order: their clock is one."""

    def __init__(self, site: Site) -> None:
        self._found: list[Happened] = []
        self._sources = [(place, host.engine) for place, host in site.hosts.items()]
        self._streams: list[Any] = []

    def __enter__(self) -> Chronicle:
        # From this moment on, because an engine answers a little before it begins to send events.
        since = f"{time.time():.9f}"
        for place, engine in self._sources:
            stream = engine.api.events(since=since, filters={"type": "container"}, decode=True)
            self._streams.append(stream)
            threading.Thread(target=self._read, args=(place, stream), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(1)  # events come a moment after the fact
        for stream in self._streams:
            stream.close()

    def _read(self, place: str, stream: Any) -> None:
        for one in stream:
            of = one["Actor"]["Attributes"]
            if of["name"].startswith("cinder_") and not one["Action"].startswith("exec_"):
                self._found.append(
                    Happened(one["timeNano"] / 1e9, place, one["Action"], of["name"], of.get("signal", ""))
                )

    @property
    def events(self) -> list[Happened]:
        return sorted(self._found, key=lambda one: one.at)

    def of(self, action: str) -> list[tuple[str, str, str]]:
        return [(one.name, one.place, one.signal) for one in self.events if one.action == action]

    def away(self, name: str, place: str) -> tuple[float, float]:
        """From the first signal of the old container to the start of the new one."""
        mine = [one for one in self.events if (one.name, one.place) == (name, place)]
        begun = next(one.at for one in mine if one.action == "kill")
        return begun, next(one.at for one in mine if one.action == "start" and one.at > begun)


def unit_state(host: Host, name: str) -> list[str]:
    unit = kolla_unit.name_of(name)
    shown = host.run("systemctl", "show", "-P", "ActiveState", "-P", "Result", "-P", "UnitFileState", unit)
    return sorted(shown.split())


def image_of(host: Host, name: str) -> str:
    with contextlib.closing(host.engine) as engine:
        return str(engine.containers.get(name).attrs["Config"]["Image"])


@pytest.fixture(scope="module")
def image() -> str:
    return upgrades.cinder_image(docker.from_env(), "next")


@pytest.fixture(scope="module")
def to_next(site: Site, image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as it should be after the upgrade."""
    return site.write_inventory(tmp_path_factory.mktemp("site") / "next.json", image)


@pytest.mark.timeout(2400)
def test_an_upgrade_rolls_over_three_hosts_and_loses_nothing(site: Site, to_next: Path, image: str) -> None:
    load = CinderLoad(site)

    with Chronicle(site) as chronicle:
        play = with_work(Play(to_next), site, "cinder-volume", load.volume_work)
        with_work(play, site, "cinder-backup", load.backup_work).end(1800)
    print(
        "\n".join(
            f"{one.at:.3f} {one.place} {one.name} {one.action} {one.signal}" for one in chronicle.events
        )
    )

    assert play.code == 0
    assert site.endpoints().database_password not in play.output
    load.ended()
    assert re.search(r"cinder-volume: replaced, drained .* 4 operations finished", play.output)
    assert re.search(r"cinder-backup: replaced, drained .* 2 operations finished", play.output)
    wait_until(lambda: all_up_and_enabled(site), 400, "every service up and enabled")
    for name, place in TURNS:
        host = site.hosts[place]
        assert image_of(host, name) == image
        assert unit_state(host, name) == ["active", "enabled", "success"], (name, place)

    # Each was signalled once, and nobody was away while another was.
    signals = [(name, place, TERM) for name, place in TURNS]
    assert chronicle.of("kill") == signals
    away = [chronicle.away(name, place) for name, place in TURNS]
    print("away:", [(turn, round(end - begin, 2)) for turn, (begin, end) in zip(TURNS, away)])
    assert all(end < begin for (_, end), (begin, _) in zip(away, away[1:])), away


@pytest.mark.timeout(1800)
def test_a_second_run_changes_nothing(site: Site, to_next: Path) -> None:
    """Of the site that the first has upgraded."""
    with Chronicle(site) as chronicle:
        play = Play(to_next, "--tags", "cinder-volume,cinder-api").end(1800)

    assert play.code == 0
    assert play.changed == 0
    assert chronicle.events == []

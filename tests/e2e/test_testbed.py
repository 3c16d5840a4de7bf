"""The test stack itself: what lanes, the slow images, the attachments and the touching variant are there for."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from testbed.cinder_api import GONE
from testbed.lanes import TOUCH_EVERY, Lane, lanes_up
from testbed.stack import Stack
from testbed.waiting import wait_until

LIMIT = 90


@pytest.fixture(scope="module")
def stack(any_stack: Stack) -> Stack:
    return any_stack.up()


@pytest.fixture(scope="module")
def two(stack: Stack) -> Iterator[list[Lane]]:
    """One of each mode; the first is a fork that touches."""
    first = Lane(stack, "t1", mode="eventlet", touching=True)
    with lanes_up(first, Lane(stack, "t2", mode="threads")) as lanes:
        yield lanes


@pytest.fixture
def lanes(two: list[Lane]) -> Iterator[list[Lane]]:
    for lane in two:
        lane.clear_pauses()
    yield two
    for lane in two:
        lane.clear_pauses()


def made(lane: Lane, backend: int = 0, image: str | None = None) -> str:
    return str(lane.api.create_volume(1, "lane", backend=lane.backends[backend], image_id=image)["id"])


def removed(lane: Lane, *volumes: str) -> None:
    for volume in volumes:
        lane.api.delete_volume(volume)
    for volume in volumes:
        lane.api.wait_status("volume", volume, GONE, LIMIT)


def age(stack: Stack, volume: str) -> float | None:
    """How long ago the volume's row of ``workers``, which its cinder-volume has taken, was changed."""
    rows = stack.mariadb.execute(
        "SELECT TIMESTAMPDIFF(MICROSECOND, w.updated_at, UTC_TIMESTAMP(6)) / 1e6 FROM workers w"
        " JOIN services s ON s.id = w.service_id"
        " WHERE w.resource_id = %s AND w.deleted = 0 AND s.`binary` = 'cinder-volume'",
        (volume,),
        "cinder",
    )
    return float(rows[0][0]) if rows else None


def test_a_pause_holds_up_its_own_lane_alone(lanes: list[Lane]) -> None:
    slow, quick = lanes
    slow.set_pause("volume_create", 300)
    held, passed = made(slow, 1), made(quick)
    quick.api.wait_status("volume", passed, "available", LIMIT)
    assert slow.api.status("volume", held) == "creating"
    assert slow.volume_file(quick.api.get("volume", passed)).exists()

    slow.restart("volume", LIMIT)  # the volume is taken back, as Cinder does at a start
    slow.api.wait_status("volume", held, "error", LIMIT, fail_on_error=False)
    slow.clear_pauses()
    removed(slow, held, passed)


def test_a_volume_is_backed_up_by_its_own_lane(lanes: list[Lane], stack: Stack) -> None:
    backups = {}
    for lane in lanes:
        volume = made(lane, 1)
        lane.api.wait_status("volume", volume, "available", LIMIT)
        backups[str(lane.api.create_backup(volume)["id"])] = (lane, volume)
    for backup, (lane, volume) in backups.items():
        lane.api.wait_status("backup", backup, "available", LIMIT)
        host = stack.mariadb.execute("SELECT host FROM backups WHERE id = %s", (backup,), "cinder")
        assert [row[0] for row in host] == [lane.host]
        lane.api.delete_backup(backup)
        lane.api.wait_status("backup", backup, GONE, LIMIT)
        removed(lane, volume)


def test_an_image_is_really_downloaded_as_slowly_as_told(lanes: list[Lane], stack: Stack) -> None:
    begun = time.monotonic()
    volumes = {}
    for lane in lanes:
        lane.set_pause("image_chunk", 0.25)
        image = stack.images.new()
        volumes[made(lane, 0, image)] = (lane, image)
    for volume, (lane, image) in volumes.items():
        lane.api.wait_status("volume", volume, "available", LIMIT)
        file = lane.volume_file(lane.api.get("volume", volume))
        assert stack.images.is_in(file, image)
        assert not stack.images.is_in(file, stack.images.new())
    assert time.monotonic() - begun > 16 * 0.25
    for volume, (lane, _) in volumes.items():
        removed(lane, volume)


def test_an_attachment_is_made_and_undone_by_cinder_volume(lanes: list[Lane]) -> None:
    lane = lanes[1]
    volume = made(lane)
    lane.api.wait_status("volume", volume, "available", LIMIT)
    lane.set_pause("volume_attach", 1.5)
    lane.set_pause("volume_detach", 1.5)
    attachment = str(lane.api.create_attachment(volume)["id"])
    assert lane.api.status("volume", volume) == "reserved"

    begun = time.monotonic()
    lane.api.update_attachment(attachment)
    connected = time.monotonic()
    lane.api.complete_attachment(attachment)
    assert lane.api.status("volume", volume) == "in-use"
    lane.api.delete_attachment(attachment)

    assert connected - begun > 1.5
    assert time.monotonic() - connected > 1.5
    lane.api.wait_status("volume", volume, "available", LIMIT)
    removed(lane, volume)


def test_the_touching_variant_touches_its_rows_until_one_dies(lanes: list[Lane], stack: Stack) -> None:
    lane = lanes[0]
    lane.set_pause("volume_create", 3600)
    lives, dies = made(lane), made(lane, 1)
    wait_until(lambda: None not in (age(stack, lives), age(stack, dies)), LIMIT, "both being taken")
    lane.kill_operation(dies)
    wait_until(lambda: (age(stack, dies) or 0) > 3 * TOUCH_EVERY, LIMIT, "a row that stands still")
    assert (age(stack, lives) or 0) < (age(stack, dies) or 0)
    assert lane.container("volume").status == "running"

    lane.restart("volume", LIMIT)
    for volume in (lives, dies):
        lane.api.wait_status("volume", volume, "error", LIMIT, fail_on_error=False)
    lane.clear_pauses()
    removed(lane, lives, dies)


def test_the_brokers_management_api_is_open_to_the_services_user(stack: Stack) -> None:
    ends = stack.state.endpoints
    answer = requests.get(
        f"http://127.0.0.1:{ends.rabbitmq_management_port}/api/whoami",
        auth=("openstack", ends.rabbitmq_password),
        timeout=30,
        proxies={"http": ""},
    )
    assert answer.json()["tags"] == ["administrator"]

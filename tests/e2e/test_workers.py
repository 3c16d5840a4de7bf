"""Work that is told from dead work by its worker row, a backup's hops and attachments, on a lane of the real Cinder."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from kolla_drain.database import target
from kolla_drain.evidence import evidence_of
from kolla_drain.evidence.reader import EvidenceReader, Source
from kolla_drain.model import EvidenceState, Reading
from kolla_drain.service import config as service_config
from testbed.containers import pause
from testbed.lanes import Lane
from testbed.stack import Stack
from testbed.waiting import wait_until

from .conftest import AdHoc, begun, creating, kills

TERM = 15
# Of the lane's services; their operations touch their rows every second, or less often on a busy machine.
DOWN_TIME = 10


@pytest.fixture(scope="module")
def touching(any_stack: Stack) -> Iterator[Lane]:
    """A lane of a Cinder that touches its worker rows, as some forks do."""
    lane = Lane(any_stack.up(mode="eventlet"), "e1", touching=True, service_down_time=DOWN_TIME)
    try:
        yield lane.up()
    finally:
        lane.down()


@pytest.fixture
def lane(touching: Lane) -> Iterator[Lane]:
    """All of it up and nothing slow, before and after each test."""
    touching.clear_pauses()
    yield touching.up()
    touching.clear_pauses()


def stop(lane: Lane, kind: str = "volume") -> str:
    return f"action=stop_container {lane.module_arguments(kind)} graceful_shutdown_timeout=300"


class Watch:
    """Reads the evidence of the lane's services all the time, from the time it is made."""

    def __init__(self, lane: Lane) -> None:
        sources = {}
        for kind in ("volume", "backup"):
            config = service_config.load([lane.config(kind)], f"cinder-{kind}")
            where = target.target(config.database, inherited=True)
            sources[kind] = Source(evidence_of(config.service), config, where)
        self._reader = EvidenceReader(sources)
        self._keys = tuple(sources)
        self._ended = threading.Event()
        self.readings: list[dict[str, Reading]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._ended.wait(0.05):
            readings = self._reader.readings_once(self._keys)
            # On a busy machine the database may take longer than a reading waits for it.
            if all(reading.state is EvidenceState.OK for reading in readings.values()):
                self.readings.append(readings)

    def seen(self, kind: str) -> list[set[tuple[str, str]]]:
        """What each reading showed of cinder-volume or cinder-backup: kinds and ids."""
        return [{op.key for op in reading[kind].working} for reading in self.readings]

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._reader.close()


@pytest.fixture
def watch(lane: Lane) -> Iterator[Watch]:
    """Made once the lane is up; ended before it goes."""
    one = Watch(lane)
    yield one
    one.end()


def always(seen: list[set[tuple[str, str]]], key: tuple[str, str]) -> bool:
    """Whether it is in every reading from the first one that shows it to the last one that does, without a gap."""
    shown = [key in reading for reading in seen]
    assert any(shown), f"{key} was never seen"
    first, last = shown.index(True), len(shown) - 1 - shown[::-1].index(True)
    return all(shown[first : last + 1])


def touches(lane: Lane, volume: str, times: int) -> None:
    """Wait until the volume's row of workers has been touched so many times more."""
    seen: set[object] = set()

    def touched() -> bool:
        question = "SELECT updated_at FROM workers WHERE resource_id = %s AND deleted = 0"
        seen.update(row[0] for row in lane.stack.mariadb.execute(question, (volume,), "cinder"))
        return len(seen) > times

    wait_until(touched, 180, f"the row of {volume} being touched {times} times")


def test_a_worker_that_lives_is_waited_for_however_long_it_takes(lane: Lane) -> None:
    holding = str(lane.api.create_volume(1, "holding", backend=lane.backends[0])["id"])
    lane.api.wait_status("volume", holding, "available")
    lane.api.reset_status("volume", holding, "extending")  # the stop waits for it, however late it begins
    try:
        run = AdHoc(stop(lane))
        wait_until(lambda: begun(lane.container("volume")), 180, "the stop having begun")
        volume = creating(lane, 1.5 * DOWN_TIME)
        lane.go_on()
    finally:
        lane.api.reset_status("volume", holding, "available")

    result = run.result()

    assert result["verdict"] == "drained", result["reason"]
    assert result["quiesced"] > DOWN_TIME
    assert lane.api.status("volume", volume) == "available"
    outcomes = {op["id"]: (op["outcome"], op["dead"]) for op in result["operations"]}
    assert outcomes == {holding: ("finished", False), volume: ("finished", False)}


def test_work_that_died_in_the_living_service_is_not_waited_for(lane: Lane) -> None:
    since = time.time()
    volume = creating(lane, 600)
    run = AdHoc(stop(lane))
    wait_until(lambda: begun(lane.container("volume")), 180, "the stop having begun")
    touches(lane, volume, 15)  # the stop, which may look every five seconds only, must have seen it twice
    lane.kill_operation(volume)
    died = time.monotonic()

    wait_until(lambda: kills(lane.stack, since, lane.volume) == [TERM], 180, "the stop signal")
    # The service itself waits for the operation that never ends; an end of it now takes less than the deadline.
    lane.container("volume").kill()
    result = run.result()

    assert time.monotonic() - died < 270, "and not all of its 300 s"
    assert result["verdict"] == "killed", result["reason"]
    (operation,) = result["operations"]
    assert operation["dead"] is True
    assert (operation["id"], operation["outcome"], operation["last_status"]) == (
        volume,
        "interrupted",
        "creating",
    )
    assert "error" in operation["fate"]
    assert any("dead: its worker row stood still" in line["event"] for line in result["timeline"])
    lane.clear_pauses()
    lane.start("volume")
    lane.api.wait_status("volume", volume, "error")  # as the fate says


def test_a_backup_is_seen_in_every_hop(lane: Lane, watch: Watch) -> None:
    volume = str(lane.api.create_volume(1, "hops", backend=lane.backends[0])["id"])
    lane.api.wait_status("volume", volume, "available")
    lane.set_pause("volume_attach", 1)
    lane.set_pause("backup_chunk", 0.1)
    container = lane.container("volume")
    pause(container)
    try:
        backup = str(lane.api.create_backup(volume)["id"])
        wait_until(
            lambda: waits_for_the_volume(lane, backup), 180, f"backup {backup} in cinder-volume's queue"
        )
        held = len(watch.readings)
        wait_until(lambda: len(watch.readings) > held + 2, 180, "some readings of that hop")
    finally:
        container.unpause()
    lane.api.wait_status("backup", backup, "available")
    made = len(watch.readings)
    lane.set_pause("restore_chunk", 0.3)
    lane.api.restore_backup(backup, volume)
    lane.api.wait_status("backup", backup, "available")
    restored = len(watch.readings)
    lane.set_pause("backup_delete", 4)
    lane.api.delete_backup(backup)
    lane.api.wait_status("backup", backup, "gone")
    watch.end()

    in_backup, in_volume = watch.seen("backup"), watch.seen("volume")
    print(f"{len(in_backup)} readings; held at {held}, made at {made}, restored at {restored}")
    assert all(("backup_create", backup) in reading for reading in in_backup[held : held + 2])
    assert all(("volume_backup", volume) in reading for reading in in_volume[held : held + 2])
    for kind in ("backup_create", "backup_restore", "backup_delete"):
        assert always(in_backup, (kind, backup)), kind
    for kind in ("volume_backup", "volume_restore"):
        assert always(in_volume, (kind, volume)), kind


def waits_for_the_volume(lane: Lane, backup: str) -> bool:
    """Whether cinder-backup has done its first part: it names its driver, then asks cinder-volume for the device."""
    rows = lane.stack.mariadb.execute("SELECT service FROM backups WHERE id = %s", (backup,), "cinder")
    return bool(rows[0][0])


def test_an_attachment_is_made_and_undone_by_cinder_volume(lane: Lane) -> None:
    volume = str(lane.api.create_volume(1, "attached", backend=lane.backends[0])["id"])
    lane.api.wait_status("volume", volume, "available")
    lane.set_pause("volume_attach", 1.5)
    lane.set_pause("volume_detach", 1.5)
    attachment = str(lane.api.create_attachment(volume)["id"])
    assert lane.api.status("volume", volume) == "reserved"

    since = time.monotonic()
    lane.api.update_attachment(attachment)
    connected = time.monotonic()
    lane.api.complete_attachment(attachment)
    assert lane.api.status("volume", volume) == "in-use"
    lane.api.delete_attachment(attachment)

    assert connected - since > 1.5
    assert time.monotonic() - connected > 1.5
    lane.api.wait_status("volume", volume, "available")

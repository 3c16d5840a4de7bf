"""Stops that systemd was asked for while the run that held the unit died: done once, or waited for."""

from __future__ import annotations

import contextlib
import subprocess

import pytest

from kolla_drain.host.ledger import Ledger
from kolla_drain.kolla import unit_name
from kolla_drain.model import Container, ContainerStatus
from kolla_drain.systemd.orphaned_stop import OrphanedStops
from kolla_drain.systemd.systemctl import Systemctl
from kolla_drain.systemd.unit_file import Definition
from testbed import kolla_unit

NAME = "cinder_volume"
UNIT = unit_name(NAME)
RUNNING = Container("c1", NAME, ContainerStatus.RUNNING, pid=7, started_at="1")
THEIRS = kolla_unit.text(NAME, grace=60)
OURS = Definition(NAME, "docker", "/usr/bin/docker", "always", 900).render_limit(THEIRS)


class World:
    """A host on which a unit was told to stop; its container ends when the engine's stop has been run."""

    def __init__(self, path):
        self.path, self.now, self.ran, self.rests_at, self.fails = path, 0.0, [], None, False
        self.waiting = lambda: None  # called at each wait
        self.file("unit", THEIRS)
        self.drop_ins = []
        self.ledger = Ledger(str(path / "ledger"), clock=lambda: self.now)
        self.stops = OrphanedStops(
            Systemctl(self.systemctl),
            self.ledger,
            str(path / "ledger"),
            self.engine,
            lambda: self.now,
            self.wait,
        )

    def file(self, name, text):
        (self.path / name).write_text(text)
        return str(self.path / name)

    def systemctl(self, command, **_):
        rests = self.rests_at is not None and self.now >= self.rests_at
        said = {
            "ActiveState": f"ActiveState={'inactive' if rests else 'deactivating'}\n",
            "FragmentPath,DropInPaths": f"FragmentPath={self.path}/unit\nDropInPaths={' '.join(self.drop_ins)}\n",
        }
        return subprocess.CompletedProcess(command, 0, said[command[command.index("--property") + 1]], "")

    def engine(self, command, *, check, timeout, **_):
        assert timeout > int(command[-1])
        entry = self.ledger.read(RUNNING.id)
        self.ran.append((" ".join(command), entry is not None and entry.intent is not None))
        if self.fails and check:
            raise subprocess.CalledProcessError(1, command)
        self.rests_at = self.now + 5

    def wait(self, seconds):
        self.now += seconds
        self.waiting()

    def begin(self, timeout=180.0):
        return self.ledger.begin(RUNNING, timeout, "SIGTERM")[0]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_which_are_under_way(world):
    assert world.stops.under_way([]) == []
    assert world.stops.under_way([UNIT]) == [UNIT]
    world.rests_at = 0
    assert world.stops.under_way([UNIT]) == []


def test_what_nobody_has_signalled_is_stopped_once_and_that_is_known_before(world):
    world.begin()
    world.stops.see_through([UNIT])
    assert world.ran == [(f"/usr/bin/docker stop {NAME} -t 60", True)]
    assert world.now >= world.rests_at
    assert world.ledger.read(RUNNING.id) is None


def test_so_is_what_no_run_had_begun_to_stop(world):
    world.stops.see_through([UNIT])
    assert [command for command, _ in world.ran] == [f"/usr/bin/docker stop {NAME} -t 60"]


def test_drop_ins_count_and_the_hold_does_not(world):
    world.drop_ins = [
        world.file("kolla-drain.conf", OURS),
        "/run/systemd/system/x.d/zzzz-kolla-drain-hold.conf",
    ]
    world.stops.see_through([UNIT])
    assert [command for command, _ in world.ran] == [f"/usr/bin/docker stop {NAME} -t 900"]


@pytest.mark.parametrize("sent", [True, False], ids=["sent", "maybe"])
def test_what_a_run_has_signalled_is_waited_for_and_not_signalled_again(world, sent):
    entry = world.ledger.intend(world.begin())
    if sent:
        world.ledger.sent(entry)
    world.rests_at = 100
    world.stops.see_through([UNIT])
    assert world.ran == []
    assert 100 <= world.now < 101


def test_it_is_waited_for_up_to_its_deadline(world):
    world.ledger.intend(world.begin())
    world.stops.see_through([UNIT])
    assert 180 <= world.now < 181


def test_what_only_systemd_could_run_as_it_is_meant_is_not_run(world):
    world.file("unit", THEIRS.replace("ExecStop=", "ExecStop=-"))
    world.begin()
    world.stops.see_through([UNIT])
    assert (world.ran, world.now) == ([], 0.0)
    assert world.ledger.read(RUNNING.id).intent is None


def test_an_engine_that_refuses_may_have_signalled_all_the_same(world, capsys):
    world.begin()
    world.fails = True
    world.stops.see_through([UNIT])
    assert world.ledger.read(RUNNING.id).intent is not None
    assert f"{UNIT} was told to stop, and its container could not be" in capsys.readouterr().err


def test_a_lock_that_a_run_has_for_a_moment_is_waited_for(world):
    world.begin()
    with contextlib.ExitStack() as lock:
        lock.enter_context(world.ledger.held(RUNNING.id))
        world.waiting = lock.close
        world.stops.see_through([UNIT])
    assert [command for command, _ in world.ran] == [f"/usr/bin/docker stop {NAME} -t 60"]


def test_a_container_that_another_run_is_at_is_left_to_it(world, capsys):
    world.begin()
    with world.ledger.held(RUNNING.id):
        world.stops.see_through([UNIT])
    assert world.ran == []
    assert "left to the run that has its container" in capsys.readouterr().err

"""The record of signals, in real files and between real processes."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest

from kolla_drain.errors import LedgerBusy, LedgerError
from kolla_drain.host import ledger as ledger_module
from kolla_drain.host import process as processes
from kolla_drain.host.ledger import Ledger, boot_clock
from kolla_drain.model import Container, ContainerStatus, Entry

ID = "d1ce" * 16
CONTAINER = Container(
    ID, "cinder_volume", ContainerStatus.RUNNING, pid=4711, started_at="2026-11-21T10:00:00Z"
)
NEXT_LIFE = replace(CONTAINER, started_at="2026-11-21T11:00:00Z")
PROCESSES = multiprocessing.get_context("fork")


class Clock:
    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "run")


@pytest.fixture
def ledger(folder, clock):
    return Ledger(folder, clock=clock, wall=lambda: 1_790_000_000.0)


def signalled(ledger, entry):
    with ledger.held(entry.container_id):
        return ledger.sent(ledger.intend(entry))


# --- begin


def test_a_first_stop_opens_an_entry(ledger):
    entry, joined = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert not joined
    assert (entry.begun, entry.deadline, entry.signal) == (1000.0, 1060.0, "SIGTERM")
    assert (entry.intent, entry.signalled) == (None, None)
    assert ledger.read(ID) == entry


def test_a_second_joins_with_the_deadline_of_the_first(ledger, clock):
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    clock.now = 1020.0
    entry, joined = ledger.begin(CONTAINER, 30.0, "SIGUSR2")
    assert joined
    assert (entry.begun, entry.deadline, entry.signal) == (1000.0, 1060.0, "SIGTERM")


@pytest.mark.parametrize(("timeout", "deadline"), [(60.0, 1060.0), (59.0, 1060.0), (100.0, 1100.0)])
def test_a_longer_deadline_counts_from_the_same_start(ledger, clock, timeout, deadline):
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    clock.now = 1020.0
    entry, _ = ledger.begin(CONTAINER, timeout, "SIGTERM")
    assert entry.deadline == deadline
    assert ledger.read(ID) == entry


def test_a_deadline_that_passed_gives_way_and_the_signal_stays(ledger, clock):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    sent = signalled(ledger, entry)
    clock.now = 1060.0
    entry, joined = ledger.begin(CONTAINER, 30.0, "SIGTERM")
    assert joined
    assert (entry.begun, entry.deadline) == (1060.0, 1090.0)
    assert (entry.intent, entry.signalled) == (sent.intent, sent.signalled)


def test_a_deadline_that_passed_with_no_signal_is_a_new_stop(ledger, clock):
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    clock.now = 1060.0
    entry, joined = ledger.begin(CONTAINER, 30.0, "SIGTERM")
    assert not joined
    assert entry.deadline == 1090.0


def test_an_intent_alone_is_joined(ledger, clock):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    with ledger.held(ID):
        ledger.intend(entry)
    clock.now = 1061.0
    entry, joined = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert joined
    assert (entry.intent, entry.intent_wall, entry.signalled) == (1000.0, 1_790_000_000.0, None)


def test_another_life_has_had_no_signal(ledger):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    signalled(ledger, entry)
    entry, joined = ledger.begin(NEXT_LIFE, 60.0, "SIGTERM")
    assert not joined
    assert (entry.life, entry.signalled) == (NEXT_LIFE.life, None)


def test_containers_do_not_know_of_each_other(ledger):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    signalled(ledger, entry)
    other, joined = ledger.begin(replace(CONTAINER, id="ca5e" * 16), 60.0, "SIGTERM")
    assert not joined
    assert other.signalled is None


def test_who_was_kept_out_for_a_while_has_the_rest_of_a_budget(ledger):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM", since=990.0)
    assert (entry.begun, entry.deadline) == (990.0, 1050.0)


# --- the runs that wait


def test_a_run_that_died_before_its_signal_has_begun_nothing(folder, clock):
    _begin_elsewhere(folder, 600.0)
    clock.now = 1020.0
    entry, joined = Ledger(folder, clock=clock).begin(CONTAINER, 30.0, "SIGUSR2")
    assert not joined
    assert (entry.begun, entry.deadline, entry.signal) == (1020.0, 1050.0, "SIGUSR2")


def test_a_run_that_died_after_its_signal_is_joined(folder, clock):
    _begin_elsewhere(folder, 600.0, intends=True)
    clock.now = 1020.0
    ledger = Ledger(folder, clock=clock)
    entry, joined = ledger.begin(CONTAINER, 30.0, "SIGUSR2")
    assert joined
    assert (entry.begun, entry.deadline, entry.signal) == (1000.0, 1600.0, "SIGTERM")
    assert not ledger.on_its_way(entry)


def test_a_number_that_is_used_again_is_another_process(ledger, clock, monkeypatch):
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    real = processes.named
    monkeypatch.setattr(processes, "named", lambda pid: real(pid) + "9")
    clock.now = 1020.0
    _, joined = ledger.begin(CONTAINER, 30.0, "SIGTERM")
    assert not joined


def test_a_zombie_does_not_wait_for_anything(folder):
    process = PROCESSES.Process(target=_begin_says, args=(folder,))
    process.start()
    while "Z" not in _state(process.pid):  # not reaped: its number still stands in /proc
        time.sleep(0.01)
    _, joined = Ledger(folder).begin(CONTAINER, 60.0, "SIGTERM")
    process.join()
    assert not joined


def test_the_deadline_of_one_that_joined_outlives_the_first(folder, clock):
    """The first run dies; a third with a shorter budget must not cut short the second."""
    _begin_elsewhere(folder, 60.0, holds=True)
    with _running(_join, folder, 90.0, joins := PROCESSES.Event()):
        assert joins.wait(60)
        _end_those_elsewhere()
        clock.now = 1010.0
        entry, joined = Ledger(folder, clock=clock).begin(CONTAINER, 5.0, "SIGTERM")
    assert joined
    assert entry.deadline == 1090.0


def test_in_a_later_life_the_budget_is_new(ledger, clock):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    signalled(ledger, entry)
    clock.now = 1020.0
    entry, joined = ledger.begin(NEXT_LIFE, 60.0, "SIGUSR2")
    assert not joined
    assert (entry.begun, entry.deadline, entry.signal, entry.intent) == (1020.0, 1080.0, "SIGUSR2", None)


def test_in_a_later_life_it_ends_no_earlier_than_that_of_a_run_that_lives(ledger, folder, clock):
    _begin_elsewhere(folder, 600.0, holds=True)
    clock.now = 1020.0
    entry, joined = ledger.begin(NEXT_LIFE, 60.0, "SIGTERM")
    assert not joined
    assert (entry.begun, entry.deadline) == (1020.0, 1600.0)
    assert len(entry.owners.splitlines()) == 2


def test_in_a_later_life_nobody_minds_a_run_that_died(ledger, folder, clock):
    _begin_elsewhere(folder, 600.0)
    clock.now = 1020.0
    entry, _ = ledger.begin(NEXT_LIFE, 60.0, "SIGTERM")
    assert entry.deadline == 1080.0


def test_a_signal_in_doubt_may_reach_a_later_life(ledger, folder):
    """Engines signal containers, not lives."""
    old = _begin_elsewhere(folder, 60.0, intends=True)
    entry, joined = ledger.begin(NEXT_LIFE, 60.0, "SIGUSR2")
    assert not joined
    assert (entry.life, entry.signal, entry.signalled) == (NEXT_LIFE.life, "SIGTERM", None)
    assert (entry.intent, entry.intent_wall, entry.sender) == (old.intent, old.intent_wall, old.sender)


def test_a_stop_is_shared_while_another_run_lives(ledger, folder):
    alone = _begin_elsewhere(folder, 60.0, holds=True)
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert (ledger.shared(alone), ledger.shared(entry)) == (False, True)
    _end_those_elsewhere()
    assert not ledger.shared(entry)


def test_a_signal_is_on_its_way_while_its_sender_lives(ledger, folder):
    entry = _begin_elsewhere(folder, 60.0, intends=True, holds=True)
    assert ledger.on_its_way(entry)
    _end_those_elsewhere()
    assert not ledger.on_its_way(entry)


def test_our_own_signal_is_asked_of_the_engine(ledger):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert not ledger.on_its_way(entry)
    assert not ledger.on_its_way(signalled(ledger, entry))


# --- forget


def test_what_has_ended_is_forgotten_with_its_lock(ledger, folder):
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    ledger.forget(ID, CONTAINER.life)
    assert ledger.read(ID) is None
    assert os.listdir(folder) == []


def test_the_entry_of_a_later_life_stays(ledger):
    entry, _ = ledger.begin(NEXT_LIFE, 60.0, "SIGTERM")
    ledger.forget(ID, CONTAINER.life)
    assert ledger.read(ID) == entry


def test_nothing_to_forget(ledger):
    ledger.forget(ID, CONTAINER.life)
    assert ledger.read(ID) is None


def test_a_sweep_drops_what_is_gone_and_nothing_else(ledger, folder):
    gone = replace(CONTAINER, id="ca5e" * 16)
    for container in (CONTAINER, gone):
        ledger.begin(container, 60.0, "SIGTERM")
    ledger.sweep(lambda container_id: container_id == ID)
    assert sorted(os.listdir(folder)) == [f"{ID}.json", f"{ID}.lock"]


def test_a_sweep_drops_what_cannot_be_read(ledger, folder):
    os.makedirs(folder)
    with open(os.path.join(folder, f"{ID}.json"), "w") as stream:
        stream.write("{")
    ledger.sweep(lambda container_id: False)
    assert os.listdir(folder) == []


def test_a_sweep_leaves_alone_what_is_in_use_and_what_is_not_its_own(ledger, folder):
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    with open(os.path.join(folder, "README"), "w") as stream:
        stream.write("not of a container")
    with ledger.held(ID):
        ledger.sweep(lambda container_id: False)
    assert ledger.read(ID) is not None
    ledger.sweep(lambda container_id: False)
    assert os.listdir(folder) == ["README"]


def test_a_sweep_drops_what_a_writer_that_died_has_left(ledger, folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(ledger_module.files.os, "replace", _die)
        with pytest.raises(KeyboardInterrupt):
            ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert f"{ID}.json.new" in os.listdir(folder)
    ledger.sweep(lambda container_id: False)
    assert os.listdir(folder) == []


def test_and_where_its_lock_is_gone(ledger, folder):
    os.makedirs(folder)
    with open(os.path.join(folder, f"{ID}.json.new"), "w", encoding="utf-8"):
        pass
    ledger.sweep(lambda container_id: False)
    assert os.listdir(folder) == []


def _die(*_):
    raise KeyboardInterrupt


def test_a_sweep_of_nothing(ledger):
    ledger.sweep(lambda container_id: False)


# --- files that cannot be used


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"d1ce"', '{"container_id": "d1ce"}', '{"more": 1}', "\udcff"],
    ids=["empty", "cut short", "a list", "null", "a word", "too little", "too much", "no text"],
)
def test_a_corrupt_record_is_told_and_nothing_is_guessed(ledger, folder, text):
    os.makedirs(folder)
    path = os.path.join(folder, f"{ID}.json")
    with open(path, "wb") as stream:
        stream.write(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(LedgerError) as caught:
        ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert path in str(caught.value)
    assert "remove the file" in str(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"run with the rights of root \(become: true\)"):
        Ledger(str(tmp_path / "file" / "run")).begin(CONTAINER, 60.0, "SIGTERM")


@pytest.mark.skipif(os.geteuid() != 0, reason="shows what an ordinary user sees, as root")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_that_may_not_be_written(tmp_path, mode):
    folder = tmp_path / "run"
    folder.mkdir()
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)
    folder.chmod(mode)
    assert _as_nobody(_begin_says, str(folder)).startswith(
        f"The record of signals under {folder} cannot be kept (Permission denied), so a second signal could not"
    )


def test_a_folder_that_others_can_write_to(ledger, folder):
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    with pytest.raises(LedgerError, match=f"others can write to {folder}, so it has to be removed"):
        ledger.begin(CONTAINER, 60.0, "SIGTERM")


def test_what_is_kept_is_for_root_only(ledger, folder):
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert {os.stat(os.path.join(folder, name)).st_mode & 0o777 for name in os.listdir(folder)} == {0o600}


def test_a_write_that_fails_leaves_the_old_entry(ledger, folder, monkeypatch):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_module.files.os, "replace", full)
    with pytest.raises(LedgerError, match="No space left on device"):
        ledger.write(replace(entry, signalled=1.0))
    monkeypatch.undo()
    assert ledger.read(ID) == entry


# --- between processes


def test_the_lock_keeps_others_out_until_it_is_freed(folder):
    holds, lets_go = PROCESSES.Event(), PROCESSES.Event()
    with _running(_hold, folder, holds, lets_go) as process:
        assert holds.wait(60)
        for use in (
            lambda ledger: ledger.held(ID).__enter__(),
            lambda ledger: ledger.begin(CONTAINER, 60.0, "SIGTERM"),
            lambda ledger: ledger.forget(ID, CONTAINER.life),
        ):
            with pytest.raises(LedgerBusy, match=r"find it \(fuser .*\.lock\) and end it"):
                use(Ledger(folder))
        lets_go.set()
        process.join(60)
        with Ledger(folder).held(ID):
            pass


@pytest.mark.usefixtures("nobody_waits")
def test_a_lock_that_is_held_costs_no_time(folder):
    with Ledger(folder).held(ID):
        with pytest.raises(LedgerBusy):
            Ledger(folder).begin(CONTAINER, 60.0, "SIGTERM")


def test_what_is_held_can_be_read(ledger):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    with ledger.held(ID):
        assert ledger.read(ID) == entry


def test_a_process_that_is_killed_frees_the_lock(folder):
    holds = PROCESSES.Event()
    with _running(_hold, folder, holds, PROCESSES.Event()) as process:
        assert holds.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        _, joined = Ledger(folder).begin(CONTAINER, 60.0, "SIGTERM")
        assert not joined


def _run_side_by_side(processes, seconds):
    for process in processes:
        process.start()
    for process in processes:
        process.join(seconds)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_of_many_processes_one_signals(folder):
    sent = PROCESSES.Queue()
    processes = [PROCESSES.Process(target=_signal_once, args=(folder, sent)) for _ in range(8)]
    _run_side_by_side(processes, 30)
    assert sorted(sent.get(timeout=60) for _ in processes) == [False] * 7 + [True]


def test_the_lock_is_one_also_while_it_is_forgotten(folder):
    """Whoever opened a lock that was then removed must not hold it beside the holder of the new one."""
    counter = os.path.join(os.path.dirname(folder), "inside")
    processes = [PROCESSES.Process(target=_begin_and_forget, args=(folder, counter)) for _ in range(4)]
    _run_side_by_side(processes, 60)
    assert not os.path.exists(counter)


def test_a_reader_sees_an_entry_whole(folder):
    ledger = Ledger(folder)
    ledger.begin(CONTAINER, 60.0, "SIGTERM")
    with _running(_write_on, folder):
        for _ in range(500):
            entry = ledger.read(ID)
            assert entry is not None
            assert entry.life == CONTAINER.life


def test_the_boot_clock_is_the_same_for_all():
    told = PROCESSES.Queue()
    before = boot_clock()
    with _running(_tell_clock, told):
        between = told.get(timeout=60)
    assert before <= between <= boot_clock()


def test_an_entry_is_plain_json(ledger, folder):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    with open(os.path.join(folder, f"{ID}.json"), encoding="utf-8") as stream:
        assert Entry(**json.load(stream)) == entry


class _running:
    """A process beside the test, killed at its end."""

    def __init__(self, target, *args):
        self._process = PROCESSES.Process(target=target, args=args, daemon=True)

    def __enter__(self):
        self._process.start()
        return self._process

    def __exit__(self, *exc):
        self._process.kill()
        self._process.join(60)


_ELSEWHERE = []


@pytest.fixture(autouse=True)
def _nobody_stays_behind():
    yield
    _end_those_elsewhere()


def _begin_elsewhere(folder, timeout, intends=False, holds=False):
    """A stop begun at 1000 s by another process, which is dead afterwards unless it ``holds`` on."""
    began = PROCESSES.Event()
    process = PROCESSES.Process(target=_begin_and_wait, args=(folder, timeout, intends, began), daemon=True)
    process.start()
    _ELSEWHERE.append(process)
    assert began.wait(60)
    if not holds:
        _end_those_elsewhere()
    return Ledger(folder).read(ID)


def _end_those_elsewhere():
    while _ELSEWHERE:
        process = _ELSEWHERE.pop()
        process.kill()
        process.join(60)


def _begin_and_wait(folder, timeout, intends, began):
    ledger = Ledger(folder, clock=Clock())
    entry, _ = ledger.begin(CONTAINER, timeout, "SIGTERM")
    if intends:
        with ledger.held(ID):
            ledger.intend(entry)
    began.set()
    time.sleep(600)


def _join(folder, timeout, joins):
    Ledger(folder, clock=Clock(1005.0)).begin(CONTAINER, timeout, "SIGTERM")
    joins.set()
    time.sleep(600)


def _state(pid):
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0]


def _hold(folder, holds, lets_go):
    with Ledger(folder).held(ID):
        holds.set()
        lets_go.wait(600)


def _patiently(act):
    """As the loop does it: busy now, the next look tries again."""
    while True:
        with contextlib.suppress(LedgerBusy):
            return act()
        time.sleep(0.001)


def _signal_once(folder, sent):
    ledger = Ledger(folder)
    _patiently(lambda: ledger.begin(CONTAINER, 60.0, "SIGTERM"))
    _patiently(lambda: _look_and_signal(ledger, sent))


def _look_and_signal(ledger, sent):
    """As the loop does it: both under one lock."""
    with ledger.held(ID):
        entry = ledger.read(ID)
        if entry.intent is not None:
            sent.put(False)
            return
        entry = ledger.intend(entry)
        time.sleep(0.02)
        ledger.sent(entry)
        sent.put(True)


def _begin_and_forget(folder, counter):
    ledger = Ledger(folder)

    def be_inside():
        with ledger.held(ID):
            os.close(os.open(counter, os.O_CREAT | os.O_EXCL))  # fails if another is inside
            os.unlink(counter)

    for _ in range(100):
        _patiently(lambda: ledger.begin(CONTAINER, 60.0, "SIGTERM"))
        _patiently(be_inside)
        _patiently(lambda: ledger.forget(ID, CONTAINER.life))


def _write_on(folder):
    ledger = Ledger(folder)
    entry = ledger.read(ID)
    while True:
        ledger.write(replace(entry, name="x" * (int(time.monotonic() * 1e4) % 5000)))


def _tell_clock(told):
    told.put(boot_clock())


def _begin_says(folder):
    try:
        Ledger(folder).begin(CONTAINER, 60.0, "SIGTERM")
    except LedgerError as exc:
        return str(exc)
    return "no error"


def _as_nobody(act, *args):
    said = PROCESSES.Queue()

    def child():
        os.setgid(65534)
        os.setuid(65534)
        said.put(act(*args))

    with _running(child):
        return said.get(timeout=60)


def test_keys_of_another_version_are_ignored(ledger, folder):
    entry, _ = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    path = os.path.join(folder, f"{ID}.json")
    with open(path, encoding="utf-8") as stream:
        known = json.load(stream)
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({**known, "frozen": 12.5, "freezer": "4711 1", "to come": [1]}, stream)

    assert ledger.read(ID) == entry
    again, joined = ledger.begin(CONTAINER, 60.0, "SIGTERM")
    assert (again, joined) == (entry, True)

"""Processes that are asked what they work on: real ones, that print a report into a file when they are signalled."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from kolla_drain.drain.baseline import NO_BASELINE
from kolla_drain.errors import EngineError, EvidenceUnavailable, LedgerBusy, LedgerError
from kolla_drain.evidence import inside
from kolla_drain.evidence.inside import Inside
from kolla_drain.evidence.threads import reports
from kolla_drain.evidence.weighing import Scale
from kolla_drain.host.ledger import boot_clock
from kolla_drain.model import EvidenceState, Heartbeat, Operation, Outcome, Profile, Reading

from .test_threads import IDLE, METHOD, report

SERVICE = "nova-conductor"
ROW = Operation("volume_create", "v", "creating", unattributed="no row tells which process works on it")
BEAT = Heartbeat(SERVICE, "ctl", 1.0, 1, True, False)
ROWS = Reading(EvidenceState.OK, heartbeats=(BEAT,), operations=(ROW,), at="2026-11-30T00:00:00Z")

PROGRAM = """
import os, signal, sys, time
log, said = sys.argv[1:3]
def answer(*_):
    with open(said) as text, open(log, "a") as to:
        to.write(text.read().replace("PID", str(os.getpid())))
if "silent" in sys.argv:
    signal.signal(signal.SIGUSR2, lambda *_: None)
elif "deaf" not in sys.argv:
    signal.signal(signal.SIGUSR2, answer)
print("up", flush=True)
# Short, because Python misses a signal that comes right before it falls asleep, until it wakes up.
while True:
    time.sleep(0.05)
"""


class Processes:
    """Some processes of one container."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, []
        self.program = folder / SERVICE
        self.program.write_text(PROGRAM)
        self.log = folder / "log"
        self.log.write_text("")

    def start(self, *how: str, says: list[list[str]] = (), program: Path | None = None) -> subprocess.Popen:
        said = self.folder / f"said-{len(self.running)}"
        said.write_text("")
        command = [sys.executable, str(program or self.program), str(self.log), str(said), *how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "up\n"
        self.running.append(process)
        self.say(process, *says)
        return process

    def say(self, process: subprocess.Popen, *threads: list[str]) -> None:
        text = "\n".join(report(*threads)) + "\n"
        (self.folder / f"said-{self.running.index(process)}").write_text(
            text.replace("Process 7 ", "Process PID ")
        )

    def reports(self) -> int:
        return self.log.read_text().count("Guru Meditation")


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    made = Processes(tmp_path)
    monkeypatch.setattr(inside, "in_container", lambda _: [str(one.pid) for one in made.running])
    monkeypatch.setattr(inside, "EVERY", 0.0)
    monkeypatch.setattr(inside, "AT_LAST", 0.0)
    yield made
    for process in made.running:
        process.kill()
        process.wait()
        process.stdout.close()


WITHOUT_ROWS = Profile(SERVICE, rows_tell=False, reports=True)
WITH_ROWS = Profile(SERVICE, reports=True)


def asking(
    processes: Processes,
    why_not: Callable[[], str] = lambda: "",
    log: Callable[[int], list[str]] | None = None,
    profile: Profile = WITHOUT_ROWS,
    **more: object,
) -> Inside:
    log = log or (lambda _: processes.log.read_text().splitlines())
    more = {"within": 120.0, "clock": boot_clock, **more}
    return Inside("c0ffee", SERVICE, Scale(profile, NO_BASELINE), log, why_not, **more)


def test_each_process_tells_what_it_works_on(processes: Processes) -> None:
    first, second = processes.start(says=[METHOD, METHOD]), processes.start(says=[IDLE, METHOD])

    reading = asking(processes).complete(ROWS)

    told = [(op.kind, op.id) for op in reading.operations[1:]]
    assert told == [
        ("build_instances", f"{first.pid}/1"),
        ("build_instances", f"{first.pid}/2"),
        ("build_instances", f"{second.pid}/1"),
    ]
    assert reading.operations[0] == ROW, "the rows' own stay"
    assert (reading.why, reading.heartbeats, reading.at) == ("", (BEAT,), ROWS.at)


def test_what_is_not_told_of_any_more_is_done(processes: Processes) -> None:
    process = processes.start(says=[METHOD])
    asked = asking(processes)
    _, operation = asked.complete(ROWS).operations
    assert asked.has(operation)
    assert not asked.has(ROW)
    assert asked.endings([operation, ROW]) == (), "it is under way, and the other one is a row"
    asked.complete(ROWS)
    assert asked.complete(ROWS).operations[1].since == operation.since, "it is the same one"

    processes.say(process, IDLE)
    assert asked.complete(ROWS).operations == (ROW,)

    (ending,) = asked.endings([operation])
    assert (ending.outcome, ending.status) == (Outcome.FINISHED, "done")


def test_what_an_earlier_run_has_seen_ends_for_the_one_that_joins_it(processes: Processes) -> None:
    process = processes.start(says=[METHOD])
    _, operation = asking(processes).complete(ROWS).operations
    later = asking(processes)
    assert later.has(operation)
    assert later.complete(ROWS).operations[1].key == operation.key
    assert later.endings([operation]) == ()

    processes.say(process, IDLE)
    third = asking(processes)
    third.complete(ROWS)
    assert [ending.status for ending in third.endings([operation])] == ["done"]
    process.kill()
    process.wait()
    third.complete(ROWS)
    assert [ending.outcome for ending in third.endings([operation])] == [Outcome.UNKNOWN]


def test_what_ended_with_its_process_is_unknown(processes: Processes) -> None:
    process = processes.start(says=[METHOD])
    asked = asking(processes)
    _, operation = asked.complete(ROWS).operations
    process.kill()
    process.wait()

    asked.complete(ROWS)

    (ending,) = asked.endings([operation])
    assert ending.outcome is Outcome.UNKNOWN
    assert "no row tells what became of it" in ending.fate


def test_what_ends_with_its_process_in_the_middle_of_a_look_is_unknown(processes: Processes) -> None:
    first, second = processes.start(says=[METHOD]), processes.start(says=[METHOD])
    asks = []

    def kill_the_second() -> str:
        asks.append(1)
        if len(asks) == ask_of_the_second and second.poll() is None:
            second.kill()
            second.wait()
        return ""

    ask_of_the_second = 0
    asked = asking(processes, kill_the_second)
    operations = asked.complete(ROWS).operations[1:]
    assert [op.id for op in operations] == [f"{first.pid}/1", f"{second.pid}/1"]
    ask_of_the_second = len(asks) + 3  # before the look, before the first, before the second

    reading = asked.complete(ROWS)

    assert reading.operations == (ROW, operations[0])
    (ending,) = asked.endings(operations)
    assert (ending.operation, ending.outcome) == (operations[1], Outcome.UNKNOWN)


def test_what_was_seen_is_not_forgotten_where_nobody_answers(processes: Processes) -> None:
    process = processes.start(says=[METHOD])
    broken = []

    def log(_: int) -> list[str]:
        if broken:
            raise EngineError("it does not answer")
        return processes.log.read_text().splitlines()

    asked = asking(processes, log=log)
    _, operation = asked.complete(ROWS).operations
    broken.append(True)
    for _ in range(inside.TRIES + 1):  # it is not given up, for it has answered before
        with pytest.raises(EvidenceUnavailable, match="it does not answer"):
            asked.complete(ROWS)
    assert asked.endings([operation]) == ()

    broken.clear()
    processes.say(process, IDLE)
    assert asked.complete(ROWS).operations == (ROW,)
    assert [ending.status for ending in asked.endings([operation])] == ["done"]


def test_one_of_several_that_does_not_handle_it_may_work_on_anything(processes: Processes) -> None:
    processes.start(says=[IDLE])
    deaf = processes.start("deaf")
    asked = asking(processes)

    with pytest.raises(EvidenceUnavailable, match=f"process {deaf.pid} does not handle SIGUSR2"):
        asked.complete(ROWS)
    assert "does not handle SIGUSR2" in asked.complete(ROWS).why
    assert deaf.poll() is None


def test_a_signal_that_comes_in_the_middle_of_a_look_spoils_it(processes: Processes) -> None:
    processes.start(says=[METHOD])
    said = iter(["", "", "it has had its stop signal"])
    asked = asking(processes, lambda: next(said))

    with pytest.raises(EvidenceUnavailable, match="it has had its stop signal"):
        asked.complete(ROWS)


def test_nobody_is_signalled_who_does_not_handle_it(processes: Processes) -> None:
    deaf = processes.start("deaf")

    reading = asking(processes).complete(ROWS)

    assert reading.operations == (ROW,)
    assert "no process of it in the container handles SIGUSR2" in reading.why
    assert deaf.poll() is None


def test_other_programs_are_left_alone(processes: Processes, tmp_path: Path) -> None:
    other = tmp_path / "sh"
    other.write_text(PROGRAM)
    processes.start(says=[METHOD], program=other)
    processes.start(says=[IDLE])

    assert asking(processes).complete(ROWS).operations == (ROW,)
    assert processes.reports() == 1


def test_nobody_is_asked_after_the_stop_signal(processes: Processes) -> None:
    processes.start(says=[METHOD])
    signalled = []
    asked = asking(processes, lambda: "it has had its stop signal" if signalled else "")
    _, operation = asked.complete(ROWS).operations
    signalled.append(True)

    reading = asked.complete(ROWS)

    assert reading.operations == (ROW, operation), "what was seen before is not gone"
    assert reading.why == "what nova-conductor works on could not be seen: it has had its stop signal"
    assert processes.reports() == 1
    assert asked.endings([operation]) == (), "nobody knows yet"


def test_a_process_that_does_not_answer_is_waited_for_twice(processes: Processes) -> None:
    processes.start("silent")
    asked = asking(processes, within=0.3)

    with pytest.raises(EvidenceUnavailable, match="printed no report") as raised:
        asked.complete(ROWS)
    assert raised.value.passing
    begun = asked.complete(ROWS)
    assert "printed no report within 0.3 s" in begun.why

    processes.start(says=[METHOD])
    assert asked.complete(ROWS).operations == (ROW,), "it was given up"


@pytest.mark.parametrize(
    "error", [EngineError("no logs with the driver none"), LedgerError("the disk is full")]
)
def test_what_cannot_be_asked_is_told(processes: Processes, error: Exception) -> None:
    processes.start(says=[METHOD])

    def fail(*_: object) -> list[str]:
        raise error

    where = "why_not" if isinstance(error, LedgerError) else "log"
    asked = asking(processes, **{where: fail})

    with pytest.raises(EvidenceUnavailable, match=str(error)):
        asked.complete(ROWS)
    assert str(error) in asked.complete(ROWS).why


def test_a_process_is_not_asked_again_at_once(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "EVERY", 7.0)
    slept = []
    processes.start(says=[IDLE])
    asked = asking(processes)
    monkeypatch.setattr(inside.time, "sleep", slept.append)
    asked.complete(ROWS)
    del slept[:]

    asked.complete(ROWS)

    assert 6 < slept[0] <= 7, slept


def test_a_number_that_is_another_process_now_gets_no_signal(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes.start(says=[METHOD])
    names = itertools.chain(["1 2", "1 2"], itertools.repeat("1 3"))
    monkeypatch.setattr(inside, "named", lambda _: next(names))
    sent = []
    monkeypatch.setattr(inside, "os", SimpleNamespace(path=os.path, kill=lambda *given: sent.append(given)))

    assert asking(processes).complete(ROWS).operations == (ROW,)
    assert sent == []


# --- a service whose rows tell of its work

OWN = Reading(EvidenceState.OK, operations=(Operation("volume_create", "v", "creating"),), at=ROWS.at)
NONE = Reading(EvidenceState.OK, at=ROWS.at)


class Clock:
    """Seconds since the boot, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nobody_is_asked_while_rows_show_its_work(processes: Processes) -> None:
    processes.start(says=[METHOD])
    asked = asking(processes, profile=WITH_ROWS)

    assert asked.complete(OWN) is OWN
    assert processes.reports() == 0

    assert [op.kind for op in asked.complete(NONE).operations] == ["build_instances"]


def test_where_nobody_answers_the_rows_have_to_do(processes: Processes) -> None:
    process = processes.start(says=[METHOD])
    asked = asking(processes, profile=WITH_ROWS)
    (operation,) = asked.complete(NONE).operations
    processes.log.unlink()

    def fail(_: int) -> list[str]:
        raise EngineError("it does not answer")

    asked._log = fail
    reading = asked.complete(NONE)

    assert (reading.state, reading.why) == (EvidenceState.OK, "")
    assert reading.operations == (operation,), "what was seen before is not gone"
    process.kill()
    process.wait()
    assert asked.complete(NONE) == NONE


@pytest.mark.parametrize("unreadable", [1, 2])
def test_a_process_that_cannot_be_read_for_a_moment_is_not_idle(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, unreadable: int
) -> None:
    """It is read twice in a look: among the container's processes, and before its signal."""
    processes.start(says=[METHOD])
    asked = asking(processes, profile=WITH_ROWS)
    (operation,) = asked.complete(NONE).operations
    reads, read_one = [], inside.read_one

    def sometimes(pid: int) -> object:
        reads.append(pid)
        return None if len(reads) == unreadable else read_one(pid)

    monkeypatch.setattr(inside, "read_one", sometimes)
    assert asked.complete(NONE).operations == (operation,)
    assert asked.endings([operation]) == ()
    assert asked.complete(NONE).operations == (operation,)


def test_an_idle_look_lasts_for_a_moment(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "EVERY", 2.0)
    monkeypatch.setattr(inside, "AT_LAST", 30.0)
    clock = Clock()
    process = processes.start(says=[IDLE])
    asked = asking(processes, profile=WITH_ROWS, clock=clock)
    asked.complete(NONE)
    processes.say(process, METHOD)
    clock.now += 1.9
    assert asked.complete(NONE) == NONE, "rows would show what has come since"
    assert processes.reports() == 1
    clock.now += 0.2
    monkeypatch.setattr(inside.time, "sleep", lambda _: None)
    assert len(asked.complete(NONE).operations) == 1


def test_one_that_works_for_long_is_asked_ever_more_rarely(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "AT_LAST", 30.0)
    clock = Clock()
    processes.start(says=[METHOD])
    asked = asking(processes, clock=clock)
    looks = []
    for _ in range(300):
        before = processes.reports()
        assert len(asked.complete(NONE).operations) == 1
        if processes.reports() > before:
            looks.append(clock.now - 1000.0)
        clock.now += 2.0
    gaps = [later - earlier for earlier, later in zip(looks, looks[1:])]
    assert gaps[:3] == [2.0, 2.0, 2.0]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 30.0


def test_requests_that_come_and_go_are_not_waited_for_without_end(processes: Processes) -> None:
    clock = Clock()
    process = processes.start(says=[METHOD])
    asked = asking(processes, profile=WITH_ROWS, clock=clock)
    for number in range(15):
        processes.say(process, [*METHOD[:-1], f"{METHOD[-1]}_{number}"])
        assert len(asked.complete(NONE).working) == 1
        clock.now += 2.0
    processes.say(process, [*METHOD[:-1], f"{METHOD[-1]}_last"])

    reading = asked.complete(NONE)

    assert reading.working == ()
    assert (
        reading.passed_over[0].passed_over
        == "its process has had requests for 30 s, and none of them is long"
    )


def test_a_request_that_is_long_is_waited_for(processes: Processes) -> None:
    clock = Clock()
    processes.start(says=[METHOD])
    asked = asking(processes, profile=WITH_ROWS, clock=clock)
    for _ in range(40):
        assert len(asked.complete(NONE).working) == 1
        clock.now += 2.0


def test_others_are_kept_away_during_a_look(processes: Processes) -> None:
    @contextmanager
    def alone() -> Iterator[None]:
        raise LedgerBusy("another run asks them")
        yield

    processes.start(says=[METHOD])
    asked = asking(processes, alone=alone)

    with pytest.raises(EvidenceUnavailable, match="another run asks them"):
        asked.complete(NONE)
    assert processes.reports() == 0


# --- reports in files


def test_reports_are_found_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "var/log"
    folder.mkdir(parents=True)
    (folder / "nova-compute_gurumeditation_20261130120000").write_text("\n".join(report(METHOD, pid=7)))
    (folder / "nova-compute_gurumeditation_20261130115900").write_text("\n".join(report(METHOD, pid=8)))
    os.utime(folder / "nova-compute_gurumeditation_20261130115900", (1000, 1000))
    (folder / "nova-compute.log").write_text("\n".join(report(METHOD, pid=9)))
    os.mkfifo(folder / "pipe")

    found = list(reports(inside.in_folder(str(tmp_path), "/var/log", 1001)))

    assert [one.pid for one in found] == [7]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        EvidenceUnavailable, match=r"/var/log, to which \[oslo_reports\]/log_dir sends the reports"
    ):
        list(inside.in_folder(str(tmp_path), "/var/log", 0))

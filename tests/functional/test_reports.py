"""What the processes of a container work on, told by their reports in the container's log, on a real engine."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable

import pytest

from kolla_drain.drain.baseline import NO_BASELINE
from kolla_drain.engine.port import Engine
from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence.inside import Inside, in_folder
from kolla_drain.evidence.weighing import Scale
from kolla_drain.host.ledger import boot_clock
from kolla_drain.model import EvidenceState, Profile, Reading
from tests.support.workloads import PATIENCE, Workload, Workloads

SERVICE = "nova-conductor"
EMPTY = Reading(EvidenceState.OK)

# A parent and two workers that print a report of 40 KB, as oslo.reports has it, and all the time lines of a log.
PROGRAM = '''
import os, signal, sys, threading, time

TITLE = "=" * 72 + "\\n===={:^64}====\\n" + "=" * 72 + "\\n"
BUSY = """/opt/lib/oslo_messaging/rpc/server.py:174 in _process_incoming
    `res = self.dispatcher.dispatch(message)`

/opt/lib/oslo_messaging/rpc/dispatcher.py:229 in _do_dispatch
    `result = func(ctxt, **new_args)`

/opt/lib/nova/conductor/manager.py:1500 in build_instances
    `time.sleep(1)`
"""

def report(*_):
    busy = number and os.path.exists("/record/busy")
    thread = "------{:^60}------\\n\\n".format(" Thread #1401 ") + (BUSY if busy else "No Traceback!\\n") + "\\n"
    text = TITLE.format("Guru Meditation") + TITLE.format("Threads") + thread + TITLE.format("Processes")
    text += f"Process {os.getpid()} (under {os.getppid()}) [ run by: root (0), state: running ]\\n"
    text += TITLE.format("Configuration") + "  option = *** *** *** ***\\n" * 1500
    if os.path.isdir("/record/reports"):
        name = time.strftime("nova-conductor_gurumeditation_%Y%m%d%H%M%S", time.gmtime())
        with open(f"/record/reports/{name}", "w") as to:
            to.write(text)
    else:
        print(text, file=sys.stderr)

def write():
    while True:
        print(f"2026-11-30 12:00:00.000 {os.getpid()} INFO nova.x [-] x.py:5 in flight", flush=True)
        time.sleep(0.01)

number = 0
signal.signal(signal.SIGUSR2, report)
for worker in (1, 2):
    if os.fork() == 0:
        number = worker
        break
threading.Thread(target=write, daemon=True).start()
open(f"/record/up-{number}", "w").close()
# Short, because Python misses a signal that comes right before it falls asleep, until it wakes up.
while True:
    time.sleep(0.05)
'''


@pytest.fixture
def conductor(workloads: Workloads) -> Callable[..., Workload]:
    def start(**options: object) -> Workload:
        command = ("python3", f"/record/{SERVICE}")
        workload = workloads.create(command=command, **options)
        (workload.folder / SERVICE).write_text(textwrap.dedent(PROGRAM))
        workload.raw.start()
        deadline = time.monotonic() + PATIENCE
        while not all((workload.folder / f"up-{number}").exists() for number in range(3)):
            assert time.monotonic() < deadline, workload.report()
            time.sleep(0.05)
        return workload

    return start


def asking(driver: Engine, workload: Workload, log: Callable[[int], Iterable[str]] | None = None) -> Inside:
    scale = Scale(Profile(SERVICE, rows_tell=False, reports=True), NO_BASELINE)
    return Inside(
        workload.id,
        SERVICE,
        scale,
        log or (lambda since: driver.log(workload.id, since)),
        lambda: "",
        boot_clock,
        within=PATIENCE,
    )


def until_idle(asked: Inside) -> None:
    """Look until nothing is worked on: a look at somebody at work is good for a while."""
    deadline = time.monotonic() + PATIENCE
    while (reading := asked.complete(EMPTY)).operations:
        assert time.monotonic() < deadline, reading
        time.sleep(0.1)


@pytest.mark.parametrize("options", [{}, {"tty": True}], ids=["streams", "a terminal"])
def test_a_parent_and_its_workers_tell_what_they_work_on(
    driver: Engine, conductor: Callable[..., Workload], options: dict[str, object]
) -> None:
    workload = conductor(**options)
    asked = asking(driver, workload)
    assert asked.complete(EMPTY) == EMPTY, "they are idle"

    (workload.folder / "busy").touch()
    operations = asked.complete(EMPTY).operations
    assert [op.kind for op in operations] == ["build_instances"] * 2, (
        "of each worker, and not of their parent"
    )
    assert asked.endings(operations) == ()

    (workload.folder / "busy").unlink()
    until_idle(asked)
    assert [ending.status for ending in asked.endings(operations)] == ["done"] * 2
    assert workload.status == "running", "nobody was ended by it"


def test_reports_may_be_in_files(driver: Engine, conductor: Callable[..., Workload]) -> None:
    workload = conductor()
    (workload.folder / "reports").mkdir()
    (workload.folder / "busy").touch()
    container = driver.inspect(workload.id)
    assert container is not None
    asked = asking(
        driver, workload, lambda since: in_folder(f"/proc/{container.pid}/root", "/record/reports", since)
    )

    assert [op.kind for op in asked.complete(EMPTY).operations] == ["build_instances"] * 2
    (workload.folder / "busy").unlink()
    until_idle(asked)


def test_what_ends_with_its_container_is_unknown(driver: Engine, conductor: Callable[..., Workload]) -> None:
    workload = conductor()
    (workload.folder / "busy").touch()
    asked = asking(driver, workload)
    operations = asked.complete(EMPTY).operations
    workload.raw.kill("SIGKILL")
    workload.wait_status("exited")

    asked.complete(EMPTY)

    assert [ending.outcome.value for ending in asked.endings(operations)] == ["unknown"] * 2


def test_a_container_without_a_log_is_told_of(driver: Engine, conductor: Callable[..., Workload]) -> None:
    workload = conductor(log_config={"Type": "none"})
    asked = asking(driver, workload)

    with pytest.raises(EvidenceUnavailable, match="log cannot be read"):
        asked.complete(EMPTY)
    reading = asked.complete(EMPTY)
    assert "log cannot be read" in reading.why
    assert reading.operations == ()

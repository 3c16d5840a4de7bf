"""What each way to stop a service loses of a stream of requests.

.venv/bin/python -m benchmarks compare --stops 40
.venv/bin/python -m benchmarks compare --stops 40 --continue     # after an interruption
.venv/bin/python -m benchmarks compare --page                    # only make the page anew
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, ROOT, pages, subjects, ways_page
from benchmarks.subjects import Subject
from benchmarks.ways import WAYS
from testbed import traffic
from testbed.errors import TestbedError
from testbed.lanes import Lane
from testbed.locks import locked
from testbed.recorder import Recorder
from testbed.stack import Stack
from testbed.traffic import Lost, Request, Traffic
from testbed.waiting import wait_until

SERVICES = ("cinder-volume", "cinder-backup", "cinder-scheduler")
MODES = ("eventlet", "threads")
OPERATION = 0.3  # seconds that every operation takes
GAP = (1.0, 3.0)  # seconds between two stops, at random
# A request that met a stop and has not ended so many seconds after the service came back is lost.
PATIENCE = {"cinder-volume": 20.0, "cinder-backup": 45.0, "cinder-scheduler": 20.0}
BETWEEN = 8.0  # seconds; an operation that does not end in this time is stuck
KINDS = {
    # No retype: it migrates, and looks after 1, 5, 14 and 30 s whether the new volume is there. Nothing short.
    "cinder-volume": {**traffic.VOLUME_KINDS, **traffic.ATTACH_KINDS},
    "cinder-backup": {"volume_create": 2, "volume_delete": 1, **traffic.BACKUP_KINDS},
    "cinder-scheduler": {
        "volume_create": 6, "volume_clone": 2, "volume_delete": 7, "volume_extend": 4,
    },
}  # fmt: skip
WARM = 5  # requests that are done before the first stop
# Kolla configures no graceful_shutdown_timeout, so this default of oslo.service holds.
SERVICE_TIMEOUT = 60
TRIES = 3  # of a round that breaks


@functools.cache  # what was begun counts, whatever is committed meanwhile
def commit() -> str:
    """Return the commit of the tree, with a plus where files differ from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--abbrev=10", "--dirty=+"],
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    return told.stdout.strip()


@dataclass(frozen=True)
class Cell:
    """One way to stop one service."""

    service: str
    mode: str
    way: str


@dataclass
class Stop:
    """One stop and start. Times are seconds since the epoch, and the engine's own where it has an event."""

    begun: float
    signalled: float = 0.0
    exited: float = 0.0
    started: float = 0.0
    served: float = 0.0
    killed: bool = False
    verdict: str = ""
    met: int = (
        0  # requests in flight at the signal, or sent between the signal and the first heartbeat afterwards
    )
    lost: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, Any]:
        """Return what is kept: durations in seconds, and counts."""
        return {
            "waited": round(self.signalled - self.begun, 2),
            "exit": round(self.exited - self.signalled, 2),
            "away": round(self.started - self.signalled, 2),
            "killed": self.killed,
            "verdict": self.verdict,
            "met": self.met,
            "lost": dict(sorted(self.lost.items())),
        }


# -- one round: a stream of its own, and some stops in it


def measure(subject: Subject, cell: Cell, stops: int, seed: int, rate: float) -> dict[str, Any]:
    """Stop the service so many times under one stream of requests, and return what came of it.

    A stop that breaks ends the round; those before it count, and ``failed`` says why it broke.
    """
    dice = random.Random(seed)
    stream = Traffic(subject.stack, subject.lane.backends, seed=seed, rate=rate, kinds=KINDS[cell.service])
    recorder = Recorder(subject.stack.client, lambda event: event.name == subject.container_name)
    done: list[Stop] = []
    failed = ""
    _set_pauses(subject)
    stream.start()
    try:
        wait_until(
            lambda: sum(one.state == traffic.DONE for one in stream.requests) >= WARM, 120, "the stream"
        )
        for _ in range(stops):
            _let_end(stream, cell, [one.served for one in done])
            time.sleep(dice.uniform(*GAP))
            done.append(_one_stop(subject, cell, recorder))
    except Exception as error:  # noqa: BLE001 - the stops before count all the same
        traceback.print_exc()
        failed = f"{type(error).__name__}: {error}"[:300]
        subject.ensure_running()
    finally:
        stream.pause()
        outcome = stream.finish(still=PATIENCE[cell.service])
        recorder.close()
        subject.lane.clear_pauses()
        stream.clean()
    lost = [one for one in outcome.lost if "connection broken" not in one.why]  # the API itself went away
    count(done, stream.requests, lost)
    return {
        "service": cell.service,
        "mode": cell.mode,
        "way": cell.way,
        "seed": seed,
        "made": pages.now(),
        "load": pages.load(),
        "commit": commit(),
        "failed": failed,
        "accepted": sum(outcome.accepted.values()),
        "quota": [str(one) for one in outcome.quota],
        "strays": len(outcome.strays),
        "stops": [one.figures() for one in done],
        "lost": [_lost(one, _met(one.sent, done) or done[-1]) for one in lost if done],
    }


def _one_stop(subject: Subject, cell: Cell, recorder: Recorder) -> Stop:
    """Stop the service that way, have it started, and wait until it serves again."""
    stop = Stop(begun=time.time())
    stop.verdict = WAYS[cell.way](subject)
    beats = subject.beats()
    container = subject.container
    if container.status != "running":
        container.start()
    subject.wait_served(beats)
    stop.served = time.time()
    _read_events(stop, recorder)
    return stop


def _let_end(stream: Traffic, cell: Cell, served: Sequence[float]) -> None:
    """Wait until everything that met the last stop has ended, or has not ended in time.

    kolla_docker would wait for an operation that an earlier stop has lost, so for that way such operations are given
    up before the next stop. The others look at nothing: for them it is enough that no operation meets two stops.
    """
    patience = PATIENCE[cell.service]
    limit = patience if cell.way == ways_page.PRODUCT else BETWEEN
    since = served[-1] if served else 0.0
    while time.time() < since + limit and any(one.sent < since for one in stream.pending()):
        time.sleep(0.2)
    for moment in served:
        stream.write_off(moment, patience)


def _read_events(stop: Stop, recorder: Recorder) -> None:
    """Take the times of the signal, the exit and the start from the engine's events."""
    events = [one for one in recorder.events if one.at >= stop.begun]
    signals = [one for one in events if one.action == "kill"]
    if not signals:
        raise TestbedError("The engine sent no signal to the container.")
    stop.signalled = signals[0].at
    stop.killed = any(one.signal == "9" for one in signals)
    stop.exited = next(one.at for one in events if one.action == "die")
    stop.started = next(one.at for one in events if one.action == "start" and one.at > stop.exited)


def count(stops: Sequence[Stop], requests: Sequence[Request], lost: Sequence[Lost]) -> None:
    """Charge each request to the first stop after which the service served again, if the request met that stop."""
    if not stops:
        return
    for request in requests:
        stop = _met(request.sent, stops)
        if stop and (request.settled >= stop.signalled or request.state == traffic.LOST):
            stop.met += 1
    for one in lost:
        (_met(one.sent, stops) or stops[-1]).lost[one.kind] += 1


def _met(sent: float, stops: Sequence[Stop]) -> Stop | None:
    return next((one for one in stops if one.served >= sent), None)


def _lost(lost: Lost, stop: Stop) -> dict[str, Any]:
    return {"kind": lost.kind, "why": lost.why[:160], "phase": phase(lost, stop), "when": when(lost, stop)}


def phase(lost: Lost, stop: Stop) -> str:
    """Return in which part of the stop the request came; in between sending and answering the API passed it on."""
    if lost.answered and lost.answered < stop.signalled:
        return ways_page.BEFORE
    if lost.sent < stop.exited:
        return ways_page.STOPPING
    return ways_page.AWAY if lost.sent < stop.started else ways_page.STARTING


def when(lost: Lost, stop: Stop) -> str:
    """Say when the request was sent and answered."""
    return f"sent {_moment(lost.sent, stop)}, answered {_moment(lost.answered, stop)}"


def _moment(at: float, stop: Stop) -> str:
    if at < stop.signalled:
        return f"{stop.signalled - at:.2f} s before the signal"
    if at < stop.exited:
        return f"{at - stop.signalled:.2f} s after the signal and {stop.exited - at:.2f} s before the exit"
    if at < stop.started:
        return f"{at - stop.exited:.2f} s after the exit"
    return f"{at - stop.started:.2f} s after the start"


def _set_pauses(subject: Subject) -> None:
    for name in traffic.PAUSES:
        subject.lane.set_pause(name, OPERATION)
    for name in traffic.CHUNK_PAUSES:
        subject.lane.set_pause(name, OPERATION / traffic.CHUNKS)


# -- all rounds


class Results:
    """The rounds so far, in a file that is written after each."""

    def __init__(self, path: Path, about: dict[str, Any], rounds: list[dict[str, Any]]) -> None:
        self._path, self._about, self.rounds = path, about, rounds
        self._lock = threading.Lock()

    def stops(self, cell: Cell) -> int:
        """Return how many stops of this cell there are."""
        return sum(len(one["stops"]) for one in self.rounds if _cell(one) == cell)

    def add(self, one: dict[str, Any]) -> None:
        """Keep a round, and make the page anew."""
        with self._lock:
            self.rounds.append(one)
            self.save()

    def save(self) -> None:
        """Write the figures, and beside them the page that is made of them."""
        keep({**self._about, "rounds": self.rounds}, self._path)


def _cell(one: dict[str, Any]) -> Cell:
    return Cell(one["service"], one["mode"], one["way"])


def keep(data: dict[str, Any], path: Path) -> None:
    """Write the figures with one line a stop, and the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(data))
    path.with_suffix(".rst").write_text(ways_page.page(data))


def as_json(data: dict[str, Any]) -> str:
    """Return JSON whose lists in a round have one line an item: short, and readable in a diff."""
    rounds = ",\n".join(_round_as_json(one) for one in data["rounds"])
    about = json.dumps({name: value for name, value in data.items() if name != "rounds"}, indent=1)
    return f'{about[:-2]},\n "rounds": [\n{rounds}\n ]\n}}\n'


def _round_as_json(one: dict[str, Any]) -> str:
    lists = ("stops", "lost")
    words = [json.dumps({name: value for name, value in one.items() if name not in lists})[1:-1]]
    for name in lists:
        items = ",\n".join(f"   {json.dumps(item)}" for item in one[name])
        words.append(f'"{name}": [\n{items}\n  ]' if items else f'"{name}": []')
    return "  {" + ",\n  ".join(words) + "}"


@dataclass(frozen=True)
class Task:
    """A round to be measured."""

    cell: Cell
    stops: int
    seed: int


def tasks(results: Results, cells: Sequence[Cell], stops: int, size: int, seed: int) -> list[Task]:
    """Return the rounds that are missing, the cells in turn, so that none has the quiet hour of the machine alone."""
    turns: list[list[Task]] = []
    for cell in cells:
        there = results.stops(cell)
        for number, first in enumerate(range(there, stops, size)):
            if len(turns) <= number:
                turns.append([])
            turns[number].append(Task(cell, min(size, stops - first), seed * 1000 + first))
    dice = random.Random(seed)
    for turn in turns:
        dice.shuffle(turn)
    return [one for turn in turns for one in turn]


def run(stack: Stack, chosen: argparse.Namespace, results: Results) -> None:
    """Measure cinder-volume and cinder-backup on lanes side by side, then cinder-scheduler alone."""
    for service in (one for one in SERVICES if one in chosen.services):
        alone = service == "cinder-scheduler"
        modes = [stack.settings.mode] if alone else chosen.modes
        with ThreadPoolExecutor(max_workers=len(modes) * chosen.lanes) as pool:
            futures = []
            for mode in modes:
                cells = [Cell(service, mode, way) for way in chosen.ways]
                todo = deque(tasks(results, cells, chosen.stops, chosen.round, chosen.seed))
                for number in range(1 if alone else chosen.lanes):
                    name = f"{mode[0]}{number + 1}"
                    futures.append(pool.submit(_work, stack, name, mode, service, todo, chosen.rate, results))
            for future in futures:
                future.result()


def _work(
    stack: Stack, name: str, mode: str, service: str, todo: deque[Task], rate: float, results: Results
) -> None:
    """Do rounds on one lane until none is left."""
    if not todo:
        return
    # A lane of the scheduler's rounds needs a cinder-volume for its stream to work on.
    kinds = ("volume", "backup") if service == "cinder-backup" else ("volume",)
    lane = Lane(stack, name, mode=mode, kinds=kinds, service_timeout=SERVICE_TIMEOUT).up()
    try:
        traffic.sweep(stack, lane.host)
        with _subject(lane, service) as subject:
            while todo:
                try:
                    task = todo.popleft()
                except IndexError:
                    return
                _do(subject, task, rate, results)
    finally:
        lane.down()


@contextmanager
def _subject(lane: Lane, service: str) -> Iterator[Subject]:
    if service != "cinder-scheduler":
        yield subjects.of_lane(lane, service)
        return
    with locked("stack"):
        yield subjects.scheduler(lane)


def _do(subject: Subject, task: Task, rate: float, results: Results) -> None:
    left = task.stops
    for _ in range(TRIES):
        seed = task.seed + task.stops - left
        found = measure(subject, task.cell, left, seed, rate)
        results.add(found)
        print(line(found), flush=True)
        left -= len(found["stops"])
        if left <= 0:
            return
    raise TestbedError(f"A round of {task.cell} broke {TRIES} times.")


def line(one: dict[str, Any]) -> str:
    """Return one round in a line."""
    stops = one["stops"]
    lost = Counter(each["kind"] for each in one["lost"])
    away = [each["away"] for each in stops]
    waited = [each["waited"] for each in stops]
    return (
        f"{time.strftime('%H:%M:%S')} {one['service']} {one['mode']} {one['way']}: {len(stops)} stops, "
        f"{sum(bool(each['lost']) for each in stops)} with a loss, {one['accepted']} requests, "
        f"{sum(each['met'] for each in stops)} met a stop, lost {dict(lost) or 0}, "
        f"waited {min(waited, default=0):.1f}-{max(waited, default=0):.1f} s, "
        f"away {min(away, default=0):.1f}-{max(away, default=0):.1f} s, "
        f"{sum(each['killed'] for each in stops)} killed, load {one['load']}"
        + (f", quota {one['quota']}" if one["quota"] else "")
        + (f", {one['strays']} strays" if one["strays"] else "")
        + (f", FAILED {one['failed']}" if one["failed"] else "")
    )


def main(arguments: list[str]) -> int:
    """Measure what was asked for, or only make the page."""
    chosen = _parser().parse_args(arguments)
    path = Path(chosen.out)
    if chosen.page:
        keep(json.loads(path.read_text()), path)
        return 0
    commit()
    stack = Stack().up()
    about = {
        "versions": pages.versions(stack),
        "machine": pages.machine(),
        "rate": chosen.rate,
        "lanes": chosen.lanes,
        "operation": OPERATION,
        "service_timeout": SERVICE_TIMEOUT,
    }
    rounds: list[dict[str, Any]] = json.loads(path.read_text())["rounds"] if chosen.go_on else []
    run(stack, chosen, Results(path, about, rounds))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stops", type=int, default=40, help="of each cell (default 40)")
    parser.add_argument("--round", type=int, default=10, help="stops under one stream (default 10)")
    parser.add_argument("--lanes", type=int, default=1, help="of each mode side by side (default 1)")
    parser.add_argument("--rate", type=float, default=0.5, help="requests a second in a lane (default 0.5)")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--services", nargs="+", choices=SERVICES, default=["cinder-volume"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--out", default=str(RESULTS / "ways.json"))
    parser.add_argument(
        "--continue", dest="go_on", action="store_true", help="add the stops that are missing"
    )
    parser.add_argument("--page", action="store_true", help="only make the page of the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

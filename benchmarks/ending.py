"""What each way of ending a service loses under a stream of requests.

.venv/bin/python -m benchmarks ending --stops 12
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, pages, subjects
from benchmarks.subjects import Subject
from benchmarks.ways import WAYS, Stop
from testbed import traffic
from testbed.lanes import Lane
from testbed.locks import locked
from testbed.stack import Stack
from testbed.traffic import Lost, Traffic
from testbed.waiting import wait_until

QUICK, LONG, BUSY = "0.3 s", "1 to 3 s", "1 to 3 s, busy"
SERIES = (QUICK, LONG, BUSY)
CALLS = ("attach", "detach")
# What met a stop and has not ended so long after it is lost, and later stops of the series do not wait for it.
PATIENCE = {"cinder-volume": 20.0, "cinder-backup": 45.0, "cinder-scheduler": 20.0}


@dataclass(frozen=True)
class Cell:
    """One way for one service in one series."""

    service: str
    mode: str
    way: str
    series: str


@dataclass
class Figures:
    """What came of it."""

    cell: Cell
    seed: int
    stops: list[Stop] = field(default_factory=list)
    accepted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    lost: list[dict[str, Any]] = field(default_factory=list)
    quota: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    failed: str = ""


def measure(subject: Subject, cell: Cell, stops: int, seed: int) -> Figures:
    """A stream, so many stops in it, and what was lost."""
    figures = Figures(cell, seed)
    dice = random.Random(seed)
    stream = _stream(subject, cell, seed)
    subject.ignored = lambda: stream.stuck(*_last(figures))
    _set_pauses(subject, cell.series, dice)
    stream.start()
    try:
        wait_until(lambda: _warm(stream, cell.service), 120, "the stream")
        for _ in range(stops):
            time.sleep(dice.uniform(1.0, 3.0))
            figures.stops.append(one_stop(subject, cell.way, stream, _last(figures)))
            _set_pauses(subject, cell.series, dice)
    finally:
        stream.pause()
        subject.only_one()
        outcome = stream.finish()
        subject.clear_pauses()
        stream.clean()
        subject.close()
    figures.accepted, figures.refused = outcome.accepted, outcome.refused
    figures.lost = [_lost(one, figures.stops) for one in outcome.lost]
    figures.quota, figures.strays = [str(one) for one in outcome.quota], list(outcome.strays)
    if stream.trouble:
        figures.failed = f"the stream: {stream.trouble[-1]}"
    return figures


def one_stop(subject: Subject, way: str, stream: Traffic, since: tuple[float, float]) -> Stop:
    """Stop it that way, start it, and wait until it serves again."""
    if way.startswith("module-"):
        stream.write_off(*since)
    stop = Stop(begun=time.time())
    WAYS[way](subject, stop)
    before = subject.beats()  # the old one's last, or its successor's first
    if not stop.started:
        subject.container.start()
        stop.started = time.time()
    subject.wait_served(before)
    stop.served = time.time()
    return stop


def _last(figures: Figures) -> tuple[float, float]:
    """When the last stop was over, and how long after it something may still end well."""
    since = figures.stops[-1].served if figures.stops else 0.0
    return (since, PATIENCE[figures.cell.service]) if since else (0.0, 0.0)


# Requests a second. At the first two nothing is in flight about half of the time; at the last, never.
RATES = {
    "cinder-volume": {QUICK: 0.5, LONG: 0.3, BUSY: 1.2},
    "cinder-backup": {QUICK: 0.5, LONG: 0.25, BUSY: 0.8},
    "cinder-scheduler": {QUICK: 1.5, LONG: 0.7, BUSY: 1.5},
}
KINDS = {
    "cinder-volume": {**traffic.VOLUME_KINDS, **traffic.RETYPE_KINDS, **traffic.ATTACH_KINDS},
    "cinder-backup": {"volume_create": 2, "volume_delete": 1, **traffic.BACKUP_KINDS},
    "cinder-scheduler": {
        "volume_create": 6, "volume_clone": 2, "volume_delete": 7, "volume_extend": 4, "volume_retype": 4,
    },
}  # fmt: skip


def _stream(subject: Subject, cell: Cell, seed: int) -> Traffic:
    rate = RATES[cell.service][cell.series]
    return Traffic(subject.stack, subject.backends, seed=seed, rate=rate, kinds=KINDS[cell.service])


def _warm(stream: Traffic, service: str) -> bool:
    done = [one.kind for one in stream.requests if one.state == traffic.DONE]
    return len(done) >= 5 or (service == "cinder-backup" and "backup_create" in done)


def _set_pauses(subject: Subject, series: str, dice: random.Random) -> None:
    for name in traffic.PAUSES:
        subject.set_pause(name, _seconds(series, dice))
    for name in traffic.CHUNK_PAUSES:
        subject.set_pause(name, _seconds(series, dice) / traffic.CHUNKS)


def _seconds(series: str, dice: random.Random) -> float:
    return 0.3 if series == QUICK else round(dice.uniform(1.0, 3.0), 2)


def _lost(lost: Lost, stops: list[Stop]) -> dict[str, Any]:
    """With where it was sent in the stop that it met."""
    stop = next((one for one in stops if one.served >= lost.sent), stops[-1] if stops else None)
    return {**asdict(lost), "when": _when(lost, stop) if stop else ""}


def _when(lost: Lost, stop: Stop) -> str:
    """When it was sent and answered: in between the API wrote its row and passed it on."""
    return f"sent {_moment(lost.sent, stop)}, answered {_moment(lost.answered, stop)}"


def _moment(at: float, stop: Stop) -> str:
    if at < stop.acted:
        return f"{stop.acted - at:.2f} s before the end"
    if at < stop.exited:
        return f"{at - stop.acted:.2f} s into the end, {stop.exited - at:.2f} s before the exit"
    if at < stop.started:
        return f"{at - stop.exited:.2f} s after the exit"
    return f"{at - stop.started:.2f} s after the start"


# -- all of it


def main(arguments: list[str]) -> int:
    """Every cell that was asked for; lanes side by side."""
    chosen = _parser().parse_args(arguments)
    if chosen.merge:
        keep(merged(chosen.merge), Path(chosen.out))
        return 0
    stack = Stack()
    print(f"seed {chosen.seed}, {chosen.stops} stops a cell")
    out = Results(stack, chosen)
    jobs = [_lane_job, *([_scheduler_job] if "cinder-scheduler" in chosen.services else [])]
    lanes = [
        ("s1", "eventlet", "cinder-volume"),
        ("s2", "threads", "cinder-volume"),
        ("s3", "eventlet", "cinder-backup"),
        ("s3", "threads", "cinder-backup"),
    ]
    by_lane: dict[str, list[tuple[str, str]]] = {}
    for lane, mode, service in lanes:
        if mode in chosen.modes and service in chosen.services:
            by_lane.setdefault(lane, []).append((mode, service))
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(jobs[0], stack, lane, todo, chosen, out) for lane, todo in by_lane.items()]
        for future in futures:
            future.result()
    if "cinder-scheduler" in chosen.services:
        _scheduler_job(stack, chosen, out)
    out.save()
    return 0


def _lane_job(stack: Stack, name: str, todo: list[tuple[str, str]], chosen: Any, out: Results) -> None:
    for mode, service in todo:
        lane = Lane(stack, name, mode=mode).up()
        traffic.sweep(stack, lane.host)
        try:
            for cell in _cells(service, mode, chosen):
                subject = subjects.of_lane(lane, service.partition("-")[2])
                out.take(cell, subject)
        finally:
            lane.down()


def _scheduler_job(stack: Stack, chosen: Any, out: Results) -> None:
    """There is one for all of the stack: its turn comes alone."""
    lane = Lane(stack, "s2", mode="eventlet").up()
    try:
        for cell in _cells("cinder-scheduler", stack.settings.mode, chosen):
            with locked("stack"):
                out.take(cell, subjects.scheduler(stack, lane))
    finally:
        lane.down()


def _cells(service: str, mode: str, chosen: Any) -> Iterator[Cell]:
    for series in chosen.series:
        for way in chosen.ways:
            yield Cell(service, mode, way, series)


class Results:
    """Figures as they come, printed and kept."""

    def __init__(self, stack: Stack, chosen: Any) -> None:
        self._chosen = chosen
        self._versions = pages.versions(stack)
        self._lock = threading.Lock()
        self._figures: list[Figures] = []
        self._begun = time.time()

    def take(self, cell: Cell, subject: Subject) -> None:
        try:
            seed = self._chosen.seed
            figures = measure(subject, cell, self._chosen.stops, seed)
        except Exception as error:  # noqa: BLE001 - the other cells are measured all the same
            traceback.print_exc()
            figures = Figures(cell, self._chosen.seed, failed=f"{type(error).__name__}: {error}"[:300])
            with contextlib.suppress(Exception):
                subject.only_one()
                subject.close()
        with self._lock:
            self._figures.append(figures)
            print(line(asdict(figures)), flush=True)
            self.save()

    def save(self) -> None:
        data = {
            "made": pages.now(),
            "versions": self._versions,
            "load": pages.load(),
            "seed": self._chosen.seed,
            "stops": self._chosen.stops,
            "cells": [asdict(one) for one in self._figures],
        }
        keep(data, Path(self._chosen.out))


def keep(data: dict[str, Any], out: Path) -> None:
    """The figures, and the page that is made of them."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(data, indent=1) + "\n")
    out.with_suffix(".rst").write_text(pages.ways(data))


def merged(files: list[str]) -> dict[str, Any]:
    """What several runs measured on one page, each cell with its date; of the same cell the last counts."""
    runs = [json.loads(Path(file).read_text()) for file in files]
    cells = {
        tuple(one["cell"].values()): {"made": run["made"], "load": run["load"], **one}
        for run in runs
        for one in run["cells"]
    }
    return {**runs[-1], "cells": list(cells.values())}


def line(figures: dict[str, Any]) -> str:
    """One cell in a line."""
    cell, stops = figures["cell"], figures["stops"]
    kinds: dict[str, int] = {}
    for one in figures["lost"]:
        kinds[one["kind"]] = kinds.get(one["kind"], 0) + 1
    asked = sum(count for kind, count in figures["accepted"].items() if kind not in CALLS)
    calls = sum(count for kind, count in figures["accepted"].items() if kind in CALLS)
    gaps = [one["started"] - one["acted"] for one in stops]
    freezes = sum(one["freezes"] for one in stops)
    unquiet = sum(not one["quiet"] for one in stops)
    return (
        f"{cell['service']} {cell['mode']} {cell['series']} {cell['way']}: {len(stops)} stops, "
        f"{asked} requests and {calls} calls, lost {kinds or 0}, "
        f"gap {min(gaps, default=0):.1f}-{max(gaps, default=0):.1f} s, {freezes} freezes, "
        f"{unquiet} without a quiet moment"
        + (f", quota {figures['quota']}" if figures["quota"] else "")
        + (f", strays {len(figures['strays'])}" if figures["strays"] else "")
        + (f", FAILED {figures['failed']}" if figures["failed"] else "")
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks ending", description=__doc__)
    services = ["cinder-volume", "cinder-backup", "cinder-scheduler"]
    parser.add_argument("--stops", type=int, default=12)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--services", nargs="+", choices=services, default=services)
    parser.add_argument("--modes", nargs="+", default=["eventlet", "threads"])
    parser.add_argument("--series", nargs="+", choices=SERIES, default=[QUICK, LONG])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument(
        "--merge", nargs="+", metavar="FILE", help="only make one page of these runs' figures"
    )
    parser.add_argument("--out", default=str(RESULTS / "ways.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

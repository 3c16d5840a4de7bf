"""Runs cells of the matrix, side by side on lanes of the test stack."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from testbed import containers
from testbed.containers import Spec
from testbed.errors import TestbedError
from testbed.lanes import Lane, down_together, up_together
from testbed.matrix import Job, Row, judge
from testbed.matrix_bench import Bench
from testbed.matrix_terms import NOT_RUN, Cell, Fate, Operation, State, Stopped
from testbed.matrix_ways import WAYS, Stopping, spec_for
from testbed.stack import Stack

LANES = {"eventlet": ("m1", "m2"), "threads": ("m3", "m4")}
# Seconds beside an operation's own length, once the service serves again, until a loss counts.
PATIENCE = 180.0
# The same where work is meant to be lost.
SHORT_PATIENCE = 10.0
HOPELESS = ("error", "error_deleting", "error_extending", "error_restoring", "error_backing-up")
ASK_EVERY = 1.0  # seconds between two requests
# Seconds between two looks at what is not over yet: each asks the API about each operation.
LOOK_EVERY = 1.5


class CellRun:
    """One cell on one lane, from its preparation to the judgement."""

    def __init__(self, bench: Bench, job: Job) -> None:
        self.bench, self.job = bench, job
        self.at_exit: dict[tuple[str, str], str] = {}
        self.operations: list[Operation] = []
        self.refused: list[str] = []
        meant = job.verdicts == ("drained",)
        self.patience = bench.seconds + (PATIENCE if meant else SHORT_PATIENCE)

    def run(self, is_ready: bool = False) -> Cell:
        """Run the cell; an error goes into ``problems``, so that the other cells go on.

        ``is_ready``: both services served at the end of the cell before.
        """
        began = time.monotonic()
        job, bench = self.job, self.bench
        cell = Cell(
            job.name, job.row.name, job.way, job.mode, bench.lane.name,
            attempt=job.attempt, patience=self.patience,
        )  # fmt: skip
        try:
            self._make_ready(is_ready)
            for _ in range(2 if job.row.in_a_row else 1):
                cell = self._once(cell)
        except Exception as error:  # noqa: BLE001 - one cell that cannot be run is that cell's result
            why = f"{NOT_RUN}: {type(error).__name__}: {error}"
            cell = replace(cell, problems=(*cell.problems, why + "\n" + traceback.format_exc(limit=-4)))
        with contextlib.suppress(Exception):
            bench.clean()
        return replace(cell, seconds=round(time.monotonic() - began, 1))

    def _make_ready(self, is_ready: bool) -> None:
        """Have both containers serve, without anything of the cell before."""
        self.bench.clean()
        for kind in self.bench.lane.kinds:
            container = self.bench.lane.container(kind)
            if container.status == "paused":
                container.unpause()
            if container.status != "running":
                container.start()
                is_ready = False
        if not is_ready:
            self.bench.lane.wait_ready()

    def _once(self, cell: Cell) -> Cell:
        """Do one stop with its operations; a row of two stops comes here twice."""
        row = self.job.row
        self.at_exit, self.refused = {}, []
        spec = spec_for(self.job.way, self.bench, row.stops)
        had = row.prepare(self.bench)
        self.operations = list(row.start(self.bench, had))
        stopping = self._stopping(row, spec)
        sender = Sender(row.requests(self.bench, had) if row.requests else (), self.refused, stopping.began)
        try:
            stopped = WAYS[self.job.way](stopping)
            self.bench.lane.wait_ready([row.stops])
        finally:
            self.operations += sender.end()
        self.bench.lane.clear_pauses()
        fates = self._fates(stopped)
        problems = judge(self.job, stopped, fates)
        return replace(
            cell,
            stops=(*cell.stops, stopped),
            fates=(*cell.fates, *fates),
            problems=(*cell.problems, *problems, *self.refused),
        )

    def _stopping(self, row: Row, spec: Spec | None) -> Stopping:
        return Stopping(
            self.bench,
            row.stops,
            self.job.arguments,
            twice=row.in_a_row,
            held=self.job.held,
            spec=spec,
            look=self._look,
            at_exit=self._note_exit,
        )

    def _look(self) -> None:
        """Refuse operations that ended before the stop began: they show nothing of it."""
        over = [one for one in self.operations if self._has_ended(one)]
        if over:
            raise TestbedError(f"{over[0].kind} {over[0].id} was over before the stop began")

    def _note_exit(self) -> None:
        """Note the states at the exit."""
        for one in (state for operation in self.operations for state in operation.states):
            self.at_exit[(one.resource, one.id)] = self.bench.api.status(one.resource, one.id)

    def _status(self, operation: Operation) -> str:
        """Return the first state that is not right yet, else that of the resource itself."""
        return _first_wrong(
            operation.states, [self.bench.api.status(one.resource, one.id) for one in operation.states]
        )

    def _fates(self, stopped: Stopped) -> list[Fate]:
        """Wait until each operation has come to its right end, or for as long as any could take."""
        deadline = time.monotonic() + self.patience
        open_ones = list(self.operations)
        while open_ones and time.monotonic() < deadline:
            open_ones = [one for one in open_ones if not self._has_ended(one)]
            time.sleep(LOOK_EVERY if open_ones else 0)
        return [self._fate(one, stopped) for one in self.operations]

    def _has_ended(self, operation: Operation) -> bool:
        statuses = [self.bench.api.status(one.resource, one.id) for one in operation.states]
        right = all(status == one.status for status, one in zip(statuses, operation.states))
        return right or any(status in HOPELESS for status in statuses)

    def _fate(self, operation: Operation, stopped: Stopped) -> Fate:
        states = [(one, self.bench.api.status(one.resource, one.id)) for one in operation.states]
        reached = all(status == one.status for one, status in states)
        wrong = operation.check() if reached else ""
        told = sorted({str(one["outcome"]) for one in stopped.told if one["id"] in operation.ids})
        return Fate(
            kind=operation.kind,
            id=operation.id,
            wanted=operation.states[0].status,
            at_exit=self._status_at_exit(operation, stopped),
            status=self._status(operation),
            right=reached and not wrong,
            in_flight=operation.in_flight,
            sent=operation.sent,
            told=" and ".join(told),
            wrong=wrong,
        )

    def _status_at_exit(self, operation: Operation, stopped: Stopped) -> str:
        """Return the status of the resource that the module reported; a backup is of two services and two resources."""
        told = {str(one["id"]) for one in stopped.told}
        states = [one for one in operation.states if one.id in told] or list(operation.states)
        return _first_wrong(states, [self.at_exit.get((one.resource, one.id), "") for one in states])


def _first_wrong(states: Sequence[State], statuses: Sequence[str]) -> str:
    return next((status for one, status in zip(states, statuses) if status != one.status), statuses[0])


class Sender:
    """Sends requests one after the other until told to end; what the API took are the operations."""

    def __init__(self, requests: Iterable[Callable[[], Operation]], refused: list[str], began: float) -> None:
        self._requests, self._refused, self._began = requests, refused, began
        self._taken: list[Operation] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        for request in self._requests:
            if self._enough.wait(ASK_EVERY):
                return
            sent = round(time.time() - self._began, 1)
            try:
                self._taken.append(replace(request(), sent=sent))
            except Exception as error:  # noqa: BLE001 - what was not taken is nobody's loss, but it is told
                self._refused.append(f"a request was refused {sent} s after the beginning: {error}")

    def end(self) -> list[Operation]:
        """Send no more requests, and return the accepted ones."""
        self._enough.set()
        self._thread.join()
        return self._taken


class Runner:
    """Cells side by side: two lanes a mode, each takes the next cell of its mode's queue."""

    def __init__(
        self, stack: Stack, jobs: Iterable[Job], seconds: float, tell: Callable[[Cell], None]
    ) -> None:
        self._stack, self._seconds, self._tell = stack, seconds, tell
        self._cells: list[tuple[Job, Future[Cell]]] = [(job, Future()) for job in jobs]
        self._lanes = [
            Lane(stack, name, mode)
            for mode, names in LANES.items()
            for name in names[: sum(job.mode == mode for job, _ in self._cells)]
        ]
        self._threads = [threading.Thread(target=self._run, daemon=True)]
        self._ending = threading.Event()

    def __enter__(self) -> Runner:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._threads[0].join()
        down_together(self._lanes)

    @property
    def cells(self) -> dict[str, Future[Cell]]:
        """Return each cell's future, by its job's label."""
        return {job.label: future for job, future in self._cells}

    def _run(self) -> None:
        try:
            for lane in self._lanes:
                # A start resumes what an interrupted run has left, with the pauses of that run.
                with contextlib.suppress(FileNotFoundError):
                    self._bench(lane).clean()
                for kind, left in itertools.product(lane.kinds, ("old", "new", "failed")):
                    containers.remove(self._stack.client, f"{lane.container_name(kind)}.{left}")
            up_together(self._lanes)
        except Exception as error:  # noqa: BLE001 - whoever waits for a cell is told
            for _, future in self._cells:
                future.set_exception(error)
            return
        queues = {mode: _queue([cell for cell in self._cells if cell[0].mode == mode]) for mode in LANES}
        workers = [threading.Thread(target=self._work, args=(one, queues[one.mode])) for one in self._lanes]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _bench(self, lane: Lane) -> Bench:
        return Bench(self._stack, lane, self._seconds)

    def _work(self, lane: Lane, jobs: queue.SimpleQueue[tuple[Job, Future[Cell]]]) -> None:
        bench = self._bench(lane)
        is_ready = True  # as ``up`` leaves it
        with contextlib.suppress(queue.Empty):
            while not self._ending.is_set():
                job, future = jobs.get_nowait()
                cell = CellRun(bench, job).run(is_ready)
                is_ready = not cell.problems
                self._tell(cell)
                future.set_result(cell)


def _queue(cells: Iterable[tuple[Job, Future[Cell]]]) -> queue.SimpleQueue[tuple[Job, Future[Cell]]]:
    found: queue.SimpleQueue[tuple[Job, Future[Cell]]] = queue.SimpleQueue()
    for cell in cells:
        found.put(cell)
    return found

"""The matrix: each kind of operation in flight while its service is stopped or upgraded.

What was in flight is never lost. A request that comes while the service exits may be lost, and then the verdict and
the outcomes must say so. By default most rows once, modes and ways alternating. KOLLA_DRAIN_MATRIX=full: all of them,
three times, with operations of 20 s. ``-k "matrix and extend"`` runs one row. What is not under kolla_docker is
tools/matrix's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from testbed.matrix import Job
from testbed.matrix_rows import BY_NAME, HONEST, every_cell, every_row_once, job_of
from testbed.matrix_run import Runner
from testbed.matrix_terms import OURS, Cell
from testbed.stack import MODES, Stack


def all_cells() -> list[Job]:
    """Every row, both modes, both of our ways, three times; and the stops that are meant to fail."""
    return [*every_cell(list(BY_NAME), OURS, MODES, times=3), *(job_of(one) for one in HONEST)]


FULL = os.environ.get("KOLLA_DRAIN_MATRIX") == "full"
SECONDS = 20.0 if FULL else 8.0
JOBS = all_cells() if FULL else every_row_once()
# A cell waits for those before it.
LIMIT = 2 * 3600 if FULL else 1800


@pytest.fixture(scope="module")
def cells(any_stack: Stack, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Cell]]]:
    """The cells that this run asks for, run side by side; each test waits for its own."""
    items = [item for item in request.session.items if item.function is test_matrix]  # type: ignore[attr-defined]
    jobs = [item.callspec.params["job"] for item in items]  # type: ignore[attr-defined]
    with Runner(any_stack.up(), jobs, SECONDS, tell=print) as runner:
        yield runner.cells


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.label if FULL else job.name)
def test_matrix(job: Job, cells: dict[str, Future[Cell]]) -> None:
    cell = cells[job.label].result()

    print(cell.told())
    assert cell.problems == ()

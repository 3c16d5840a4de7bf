"""What tools/matrix has seen, as a JSON file: cells, each with the date and the commit of its run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.console import say
from testbed.errors import TestbedError
from testbed.matrix import Job
from testbed.matrix_terms import NOT_RUN, Cell

COMMIT = "kolla-drain"  # among the versions


def read(file: Path) -> dict[str, Any]:
    """The results of the runs so far. Raises TestbedError when there are none."""
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError as error:
        raise TestbedError(f"There is no {file} yet: run all of the matrix first.") from error


def nothing(seconds: float) -> dict[str, Any]:
    """Results without a cell."""
    return {"seconds": seconds, "runs": [], "cells": []}


def kept(results: dict[str, Any], seconds: float, again: Iterable[Job] = ()) -> dict[str, Any]:
    """Drop the cells that could not be run, and those that are run again."""
    if results["seconds"] != seconds:
        raise TestbedError(
            f"The results are of operations of {results['seconds']:g} s: go on with --seconds of that."
        )
    jobs = {(job.name, job.attempt) for job in again}
    cells = [
        cell
        for cell in results["cells"]
        if cell["word"] != NOT_RUN and (cell["name"], cell["attempt"]) not in jobs
    ]
    return {**results, "cells": cells}


@dataclass
class Record:
    """Adds a run's cells to the results."""

    file: Path | None
    results: dict[str, Any]
    made: str
    versions: dict[str, str]
    expected: int

    def __post_init__(self) -> None:
        run = {"made": self.made, "versions": self.versions}
        if run not in self.results["runs"]:
            self.results["runs"].append(run)

    def add(self, cell: Cell) -> None:
        """Add a cell, and print a line."""
        # Tracebacks are printed and do not belong on the page.
        brief = tuple(problem.splitlines()[0][:200] for problem in cell.problems)
        cell_of_run = replace(cell, problems=brief, made=self.made, commit=self.versions[COMMIT])
        cells = self.results["cells"]
        cells.append(cell_of_run.as_dict())
        lines = cell.told().splitlines()
        shown = lines[:1] if not cell.problems else lines
        say(f"{len(cells)}/{self.expected} " + "\n".join([*shown, *_ended(cell)]))
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps(self.results, indent=1) + "\n")


def _ended(cell: Cell) -> list[str]:
    return [f"      {one.verdict} {one.seconds:.1f} s" for one in cell.stops if one.verdict]

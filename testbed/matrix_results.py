"""What tools/matrix has seen, in matrix.json: the cells, each with the date and the commit of the run that it is of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.console import say
from testbed.errors import TestbedError
from testbed.matrix import NOT_RUN, OURS, Cell, Job

COMMIT = "kolla-drain"  # among the versions


def current(results: dict[str, Any]) -> dict[str, Any]:
    """In today's form: older ones have one date and one commit for all, and no runs."""
    if "runs" in results:
        return results
    made, commit = results["made"], results["versions"][COMMIT]
    cells = [
        {**cell, "made": made, "commit": commit, "patience": results["seconds"] + _patience_then(cell)}
        for cell in results["cells"]
    ]
    run = {"made": made, "versions": results["versions"]}
    return {"seconds": results["seconds"], "runs": [run], "cells": cells}


def _patience_then(cell: dict[str, Any]) -> float:
    """How long the matrix waited beside an operation's own length, when this was not kept."""
    if not cell["name"].startswith(f"{cell['row']}-{cell['way']}-"):
        return 10.0  # a stop that was meant not to drain
    return 60.0 if cell["way"] in OURS else 20.0


def read(file: Path) -> dict[str, Any]:
    """The results, in today's form."""
    try:
        return current(json.loads(file.read_text()))
    except FileNotFoundError as error:
        raise TestbedError(f"There is no {file} yet: run all of the matrix first.") from error


def nothing(seconds: float) -> dict[str, Any]:
    """Results without a cell."""
    return {"seconds": seconds, "runs": [], "cells": []}


def kept(results: dict[str, Any], seconds: float, again: Iterable[Job] = ()) -> dict[str, Any]:
    """Without the cells that could not be run, and without those that are run again."""
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
    """A run's cells added to what there is."""

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
        """One more; a line for whoever looks on."""
        # Tracebacks are for whoever looks on, not for the page.
        brief = tuple(problem.splitlines()[0][:200] for problem in cell.problems)
        cell_of_run = replace(cell, problems=brief, made=self.made, commit=self.versions[COMMIT])
        cells = self.results["cells"]
        cells.append(cell_of_run.as_dict())
        lines = cell.told().splitlines()
        shown = lines[:1] if not cell.problems else lines
        say(f"{len(cells)}/{self.expected} " + "\n".join([*shown, *_ended(cell)]))
        if self.file:
            self.file.write_text(json.dumps(self.results, indent=1) + "\n")


def _ended(cell: Cell) -> list[str]:
    return [
        f"      {one.verdict} {one.exit} {one.seconds:.1f} s".rstrip() for one in cell.stops if one.verdict
    ]

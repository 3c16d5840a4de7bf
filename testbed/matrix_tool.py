"""Every row of the matrix under every way in every mode, a line a cell, and the page of the results.

tools/matrix                                        all of it, and docs/results/matrix.rst
tools/matrix --rows extend,clone --modes threads    some of it, which is only printed
tools/matrix --resume                               go on with a run that was broken off, with the cells it lacks
tools/matrix --again --ways plain,kolla-ansible     these once more; the others stay, with their date and their commit
tools/matrix --page                                 the page once more, of the results that are there

The results of each cell are kept in .cache/matrix.json, which is not in the repository.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from testbed import matrix_page, matrix_results
from testbed.console import say
from testbed.containers import run_inside
from testbed.errors import TestbedError
from testbed.matrix import Job
from testbed.matrix_rows import BY_NAME, HONEST, every_cell, job_of
from testbed.matrix_run import Runner
from testbed.matrix_terms import OURS, WAYS, Cell
from testbed.stack import MODES, Stack

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / ".cache" / "matrix.json"
PAGE = ROOT / "docs" / "results" / "matrix.rst"
ASK_VERSIONS = (
    "import platform; from importlib.metadata import version as v;"
    " print(v('cinder'), v('oslo.service'), platform.python_version())"
)


def versions(stack: Stack) -> dict[str, str]:
    """Return the versions of what was measured."""
    inside = run_inside(
        stack.container("cinder_api"), ["/opt/cinder/bin/python", "-c", ASK_VERSIONS], "versions"
    )
    cinder, oslo_service, python = inside.split()
    return {
        "cinder": cinder,
        "oslo.service": oslo_service,
        "Python of Cinder": python,
        "Docker Engine": str(stack.client.version()["Version"]),
        "ansible-core": version("ansible-core"),
        matrix_results.COMMIT: _commit(),
    }


def _commit() -> str:
    """Return the commit, and whether anything but docs/results was changed since."""
    git = ["git", "-c", f"safe.directory={ROOT}"]
    commit = subprocess.run(
        [*git, "describe", "--always"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    unchanged = [*git, "diff", "--quiet", "HEAD", "--", ".", ":!docs/results"]
    if commit and subprocess.run(unchanged, cwd=ROOT, check=False).returncode:
        commit += ", with changes"
    return commit


def jobs_of(chosen: argparse.Namespace) -> list[Job]:
    """Return the jobs that are asked for; with all of kolla_docker's also the stops of HONEST."""
    found = every_cell(chosen.rows, chosen.ways, chosen.modes, chosen.repeat)
    if set(chosen.rows) == set(BY_NAME) and set(OURS) <= set(chosen.ways):
        found += [job_of(one) for one in HONEST if one.mode in chosen.modes]
    return found


def run(chosen: argparse.Namespace) -> int:
    """Run all cells; return 1 if kolla_docker lost what it must not lose, or said what is not true."""
    whole = (
        set(chosen.rows) == set(BY_NAME) and set(chosen.ways) == set(WAYS) and set(chosen.modes) == set(MODES)
    )
    file = chosen.results
    jobs, results = jobs_of(chosen), matrix_results.nothing(chosen.seconds)
    if chosen.again or (chosen.resume and (file.exists() or not whole)):
        again = jobs if chosen.again else ()
        results = matrix_results.kept(matrix_results.read(file), chosen.seconds, again)
    had = {(cell["name"], cell["attempt"]) for cell in results["cells"]}
    jobs = [job for job in jobs if (job.name, job.attempt) not in had]
    stack = Stack().up()
    writes = whole or chosen.resume or chosen.again
    record = matrix_results.Record(
        file if writes else None,
        results,
        time.strftime("%Y-%m-%d", time.gmtime()),
        versions(stack),
        len(had) + len(jobs),
    )
    with Runner(stack, jobs, chosen.seconds, tell=record.add) as runner:
        for future in runner.cells.values():
            future.result()
    cells = [Cell.from_dict(one) for one in results["cells"]]
    if writes:
        write_page(file, chosen.output)
    bad = [cell for cell in cells if cell.problems]
    say(f"done: {len(cells)} cells, {len(bad)} of them with something wrong under kolla_docker or not run")
    return 1 if bad else 0


def write_page(results: Path, page: Path) -> None:
    """Make the page of the results."""
    page.write_text(matrix_page.made_of(matrix_results.read(results)))
    say(f"{page} is written")


def main() -> int:
    """Run the command line; return 1 after an error."""
    parser = argparse.ArgumentParser(
        prog="tools/matrix", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=_some(BY_NAME), default=list(BY_NAME), help="of " + ", ".join(BY_NAME))
    parser.add_argument("--ways", type=_some(WAYS), default=list(WAYS), help="of " + ", ".join(WAYS))
    parser.add_argument("--modes", type=_some(MODES), default=list(MODES), help="of " + ", ".join(MODES))
    parser.add_argument("--seconds", type=float, default=14, help="that an operation takes (default: 14)")
    parser.add_argument(
        "--repeat", type=int, default=1, help="how often each cell of kolla_docker is run (default: once)"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="the file of the results (default: .cache/matrix.json)"
    )
    parser.add_argument(
        "--output", type=Path, default=PAGE, help="the page (default: docs/results/matrix.rst)"
    )
    parser.add_argument("--page", action="store_true", help="only write the page, of the results there are")
    parser.add_argument("--resume", action="store_true", help="keep the results, and run the cells they lack")
    parser.add_argument(
        "--again",
        action="store_true",
        help="run what is chosen once more, and keep the other cells (after a broken-off run: --resume)",
    )
    chosen = parser.parse_args()
    try:
        if chosen.page:
            write_page(chosen.results, chosen.output)
            return 0
        return run(chosen)
    except TestbedError as error:
        say(f"FAILED: {error}")
        return 1


def _some(known: Sequence[str] | dict[str, Any]) -> Any:
    """Return a parser of a list with commas of known words."""

    def parse(text: str) -> list[str]:
        words = text.split(",")
        unknown = [word for word in words if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]}; there are {', '.join(known)}")
        return words

    return parse


if __name__ == "__main__":
    raise SystemExit(main())

"""The page of the matrix's results, made of the JSON file that tools/matrix wrote, and of nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from testbed.matrix_results import COMMIT
from testbed.matrix_rows import BY_NAME, HONEST
from testbed.matrix_terms import KOLLA_ANSIBLE, NOT_RUN, OURS, PLAIN, STOP, UPGRADE, WAYS, Cell

TITLES = {
    STOP: "kolla_docker: stop",
    UPGRADE: "kolla_docker: upgrade",
    PLAIN: "docker stop, 10 s",
    KOLLA_ANSIBLE: "kolla-ansible's way",
}
MODE_TITLES = {"eventlet": "On eventlet", "threads": "On native threads"}

HEAD = """\
==========
The matrix
==========

.. This page is made by tools/matrix. Its words are in testbed/matrix_page.py.

Each kind of operation of a real, stock Cinder is in flight, about {seconds:g} s from its end, while the service that
works on it is ended and started again, in four ways:

kolla_docker: stop
   ``stop_container``, then the container is started.
kolla_docker: upgrade
   ``recreate_or_restart_container`` to another image.
docker stop, 10 s
   The engine's plain stop, ``docker stop -t 10``, then ``docker start``.
kolla-ansible's way
   A stop with 60 s, then the container is removed by force and made again.

{then}

{made}

What is gained
==============

"""

THEN = """
Then the API, the rows and the files are looked at: sizes, checksums of what was copied, downloaded, backed up or
restored, the parent of a snapshot, and that what was deleted is gone. An operation that is not in its right final state
{patience} after the service serves again is lost.
"""

RUN = "* {made}, {number} cells ({ways}): {versions}."

NOTES = """
Beside what became of the operation stand the seconds from the beginning of the stop to the container's exit. With
kolla_docker these hold the rest of the operation, for it is waited for. Four cells ran side by side, so all took longer
than they do alone. *Done after the start*: the operation was not finished at the exit, and what came after did it.

"""

HONEST_TITLE = """
What it says when work is lost
==============================

"""

HONEST_WORDS = """
A verdict must not claim more than the database shows. In each cell above, ``drained`` was compared with the rows at the
moment that the engine told of the exit, and what the module says of each operation with what became of it. These stops
are meant not to drain, to see that they say so{patience}:
"""


def made_of(results: dict[str, Any]) -> str:
    """Return the page in reStructuredText."""
    cells = [Cell.from_dict(one) for one in results["cells"]]
    rows = [cell for cell in cells if not _is_honesty(cell)]
    honesty = [cell for cell in cells if _is_honesty(cell)]
    head = HEAD.format(
        seconds=results["seconds"],
        then=_wrapped(THEN.format(patience=_patience(rows))),
        made=_runs(results["runs"], cells),
    )
    parts = [head, _gain(rows), NOTES.lstrip("\n")]
    parts += [_table(mode, [cell for cell in rows if cell.mode == mode]) for mode in MODE_TITLES]
    parts += [_honest_head(honesty), _honesty(honesty), _problems(cells)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _honest_head(honesty: Sequence[Cell]) -> str:
    patience = f"; what was not right was given {_patience(honesty)}" if honesty else ""
    words = _wrapped(HONEST_WORDS.format(patience=patience))
    return f"{HONEST_TITLE.lstrip()}{words}\n\n"


def _patience(cells: Sequence[Cell]) -> str:
    """Tell how long losses were waited for, by ways where that differs."""
    found: dict[float, list[str]] = {}
    for way in WAYS:
        for patience in sorted({cell.patience for cell in cells if cell.way == way}):
            found.setdefault(patience, []).append(TITLES[way])
    if len(found) == 1:
        return f"{next(iter(found)):g} s"
    return " and ".join(f"{patience:g} s ({'; '.join(ways)})" for patience, ways in found.items())


def _is_honesty(cell: Cell) -> bool:
    return any(cell.name.startswith(f"{one.name}-{STOP}") and cell.row == one.row for one in HONEST)


def _runs(runs: Sequence[dict[str, Any]], cells: Sequence[Cell]) -> str:
    """Tell how often each cell was run, and in which run."""
    most = max((cell.attempt for cell in cells if cell.way in OURS), default=1)
    times = "once" if most == 1 else f"{most} times under kolla_docker and once in the other ways"
    lines = []
    for one in runs:
        whose = (one["made"], one["versions"][COMMIT])
        of_it = [cell for cell in cells if (cell.made, cell.commit) == whose]
        ways = "; ".join(TITLES[way] for way in WAYS if any(cell.way == way for cell in of_it))
        versions = ", ".join(f"{name} {value}" for name, value in one["versions"].items())
        text = RUN.format(made=one["made"], number=len(of_it), ways=ways, versions=versions)
        lines += [_wrapped(text).replace("\n", "\n  ")] if of_it else []
    return f"Each cell was run {times}:\n\n" + "\n".join(lines)


def _wrapped(text: str, width: int = 130) -> str:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


# -- tables


def _list_table(widths: Sequence[int], head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in [head, *body]:
        for number, text in enumerate(row):
            begin = "   * - " if number == 0 else "     - "
            first, *more = text.split("\n")
            lines += [(begin + first).rstrip(), *((" " * 7 + one).rstrip() for one in more)]
    return "\n".join(lines) + "\n"


def _gain(cells: Sequence[Cell]) -> str:
    """Return a line for each way: operations done and lost in each mode."""
    body = []
    for way in WAYS:
        ours = [cell for cell in cells if cell.way == way]
        sums = (_sum([cell for cell in ours if cell.mode == mode]) for mode in MODE_TITLES)
        body.append((TITLES[way], *sums, _gap(ours)))
    head = ("way", *(f"lost {title[0].lower()}{title[1:]}" for title in MODE_TITLES.values()), "gap")
    note = "The gap is the median of the seconds from the old container's exit to the new one's start.\n"
    return _list_table((28, 30, 30, 12), head, body) + "\n" + note


def _sum(cells: Sequence[Cell]) -> str:
    fates = [fate for cell in cells for fate in cell.fates]
    lost = [fate for fate in fates if not fate.right]
    if not fates:
        return "not run"
    if not lost:
        return f"**none** of {len(fates)}"
    stuck = sum(not fate.status.startswith("error") for fate in lost)
    return f"**{len(lost)}** of {len(fates)}: {len(lost) - stuck} in error, {stuck} stuck"


def _gap(cells: Sequence[Cell]) -> str:
    gaps = [one.gap for cell in cells for one in cell.stops if one.gap is not None]
    return f"{median(gaps):.1f} s" if gaps else "–"


def _table(mode: str, cells: Sequence[Cell]) -> str:
    title = MODE_TITLES[mode]
    body = [
        [BY_NAME[row].title, *(_cell([c for c in cells if (c.row, c.way) == (row, way)]) for way in WAYS)]
        for row in BY_NAME
        if any(cell.row == row for cell in cells)
    ]
    head = ("in flight", *(TITLES[way] for way in WAYS))
    return f"{title}\n{'=' * len(title)}\n\n{_list_table((20, 18, 18, 22, 22), head, body)}"


def _cell(cells: Sequence[Cell]) -> str:
    """Return words and seconds; of a cell that was run several times, how often each came out."""
    if not cells:
        return "–"
    words = Counter(_words(cell) for cell in cells)
    said = [
        f"{word}{f' ({number} of {len(cells)})' if len(words) > 1 else ''}" for word, number in words.items()
    ]
    seconds = [one.own or one.seconds for cell in cells for one in cell.stops]
    took = f" · {median(seconds):.0f} s" if seconds else ""
    return "; ".join(said) + took


def _words(cell: Cell) -> str:
    """Set losses in bold."""
    text = cell.word
    if cell.lost:
        text = f"**{text}**"
    verdicts = {one.verdict for one in cell.stops if one.verdict}
    return text if verdicts <= {"drained"} else f"{text} ({', '.join(sorted(verdicts))})"


def _honesty(cells: Sequence[Cell]) -> str:
    if not cells:
        return "Not run.\n"
    meant = {one.name: one for one in HONEST}
    body = []
    for cell in cells:
        one = meant[cell.name.rsplit(f"-{STOP}-", 1)[0]]
        stop, fate = cell.stops[-1], cell.fates[-1]
        told = f"the {fate.kind} {fate.told or 'is not known to it'}"
        truth = f"{fate.at_exit} at the exit, then {fate.word}"
        body.append(
            (
                f"{BY_NAME[one.row].title}, {cell.mode}",
                f"``{one.arguments}``",
                f"``{stop.verdict}``",
                told,
                truth,
            )
        )
    head = ("in flight", "asked for", "verdict", "it says", "the database says")
    return _list_table((16, 28, 14, 20, 22), head, body)


def _problems(cells: Sequence[Cell]) -> str:
    """List what kolla_docker got wrong, and what could not be tried."""
    stops = [one for cell in cells if cell.way in OURS and not _is_honesty(cell) for one in cell.stops]
    verdicts = Counter(one.verdict for one in stops)
    said = ", ".join(f"{number} ``{verdict}``" for verdict, number in verdicts.items())
    parts = [
        f"\nThe verdicts of the {len(stops)} stops and upgrades by kolla_docker above: {said or 'none'}.\n"
    ]
    wrong = [(cell.name, problem) for cell in cells for problem in cell.problems if cell.word != NOT_RUN]
    if wrong:
        parts.append(_section("What went wrong", (f"* {name}: {problem}" for name, problem in wrong)))
    else:
        parts.append(_lost_late(cells) + "In none of them did a verdict claim what is not so.\n")
    missing = [f"* {cell.name}" for cell in cells if cell.word == NOT_RUN]
    if missing:
        parts.append(_section("What could not be tried, for the test stack was disturbed", missing))
    return "".join(parts)


def _lost_late(cells: Sequence[Cell]) -> str:
    """Tell how many requests were lost that came while the service exited."""
    ours = [cell for cell in cells if cell.way in OURS and not _is_honesty(cell)]
    lost = [fate for cell in ours for fate in cell.lost]
    if not lost:
        return "Nothing was lost in them.\n"
    sent = sum(fate.sent is not None for cell in ours for fate in cell.fates)
    return (
        f"Of {sent} requests sent during a stop, {len(lost)} were lost: they came while the service exited.\n"
    )


def _section(title: str, lines: Iterable[str]) -> str:
    return f"\n{title}\n{'=' * len(title)}\n\n" + "".join(f"{line}\n" for line in lines)

"""The demo's table, as it prints it and as the README shows it, without the seconds, which vary."""

from __future__ import annotations

import re

HEAD = "way to stop"
SECONDS = "seconds"


def shape(text: str) -> list[dict[str, str]]:
    """Return the rows of the table in a text, by the columns' names. Raises ValueError when there is none."""
    lines = text.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith(HEAD)), None)
    if begin is None:
        raise ValueError(f"there is no table that begins with '{HEAD}' in:\n{text}")
    columns = [(match.start(), match.end()) for match in re.finditer("-+", lines[begin + 1])]
    head = _cells(lines[begin], columns)
    rows = []
    for line in lines[begin + 2 :]:
        if not line.strip() or line.startswith("```"):
            break
        row = dict(zip(head, _cells(line, columns)))
        float(row.pop(SECONDS))
        rows.append(row)
    return rows


def _cells(line: str, columns: list[tuple[int, int]]) -> list[str]:
    return [line[begin:end].strip() for begin, end in columns]

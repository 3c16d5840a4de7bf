"""The page of faults names tests that are there, and all of the files that are about nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "results" / "faults.rst"
NAMED = re.findall(r"``(test_\w+)`` in ``(\S+?)``", PAGE.read_text())
WHOLE = ("functional/test_faults.py", "functional/test_daemon_restart.py", "functional/test_silent_engine.py")


def named_in(file: str) -> set[str]:
    return set(re.findall(r"^def (test_\w+)\(", (TESTS / file).read_text(), re.MULTILINE))


@pytest.mark.parametrize(("name", "file"), NAMED)
def test_a_test_that_is_named_is_there(name: str, file: str) -> None:
    assert name in named_in(file)


def test_every_fault_has_a_test() -> None:
    rows = re.findall(r"^   \* - (.+)\n     - .+\n     - (.+)$", PAGE.read_text(), re.MULTILINE)
    assert rows
    assert [
        fault for fault, test in rows if fault != "Fault" and not re.match(r"``test_\w+`` in ``", test)
    ] == []


@pytest.mark.parametrize("file", WHOLE)
def test_no_fault_is_left_out(file: str) -> None:
    assert named_in(file) <= {name for name, other in NAMED if other == file}

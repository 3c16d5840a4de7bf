"""The table of faults fits the core and its page as they are; tools/mutants runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import mutants

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "ansible" / "module_utils" / "kolla_drain"


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_has_its_place_in_the_core_and_its_test(mutant):
    source = (CORE / mutant.file).read_text()
    broken = mutant.put_into(source)
    assert broken != source
    compile(broken, mutant.file, "exec")
    file, _, test = mutant.path.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()


def test_no_fault_stands_there_twice():
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)


def test_the_page_has_the_rows_of_the_table():
    """Make it anew with tools/mutants --write."""
    page = (ROOT / "docs" / "results" / "mutants.rst").read_text()
    rows = re.findall(r"^   \* - ``(.+)``\n     - (.+)\n     - .+\n     - ``(.+)`` in ", page, re.MULTILINE)
    assert rows == [(mutant.file, mutant.name, mutant.path.partition("::")[2]) for mutant in mutants.MUTANTS]

"""The table of faults fits the core as it is; tools/mutants runs it."""

from __future__ import annotations

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
    file, _, test = mutant.test.rpartition("::") if "::" in mutant.test else (mutant.test, "", "")
    if not file.startswith("tests/"):
        file, test = "tests/simulation/test_stories.py", f"test_{mutant.test}"
    text = (ROOT / file).read_text()
    assert not test or f"def {test}(" in text


def test_no_fault_stands_there_twice():
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)

"""The demo as a person runs it: what it prints is what the README shows."""

from __future__ import annotations

import subprocess
import sys

from testbed.stack import Stack
from tests.support.checkout import ROOT
from tests.support.demo_table import shape


def test_the_demo_prints_what_the_readme_shows(any_stack: Stack) -> None:
    any_stack.clear_pauses()

    ran = subprocess.run(
        [sys.executable, "-m", "testbed.demo"], cwd=ROOT, text=True, capture_output=True, check=False
    )

    print(ran.stdout, ran.stderr)
    assert shape(ran.stdout) == shape((ROOT / "README.md").read_text())
    assert ran.returncode == 0

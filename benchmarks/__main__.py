"""``python -m benchmarks NAME ...``"""

import importlib
import sys

from benchmarks import ROOT

NAMES = ("compare", "conductor", "report", "soak", "speed")

if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
    sys.exit(f"Name a benchmark: {', '.join(NAMES[:-1])} or {NAMES[-1]}.")
# As for the tests: ``import kolla_drain`` is the core as it stands in the tree.
sys.path.append(str(ROOT / "ansible" / "module_utils"))
sys.exit(importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]))

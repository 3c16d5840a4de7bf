"""``python -m benchmarks NAME ...``"""

import importlib
import sys

NAMES = ("compare", "soak")

if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
    sys.exit(f"Name a benchmark: {' or '.join(NAMES)}.")
sys.exit(importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]))

"""What is measured, side by side with what it is compared to: ``.venv/bin/python -m benchmarks NAME``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
# The core as it stands in the tree.
sys.path.insert(0, str(ROOT / "ansible" / "module_utils"))

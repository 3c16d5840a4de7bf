"""Measurements against the real services of the test stack: ``.venv/bin/python -m benchmarks NAME``."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"

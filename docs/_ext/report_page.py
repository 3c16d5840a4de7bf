"""Put the page of the report of a real upgrade beside the documentation, made from its JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
JSON = ROOT / "docs" / "results" / "report.json"
NAME = "report-of-an-upgrade.html"
sys.path.insert(0, str(ROOT / "ansible" / "module_utils"))

from kolla_drain.controller.report.model import from_data  # noqa: E402
from kolla_drain.controller.report.page import page  # noqa: E402


def write(app: Any, failure: Exception | None) -> None:
    """Write the page into the folder that is built."""
    if failure is None:
        told = page(from_data(json.loads(JSON.read_text(encoding="utf-8"))))
        (Path(app.outdir) / NAME).write_text(told, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Write the files of a report so that a reader finds the old one or the new one, and never a part of it."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from .metrics import metrics
from .model import Report, as_data
from .page import page


def base_of(path: str) -> Path:
    """Return the path of a report without its suffix: the JSON and the page lie side by side."""
    given = Path(os.path.expanduser(path))
    return given.with_suffix("") if given.suffix in (".html", ".json") else given


def write(report: Report, base: Path) -> None:
    """Write the JSON and the page. Raises OSError."""
    told = json.dumps(as_data(report), indent=2, ensure_ascii=False) + "\n"
    _replace(base.with_name(base.name + ".json"), told)
    _replace(base.with_name(base.name + ".html"), page(report))


def write_metrics(report: Report, path: str) -> None:
    """Write the metrics. Raises OSError."""
    _replace(Path(os.path.expanduser(path)), metrics(report))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Its name does not end in .prom, so that node_exporter passes it over.
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    try:
        # "x": what somebody else has put there is not written to. The umask decides who may read it.
        with new.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise

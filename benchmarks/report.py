"""Upgrade the Cinder of three hosts while it works, one operation for longer than it is given, and keep the report.

.venv/bin/python -m benchmarks report             the run, docs/results/report.json, and the pictures of its page
.venv/bin/python -m benchmarks report --pictures  the pictures alone, from that JSON
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import RESULTS

JSON = RESULTS / "report.json"
# File, width and height of the window, whether the theme is dark, and whether all of the page is in the picture.
PICTURES = (
    ("report.png", 1200, 900, False, True),
    ("report-top.png", 1200, 900, False, False),
    ("report-phone.png", 360, 680, True, False),
)
SECONDS = 20.0  # that an operation takes, but for one
TOO_LONG = 900.0
TIMEOUT = 60  # that cinder-volume is given


def upgrade(into: Path) -> None:
    """Upgrade new hosts under load, and remove them. Raises AssertionError if the run came to something else."""
    from testbed import upgrades
    from testbed.site import Site
    from tests.e2e.playing import CinderLoad, Play, with_work

    with Site("cloud") as site, tempfile.TemporaryDirectory() as folder:
        site.up()
        inventory = site.write_inventory(
            Path(folder) / "site.json", upgrades.cinder_image(site.client, "next")
        )
        load = CinderLoad(site, SECONDS)
        site.set_pause("volume_clone", TOO_LONG)
        written = Path(folder) / "report"
        given = {
            "drain_report": str(written),
            "cinder_volume_graceful_shutdown_timeout": TIMEOUT,
            "graceful_shutdown_on_timeout": "kill",
        }
        play = with_work(Play(inventory, "-e", json.dumps(given)), site, "cinder-volume", load.volume_work)
        with_work(play, site, "cinder-backup", load.backup_work).end(1200)
        assert play.code == 0, "the upgrade failed"
        told = json.loads(written.with_suffix(".json").read_text())
        assert told["totals"]["interrupted"] == 1, told["totals"]
        shutil.copy(written.with_suffix(".json"), into)


def pictures(folder: Path) -> None:
    """Take the pictures of the page that the JSON makes."""
    from kolla_drain.controller.report.model import from_data
    from kolla_drain.controller.report.page import page
    from tests.support.browser import Browser

    with tempfile.TemporaryDirectory() as made, Browser() as browser:
        path = Path(made) / "report.html"
        path.write_text(page(from_data(json.loads(JSON.read_text()))), encoding="utf-8")
        for name, width, height, dark, whole in PICTURES:
            with browser.open(path, width, height, dark=dark) as shown:
                (folder / name).write_bytes(shown.picture(whole=whole))
                print(f"{folder / name}")


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks report", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pictures", action="store_true", help="only the pictures, from the JSON that is there"
    )
    if not parser.parse_args(arguments).pictures:
        upgrade(JSON)
    pictures(RESULTS)
    return 0

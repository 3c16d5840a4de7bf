"""The host's time zone."""

from __future__ import annotations

from pathlib import Path

from kolla_drain.host.zone import time_zone


def test_by_name(tmp_path: Path) -> None:
    (tmp_path / "timezone").write_text("Europe/Berlin\n")
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    assert time_zone(str(tmp_path)) == "Europe/Berlin"


def test_by_link(tmp_path: Path) -> None:
    (tmp_path / "localtime").symlink_to("../usr/share/zoneinfo/America/Argentina/Salta")
    assert time_zone(str(tmp_path)) == "America/Argentina/Salta"


def test_unknown(tmp_path: Path) -> None:
    (tmp_path / "localtime").write_bytes(b"TZif2")
    assert time_zone(str(tmp_path)) == ""

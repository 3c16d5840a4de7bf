"""Time spans as systemctl prints them."""

from __future__ import annotations

import pytest

from kolla_drain.systemd.systemctl import parse_time_span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1min 30s", 90.0),
        ("infinity", None),
        ("0", 0.0),
        ("500ms", 0.5),
        ("1h 2min 3.5s", 3723.5),
        ("1d", 86400.0),
    ],
)
def test_time_span(text, seconds):
    assert parse_time_span(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 apples", "1min and 30s"])
def test_no_time_span(text):
    with pytest.raises(ValueError, match="time span"):
        parse_time_span(text)

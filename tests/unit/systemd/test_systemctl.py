"""Time spans as systemctl prints them."""

from __future__ import annotations

import pytest

from kolla_drain.systemd.systemctl import time_span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1min 30s", 90.0),
        ("infinity", None),
        ("0", 0.0),
        ("500ms", 0.5),
        ("1h 2min 3.5s", 3723.5),
        ("1d", 86400.0),
        ("", None),
        ("soon", None),
        ("5 apples", None),
        ("1min and 30s", None),
    ],
)
def test_time_span(text, seconds):
    assert time_span(text) == seconds

"""The helpers of the questions: nothing that a host is called may widen or narrow what is asked."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolla_drain.evidence import base, cinder


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", "a"), ("a_b", "a!_b"), ("100%", "100!%"), ("!_%", "!!!_!%"), ("a\\b", "a\\b"), ("", "")],
)
def test_escaping(text, expected):
    assert base.escaped(text) == expected


def _like(pattern: str, text: str) -> bool:
    """LIKE … ESCAPE '!' as SQL has it."""
    parts = re.findall(r"!(.)|(.)", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    regex = "".join(re.escape(kept) if kept else wild.get(plain, re.escape(plain)) for kept, plain in parts)
    return re.fullmatch(regex, text, re.DOTALL) is not None


@given(st.text(alphabet="ab!_%\\@#ü"), st.text(alphabet="ab!_%\\@#ü"))
def test_an_escaped_text_matches_only_itself(text, other):
    assert _like(base.escaped(text), other) is (text == other)
    assert _like(base.escaped(text) + "#%", other) is other.startswith(text + "#")


@pytest.mark.parametrize(("values", "expected"), [([], "NULL"), ([1], "%s"), ("ab", "%s, %s")])
def test_marks(values, expected):
    assert base.marks(values) == expected


def test_conditions_hold_placeholders_only():
    where, params = cinder.on_hosts("v.host", ["a_b@c", "d'; DROP TABLE volumes; --@e"])
    assert where.count("%s") == len(params) == 4
    assert "DROP" not in where
    assert params == ["a_b@c", "a!_b@c#%", "d'; DROP TABLE volumes; --@e", "d'; DROP TABLE volumes; --@e#%"]
    assert cinder.on_hosts("host", [])[0] == "(FALSE)"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, None),
        (datetime(2026, 11, 21, 1, 2, 3), "2026-11-21T01:02:03.000000Z"),
        (datetime(2026, 11, 21, 1, 2, 3, 45), "2026-11-21T01:02:03.000045Z"),
    ],
)
def test_times_keep_their_microseconds(moment, text):
    assert base.utc(moment) == text


@pytest.mark.parametrize(
    ("age", "forced", "up"),
    [
        (0, False, True),
        (60, False, True),
        (61, False, False),
        (None, False, False),
        (1, True, False),
        (-5, False, True),
    ],
)
def test_up_and_down(age, forced, up):
    row = {"age": age, "host": "h", "report_count": 7, "disabled": 1, "disabled_reason": None}
    beat = base.heartbeat(row, "cinder-volume", 60, forced_down=forced)
    assert (beat.up, beat.disabled, beat.disabled_reason, beat.cluster, beat.report_count) == (
        up,
        True,
        "",
        "",
        7,
    )

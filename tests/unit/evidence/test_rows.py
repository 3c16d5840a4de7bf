"""The helpers of the questions: nothing that a host is called may widen or narrow what is asked."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolla_drain.database.target import DatabaseTarget
from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence import base, cinder, reader


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


def test_values_of_a_type_that_the_columns_have():
    row = {
        "deleted": Decimal(1),
        "updated_at": "0000-00-00 00:00:00",  # as PyMySQL returns it
        "created_at": datetime(2026, 11, 21),
        "id": 5,
        "status": None,
        "host": "h",
    }
    assert base.understood(lambda sql, params: [row])("SELECT") == [{**row, "deleted": 1, "updated_at": None}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deleted", b"\0"),  # of a BIT column, and true as it stands
        ("age", Decimal("1.5")),
        ("age", Decimal("NaN")),
        ("report_count", "7"),
        ("status", b"creating"),
        ("status", 1),
        ("id", b"\x01"),
        ("updated_at", timedelta(5)),
    ],
)
def test_a_value_of_another_type_is_never_taken_for_something_else(name, value):
    with pytest.raises(EvidenceUnavailable, match=f"the column {name} holds a value of type") as raised:
        base.understood(lambda sql, params: [{name: value}])("SELECT")
    assert raised.value.passing


def test_what_is_read_is_understood(monkeypatch):
    """A backup that is not deleted, with a BIT for deleted, has not ended."""
    monkeypatch.setattr(reader, "_read", lambda query, *_: query("SELECT"))
    target = DatabaseTarget(host="one", user="u", name="d")
    thread = reader._SourceThread(target, {"key": reader.Source(None, None, target)}, None)
    rows = iter(([{"taken": datetime(2026, 11, 21)}], [{"deleted": b"\0"}]))
    monkeypatch.setattr(thread._database, "snapshot", lambda: contextlib.nullcontext(lambda *_: next(rows)))
    (answer,) = thread._answer({"key": reader._Question(1, ())})
    assert "the column deleted holds a value of type bytes" in answer.reading.why

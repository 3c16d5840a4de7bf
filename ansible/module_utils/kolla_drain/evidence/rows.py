"""Helpers for queries and rows that all services share. Values are always parameters, never part of a statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..database.connection import Row
from ..model import Heartbeat


def marks(values: Sequence[object]) -> str:
    """Return one placeholder a value, for an IN list; without values the list matches nothing."""
    return ", ".join(["%s"] * len(values)) or "NULL"


def escaped(text: str) -> str:
    """Escape text so that it matches only itself in ``LIKE … ESCAPE '!'``.

    The escape character is not the backslash because its meaning depends on the server's sql_mode.
    """
    for special in ("!", "%", "_"):
        text = text.replace(special, "!" + special)
    return text


def utc(moment: datetime | None) -> str | None:
    """Format a row's time as ISO 8601 with microseconds. OpenStack stores UTC without a time zone."""
    return None if moment is None else moment.isoformat(timespec="microseconds") + "Z"


def ids(values: Iterable[object]) -> list[object]:
    """Return the values without duplicates, in their order."""
    return list(dict.fromkeys(values))


def heartbeat(row: Row, service: str, service_down_time: float, *, forced_down: bool = False) -> Heartbeat:
    """Make a heartbeat from a row of a ``services`` table; Cinder and Nova both call age <= service_down_time up."""
    age = None if row["age"] is None else float(row["age"])
    return Heartbeat(
        service=service,
        host=row["host"],
        age=age,
        report_count=row["report_count"],
        up=age is not None and age <= service_down_time and not forced_down,
        disabled=bool(row["disabled"]),
        disabled_reason=row["disabled_reason"] or "",
        cluster=row.get("cluster_name") or "",
    )

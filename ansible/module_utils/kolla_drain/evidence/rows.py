"""Small helpers that every service's questions share. Values never become part of a statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..database.connection import Row
from ..model import Heartbeat


def marks(values: Sequence[object]) -> str:
    """Return one placeholder a value, for an IN list; an empty list becomes one that matches nothing."""
    return ", ".join(["%s"] * len(values)) or "NULL"


def escaped(text: str) -> str:
    """Make text match only itself in ``LIKE … ESCAPE '!'``.

    '!' and not the backslash, whose meaning depends on the server's sql_mode.
    """
    for special in ("!", "%", "_"):
        text = text.replace(special, "!" + special)
    return text


def utc(moment: datetime | None) -> str | None:
    """Write a row's time, which OpenStack keeps in UTC without saying so, as ISO 8601 with microseconds."""
    return None if moment is None else moment.isoformat(timespec="microseconds") + "Z"


def ids(values: Iterable[object]) -> list[object]:
    """Return the values once each, in their order."""
    return list(dict.fromkeys(values))


def heartbeat(row: Row, service: str, service_down_time: float, *, forced_down: bool = False) -> Heartbeat:
    """Make a heartbeat of a row of a services table. Both Cinder and Nova take |age| <= service_down_time as up."""
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

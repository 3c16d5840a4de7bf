"""The statements that read the evidence of a declared service, and the columns that they read.

Names come from the declaration, and every value is a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..profiles.form import Beat, Service, Work

_TABLE = re.compile(r"(?:FROM|JOIN) `?(\w+)`? (\w+)")
_COLUMN = re.compile(r"\b(\w+)\.`?(\w+)`?")


class Statement(NamedTuple):
    """A statement and its parameters."""

    sql: str
    params: tuple[object, ...]


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


def heartbeats(beat: Beat, called: str) -> Statement:
    """Return the statement for the rows in which the service reports, from all hosts."""
    columns = [
        f"{beat.host} AS host",
        f"{_first(beat.seen)} AS seen_at",
        f"{_age(beat.seen)} AS age",
        f"{beat.count or 'NULL'} AS report_count",
        f"{beat.disabled or '0'} AS disabled",
        f"{beat.reason or 'NULL'} AS disabled_reason",
        f"{beat.owner or 'NULL'} AS owner",
    ]
    conditions = [beat.live, f"{beat.binary} = %s" if beat.binary else ""]
    params = (beat.called or called,) if beat.binary else ()
    return Statement(_select(columns, beat.table, "", conditions), params)


def operations(work: Work, hosts: Sequence[str], owners: Sequence[str]) -> Statement:
    """Return the statement for the rows that these hosts, or these processes, work on."""
    statuses = [status for kind in work.kinds for status in kind.statuses]
    any_status = any(not kind.statuses for kind in work.kinds)
    holder, params = _held_by(work, hosts, owners)
    conditions = [work.live, work.where, holder]
    if not any_status:
        conditions.append(f"{work.status} IN ({marks(statuses)})")
        params += statuses
    if work.young:
        conditions.append(f"{_age(work.written)} < %s")
        params.append(work.young)
    columns = [*_columns(work), f"{_first(work.written)} AS written", f"{_age(work.written)} AS age"]
    return Statement(_select(columns, work.table, work.join, conditions), tuple(params))


def endings(work: Work, wanted: Sequence[object]) -> Statement:
    """Return the statement for what has become of rows, by their ids. One marked as deleted is left out."""
    conditions = [work.live, f"{work.id} IN ({marks(wanted)})"]
    return Statement(_select(_columns(work), work.table, work.join, conditions), tuple(wanted))


def columns_read(service: Service) -> dict[str, frozenset[str]]:
    """Return the columns that a service's evidence reads, by table."""
    sent = [heartbeats(service.beat, "").sql] if service.beat else []
    for work in service.work:
        sent += [operations(work, ("h",), ("o",)).sql, endings(work, ("1",)).sql]
    found: dict[str, set[str]] = {}
    for sql in sent:
        tables = {alias: table for table, alias in _TABLE.findall(sql)}
        for alias, column in _COLUMN.findall(re.sub("'[^']*'", "''", sql)):
            found.setdefault(tables[alias], set()).add(column)
    return {table: frozenset(columns) for table, columns in sorted(found.items())}


def _columns(work: Work) -> list[str]:
    return [
        f"{work.id} AS id",
        f"{work.status} AS status",
        f"{work.host or 'NULL'} AS host",
        f"{work.owner or 'NULL'} AS owner",
    ]


def _held_by(work: Work, hosts: Sequence[str], owners: Sequence[str]) -> tuple[str, list[object]]:
    if work.owner:
        return f"{work.owner} IN ({marks(owners)})", list(owners)
    if not work.host:
        return "", []
    if not work.pools:
        return f"{work.host} IN ({marks(hosts)})", list(hosts)
    condition = f"{work.host} = %s OR {work.host} LIKE %s ESCAPE '!'"
    params: list[object] = []
    for host in hosts:
        params += [host, escaped(host) + "#%"]
    return f"({' OR '.join([condition] * len(hosts))})", params


def _select(columns: Iterable[str], table: str, join: str, conditions: Iterable[str]) -> str:
    where = " AND ".join(filter(None, conditions)) or "TRUE"
    return f"SELECT {', '.join(columns)} FROM `{table}` t{' ' if join else ''}{join} WHERE {where}"  # noqa: S608


def _first(columns: Sequence[str]) -> str:
    return f"COALESCE({', '.join(columns)})"


def _age(columns: Sequence[str]) -> str:
    return f"TIMESTAMPDIFF(SECOND, {_first(columns)}, UTC_TIMESTAMP())"

"""The second way to unfence, as fence.py asks for it: Cinder's database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..database.connection import Database, Query
from ..database.target import target
from ..errors import ConfigError, EvidenceUnavailable
from ..service.config import load
from .model import MARKER, FenceError, Row

_T = TypeVar("_T")


class DatabaseWay:
    """Enables rows in the table ``services`` of Cinder's database."""

    def __init__(self, database: WritingDatabase, where: str) -> None:
        self._database = database
        self._where = where

    def check(self, rows: Sequence[Row]) -> None:
        """See that the rows are there and that the account may enable them."""
        binary, hosts = rows[0].binary, [row.host for row in rows]
        missing = self._within(lambda query: check(query, binary, hosts))
        if missing:
            raise FenceError(
                f"the database {self._where} has no {binary} on {', '.join(missing)}: check that database and API "
                "are of one cloud"
            )

    def enable(self, row: Row) -> bool:
        """Enable the row if it still holds this very reason."""
        return self._within(lambda query: enable(query, row.binary, row.host, row.reason))

    def _within(self, ask: Callable[[Query], _T]) -> _T:
        try:
            with self._database.snapshot() as query:
                found = ask(query)
                self._database.commit()
                return found
        except EvidenceUnavailable as exc:
            raise FenceError(
                f"the second way does not work: {exc} (it needs what this gives: {grant()})"
            ) from None
        finally:
            self._database.close()


def database_way(service: str, database: Mapping[str, Any], files: Sequence[str]) -> DatabaseWay | None:
    """Return the way, or None where no database is given. Raises ConfigError."""
    if not database and not files:
        return None
    if not service.startswith("cinder-"):
        raise ConfigError(
            "database and service_config are for Cinder's services: Nova's API enables what it disabled"
        )
    url = load(files, service).database if files else None
    if files and not url and not database:
        raise ConfigError(f"[database]/connection is missing in {', '.join(files)}: give it in database")
    parts = dict(database)
    given = parts.pop("url", None)
    where = target(given or url, inherited=given is None, **parts)
    return DatabaseWay(WritingDatabase(where), where.where)


COLUMNS_READ = ("id", "host", "`binary`", "deleted", "disabled", "disabled_reason")
COLUMNS_WRITTEN = ("disabled", "disabled_reason")

_ENABLE = (
    "UPDATE services SET disabled = 0, disabled_reason = NULL"
    " WHERE id = %s AND deleted = 0 AND disabled = 1 AND disabled_reason = %s"
)


class WritingDatabase(Database):
    """The same connection, without the server's guard against writing."""

    _TRANSACTION = "START TRANSACTION"

    def _guard(self) -> None:
        """A write is what this one is for."""

    def commit(self) -> None:
        """Make the changes last."""
        self._query("COMMIT")


def check(query: Query, binary: str, hosts: Sequence[str]) -> list[str]:
    """Return those hosts that have no row. Raises EvidenceUnavailable, also where writing is not allowed."""
    missing = [host for host in hosts if not _rows(query, binary, host)]
    # No row has this id: the server checks the rights to the columns, and changes nothing.
    query(_ENABLE, [-1, ""])
    return missing


def enable(query: Query, binary: str, host: str, reason: str) -> bool:
    """Enable the row if it still holds this reason; False if it does not. Raises EvidenceUnavailable."""
    held = [row for row in _rows(query, binary, host) if row["disabled"] and row["disabled_reason"] == reason]
    for row in held:
        query(_ENABLE, [row["id"], reason])
    return bool(held)


def _rows(query: Query, binary: str, host: str) -> list[dict[str, object]]:
    found = query(
        "SELECT id, host, disabled, disabled_reason FROM services"
        " WHERE deleted = 0 AND `binary` = %s AND host = %s",
        [binary, host],
    )
    # The database compares without regard to case, accents and trailing blanks; hosts are exact.
    return [row for row in found if row["host"] == host]


def by_hand(row: Row) -> str:
    """Return the statement with which a person enables the row in the service's database."""
    return (
        "UPDATE services SET disabled = 0, disabled_reason = NULL WHERE deleted = 0 AND"
        f" `binary` = {_quoted(row.binary)} AND host = {_quoted(row.host)}"
        f" AND disabled_reason LIKE {_quoted(MARKER + '%')};"
    )


def grant(user: str = "'drain'@'%'", database: str = "cinder") -> str:
    """Return the rights that are needed, and no more."""
    return (
        f"GRANT SELECT ({', '.join(COLUMNS_READ)}), UPDATE ({', '.join(COLUMNS_WRITTEN)})"
        f" ON {database}.services TO {user};"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

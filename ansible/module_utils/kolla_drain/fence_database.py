"""The second way to unfence, as fence.py asks for it: Cinder's database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from .errors import ConfigError, EvidenceUnavailable
from .evidence import fencing
from .evidence.database import Query, target
from .fence import MARKER, FenceError, Row
from .service_config import load

_T = TypeVar("_T")


class DatabaseWay:
    """Enables rows in the table ``services`` of Cinder's database."""

    def __init__(self, database: fencing.WritingDatabase, where: str) -> None:
        self._database = database
        self._where = where

    def check(self, rows: Sequence[Row]) -> None:
        """See that the rows are there and that the account may enable them."""
        binary, hosts = rows[0].binary, [row.host for row in rows]
        missing = self._within(lambda query: fencing.check(query, binary, hosts))
        if missing:
            raise FenceError(
                f"the database {self._where} has no {binary} on {', '.join(missing)}: check that database and API "
                "are of one cloud"
            )

    def enable(self, row: Row) -> bool:
        """Enable the row if it still holds this very reason."""
        return self._within(lambda query: fencing.enable(query, row.binary, row.host, row.reason))

    def _within(self, ask: Callable[[Query], _T]) -> _T:
        try:
            with self._database.snapshot() as query:
                found = ask(query)
                self._database.commit()
                return found
        except EvidenceUnavailable as exc:
            raise FenceError(
                f"the second way does not work: {exc} (it needs what this gives: {fencing.grant()})"
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
    return DatabaseWay(fencing.WritingDatabase(where), where.where)


def by_hand(row: Row) -> str:
    """Return the statement with which a person enables the row in the service's database."""
    return fencing.by_hand(row.binary, row.host, MARKER)

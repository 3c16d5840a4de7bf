"""Enable a service in Cinder's database, for an API that takes the request to enable and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..database.connection import Database, Query
from ..database.target import target
from ..errors import ConfigError, EvidenceUnavailable
from ..service.config import load
from .model import MARKER, DisableError, Service

_T = TypeVar("_T")

COLUMNS_READ = ("id", "host", "`binary`", "deleted", "disabled", "disabled_reason")
COLUMNS_WRITTEN = ("disabled", "disabled_reason")

_SELECT = (
    "SELECT id, host, disabled, disabled_reason FROM services"
    " WHERE deleted = 0 AND `binary` = %s AND host = %s"
)
_ENABLE = (
    "UPDATE services SET disabled = 0, disabled_reason = NULL"
    " WHERE id = %s AND deleted = 0 AND disabled = 1 AND disabled_reason = %s"
)


class WritingDatabase(Database):
    """A connection without the guard that makes the server refuse to write."""

    _TRANSACTION = "START TRANSACTION"

    def _guard(self) -> None:
        """Leave the session writable."""

    def commit(self) -> None:
        """Commit the transaction."""
        self._query("COMMIT")


class ServicesTable:
    """The table ``services`` of Cinder's database."""

    def __init__(self, database: WritingDatabase, where: str) -> None:
        self._database = database
        self._where = where

    def check(self, services: Sequence[Service]) -> None:
        """Check that the services have rows and that the account may enable them. Raises DisableError."""

        def missing(query: Query) -> list[str]:
            hosts = [service.host for service in services if not _rows(query, service)]
            # No row has this id: the server checks the rights to the columns, and changes nothing.
            query(_ENABLE, [-1, ""])
            return hosts

        hosts = self._transaction(missing)
        if hosts:
            raise DisableError(
                f"the database {self._where} has no {services[0].binary} on {', '.join(hosts)}: check that database "
                "and API belong to the same cloud"
            )

    def enable(self, service: Service) -> bool:
        """Enable the service if its row still holds this reason. Raises DisableError."""

        def enabled(query: Query) -> bool:
            held = [
                row
                for row in _rows(query, service)
                if row["disabled"] and row["disabled_reason"] == service.reason
            ]
            for row in held:
                query(_ENABLE, [row["id"], service.reason])
            return bool(held)

        return self._transaction(enabled)

    def _transaction(self, work: Callable[[Query], _T]) -> _T:
        try:
            with self._database.snapshot() as query:
                result = work(query)
                self._database.commit()
                return result
        except EvidenceUnavailable as exc:
            raise DisableError(
                f"a service cannot be enabled in the database: {exc} (the account needs: {grant()})"
            ) from None
        finally:
            self._database.close()


def services_table(service: str, database: Mapping[str, Any], files: Sequence[str]) -> ServicesTable | None:
    """Return the table, or None if neither a database nor files are given. Raises ConfigError."""
    if not database and not files:
        return None
    if not service.startswith("cinder-"):
        raise ConfigError(
            "database and service_config are for Cinder's services, because Nova's API enables what it has disabled: "
            "leave them out"
        )
    url = load(files, service).database if files else None
    if files and not url and not database:
        raise ConfigError(f"[database]/connection is missing in {', '.join(files)}: give it in database")
    parts = dict(database)
    given = parts.pop("url", None)
    where = target(given or url, inherited=given is None, **parts)
    return ServicesTable(WritingDatabase(where), where.where)


def _rows(query: Query, service: Service) -> list[dict[str, object]]:
    rows = query(_SELECT, [service.binary, service.host])
    # The database ignores case, accents and trailing blanks where it compares; host names are exact.
    return [row for row in rows if row["host"] == service.host]


def statement(service: Service) -> str:
    """Return the SQL with which a person enables the service in the database."""
    return (
        "UPDATE services SET disabled = 0, disabled_reason = NULL WHERE deleted = 0 AND"
        f" `binary` = {_quoted(service.binary)} AND host = {_quoted(service.host)}"
        f" AND disabled_reason LIKE {_quoted(MARKER + '%')};"
    )


def grant(user: str = "'drain'@'%'", database: str = "cinder") -> str:
    """Return the SQL that grants the rights which check() and enable() need, and no others."""
    return (
        f"GRANT SELECT ({', '.join(COLUMNS_READ)}), UPDATE ({', '.join(COLUMNS_WRITTEN)})"
        f" ON {database}.services TO {user};"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

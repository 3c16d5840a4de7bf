"""Enable a service in Cinder's database, for an API that takes the request to enable and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..database.connection import Query, WritingDatabase
from ..database.target import target
from ..errors import ConfigError, EvidenceUnavailable
from ..service.config import load
from .model import MARKER, DisableError, Service

_SELECT = "SELECT id, host FROM services WHERE deleted = 0 AND `binary` = %s AND host = %s"
_ENABLE = (
    "UPDATE services SET disabled = 0, disabled_reason = NULL"
    " WHERE id = %s AND deleted = 0 AND disabled = 1 AND disabled_reason = %s"
)
# The rights that check() and enable() need, and no others.
GRANT = (
    "GRANT SELECT (id, host, `binary`, deleted, disabled, disabled_reason), UPDATE (disabled, disabled_reason)"
    " ON cinder.services TO 'drain_disable'@'%';"
)


class ServicesTable:
    """The table ``services`` of Cinder's database."""

    def __init__(self, database: WritingDatabase, where: str) -> None:
        self._database = database
        self._where = where

    def check(self, services: Sequence[Service]) -> None:
        """Check that the services have rows and that the account may enable them. Raises DisableError."""
        with self._transaction() as query:
            hosts = [service.host for service in services if not _ids(query, service)]
            # No row has this id: the server checks the rights to the columns, and changes nothing.
            query(_ENABLE, [-1, ""])
        if hosts:
            raise DisableError(
                f"the database {self._where} has no {services[0].binary} on {', '.join(hosts)}: check that database "
                "and API belong to the same cloud"
            )

    def enable(self, service: Service) -> None:
        """Enable the service if its row still holds this reason. Raises DisableError."""
        with self._transaction() as query:
            for number in _ids(query, service):
                query(_ENABLE, [number, service.reason])

    @contextmanager
    def _transaction(self) -> Iterator[Query]:
        try:
            with self._database.snapshot() as query:
                yield query
                query("COMMIT")
        except EvidenceUnavailable as exc:
            raise DisableError(
                f"a service cannot be enabled in the database: {exc} (the account needs: {GRANT})"
            ) from None
        finally:
            self._database.close()


def services_table(service: str, database: Mapping[str, Any], files: Sequence[str]) -> ServicesTable | None:
    """Return the table, or None if neither a database nor files are given. Raises ConfigError."""
    if not database and not files:
        return None
    if not service.startswith("cinder-"):
        raise ConfigError(
            "database and service_config are for Cinder's services, because the APIs of others enable what they have "
            "disabled: leave them out"
        )
    url = load(files, service).database if files else None
    if files and not url and not database:
        raise ConfigError(f"[database]/connection is missing in {', '.join(files)}: give it in database")
    parts = dict(database)
    given = parts.pop("url", None)
    where = target(given or url, inherited=given is None, **parts)
    return ServicesTable(WritingDatabase(where), where.where)


def _ids(query: Query, service: Service) -> list[object]:
    rows = query(_SELECT, [service.binary, service.host])
    # The database ignores case, accents and trailing blanks where it compares; host names are exact.
    return [row["id"] for row in rows if row["host"] == service.host]


def statement(service: Service) -> str:
    """Return the SQL with which a person enables the service in the database."""
    binary, host, reason = (
        "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
        for text in (service.binary, service.host, f"{MARKER}%")
    )
    return (
        "UPDATE services SET disabled = 0, disabled_reason = NULL WHERE deleted = 0 AND"
        f" `binary` = {binary} AND host = {host} AND disabled_reason LIKE {reason};"
    )

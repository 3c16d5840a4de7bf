"""The second way to enable a Cinder service that we disabled: two columns of its row, and nothing else.

cinder 29.0.0 answers 200 to ``os-services/enable`` and changes nothing (cinder/api/v3/services.py saves
without setting the flag). This is the only place that writes to a service's database; a row is
touched only while it holds the very reason that we wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

from .database import Database, Query

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


def by_hand(binary: str, host: str, marker: str) -> str:
    """Return the statement that a person can use."""
    return (
        "UPDATE services SET disabled = 0, disabled_reason = NULL WHERE deleted = 0 AND"
        f" `binary` = {_quoted(binary)} AND host = {_quoted(host)} AND disabled_reason LIKE {_quoted(marker + '%')};"
    )


def grant(user: str = "'drain'@'%'", database: str = "cinder") -> str:
    """Return the rights that are needed, and no more."""
    return (
        f"GRANT SELECT ({', '.join(COLUMNS_READ)}), UPDATE ({', '.join(COLUMNS_WRITTEN)})"
        f" ON {database}.services TO {user};"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

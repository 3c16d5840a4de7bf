"""The statements of the fallback, run on a table that SQLite holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kolla_drain.disable.database import GRANT, ServicesTable, statement
from kolla_drain.disable.model import DisableError, Service
from kolla_drain.errors import EvidenceUnavailable

OURS = "kolla-drain: disabled 2026-11-21T12:00:00Z for a stop of cinder-volume"
THERE = Service("cinder-volume", "a@x", enabled=False, up=True, reason=OURS)


class FakeDatabase:
    """Cinder's table ``services`` with one row each of: ours, somebody else's, another binary, a deleted one."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute(
            "CREATE TABLE services (id INTEGER PRIMARY KEY, host, `binary`, deleted, disabled, disabled_reason)"
        )
        for host, binary, deleted, reason in (
            ("a@x", "cinder-volume", 0, OURS),
            ("a@y", "cinder-volume", 0, "disk swap"),
            ("a@x", "cinder-backup", 0, OURS),
            ("a@x", "cinder-volume", 1, OURS),
        ):
            self.connection.execute(
                "INSERT INTO services (host, `binary`, deleted, disabled, disabled_reason) VALUES (?, ?, ?, 1, ?)",
                (host, binary, deleted, reason),
            )
        self.fault = ""

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        self.connection.execute("BEGIN")
        try:
            yield self.query
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def query(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, object]]:
        if self.fault and sql.startswith(self.fault):
            raise EvidenceUnavailable(f"{self.fault} is denied")
        return [dict(row) for row in self.connection.execute(sql.replace("%s", "?"), tuple(params))]

    def close(self) -> None:
        pass

    @property
    def enabled(self) -> list[int]:
        return [row["id"] for row in self.query("SELECT id FROM services WHERE NOT disabled")]


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def table(database: FakeDatabase) -> ServicesTable:
    return ServicesTable(database, "cinder on db:3306")  # type: ignore[arg-type]


def test_the_row_is_enabled_and_no_other(table: ServicesTable, database: FakeDatabase) -> None:
    table.enable(THERE)
    assert database.enabled == [1]


def test_a_row_with_another_reason_is_left(table: ServicesTable, database: FakeDatabase) -> None:
    table.enable(Service("cinder-volume", "a@y", enabled=False, up=True, reason=OURS))
    assert database.enabled == []


def test_a_check_changes_nothing(table: ServicesTable, database: FakeDatabase) -> None:
    table.check([THERE])

    assert database.enabled == []


def test_a_check_names_what_the_database_lacks(table: ServicesTable) -> None:
    with pytest.raises(DisableError, match="cinder on db:3306 has no cinder-volume on b@x: check that"):
        table.check([THERE, Service("cinder-volume", "b@x", enabled=True, up=True)])


@pytest.mark.parametrize("denied", ["SELECT", "UPDATE"])
def test_a_check_needs_every_right(table: ServicesTable, database: FakeDatabase, denied: str) -> None:
    database.fault = denied

    with pytest.raises(DisableError, match=rf"{denied} is denied \(the account needs: GRANT SELECT"):
        table.check([THERE])
    assert GRANT.endswith("ON cinder.services TO 'drain_disable'@'%';")


def test_the_statement_for_a_person_does_the_same(database: FakeDatabase) -> None:
    database.query(statement(THERE))

    assert database.enabled == [1]

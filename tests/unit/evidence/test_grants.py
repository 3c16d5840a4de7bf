"""The rights of an account that reads evidence are what its statements read, column by column; the docs show them."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from pathlib import Path

import pytest

import kolla_drain.evidence
from kolla_drain.database.rights import BY_SERVICE, rights
from kolla_drain.profiles import NAMES
from tests.support.evidence_queries import statements

PAGE = Path(__file__).resolve().parents[3] / "docs" / "database-account.rst"
CASES = [(service, schema) for service, schemas in BY_SERVICE.items() for schema in schemas]
# MariaDB's SQL as SQLite knows it, which tells the columns that a statement reads.
_DIALECT = (
    (r"TIMESTAMPDIFF\(SECOND, ", "AGE("),
    (r"COALESCE\(([\w.]+)\)", r"\1"),
    (r"UTC_TIMESTAMP\(\)( - INTERVAL 1 \w+)?", "0"),
    (r"\bIF\(", "IIF("),
    ("%s", "?"),
    ("%%", "%"),
)


def read_by(service: str, schema: str) -> dict[str, set[str]]:
    """The columns that a service's evidence reads, by table. Fails on one that may not be read."""
    database = sqlite3.connect(":memory:")
    database.create_function("AGE", 2, lambda *_: 0)
    database.create_function("CONCAT", -1, lambda *_: "")
    for table, columns in BY_SERVICE[service][schema].items():
        database.execute(f"CREATE TABLE `{table}` ({', '.join(f'`{column}`' for column in columns)})")
    found: dict[str, set[str]] = defaultdict(set)

    def note(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ and table and column:
            found[table].add(column)
        return sqlite3.SQLITE_OK

    database.set_authorizer(note)
    for sql, params in statements(service):
        for ours, theirs in _DIALECT:
            sql = re.sub(ours, theirs, sql)
        database.execute(sql, params)
    return found


@pytest.mark.parametrize(("service", "schema"), CASES)
def test_the_rights_are_those_that_evidence_needs_and_no_others(service: str, schema: str) -> None:
    assert BY_SERVICE[service][schema] == read_by(service, schema)


def test_every_service_with_evidence_has_rights() -> None:
    evidence = kolla_drain.evidence
    assert list(BY_SERVICE) == [name for name in evidence.SERVICES if name not in evidence.WITHOUT_ROWS]


def test_every_statement_of_the_sources_was_looked_at() -> None:
    sent = " ".join(sql for service in BY_SERVICE for sql, _ in statements(service))
    folder = Path(kolla_drain.evidence.__file__).parent
    text = " ".join(path.read_text() for path in sorted(folder.glob("*.py")))
    # How each begins, up to what is put into it or the end of its line; the last is the reader's own, of no table.
    beginnings = set(re.findall(r'(?<=")SELECT [^"{]+', text)) - {"SELECT UTC_TIMESTAMP(6) AS taken"}
    assert len(beginnings) > 15
    assert [beginning for beginning in sorted(beginnings) if beginning not in sent] == []


@pytest.mark.parametrize("service", [service for service in BY_SERVICE if service not in NAMES])
def test_the_page_shows_them(service: str) -> None:
    (_, section) = PAGE.read_text().split(f"\n   -- {service}\n")
    shown = {
        tuple(found["table"].replace("`", "").split(".")): frozenset(
            column.strip(" `\n") for column in found["columns"].split(",")
        )
        for found in re.finditer(
            r"GRANT SELECT \((?P<columns>[^)]*)\)\s+ON (?P<table>[\w.`]+) TO 'drain'@'%';",
            section.partition("\n   --")[0],
        )
    }
    assert shown == rights([service], {name: [name] for name in ("cinder", "nova", "nova_cell0")})

"""What declared services ask, on the schemas that the projects' own db sync makes, with the declared rights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kolla_drain.database.connection import Database
from kolla_drain.database.rights import rights
from kolla_drain.database.target import DatabaseTarget
from kolla_drain.database.target import target as target_of
from kolla_drain.profiles import NAMES, declared
from testbed.mariadb import MariaDB
from tests.support.evidence_queries import statements

from .test_evidence_declared import TABLES

SCHEMA_OF = {
    name: found.schema
    for name in NAMES
    if (found := declared(name)) is not None and (found.beat or found.work)
}
SCHEMAS = sorted(set(SCHEMA_OF.values()))
READER, PASSWORD = "by_declarations", "s3cret"


def real(schema: str) -> str:
    """The database's name: other tests have smaller ones of the schema's own."""
    return f"real_{schema}"


@pytest.fixture(scope="module")
def synced(_server: MariaDB) -> Iterator[MariaDB]:
    """The schemas, and an account with the columns that the declarations name."""
    for schema in SCHEMAS:
        _server.load_schema(schema, real(schema))
    _server.create_user(READER, PASSWORD, grants="USAGE")
    granted = rights(list(SCHEMA_OF), {schema: [real(schema)] for schema in SCHEMAS})
    for (database, table), columns in granted.items():
        names = ", ".join(f"`{column}`" for column in sorted(columns))
        _server.execute(f"GRANT SELECT ({names}) ON `{database}`.`{table}` TO {READER}@`%`")
    yield _server
    for schema in SCHEMAS:
        _server.execute(f"DROP DATABASE `{real(schema)}`")
    _server.execute(f"DROP USER {READER}@`%`")


def target(server: MariaDB, schema: str) -> DatabaseTarget:
    where = {"host": "127.0.0.1", "port": server.port, "user": READER, "password": PASSWORD}
    return target_of(**where, name=real(schema))


def types(server: MariaDB, database: str) -> dict[tuple[str, str], str]:
    """The type of each column, by table and name."""
    rows = server.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = %s",
        (database,),
    )
    return {(table, column): kind for table, column, kind in rows}


@pytest.mark.parametrize("service", SCHEMA_OF)
def test_every_statement_runs(synced: MariaDB, service: str) -> None:
    sent = statements(service)
    assert sent
    connection = Database(target(synced, SCHEMA_OF[service]))
    try:
        with connection.snapshot() as query:
            for statement, parameters in sent:
                query(statement, parameters)
    finally:
        connection.close()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_tables_of_the_other_tests_have_its_types(synced: MariaDB, schema: str) -> None:
    small = f"small_{schema}"
    synced.execute(f"CREATE DATABASE `{small}` CHARACTER SET utf8mb3")
    try:
        for table, described in TABLES[schema].items():
            synced.execute(f"CREATE TABLE `{table}` ({described}) ENGINE=InnoDB", database=small)
        ours, its = types(synced, small), types(synced, real(schema))
    finally:
        synced.execute(f"DROP DATABASE `{small}`")
    assert {column: (kind, its.get(column)) for column, kind in ours.items() if its.get(column) != kind} == {}

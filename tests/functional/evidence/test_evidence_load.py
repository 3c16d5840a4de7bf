"""What a reading costs the server: rows that belong to the host, however large the tables are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from kolla_drain.database.connection import Database
from kolla_drain.database.target import target
from kolla_drain.evidence import evidence_of
from kolla_drain.service.config import Backend, ServiceConfig
from testbed import many_rows
from testbed.mariadb import MariaDB
from tests.support.evidence_queries import asked

from .conftest import READER

FEW, MANY = 20, 100  # hosts
# Indexes of nova.migrations that came with 2026.1, and what nova-compute reads without them.
OF_2026 = ("migrations_by_dest_host_nodes_and_status_idx", "migrations_by_src_host_nodes_and_status_idx")
BEFORE_2026 = "nova-compute, 2025.1"
CLUSTERED = "cinder-volume, clustered"
# Tables that are gone through all the same, because no index of theirs has a host, a cluster, a status or the time of a
# write. The services that do so are on few hosts of a site.
GONE_THROUGH = {
    "cinder-volume": ["groups"],
    CLUSTERED: ["groups", "snapshots", "snapshots", "volume_attachment", "volumes"],
    "cinder-backup": ["backups"],
    "cinder-scheduler": ["backups", "groups", "snapshots", "volumes"],
}
Read = list[tuple[str, int]]  # the statements, each with its table and the rows read


def read(server: MariaDB, password: str, service: str) -> Read:
    """What the server reads for the second reading of a service and for the endings that are asked for with it."""
    host = many_rows.host(7)
    backends = (Backend("a", host), Backend("b", host)) if service == "cinder-volume" else ()
    evidence, config = evidence_of(service), ServiceConfig(service, host, backends=backends)
    parts = {"host": "127.0.0.1", "port": server.port, "user": READER, "password": password}
    connection = Database(target(name=many_rows.DATABASE_OF[service], **parts))
    try:
        with connection.snapshot() as query:
            evidence.read(query, config)
            counted = many_rows.Counted(query)
            evidence.read(counted, config)
            evidence.endings(counted, config, asked(service))
    finally:
        connection.close()
    return [(table_of(sql), rows) for sql, rows in counted.read]


def table_of(sql: str) -> str:
    """The first table that a statement reads, apart from those in parentheses."""
    while "(" in sql:
        sql = re.sub(r"\([^()]*\)", "", sql)
    return re.findall(r" FROM `?(\w+)", sql)[0]


@contextlib.contextmanager
def ignored(server: MariaDB, table: str, *indexes: str) -> Iterator[None]:
    """Let the server do without these indexes."""
    for how in ("IGNORED", "NOT IGNORED"):
        for index in indexes:
            server.execute(f"ALTER TABLE {table} ALTER INDEX {index} {how}")
        if how == "IGNORED":
            yield


@pytest.fixture(scope="module")
def readings(_server: MariaDB, _reader_password: str) -> Iterator[dict[str, tuple[Read, Read]]]:
    """By service, what is read with few hosts and with many."""
    found: list[dict[str, Read]] = []
    for hosts in (FEW, MANY):
        many_rows.fill(_server, hosts)
        found.append({service: read(_server, _reader_password, service) for service in many_rows.DATABASE_OF})
        with ignored(_server, "nova.migrations", *OF_2026):
            found[-1][BEFORE_2026] = read(_server, _reader_password, "nova-compute")
        _server.execute(
            f"UPDATE cinder.services SET cluster_name = 'c' WHERE host LIKE '{many_rows.host(7)}@_'"
        )
        found[-1][CLUSTERED] = read(_server, _reader_password, "cinder-volume")
    yield {service: (found[0][service], found[1][service]) for service in found[0]}
    many_rows.clear(_server)


@pytest.mark.parametrize("service", [*many_rows.DATABASE_OF, BEFORE_2026, CLUSTERED])
def test_the_rows_that_a_reading_costs_do_not_grow_with_the_tables(
    readings: dict[str, tuple[Read, Read]], service: str
) -> None:
    """What is excused goes through a table as often as it is named; if it does not, the excuse can go."""
    few, many = readings[service]
    grown = [
        f"{table}: {before} rows with {FEW} hosts, {after} with {MANY}"
        for (table, before), (_, after) in zip(few, many, strict=True)
        if after > 1.5 * before + 10
    ]
    assert sorted(line.split(":")[0] for line in grown) == GONE_THROUGH.get(service, []), grown

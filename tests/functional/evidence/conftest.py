"""A real MariaDB with the real schemas, and a short way to put rows into it."""

from __future__ import annotations

import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest

from kolla_drain.database import target
from kolla_drain.database.connection import Database
from kolla_drain.database.target import DatabaseTarget
from kolla_drain.evidence import evidence_of
from kolla_drain.evidence.base import ServiceEvidence
from kolla_drain.model import Ending, Heartbeat, Operation
from kolla_drain.service.config import Backend, ServiceConfig
from testbed import mariadb
from testbed.mariadb import MariaDB

READER = "reader"
T = TypeVar("T")


class Rows:
    """One schema on the server: puts rows in, reads evidence as a user who may only read, clears up."""

    def __init__(self, server: MariaDB, schema: str, password: str) -> None:
        self.server = server
        self.schema = schema
        self._password = password
        self._touched: list[str] = []
        self._connection: Any = None

    def insert(self, table: str, **columns: Any) -> Any:
        """Insert a row and return its id."""
        columns.setdefault("deleted", 0)
        names = ", ".join(f"`{name}`" for name in columns)
        values = ", ".join(["%s"] * len(columns))
        key = self.execute(f"INSERT INTO `{table}` ({names}) VALUES ({values})", *columns.values())
        self._touched.append(table)
        return columns.get("id") or key

    def update(self, table: str, key: Any, **columns: Any) -> None:
        """Change a row by its id."""
        changes = ", ".join(f"`{name}` = %s" for name in columns)
        self.execute(f"UPDATE `{table}` SET {changes} WHERE id = %s", *columns.values(), key)

    def execute(self, statement: str, *parameters: Any) -> Any:
        """Run a statement as root, on one connection for all; return the last row's id."""
        if self._connection is None:
            self._connection = self.server.open(self.schema, init_command="SET foreign_key_checks = 0")
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.lastrowid

    def now(self, seconds: float = 0) -> datetime:
        """UTC, so many seconds from now; the server has the clock of this machine."""
        return datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(seconds=seconds)

    def in_time(self, seconds: float, look: Callable[[], T]) -> T:
        """Return what ``look`` writes and sees within so many seconds; on a busy machine it tries more than once."""
        for _ in range(20):
            begun = time.monotonic()
            found = look()
            if time.monotonic() - begun < seconds:
                return found
        raise AssertionError(f"it took more than {seconds:g} s each time")

    def clear(self) -> None:
        """Remove all rows of the tables that were touched."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for table in dict.fromkeys(self._touched):
            self.execute(f"DELETE FROM `{table}`")
        self._touched.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def target(self, **parts: Any) -> DatabaseTarget:
        """Where the reader finds it."""
        given = {"host": "127.0.0.1", "port": self.server.port, "user": READER, "password": self._password}
        return target.target(**{**given, "name": self.schema, **parts})

    def read(
        self, config: ServiceConfig, evidence: ServiceEvidence | None = None
    ) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
        """One reading, in a connection of its own; the first one, unless by ``evidence`` that has looked before."""
        connection = Database(self.target())
        try:
            with connection.snapshot() as query:
                return (evidence or evidence_of(config.service)).read(query, config)
        finally:
            connection.close()

    def operations(
        self, config: ServiceConfig, evidence: ServiceEvidence | None = None
    ) -> set[tuple[str, str, bool | None]]:
        """What is in flight: kind, id, claimed; with informs as a fourth where it does."""
        return {(op.kind, op.id, op.claimed) for op in self.read(config, evidence)[1] if not op.informs}

    def endings(
        self, config: ServiceConfig, *operations: Operation, evidence: ServiceEvidence | None = None
    ) -> tuple[Ending, ...]:
        """What became of these."""
        connection = Database(self.target())
        try:
            with connection.snapshot() as query:
                return (evidence or evidence_of(config.service)).endings(query, config, operations)
        finally:
            connection.close()


class CinderRows(Rows):
    """Rows as Cinder writes them."""

    def service(self, host: str, binary: str = "cinder-volume", age: float = 3, **columns: Any) -> int:
        """A row of ``services``, refreshed ``age`` seconds ago."""
        given = {"disabled": 0, "report_count": 5, "created_at": self.now(-900), "updated_at": self.now(-age)}
        return int(
            self.insert("services", host=host, binary=binary, uuid=str(uuid.uuid4()), **{**given, **columns})
        )

    def volume(self, host: str | None, status: str, **columns: Any) -> str:
        """A row of ``volumes``."""
        given = {
            "id": str(uuid.uuid4()),
            "volume_type_id": "t",
            "created_at": self.now(-20),
            "updated_at": self.now(-5),
        }
        return str(self.insert("volumes", host=host, status=status, **{**given, **columns}))

    def snapshot(self, volume: str, status: str, **columns: Any) -> str:
        """A row of ``snapshots``."""
        given = {"id": str(uuid.uuid4()), "volume_type_id": "t", "created_at": self.now(-20)}
        return str(self.insert("snapshots", volume_id=volume, status=status, **{**given, **columns}))

    def backup(self, host: str | None, status: str, **columns: Any) -> str:
        """A row of ``backups``."""
        given = {"id": str(uuid.uuid4()), "volume_id": "v", "created_at": self.now(-20)}
        return str(self.insert("backups", host=host, status=status, **{**given, **columns}))

    def worker(
        self, resource: str, service: int | None, status: str, kind: str = "Volume", **columns: Any
    ) -> int:
        """A row of ``workers``."""
        given = {"created_at": self.now(-4), "updated_at": self.now(-4), "race_preventer": 0}
        return int(
            self.insert(
                "workers",
                resource_type=kind,
                resource_id=resource,
                service_id=service,
                status=status,
                **{**given, **columns},
            )
        )


class NovaRows(Rows):
    """Rows as Nova writes them."""

    def service(self, host: str, binary: str = "nova-compute", age: float | None = 3, **columns: Any) -> int:
        """A row of ``services``, last seen up ``age`` seconds ago or never."""
        given = {
            "disabled": 0,
            "report_count": 5,
            "created_at": self.now(-900),
            "updated_at": self.now(),
            "last_seen_up": None if age is None else self.now(-age),
            "topic": binary[5:],
            "version": 1,
            "forced_down": 0,
        }
        row = {"host": host, "binary": binary, **given, **columns}
        return int(self.insert("services", **row))

    def instance(
        self, host: str | None, vm_state: str = "active", task: str | None = None, **columns: Any
    ) -> str:
        """A row of ``instances``."""
        name = str(uuid.uuid4())
        times = {"created_at": self.now(-50), "updated_at": self.now(-5)}
        row = {"uuid": name, "host": host, "vm_state": vm_state, "task_state": task, **times, **columns}
        self.insert("instances", **row)
        return name

    def migration(
        self, instance: str, status: str, kind: str, source: str, dest: str, **columns: Any
    ) -> None:
        """A row of ``migrations``."""
        given = {"created_at": self.now(-9), "updated_at": self.now(-1), "uuid": str(uuid.uuid4())}
        self.insert(
            "migrations",
            instance_uuid=instance,
            status=status,
            migration_type=kind,
            source_compute=source,
            dest_compute=dest,
            **{**given, **columns},
        )

    def event(
        self, instance: str, event: str, host: str, started: float = -3, finished: bool = False
    ) -> None:
        """A row of ``instance_actions_events`` with its action."""
        times = {"updated_at": self.now(started)}  # by the start of the event
        action = self.insert("instance_actions", instance_uuid=instance, action="x", request_id="r", **times)
        self.insert(
            "instance_actions_events",
            action_id=action,
            event=event,
            host=host,
            start_time=self.now(started),
            finish_time=self.now() if finished else None,
        )


@pytest.fixture(scope="session")
def _server() -> Iterator[MariaDB]:
    """One server for all tests here, with TLS on offer."""
    server = mariadb.start(f"evidence_{os.getpid()}", tls=True)
    try:
        for schema in ("cinder", "nova", "nova_cell0"):
            server.load_schema(schema)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def _reader_password(_server: MariaDB) -> str:
    password = secrets.token_hex(8) + "@/:ü%"
    _server.create_user(READER, password)
    return password


@pytest.fixture
def server(_server: MariaDB) -> Iterator[MariaDB]:
    """The server, running again when the test ends."""
    yield _server
    _server.start()  # a running one stays as it is


@pytest.fixture
def cinder(server: MariaDB, _reader_password: str) -> Iterator[CinderRows]:
    rows = CinderRows(server, "cinder", _reader_password)
    yield rows
    server.start()
    rows.clear()


@pytest.fixture
def nova(server: MariaDB, _reader_password: str) -> Iterator[NovaRows]:
    rows = NovaRows(server, "nova", _reader_password)
    yield rows
    rows.clear()


@pytest.fixture
def cell0(server: MariaDB, _reader_password: str) -> Iterator[NovaRows]:
    rows = NovaRows(server, "nova_cell0", _reader_password)
    yield rows
    rows.clear()


@pytest.fixture
def volume_config() -> ServiceConfig:
    """A cinder-volume with two backends, one with a host of its own."""
    return ServiceConfig("cinder-volume", "ctl", backends=(Backend("a", "ctl"), Backend("b", "shared")))

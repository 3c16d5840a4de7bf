"""The connection to a service's database: read-only and with short time-outs.

Each set of queries runs in one transaction with a consistent snapshot. The server itself makes the session read-only,
so that not even a bug of ours can write.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ..errors import EvidenceUnavailable
from .faults import unavailable
from .target import DatabaseTarget

Row = dict[str, Any]


class Query(Protocol):
    """Runs a SELECT within a snapshot. Raises EvidenceUnavailable."""

    def __call__(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Return the rows as dicts. Values belong in ``params``, never in ``sql``."""


class Database:
    """A connection, opened on first use and reopened after a loss. Not thread-safe."""

    _TRANSACTION = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"

    def __init__(self, where: DatabaseTarget) -> None:
        self._target = where
        self._connection: Any = None
        self._context: ssl.SSLContext | None = None

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Query]:
        """Yield a query function whose answers all show the same moment.

        A connection that was lost while idle is replaced once. One that is lost within the snapshot is not, because
        the snapshot is lost with it. Raises EvidenceUnavailable, here or from the query function.
        """
        reused = self._connection is not None
        try:
            self._begin()
        except EvidenceUnavailable as exc:
            if not (reused and exc.passing):
                raise
            self.close()
            self._begin()
        try:
            yield self._query
        finally:
            if self._connection is not None:
                with contextlib.suppress(EvidenceUnavailable):
                    self._query("ROLLBACK")

    def close(self) -> None:
        """Close the connection; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _begin(self) -> None:
        if self._connection is None:
            self._connect()
        self._query(self._TRANSACTION)

    def _connect(self) -> None:
        pymysql = client()
        where = self._target
        # Kept, because a container's files cannot be seen any more when it has exited.
        self._context = self._context or _tls(where)
        try:
            self._connection = pymysql.connect(
                host=where.host,
                port=where.port,
                user=where.user,
                # As bytes: PyMySQL would encode text as latin1, and the server hashes UTF-8.
                password=where.password.encode("utf-8"),
                database=where.name or None,
                unix_socket=where.unix_socket or None,
                charset="utf8mb4",  # the only character set that can hold every host name
                connect_timeout=where.connect_timeout,
                read_timeout=where.read_timeout,
                write_timeout=where.read_timeout,
                autocommit=True,
                cursorclass=pymysql.cursors.DictCursor,
                ssl=self._context,
            )
        except Exception as exc:  # noqa: BLE001 - unavailable() handles every error, OSError and PyMySQL's bugs included
            raise unavailable(exc, where) from None
        try:
            self._prepare()
        except EvidenceUnavailable:
            self.close()
            raise

    def _prepare(self) -> None:
        self._guard()
        # Behind a load balancer a Galera node must first apply what the service wrote on other nodes.
        self._try("SET SESSION wsrep_sync_wait = 1")
        # End queries in the server when we stop waiting for them: MariaDB's variable, then MySQL's.
        if not self._try("SET SESSION max_statement_time = %s", (self._target.read_timeout,)):
            self._try("SET SESSION max_execution_time = %s", (int(self._target.read_timeout * 1000),))

    def _guard(self) -> None:
        # The server then refuses to write, whatever privileges the user has.
        self._query("SET SESSION TRANSACTION READ ONLY")

    def _try(self, sql: str, params: Sequence[object] = ()) -> bool:
        try:
            self._query(sql, params)
        except EvidenceUnavailable as exc:
            if exc.passing:
                raise
            return False
        return True

    def _query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        if self._connection is None:
            raise EvidenceUnavailable(
                f"the connection to the database {self._target.where} was lost", passing=True
            )
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, tuple(params) or None)
                return list(cursor.fetchall())
        except Exception as exc:  # noqa: BLE001 - as above
            problem = unavailable(exc, self._target)
            if problem.passing:
                self.close()
            raise problem from None


def client() -> Any:
    """Return PyMySQL. Raises EvidenceUnavailable, which says how to install it, if it is missing."""
    try:
        import pymysql
        import pymysql.cursors
    except ImportError:
        raise EvidenceUnavailable(
            f"PyMySQL is missing in {sys.executable}, so the database cannot be read: install it there "
            f"with '{sys.executable} -m pip install PyMySQL' or the package python3-pymysql",
            code="driver_missing",
        ) from None
    return pymysql


def _tls(where: DatabaseTarget) -> ssl.SSLContext | None:
    """Make the TLS context, or return None to use TLS if client and server agree on it."""
    if not (where.ssl_ca or where.ssl_cert or where.ssl_key or where.ssl_verify is not None):
        return None
    for option in ("ssl_ca", "ssl_cert", "ssl_key"):
        path = getattr(where, option)
        if path and not os.access(path, os.R_OK):
            raise EvidenceUnavailable(
                f"the service's configuration names {option} {path.removeprefix(where.root)}, which is a path inside "
                f"its container and cannot be read there: give the TLS options of the database {where.where} with "
                "this host's paths"
                if option in where.inherited
                else f"{option} {path} for the database {where.where} cannot be read on this host"
            )
    try:
        context = ssl.create_default_context(cafile=where.ssl_ca or None)
        if where.ssl_verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if where.ssl_cert:
            context.load_cert_chain(where.ssl_cert, where.ssl_key or None)
    except (OSError, ValueError) as exc:
        raise EvidenceUnavailable(
            f"the TLS files for the database {where.where} cannot be used ({type(exc).__name__}): "
            "check ssl_ca, ssl_cert and ssl_key"
        ) from None
    return context

"""The connection to a service's database: read-only and with short time-outs.

Each set of queries runs in one transaction with a consistent snapshot. The server itself makes the session read-only,
so that not even a bug of ours can write.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from .. import regular
from ..errors import EvidenceUnavailable
from ..masking import printable
from .faults import PasswordAsked, unavailable
from .inside import inside
from .target import DatabaseTarget

Row = dict[str, Any]

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_MOST = 10 << 20  # bytes of TLS files


class _Unspoken(bytes):
    """A password that PyMySQL can prove to a server, but not send to it.

    To prove it PyMySQL hashes it. To send it, in clear or encrypted with a key that the same server has just sent,
    PyMySQL first appends a zero byte, whatever the method is called.
    """

    def __add__(self, other: object) -> bytes:
        raise PasswordAsked


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
                password=_password(where, self._context),
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
                return [
                    {
                        name: printable(value) if isinstance(value, str) else value
                        for name, value in row.items()
                    }
                    for row in cursor.fetchall()
                ]
        except Exception as exc:  # noqa: BLE001 - as above
            problem = unavailable(exc, self._target)
            if problem.passing:
                self.close()
            raise problem from None


class WritingDatabase(Database):
    """A connection without the guard that makes the server refuse to write."""

    _TRANSACTION = "START TRANSACTION"

    def _guard(self) -> None:
        """Leave the session writable."""


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


def _password(where: DatabaseTarget, context: ssl.SSLContext | None) -> bytes:
    # As bytes: PyMySQL would encode text as latin1, and the server hashes UTF-8.
    password = where.password.encode("utf-8")
    # Anybody has a certificate of a public CA, for a name of their own.
    verified = (
        context is not None
        and context.verify_mode == ssl.CERT_REQUIRED
        and (context.check_hostname or bool(where.ssl_ca))
    )
    return password if verified or where.unix_socket else _Unspoken(password)


def _tls(where: DatabaseTarget) -> ssl.SSLContext | None:
    """Make the TLS context, or return None to use TLS if client and server agree on it."""
    files = where.ssl_ca or where.ssl_cert or where.ssl_key
    if not (files or where.ssl or where.ssl_verify is not None):
        return None
    for option in ("ssl_ca", "ssl_cert", "ssl_key"):
        path = getattr(where, option)
        rights = ", or run with the rights of root (become: true)" if os.geteuid() else ""
        if path and not (os.access(path, os.R_OK) and _is_usable(option, path)):
            raise EvidenceUnavailable(
                f"the service's configuration names {option} {path.removeprefix(where.root)}, which is a path inside "
                f"its container and cannot be read there: give the TLS options of the database {where.where} with "
                f"this host's paths{rights}"
                if option in where.inherited
                else f"{option} {path} for the database {where.where} cannot be read on this host"
            )
    try:
        context = _trusting(where)
        # From Python 3.13 on, the CAs of many a site would be refused for what they do not state.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if where.ssl_cert:
            context.load_cert_chain(where.ssl_cert, where.ssl_key or None)
    except (OSError, ValueError) as exc:
        raise EvidenceUnavailable(
            f"the TLS files for the database {where.where} cannot be used ({type(exc).__name__}): "
            "check ssl_ca, ssl_cert and ssl_key"
        ) from None
    return context


def _is_usable(option: str, path: str) -> bool:
    there = os.stat(path)
    is_folder = option == "ssl_ca" and stat.S_ISDIR(there.st_mode)
    return is_folder or (stat.S_ISREG(there.st_mode) and there.st_size <= _MOST)


def _trusting(where: DatabaseTarget) -> ssl.SSLContext:
    """Make a context that checks what the service's own client checks: without a CA, nothing."""
    is_folder = os.path.isdir(where.ssl_ca)
    context = ssl.create_default_context(
        cafile=None if is_folder else where.ssl_ca or None,
        cadata=_certificates(where) if is_folder else None,
    )
    is_checked = bool(where.ssl_ca) if where.ssl_verify is None else where.ssl_verify
    context.check_hostname = is_checked and where.ssl_check_hostname
    if not is_checked:
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificates(where: DatabaseTarget) -> str:
    """Return the certificates in a folder, whose files may be links as the container sees them. Raises OSError."""
    folder, found, most = where.ssl_ca.removeprefix(where.root), list[str](), _MOST
    for name in sorted(os.listdir(where.ssl_ca)):
        with contextlib.suppress(OSError):  # a folder, or a link to nothing
            text = regular.read(inside(where.root, f"{folder}/{name}"), most)
            found += _CERTIFICATE.findall(text.decode("ascii", errors="ignore"))
            most -= len(text)
    if not found:
        raise FileNotFoundError(f"no certificate is in {folder}")
    return "\n".join(found)

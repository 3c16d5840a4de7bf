"""The connection to a service's database: read-only, short of patience, and clear about what is wrong.

Every batch of questions is one transaction with one consistent snapshot. The session is read-only
on the server, so that not even a mistake of ours can write.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from ..errors import ConfigError, EvidenceUnavailable

Row = dict[str, Any]


class Query(Protocol):
    """Runs one SELECT within a snapshot. Raises EvidenceUnavailable."""

    def __call__(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Return the rows as dicts; values go in ``params`` only, never into ``sql``."""


@dataclass(frozen=True)
class DatabaseTarget:
    """Where a database is and how to get in. Timeouts in seconds."""

    host: str = "localhost"
    port: int = 3306
    user: str = ""
    password: str = field(default="", repr=False)
    name: str = ""
    unix_socket: str = ""
    ssl_ca: str = ""  # files on this host, unless inherited
    ssl_cert: str = ""
    ssl_key: str = field(default="", repr=False)
    ssl_verify: bool | None = None  # certificate and host name; None: yes with a CA, else TLS is optional
    connect_timeout: float = 5.0
    read_timeout: float = 5.0  # of each answer of the server
    inherited: bool = False  # from the service's own files: its paths are the container's

    @property
    def where(self) -> str:
        """How messages name it: no secret in it."""
        place = self.unix_socket or f"{self.host}:{self.port}"
        return f"{self.name} on {place}" if self.name else place


# A password may hold anything but '@', a database's name anything but '?': as SQLAlchemy reads URLs.
# What a module's option ``database`` takes: how to reach a server, and a database of it. no_log on the secrets alone:
# on the whole it would mask the database's name wherever that appears.
SERVER_OPTIONS: dict[str, dict[str, Any]] = {
    "host": {"type": "str"},
    "port": {"type": "int"},
    "unix_socket": {"type": "path"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ssl_ca": {"type": "path"},
    "ssl_cert": {"type": "path"},
    "ssl_key": {"type": "path", "no_log": False},
    "ssl_verify": {"type": "bool"},
    "connect_timeout": {"type": "float"},
    "read_timeout": {"type": "float"},
}
DATABASE_OPTIONS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    **SERVER_OPTIONS,
}

_URL = re.compile(
    r"""(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://
        (?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?
        (?:\[(?P<v6>[^\[\]/?@]+)\]|(?P<host>[^:/?@\[\]]*))
        (?::(?P<port>[^/?]*))?
        (?:/(?P<name>[^?]*))?
        (?:\?(?P<options>.*))?""",
    re.VERBOSE | re.DOTALL,
)
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def target(url: str | None = None, *, inherited: bool = False, **parts: Any) -> DatabaseTarget:
    """Make a target from a SQLAlchemy URL, from parts, or from both: a part that is given wins.

    ``parts`` are the fields of DatabaseTarget; None counts as not given. ``inherited`` says that the
    URL is the service's own, so that files it names are paths inside the container. Raises ConfigError
    that never repeats the URL.
    """
    unknown = sorted(set(parts) - set(DatabaseTarget.__dataclass_fields__))
    if unknown:
        raise ConfigError(f"the database has no option {unknown[0]}")
    given = {name: value for name, value in parts.items() if value is not None}
    fields: dict[str, Any] = _from_url(url) if url else {}
    files = {"ssl_ca", "ssl_cert", "ssl_key"}
    fields["inherited"] = inherited and bool(files & set(fields)) and not files & set(given)
    fields.update(given)
    return _checked(fields)


def _from_url(url: str) -> dict[str, Any]:
    match = _URL.fullmatch(url.strip())
    if match is None:
        raise ConfigError(
            "the database URL is no URL: it must read like mysql+pymysql://user:password@host:3306/name"
        )
    dialect = match["scheme"].split("+")[0].lower()
    if dialect not in ("mysql", "mariadb"):
        raise ConfigError(
            f"the database URL is for {dialect}, and evidence is read from MySQL or MariaDB only"
        )
    plain = {
        "host": match["v6"] or match["host"],
        "port": match["port"],
        "user": unquote(match["user"] or ""),
        "password": unquote(match["password"] or ""),
        "name": unquote(match["name"] or ""),
    }
    return {
        name: value
        for name, value in {**plain, **_url_options(match["options"] or "")}.items()
        if value != "" and value is not None
    }


def _url_options(options: str) -> dict[str, Any]:
    """Of the URL's options those that say how to reach the server; charset and the like are ours to choose."""
    found = dict(parse_qsl(options))
    taken: dict[str, Any] = {
        name: found[name]
        for name in ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "connect_timeout", "read_timeout")
        if name in found
    }
    for name in ("ssl_verify", "ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname"):
        if name in found:
            taken["ssl_verify"] = found[name]
    return taken


def _checked(fields: dict[str, Any]) -> DatabaseTarget:
    checked = dict(fields)
    if "port" in checked:
        checked["port"] = _port(checked["port"])
    for name in ("connect_timeout", "read_timeout"):
        if name in checked:
            checked[name] = _seconds(name, checked[name])
    if "ssl_verify" in checked:
        checked["ssl_verify"] = _truth("ssl_verify", checked["ssl_verify"])
    if not checked.get("user"):
        raise ConfigError("the database has no user: give it in the URL or as an option of its own")
    if not checked.get("name"):
        raise ConfigError("the database has no name: give it in the URL or as an option of its own")
    if not checked.get("host") and not checked.get("unix_socket"):
        raise ConfigError("the database has no host: give it in the URL or as an option of its own")
    return DatabaseTarget(**checked)


def _port(value: object) -> int:
    try:
        port = int(str(value))
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise ConfigError("the database's port is not a number from 1 to 65535")
    return port


def _seconds(name: str, value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86400:
        raise ConfigError(f"the database's {name} is not a number of seconds above 0")
    return seconds


def _truth(name: str, value: object) -> bool:
    text = str(value).lower()
    if text not in _TRUE + _FALSE:
        raise ConfigError(f"the database's {name} is neither true nor false")
    return text in _TRUE


class Database:
    """One connection, made when it is first needed and again when it was lost. For one thread at a time."""

    _TRANSACTION = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"

    def __init__(self, where: DatabaseTarget) -> None:
        self._target = where
        self._connection: Any = None

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Query]:
        """Yield a query function whose answers all show the same moment.

        Raises EvidenceUnavailable, here or from the query function. A connection that went stale while
        it was idle is replaced once; one that is lost within the snapshot is not, as the moment is lost.
        """
        self._begin()
        try:
            yield self._query
        finally:
            self._end()

    def close(self) -> None:
        """Close the connection; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _begin(self) -> None:
        reused = self._connection is not None
        try:
            self._open_transaction()
        except EvidenceUnavailable as exc:
            if not (reused and exc.passing):
                raise
            self.close()
            self._open_transaction()

    def _open_transaction(self) -> None:
        if self._connection is None:
            self._connect()
        self._query(self._TRANSACTION)

    def _end(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(EvidenceUnavailable):
                self._query("ROLLBACK")

    def _connect(self) -> None:
        pymysql = client()
        where = self._target
        context = _tls(where)
        try:
            self._connection = pymysql.connect(
                host=where.host,
                port=where.port,
                user=where.user,
                # As bytes: PyMySQL would encode text as latin1, and the server hashes UTF-8.
                password=where.password.encode("utf-8"),
                database=where.name or None,
                unix_socket=where.unix_socket or None,
                charset="utf8mb4",  # the only one that holds every host name
                connect_timeout=where.connect_timeout,
                read_timeout=where.read_timeout,
                write_timeout=where.read_timeout,
                autocommit=True,
                cursorclass=pymysql.cursors.DictCursor,
                ssl=context,
            )
        except Exception as exc:  # noqa: BLE001 - sorted out there, down to OSError and PyMySQL's own faults
            raise _unavailable(exc, where) from None
        try:
            self._prepare()
        except EvidenceUnavailable:
            self.close()
            raise

    def _prepare(self) -> None:
        self._guard()
        # Behind a Galera load balancer, a node must first catch up with what the service wrote elsewhere.
        self._try("SET SESSION wsrep_sync_wait = 1")
        # A question that we no longer wait for must not go on in the server: MariaDB's word, then MySQL's.
        if not self._try("SET SESSION max_statement_time = %s", (self._target.read_timeout,)):
            self._try("SET SESSION max_execution_time = %s", (int(self._target.read_timeout * 1000),))

    def _guard(self) -> None:
        # The server refuses to write, whatever rights the user has.
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
        except Exception as exc:  # noqa: BLE001 - sorted out there
            problem = _unavailable(exc, self._target)
            if problem.passing:
                self.close()
            raise problem from None


def client() -> Any:
    """Return PyMySQL. Raises EvidenceUnavailable, with the way to install it, where it is missing."""
    try:
        import pymysql
        import pymysql.cursors
    except ImportError:
        raise EvidenceUnavailable(
            f"PyMySQL is missing in {sys.executable}, so the database cannot be read: install it there "
            f"with '{sys.executable} -m pip install PyMySQL' or the package python3-pymysql"
        ) from None
    return pymysql


def _tls(where: DatabaseTarget) -> ssl.SSLContext | None:
    """Make the TLS context; None leaves TLS to what client and server agree on."""
    if not (where.ssl_ca or where.ssl_cert or where.ssl_key or where.ssl_verify is not None):
        return None
    for name in ("ssl_ca", "ssl_cert", "ssl_key"):
        _must_be_here(name, getattr(where, name), where)
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


def _must_be_here(option: str, path: str, where: DatabaseTarget) -> None:
    if not path or os.access(path, os.R_OK):
        return
    if where.inherited:
        raise EvidenceUnavailable(
            f"the service's configuration names {option} {path}, which is a path inside its container and not on "
            f"this host: give the TLS options of the database {where.where} with this host's paths"
        )
    raise EvidenceUnavailable(f"{option} {path} for the database {where.where} cannot be read on this host")


# By the server's error numbers (MariaDB's errmsg and MySQL's agree on these): text and whether it passes.
_BY_NUMBER: dict[int, tuple[str, bool]] = {
    1040: ("the database {where} has too many connections", True),
    1203: ("the database {where} has too many connections of user {user}", True),
    1226: ("the database {where} allows user {user} no more connections or questions for now", True),
    1044: ("access denied: user {user} may not use the database {where}", False),
    1045: (
        "access denied: user {user} is refused by {where}, for a wrong password or a host not allowed",
        False,
    ),
    1698: ("access denied: user {user} is refused by {where}, for it logs in by another way", False),
    1049: ("there is no database {where}", False),
    1046: ("no database was named for {where}", False),
    1053: ("the database {where} is shutting down", True),
    1047: ("the node of {where} is not ready: WSREP has not yet prepared it for use", True),
    1129: ("the database {where} has blocked this host after too many failed connections", False),
    1130: ("the database {where} does not let this host connect", False),
    1205: ("the database {where} timed out waiting for a lock", True),
    1213: ("the database {where} gave up on a deadlock", True),
    1317: ("the question to the database {where} was interrupted", True),
    1927: ("the database {where} closed the connection", True),
    1969: ("the database {where} timed out answering within {timeout:g} s", True),
    3024: ("the database {where} timed out answering within {timeout:g} s", True),
    2006: ("the connection to the database {where} was lost", True),
    2013: ("the connection to the database {where} was lost", True),
    2026: ("no TLS connection to the database {where}: {detail}", False),
    3159: (
        "the database {where} accepts connections with TLS only: give the TLS options of the database",
        False,
    ),
    1267: ("a host's name holds a character that the tables of the database {where} cannot hold", False),
    1792: ("the database {where} refused to write in a read-only transaction", False),
}
# Here the server's own words name the table or column; they hold no value.
_SCHEMA = {1142: "may not read", 1143: "may not read", 1146: "lacks a table", 1054: "lacks a column"}


def _unavailable(exc: Exception, where: DatabaseTarget) -> EvidenceUnavailable:
    """Put any error of the client into one sentence without a secret."""
    if isinstance(exc, OSError):
        return _unreachable(exc, where)
    number = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    detail = str(exc.args[1]) if len(exc.args) > 1 else ""
    if number in _SCHEMA:
        return _schema_problem(number, detail, where)
    if number == 2003:
        return _unreachable(getattr(exc, "original_exception", exc), where)
    if number == 2013 and "timed out" in detail:
        return EvidenceUnavailable(
            f"the database {where.where} timed out after {where.read_timeout:g} s", passing=True
        )
    if number == 2026 and "support" in detail:
        return EvidenceUnavailable(
            f"no TLS connection to the database {where.where}: the server does not offer TLS"
        )
    if number in _BY_NUMBER:
        text, passing = _BY_NUMBER[number]
        said = text.format(
            where=where.where, user=where.user, timeout=where.read_timeout, detail=_plain(detail, where)
        )
        return EvidenceUnavailable(said, passing=passing)
    if number == 0:
        # PyMySQL's own errors and Python's: a connection in an unknown state is not used again.
        return EvidenceUnavailable(
            f"the database {where.where} cannot be read ({type(exc).__name__}: {_plain(str(exc), where)})",
            passing=True,
        )
    return EvidenceUnavailable(
        f"the database {where.where} refused with error {number}: {_plain(detail, where)}"
    )


def _schema_problem(number: int, detail: str, where: DatabaseTarget) -> EvidenceUnavailable:
    said = _plain(detail, where)
    if number in (1142, 1143):
        return EvidenceUnavailable(
            f"user {where.user} may not read all that is needed in the database {where.where}: {said}"
        )
    return EvidenceUnavailable(
        f"the database {where.where} {_SCHEMA[number]} that the service's evidence needs, "
        f"perhaps it is of another release: {said}"
    )


def _unreachable(cause: BaseException, where: DatabaseTarget) -> EvidenceUnavailable:
    """Of an error below the protocol: of the network, or of TLS."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = getattr(cause, "verify_message", "") or "verification failed"
        return EvidenceUnavailable(
            f"no TLS connection to the database {where.where}: its certificate is not trusted ({said})"
        )
    if isinstance(cause, ssl.SSLError):
        said = str(cause.reason or type(cause).__name__).replace("_", " ").lower()
        return EvidenceUnavailable(f"no TLS connection to the database {where.where}: {said}")
    why = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    # By its words too: before Python 3.10 a socket's time-out is no TimeoutError.
    if isinstance(cause, TimeoutError) or "timed out" in why:
        return _no_answer(where)
    return EvidenceUnavailable(
        f"the database {where.where} cannot be reached: {_plain(why, where) or type(cause).__name__}",
        passing=True,
    )


def _no_answer(where: DatabaseTarget) -> EvidenceUnavailable:
    return EvidenceUnavailable(
        f"the database {where.where} timed out: no answer within {where.connect_timeout:g} s", passing=True
    )


def _plain(detail: str, where: DatabaseTarget) -> str:
    """The server's own words on one line, without the password should they ever hold it."""
    said = " ".join(detail.split())
    return said.replace(where.password, "***") if where.password else said

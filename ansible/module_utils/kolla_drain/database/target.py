"""Where a service's database is: SQLAlchemy URLs and the modules' options become one DatabaseTarget."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from ..errors import ConfigError


@dataclass(frozen=True)
class DatabaseTarget:
    """Where a database is and how to log in. Time-outs are in seconds."""

    host: str = "localhost"
    port: int = 3306
    user: str = ""
    password: str = field(default="", repr=False)
    name: str = ""
    unix_socket: str = ""
    ssl_ca: str = ""  # this and the next two are files on this host, unless inherited
    ssl_cert: str = ""
    ssl_key: str = field(default="", repr=False)
    ssl_verify: bool | None = (
        None  # certificate and host name; None: yes if a CA is given, else TLS is optional
    )
    connect_timeout: float = 5.0
    read_timeout: float = 5.0  # for each answer of the server
    inherited: bool = (
        False  # the TLS files come from the service's own configuration: paths inside its container
    )

    @property
    def where(self) -> str:
        """The database as messages name it, without secrets."""
        place = self.unix_socket or f"{self.host}:{self.port}"
        return f"{self.name} on {place}" if self.name else place


# The suboptions of the modules' option ``database``: how to reach a server, and a database on it. Only the secrets have
# no_log, because on the whole option it would mask the database's name wherever that appears.
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

# As SQLAlchemy parses URLs: a password may contain anything but '@', a database's name anything but '?'.
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
    """Make a target from a SQLAlchemy URL, from parts, or from both: a given part takes precedence.

    ``parts`` are fields of DatabaseTarget; None counts as not given. ``inherited`` says that the URL is the service's
    own, so that the files it names are paths inside its container. Raises ConfigError, which never quotes the URL.
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
            "the database URL is invalid: it must look like mysql+pymysql://user:password@host:3306/name"
        )
    dialect = match["scheme"].split("+")[0].lower()
    if dialect not in ("mysql", "mariadb"):
        raise ConfigError(f"the database URL is for {dialect}, but only MySQL and MariaDB can be read")
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
    """Return the URL's options that say how to reach the server; we choose charset and the like ourselves."""
    given = dict(parse_qsl(options))
    fields: dict[str, Any] = {
        name: given[name]
        for name in ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "connect_timeout", "read_timeout")
        if name in given
    }
    for name in ("ssl_verify", "ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname"):
        if name in given:
            fields["ssl_verify"] = given[name]
    return fields


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

"""Where a service's database is: SQLAlchemy URLs and the modules' options become one DatabaseTarget."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from ..errors import ConfigError
from .inside import inside


@dataclass(frozen=True)
class DatabaseTarget:
    """Where a database is and how to log in. Time-outs are in seconds."""

    host: str = "localhost"
    port: int = 3306
    user: str = ""
    password: str = field(default="", repr=False)
    name: str = ""
    unix_socket: str = ""
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = field(default="", repr=False)
    # Whether to check certificate and host name; None: yes if a CA is given, else TLS is optional.
    ssl_verify: bool | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 5.0  # for each answer of the server
    # Which of the files above come from the service's own configuration: paths inside its container, whose root this
    # host sees at ``root``, empty where it sees none.
    inherited: frozenset[str] = frozenset()
    root: str = ""

    @property
    def where(self) -> str:
        """The database as messages name it, without secrets."""
        place = self.unix_socket.removeprefix(self.root) or f"{self.host}:{self.port}"
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
_FILES = frozenset(("ssl_ca", "ssl_cert", "ssl_key", "unix_socket"))
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def target(url: str | None = None, *, inherited: bool = False, **parts: Any) -> DatabaseTarget:
    """Make a target from a SQLAlchemy URL, from parts, or from both: a given part takes precedence.

    ``parts`` are fields of DatabaseTarget; None counts as not given. ``inherited`` says that the URL is the service's
    own, so that the files it names are paths inside its container; this host sees the container's root at ``root``.
    Raises ConfigError, which never quotes the URL.
    """
    unknown = sorted(set(parts) - set(DatabaseTarget.__dataclass_fields__))
    if unknown:
        raise ConfigError(f"the database has no option {unknown[0]}")
    given = {name: value for name, value in parts.items() if value is not None}
    fields: dict[str, Any] = _from_url(url) if url else {}
    files = _FILES & set(fields) - set(given) if inherited else frozenset()
    fields.update(given, inherited=files)
    if fields.get("root"):
        fields.update({name: inside(fields["root"], fields[name]) for name in files})
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
    fields = {
        "host": match["v6"] or match["host"],
        "port": match["port"],
        "user": unquote(match["user"] or ""),
        "password": unquote(match["password"] or ""),
        "name": unquote(match["name"] or ""),
    }
    # The URL's options say how to reach the server, too; we choose charset and the like ourselves.
    for name, value in parse_qsl(match["options"] or ""):
        if name in ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "connect_timeout", "read_timeout"):
            fields[name] = value
        elif name in ("ssl_verify", "ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname"):
            fields["ssl_verify"] = value
    return {name: value for name, value in fields.items() if value}


def _checked(fields: dict[str, Any]) -> DatabaseTarget:
    checked = dict(fields)
    if "port" in checked:
        checked["port"] = int(_number(checked["port"], 65535, "port is not a number from 1 to 65535", int))
    for name in ("connect_timeout", "read_timeout"):
        if name in checked:
            checked[name] = _number(checked[name], 86400, f"{name} is not a number of seconds above 0", float)
    if "ssl_verify" in checked:
        text = str(checked["ssl_verify"]).lower()
        if text not in _TRUE + _FALSE:
            raise ConfigError("the database's ssl_verify is neither true nor false")
        checked["ssl_verify"] = text in _TRUE
    for name, given in (
        ("user", checked.get("user")),
        ("name", checked.get("name")),
        ("host", checked.get("host") or checked.get("unix_socket")),
    ):
        if not given:
            raise ConfigError(f"the database has no {name}: give it in the URL or as an option of its own")
    return DatabaseTarget(**checked)


def _number(value: object, most: int, wrong: str, kind: type[int] | type[float]) -> float:
    try:
        number = kind(str(value))
    except ValueError:
        number = 0
    if not 0 < number <= most:
        raise ConfigError(f"the database's {wrong}")
    return number

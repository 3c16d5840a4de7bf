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
    ssl_ca: str = ""  # a file, or a folder of files
    ssl_cert: str = ""
    ssl_key: str = field(default="", repr=False)
    # Whether to verify the certificate; None: yes if a CA is given. Without any of these files TLS is optional.
    ssl_verify: bool | None = None
    ssl_check_hostname: bool = True  # of a certificate that is verified
    ssl: bool = False  # TLS is required, even if nothing is verified
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
_CHAIN = ("ssl_verify", "ssl_verify_cert")
_HOST = ("ssl_verify_identity", "ssl_check_hostname")
_NO_MATTER = ("ssl_cipher", "ssl_disabled")
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
    if "ssl_verify" in given:
        fields.pop("ssl_check_hostname", None)
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
    options = dict(parse_qsl(match["options"] or ""))
    if "ssl_capath" in options:
        options.setdefault("ssl_ca", options.pop("ssl_capath"))
    fields.update(
        {name: options[name] for name in (*_FILES, "connect_timeout", "read_timeout") if name in options}
    )
    return {**{name: value for name, value in fields.items() if value}, **_tls_asked(options)}


def _tls_asked(options: dict[str, str]) -> dict[str, bool]:
    """Return what a URL's options ask of TLS, in the words of PyMySQL, SQLAlchemy and MySQL's clients.

    Of two that disagree the stricter one counts, and to verify the identity is to verify the certificate.
    """
    for name in options:
        if name.startswith("ssl_") and name not in (*_FILES, *_CHAIN, *_HOST, "ssl_mode", *_NO_MATTER):
            raise ConfigError(
                f"the database URL's option {name} is not supported: use ssl_ca, ssl_cert and ssl_key"
            )
    mode = options.get("ssl_mode", "").upper()
    if mode not in ("", "DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"):
        raise ConfigError("the database URL's ssl_mode is none of MySQL's, such as VERIFY_IDENTITY")
    said = {name: _truth(options[name], name) for name in (*_CHAIN, *_HOST) if name in options}
    host = {said[name] for name in _HOST if name in said}
    chain = {said[name] for name in _CHAIN if name in said}
    if mode.startswith("VERIFY_"):
        host.add(mode == "VERIFY_IDENTITY")
        chain.add(True)
    # PyMySQL's own ssl_check_hostname is about a certificate that is verified, and without a CA it verifies none.
    if said.get("ssl_verify_identity"):
        chain.add(True)
    asked = {"ssl": bool(host or chain) or mode == "REQUIRED" or _truth(options.get("ssl", "no"), "ssl")}
    if chain:
        asked["ssl_verify"] = True in chain
    if host == {False}:
        asked["ssl_check_hostname"] = False
    return asked


def _truth(value: object, name: str) -> bool:
    text = str(value).lower()
    if text not in _TRUE + _FALSE:
        raise ConfigError(f"the database's {name} is neither true nor false")
    return text in _TRUE


def _checked(fields: dict[str, Any]) -> DatabaseTarget:
    checked = dict(fields)
    if "port" in checked:
        checked["port"] = int(_number(checked["port"], 65535, "port is not a number from 1 to 65535", int))
    for name in ("connect_timeout", "read_timeout"):
        if name in checked:
            checked[name] = _number(checked[name], 86400, f"{name} is not a number of seconds above 0", float)
    if "ssl_verify" in checked:
        checked["ssl_verify"] = _truth(checked["ssl_verify"], "ssl_verify")
    for name, value in checked.items():
        if isinstance(value, str) and "\0" in value:
            raise ConfigError(f"the database's {name} holds a NUL character")
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

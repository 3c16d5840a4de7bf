"""Whether a Galera cluster can spare members: read the configuration, ask every member, judge the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from configparser import ConfigParser, ParsingError
from dataclasses import dataclass, field, replace
from typing import Any

from . import regular
from .database.connection import Database
from .database.target import DatabaseTarget, target
from .errors import ConfigError, EvidenceUnavailable

_ADDRESS = re.compile(r"\[(?P<v6>[^]]+)\](:\d+)?\Z|(?P<host>[^:]+)(:\d+)?\Z")
# The sections that the server reads. A later value overrides an earlier one.
_MOST = 1 << 20  # bytes of a configuration file
_SERVER_SECTIONS = ("mysqld", "server", "mariadb", "galera")
_VARIABLES = (
    "wsrep_cluster_size",
    "wsrep_cluster_status",
    "wsrep_cluster_state_uuid",
    "wsrep_local_state_comment",
)


@dataclass(frozen=True)
class Config:
    """The configuration of one member."""

    address: str = ""
    port: int = 3306
    user: str = ""
    password: str = field(default="", repr=False)
    members: tuple[str, ...] = ()  # addresses of all members, this one included


def load(path: str) -> Config:
    """Read the configuration file that Kolla writes for MariaDB. Raises ConfigError."""
    parser = ConfigParser(
        delimiters=("=",), allow_no_value=True, strict=False, interpolation=None, default_section=""
    )
    try:
        parser.read_string(f"[before]\n{regular.read(path, _MOST).decode('utf-8')}")
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    except (UnicodeDecodeError, ParsingError):  # whose message may quote a password
        raise ConfigError(f"{path} cannot be read: it is no configuration file") from None
    options = {
        name.replace("-", "_"): re.sub(r"""\A(["'])(.*)\1\Z""", r"\2", value or "")
        for section in parser.sections()
        if section in _SERVER_SECTIONS
        for name, value in parser.items(section)
    }
    user, _, password = options.get("wsrep_sst_auth", "").partition(":")
    port = options.get("port", "")
    # gcomm://one:4567,two:4567?option
    members = options.get("wsrep_cluster_address", "").partition("://")[2].partition("?")[0].split(",")
    return Config(
        _host(options.get("wsrep_node_address", "")) or options.get("bind_address", ""),
        int(port) if port.isdigit() else 3306,
        user,
        password,
        tuple(dict.fromkeys(filter(None, map(_host, members)))),
    )


def _host(address: str) -> str:
    match = _ADDRESS.match(address.strip())
    return (match["v6"] or match["host"]) if match else ""


@dataclass(frozen=True)
class Member:
    """One member's status, or why it could not be read."""

    address: str
    size: int = 0  # members of the component that it sees, itself included; 0 if it is in no cluster
    status: str = ""  # Primary, or it serves no clients
    state: str = ""  # Synced, or it is exchanging data with another member
    cluster: str = ""  # the same for all members of one cluster
    why: str = ""  # why its status could not be read

    @property
    def serves(self) -> bool:
        """Whether clients can work with it."""
        return self.status == "Primary" and self.state == "Synced"


class StatusDatabase(Database):
    """A connection that works in every state of a member: no transaction, no waiting for other members."""

    _TRANSACTION = "SHOW STATUS LIKE 'wsrep_ready'"

    def _prepare(self) -> None:
        self._guard()


def ask(where: DatabaseTarget) -> Member:
    """Read the status of the member at this address. Never raises: ``why`` holds the error."""
    database = StatusDatabase(where)
    try:
        with database.snapshot() as query:
            rows = query("SHOW GLOBAL STATUS WHERE Variable_name IN (%s, %s, %s, %s)", _VARIABLES)
    except EvidenceUnavailable as exc:
        return Member(where.host, why=str(exc))
    finally:
        database.close()
    values = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
    size, status, cluster, state = (values.get(name, "") for name in _VARIABLES)
    return Member(where.host, int(size) if size.isdigit() else 0, status, state, cluster)


@dataclass(frozen=True)
class Answer:
    """Whether the cluster can spare the members that leave, and why."""

    can_spare: bool
    why: str  # a clause
    synced: bool  # the member on this host serves, or it answers and belongs to no cluster
    members: tuple[Member, ...]  # the one on this host first


def look(path: str, given: Mapping[str, Any], leaving: int) -> Answer:
    """Ask the member on this host and, if it serves, the others. Raises ConfigError for unusable input."""
    config = load(path) if path else Config()
    own = ask(server(config, given))
    # A member that does not serve is not spared, whatever the others answer, and their time-outs would add up.
    addresses = [address for address in config.members if address != config.address] if own.serves else []
    others = [ask(server(config, given, address)) for address in addresses]
    configured = len(config.members)
    can_spare, why = judge(own, others, max(own.size, configured), leaving)
    alone = not own.why and not own.size and configured < 2
    return Answer(can_spare, why, own.serves or alone, (own, *others))


def server(config: Config, given: Mapping[str, Any], address: str = "") -> DatabaseTarget:
    """Return the member on this host, or the one at ``address``, with the given account or else Kolla's.

    Raises ConfigError.
    """
    parts: dict[str, Any] = {
        "host": config.address,
        "port": config.port,
        "user": config.user,
        "password": config.password,
    }
    parts.update({name: value for name, value in given.items() if value is not None})
    if address:
        parts.update(host=address, unix_socket="")
    # SHOW STATUS needs no database, and messages would show its name.
    return replace(target(name="information_schema", **parts), name="")


def judge(own: Member, others: Sequence[Member], members: int, leaving: int) -> tuple[bool, str]:
    """Return whether more than half of all members still serve after ``leaving`` serving ones have left, and why."""
    if own.why:
        return False, f"its status cannot be read: {own.why}"
    if own.status in ("", "Disconnected"):
        return False, "it is in no Galera cluster, so there is no database while it is stopped"
    if own.status != "Primary":
        return False, f"its component is {own.status} and serves no clients: repair the cluster first"
    if own.state != "Synced":
        return False, f"it is {own.state}, so it is exchanging data with another member"
    serving = 1
    away = []
    for member in others:
        if member.serves and member.cluster == own.cluster:
            serving += 1
        else:
            status = f"{member.status or 'in no cluster'}, {member.state or 'no state'}"
            away.append(f"{member.address}: {member.why or status}")
    left, needed = serving - leaving, members // 2 + 1
    now = f"{serving} of {members} members serve" + (f" ({'; '.join(away)})" if away else "")
    if left < needed:
        return False, f"{now}, {needed} must, and {max(left, 0)} would be left"
    return True, f"{now}, and {left} are left"

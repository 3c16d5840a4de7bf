"""Whether a Galera cluster can spare members: read the configuration, ask every member, judge the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .database.connection import Database
from .database.target import DatabaseTarget, target
from .errors import ConfigError, EvidenceUnavailable

_SECTION = re.compile(r"\s*\[(?P<name>[^]]*)\]")
_OPTION = re.compile(r"\s*(?P<name>[A-Za-z][\w-]*)\s*=\s*(?P<value>.*?)\s*$")
_ADDRESS = re.compile(r"\[(?P<v6>[^]]+)\](:\d+)?\Z|(?P<host>[^:]+)(:\d+)?\Z")
# The sections that the server reads. A later value overrides an earlier one.
_SERVER_SECTIONS = ("mysqld", "server", "mariadb", "galera")
_VARIABLES = (
    "wsrep_cluster_size",
    "wsrep_cluster_status",
    "wsrep_cluster_state_uuid",
    "wsrep_local_state_comment",
)


# -- the configuration


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
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "it is not text"
        raise ConfigError(f"{path} cannot be read: {why}") from exc
    options = _options(lines)
    user, _, password = options.get("wsrep_sst_auth", "").partition(":")
    port = options.get("port", "3306")
    return Config(
        _host(options.get("wsrep_node_address", "")) or options.get("bind_address", ""),
        int(port) if port.isdigit() else 3306,
        user,
        password,
        _members(options.get("wsrep_cluster_address", "")),
    )


def _options(lines: Sequence[str]) -> dict[str, str]:
    section, options = "", {}
    for line in lines:
        header, option = _SECTION.match(line), _OPTION.match(line)
        if header:
            section = header["name"].strip()
        elif option and section in _SERVER_SECTIONS:
            value = option["value"]
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            options[option["name"].replace("-", "_")] = value[1:-1] if quoted else value
    return options


def _members(address: str) -> tuple[str, ...]:
    """Return the hosts of gcomm://one:4567,two:4567?option."""
    _, _, rest = address.partition("://")
    hosts = (_host(member.strip()) for member in rest.partition("?")[0].split(","))
    return tuple(dict.fromkeys(host for host in hosts if host))


def _host(address: str) -> str:
    match = _ADDRESS.match(address)
    return (match["v6"] or match["host"]) if match else ""


# -- one member


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

    @property
    def summary(self) -> str:
        """The status in a few words."""
        return self.why or f"{self.status or 'in no cluster'}, {self.state or 'no state'}"


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
            marks = ", ".join(["%s"] * len(_VARIABLES))
            rows = query(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({marks})", _VARIABLES)  # noqa: S608
    except EvidenceUnavailable as exc:
        return Member(where.host, why=str(exc))
    finally:
        database.close()
    values = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
    size, status, cluster, state = (values.get(name, "") for name in _VARIABLES)
    return Member(where.host, int(size) if size.isdigit() else 0, status, state, cluster)


# -- the cluster


@dataclass(frozen=True)
class Answer:
    """Whether the cluster can spare the members that leave, and why."""

    can_spare: bool
    why: str  # a clause
    own: Member
    others: tuple[Member, ...] = ()
    configured: int = 0  # members that the configuration names

    @property
    def synced(self) -> bool:
        """Whether the member serves; also a server that answers and belongs to no cluster."""
        alone = not self.own.why and not self.own.size and self.configured < 2
        return self.own.serves or alone


def look(path: str, given: Mapping[str, Any], leaving: int) -> Answer:
    """Ask the member on this host and, if it serves, the others. Raises ConfigError for unusable input."""
    config = load(path) if path else Config()
    own = ask(_target(config, given))
    # A member that does not serve is not spared, whatever the others answer, and their time-outs would add up.
    addresses = [address for address in config.members if address != config.address] if own.serves else []
    others = tuple(ask(_target(config, given, address)) for address in addresses)
    answer = judge(own, others, max(own.size, len(config.members)), leaving)
    return replace(answer, configured=len(config.members))


def _target(config: Config, given: Mapping[str, Any], address: str = "") -> DatabaseTarget:
    """Return the member on this host, or the one at ``address``, with the given account or else Kolla's."""
    parts: dict[str, Any] = {
        "host": config.address,
        "port": config.port,
        "user": config.user,
        "password": config.password,
    }
    parts.update({name: value for name, value in given.items() if value is not None})
    if address:
        parts.update(host=address, unix_socket=None)
    # SHOW STATUS needs no database, and messages would show its name.
    return replace(target(name="information_schema", **parts), name="")


def judge(own: Member, others: Sequence[Member], members: int, leaving: int) -> Answer:
    """Judge whether more than half of all members still serve after ``leaving`` of the serving ones have left."""

    def no(why: str) -> Answer:
        return Answer(False, why, own, tuple(others))

    if own.why:
        return no(f"its status cannot be read: {own.why}")
    if own.status in ("", "Disconnected"):
        return no("it is in no Galera cluster, so there is no database while it is stopped")
    if own.status != "Primary":
        return no(f"its component is {own.status} and serves no clients: repair the cluster first")
    if own.state != "Synced":
        return no(f"it is {own.state}, so it is exchanging data with another member")
    serving = [member for member in others if member.serves and member.cluster == own.cluster]
    away = [f"{member.address}: {member.summary}" for member in others if member not in serving]
    left, needed = 1 + len(serving) - leaving, members // 2 + 1
    now = f"{1 + len(serving)} of {members} members serve" + (f" ({'; '.join(away)})" if away else "")
    if left < needed:
        return no(f"{now}, {needed} must, and {max(left, 0)} would be left")
    return Answer(True, f"{now}, and {left} are left", own, tuple(others))

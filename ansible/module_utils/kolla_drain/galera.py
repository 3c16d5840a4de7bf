"""Whether a Galera cluster can spare a member: who is asked, and what follows from the answers."""

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
# The servers' sections; what comes later wins.
_SERVER = ("mysqld", "server", "mariadb", "galera")


@dataclass(frozen=True)
class Config:
    """What a member's own configuration says."""

    address: str = ""
    port: int = 3306
    user: str = ""
    password: str = field(default="", repr=False)
    members: tuple[str, ...] = ()  # addresses of all of them, itself included


def load(path: str) -> Config:
    """Read the file that Kolla writes for the server. Raises ConfigError."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "it is no text"
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
    section, found = "", {}
    for line in lines:
        header, option = _SECTION.match(line), _OPTION.match(line)
        if header:
            section = header["name"].strip()
        elif option and section in _SERVER:
            value = option["value"]
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[option["name"].replace("-", "_")] = value[1:-1] if quoted else value
    return found


def _members(address: str) -> tuple[str, ...]:
    """Of gcomm://one:4567,two:4567?option the hosts."""
    _, _, rest = address.partition("://")
    hosts = (_host(one.strip()) for one in rest.partition("?")[0].split(","))
    return tuple(dict.fromkeys(host for host in hosts if host))


def _host(address: str) -> str:
    match = _ADDRESS.match(address)
    return (match["v6"] or match["host"]) if match else ""


@dataclass(frozen=True)
class Answer:
    """Whether it can be spared, and why so."""

    can_spare: bool
    why: str  # a clause
    own: Member
    others: tuple[Member, ...] = ()
    configured: int = 0  # members that the configuration names


def look(path: str, given: Mapping[str, Any], leaving: int) -> Answer:
    """Ask the member on this host and, if it is well, the others. Raises ConfigError for unusable input."""
    config = load(path) if path else Config()
    own = ask(_target(config, given))
    # One that is not well itself is not spared whatever the others say, and time-outs add up.
    if own.serves:
        addresses = [one for one in config.members if one != config.address]
        others = tuple(ask(_target(config, given, one)) for one in addresses)
    else:
        others = ()
    answer = judge(own, others, max(own.size, len(config.members)), leaving)
    return replace(answer, configured=len(config.members))


def _target(config: Config, given: Mapping[str, Any], address: str = "") -> DatabaseTarget:
    """The member on this host, or the one at ``address``, with the account that is given or Kolla's own."""
    parts: dict[str, Any] = {
        "host": config.address,
        "port": config.port,
        "user": config.user,
        "password": config.password,
    }
    parts.update({name: value for name, value in given.items() if value is not None})
    if address:
        parts.update(host=address, unix_socket=None)
    # The status needs no database, and a name would only stand in sentences.
    return replace(target(name="information_schema", **parts), name="")


def judge(own: Member, others: Sequence[Member], members: int, leaving: int) -> Answer:
    """More than half of all members have to serve on when ``leaving`` of those that serve now are gone."""

    def no(why: str) -> Answer:
        return Answer(False, why, own, tuple(others))

    if own.why:
        return no(f"it cannot be asked: {own.why}")
    if own.status in ("", "Disconnected"):
        return no("it is in no Galera cluster, so there is no database while it is away")
    if own.status != "Primary":
        return no(f"its part of the cluster is {own.status}, and serves nobody; put the cluster right first")
    if own.state != "Synced":
        return no(f"it is {own.state}, which means that it exchanges data with another member")
    serving = [one for one in others if one.serves and one.cluster == own.cluster]
    away = [f"{one.address}: {one.said}" for one in others if one not in serving]
    left, needed = 1 + len(serving) - leaving, members // 2 + 1
    now = f"{1 + len(serving)} of {members} members serve"
    told = f" ({'; '.join(away)})" if away else ""
    if left < needed:
        return no(f"{now}{told}, {needed} must, and {max(left, 0)} would be left")
    return Answer(True, f"{now}{told}, and {left} are left", own, tuple(others))


_ASKED = (
    "wsrep_cluster_size",
    "wsrep_cluster_status",
    "wsrep_cluster_state_uuid",
    "wsrep_local_state_comment",
)


@dataclass(frozen=True)
class Member:
    """One member's own words, or why there are none."""

    address: str
    size: int = 0  # of the part of the cluster that it sees, itself included; 0 where it is in none
    status: str = ""  # Primary, or it serves nobody
    state: str = ""  # Synced, or it is exchanging data with another
    cluster: str = ""  # the same for all members of one cluster
    why: str = ""  # why it could not be asked

    @property
    def serves(self) -> bool:
        """Whether clients can work with it."""
        return self.status == "Primary" and self.state == "Synced"

    @property
    def said(self) -> str:
        """Its words in short."""
        return self.why or f"{self.status or 'in no cluster'}, {self.state or 'no state'}"


class StatusDatabase(Database):
    """A connection that a member takes whatever its state: no transaction, no waiting for the others."""

    _TRANSACTION = "SHOW STATUS LIKE 'wsrep_ready'"

    def _prepare(self) -> None:
        self._guard()


def ask(where: DatabaseTarget) -> Member:
    """What the member at this address says now. Never raises: why it says nothing is in the answer."""
    database = StatusDatabase(where)
    try:
        with database.snapshot() as query:
            marks = ", ".join(["%s"] * len(_ASKED))
            rows = query(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({marks})", _ASKED)  # noqa: S608
    except EvidenceUnavailable as exc:
        return Member(where.host, why=str(exc))
    finally:
        database.close()
    found = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
    size, status, cluster, state = (found.get(name, "") for name in _ASKED)
    return Member(where.host, int(size) if size.isdigit() else 0, status, state, cluster)

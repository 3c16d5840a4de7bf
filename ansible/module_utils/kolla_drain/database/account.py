"""The account that reads evidence: what is on the server, what is wanted, and the statements between the two.

A Galera cluster repeats these statements on all of its members.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import Refused
from ..masking import MASK
from .connection import Query
from .rights import Rights

# As Kolla's own accounts: a load balancer connects for the clients, from an address of its own.
HOST = "%"

_NAME = re.compile(r"[\w.-]{1,80}", re.ASCII)
_QUOTED = r"`((?:[^`]|``)+)`"
_COLUMNS = re.compile(rf"GRANT SELECT \(([^)]*)\) ON {_QUOTED}\.{_QUOTED} TO `[^`]+`@`%`")
_NOTHING = re.compile(r"GRANT USAGE ON \*\.\* TO (?!.*WITH GRANT OPTION)")


@dataclass(frozen=True)
class Account:
    """An account as it is wanted."""

    name: str
    password: str = field(repr=False)
    rights: Rights

    @property
    def proof(self) -> str:
        """What the server keeps of the password, and all that it is sent: the hash of mysql_native_password."""
        twice = hashlib.sha1(hashlib.sha1(self.password.encode()).digest())  # noqa: S324 - the server's own method
        return f"*{twice.hexdigest().upper()}"

    @property
    def quoted(self) -> str:
        """The account as statements name it."""
        return f"`{self.name}`@`{HOST}`"


@dataclass(frozen=True)
class Difference:
    """What is there, and the statements that make of it what is wanted."""

    held: Rights
    statements: tuple[str, ...]


def compare(query: Query, wanted: Account) -> Difference:
    """Look at the server, and change nothing.

    Raises Refused where the account must not be made, EvidenceUnavailable.
    """
    if not _NAME.fullmatch(wanted.name):
        raise Refused(
            f"{wanted.name!r} cannot be the account's name: use letters, digits, dots, dashes and underscores"
        )
    _check_columns(query, wanted.rights)
    found = query(
        "SELECT plugin, authentication_string AS proof FROM mysql.user WHERE user = %s AND host = %s",
        (wanted.name, HOST),
    )
    identified = f"{wanted.quoted} IDENTIFIED BY PASSWORD '{wanted.proof}'"
    if not found:
        return Difference({}, (f"CREATE USER {identified}", *_changes({}, wanted)))
    held = _held(query, wanted)
    # The plugin is empty where it is the usual one.
    known = found[0]["plugin"] in ("", "mysql_native_password") and found[0]["proof"] == wanted.proof
    renewed = () if known else (f"ALTER USER {identified}",)
    return Difference(held, (*renewed, *_changes(held, wanted)))


def columns_of(query: Query, databases: Sequence[str]) -> dict[str, frozenset[tuple[str, str]]]:
    """Return the tables with their columns by database, without databases that have none.

    Raises EvidenceUnavailable.
    """
    rows = query(
        "SELECT table_schema AS of, table_name AS `table`, column_name AS name FROM information_schema.columns"  # noqa: S608
        f" WHERE table_schema IN ({', '.join(['%s'] * len(databases)) or 'NULL'})",
        databases,
    )
    found: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row["of"], set()).add((row["table"], row["name"]))
    return {database: frozenset(columns) for database, columns in found.items()}


def lacking(rights: Rights, there: Mapping[str, frozenset[tuple[str, str]]]) -> list[str]:
    """Return the columns that a server does not have, as database.table.column."""
    return [
        f"{database}.{table}.{column}"
        for (database, table), columns in sorted(rights.items())
        for column in sorted(columns)
        if (table, column) not in there.get(database, frozenset())
    ]


def shown(statement: str) -> str:
    """Return a statement without the password's hash."""
    return re.sub(r"PASSWORD '.*'", f"PASSWORD '{MASK}'", statement)


def listed(rights: Rights) -> str:
    """Return rights as text, a table a line."""
    return "".join(
        f"{database}.{table}: {', '.join(sorted(columns))}\n"
        for (database, table), columns in sorted(rights.items())
    )


def _check_columns(query: Query, rights: Rights) -> None:
    """Raise Refused if a table lacks a column: the server would refuse the statement half way."""
    databases = sorted({database for database, _ in rights})
    if not databases:
        raise Refused("the account would have no rights: name the databases of the services")
    there = columns_of(query, databases)
    for database in databases:
        if database not in there:
            raise Refused(
                f"there is no database {database} with tables on the server: correct the names of the databases"
            )
    missing = lacking(rights, there)
    if missing:
        raise Refused(
            f"evidence reads {', '.join(missing)}, which the server does not have, perhaps because the database is of "
            "another release: correct the names of the databases, or leave out the services of that database"
        )


def _held(query: Query, wanted: Account) -> Rights:
    """Return the columns that the account may read. Raises Refused if it may do anything else."""
    found: Rights = {}
    for row in query(f"SHOW GRANTS FOR {wanted.quoted}"):
        (grant,) = row.values()
        columns = _COLUMNS.fullmatch(grant)
        if columns:
            database, table = (name.replace("``", "`") for name in columns.group(2, 3))
            found[database, table] = frozenset(name.strip(" `") for name in columns[1].split(","))
        elif not _NOTHING.match(grant):
            # Somebody needs it, such as Nova its own account, whose name was given here by mistake.
            raise Refused(
                f"the account {wanted.name} has a right that is not to read single columns "
                f"({grant.partition(' TO ')[0]}), and was not changed: take that right from it, or choose another name"
            )
    return found


def _changes(held: Rights, wanted: Account) -> Iterator[str]:
    """Yield the statements: at no moment is a right missing that is wanted and was held."""
    yield from _each("GRANT", "TO", wanted.rights, held, wanted.quoted)
    yield from _each("REVOKE", "FROM", held, wanted.rights, wanted.quoted)


def _each(verb: str, preposition: str, these: Rights, without: Rights, account: str) -> Iterator[str]:
    for (database, table), columns in sorted(these.items()):
        names = ", ".join(map(_quote, sorted(columns - without.get((database, table), frozenset()))))
        if names:
            yield f"{verb} SELECT ({names}) ON {_quote(database)}.{_quote(table)} {preposition} {account}"


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"

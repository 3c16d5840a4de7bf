"""The form in which a service with simple evidence is declared: its names, its options, its heartbeat and its work.

In SQL a column of the service's own table is written ``t.column``, and one of another table by the alias that ``join``
gives it, because database/rights.py reads the account's rights off the statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..model import Profile


class Option(NamedTuple):
    """A time in the service's configuration, in seconds."""

    name: str
    default: int
    group: str = "DEFAULT"
    times: int = 1  # what is wanted is that many times its value


INTERVAL = Option("report_interval", 10)
DOWN = Option("service_down_time", 60)
GRACEFUL = Option("graceful_shutdown_timeout", 60)  # of oslo.service and cotyledon


@dataclass(frozen=True)
class Options:
    """The options of a service's configuration that a drain reads."""

    interval: Option = INTERVAL  # between two heartbeats
    down: Option = DOWN  # the age from which a heartbeat counts as lost
    # After which the service gives up its work by itself. None: it drops its work at once, or waits without a limit.
    limits: tuple[Option, ...] = ()
    manager: Option | None = None  # Nova's manager_shutdown_timeout
    backends: str = ""  # lists the backends, each of which reports as host@backend
    database: str = "database"  # the section with the connection
    full_name: bool = False  # without [DEFAULT]/host, its host is the machine's full name (socket.getfqdn)


@dataclass(frozen=True)
class Beat:
    """The table in which the service reports that it lives."""

    table: str
    host: str = "t.host"
    binary: str = (
        "t.`binary`"  # tells the services of a table apart; empty: the table is this service's alone
    )
    called: str = ""  # the service's name there, where it is not its binary
    seen: tuple[str, ...] = ("t.updated_at", "t.created_at")  # the first that is set is the time of the beat
    count: str = ""  # moves by one with each beat; empty: the time of the beat tells
    disabled: str = ""
    reason: str = ""
    live: str = ""  # condition: the row is not marked as deleted
    owner: str = ""  # a process's own id, by which its work names it


@dataclass(frozen=True)
class Kind:
    """A kind of operation, recognised by the status of the row that it works on."""

    name: str
    statuses: tuple[str, ...] = ()  # empty: any, in a row that the service holds
    fate: str = ""  # what becomes of an interrupted one; empty: it stays as it is until an operator resets it
    deletes: bool = False  # it finishes by deleting the row
    failed: tuple[str, ...] = ()  # how it ends when it fails, beside what begins with "error"


@dataclass(frozen=True)
class Work:
    """Operations that one table shows. Without ``host`` and ``owner`` no row tells whose they are."""

    thing: str  # what a sentence calls the resource
    table: str
    kinds: tuple[Kind, ...]
    id: str = "t.id"
    status: str = "t.status"
    host: str = ""  # the host that works on it
    pools: bool = False  # that may be a pool of the host: host@backend#pool
    owner: str = ""  # the process that works on it, as Beat.owner
    held: bool = False  # host or owner are in the row only while it is worked on
    join: str = ""
    live: str = ""  # condition: the row is not marked as deleted
    where: str = ""  # condition: the row is this service's work
    written: tuple[str, ...] = ("t.updated_at", "t.created_at")  # the first that is set counts
    # Seconds: an older row is not this service's work any more; 0: it is, however old.
    young: int = 0
    # Seconds: an older row was left behind by an accident and only informs; 0: none is known to be.
    stale: int = 0

    @property
    def shared(self) -> bool:
        """Whether any process of the service may be the one that works on it."""
        return not self.host and not self.owner


class Eventlet(NamedTuple):
    """A service that keeps its work at the signal on eventlet only."""

    last: int  # the last release in which eventlet is the default
    variable: str  # of the environment, which selects native threads


@dataclass(frozen=True)
class Service:
    """A service, as its containers run it. Its name is that of its container, with hyphens."""

    profile: Profile
    schema: str  # Kolla's name of its database
    beat: Beat | None = None
    work: tuple[Work, ...] = ()
    serves: bool = False  # requests, which its connections show beside the rows
    unseen: str = ""  # the work that nothing shows, for the documentation
    options: Options = Options()
    binary: str = ""  # its command, where that is not its name
    eventlet: Eventlet | None = None
    ahead_of_kolla: int | None = (
        None  # what its first version number is ahead of that of Kolla; None: it varies
    )

    @property
    def name(self) -> str:
        """The service's name."""
        return self.profile.name

    @property
    def command(self) -> str:
        """The program that its process runs."""
        return self.binary or self.name

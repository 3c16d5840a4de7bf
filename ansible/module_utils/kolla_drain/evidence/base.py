"""The interface that each service's evidence implements, and helpers for the queries and rows that all share.

Values are always parameters of a query, never part of a statement.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import ClassVar, NamedTuple

from ..database.connection import Query, Row
from ..database.statements import escaped as escaped
from ..database.statements import marks as marks
from ..errors import EvidenceUnavailable
from ..model import NO_PROFILE, Ending, Heartbeat, Operation, Profile
from ..service.config import ServiceConfig

TRUE = ("1", "true", "yes")  # in monkey_patch.py of Cinder and Nova, in any case


class Activity(NamedTuple):
    """Heartbeats and operations of one container, read in one database snapshot."""

    heartbeats: tuple[Heartbeat, ...]
    operations: tuple[Operation, ...]


class ServiceEvidence(abc.ABC):
    """Reads the evidence of one container, and may remember from one reading to the next."""

    PROFILE: ClassVar[Profile]
    BEATS: ClassVar[bool] = True  # whether its rows have heartbeats

    @classmethod
    def profile_in(cls, env: Mapping[str, str], release: int | None, config: ServiceConfig | None) -> Profile:
        """Return the profile in a container with this environment, of a release of its project (None: not known)."""
        return cls.PROFILE

    def await_first_report(self) -> None:  # noqa: B027 - most keep their rows, and have nothing to await
        """Take it from now on that the service was there before and starts: where its rows are gone, it is down."""

    @abc.abstractmethod
    def read(self, query: Query, config: ServiceConfig) -> Activity:
        """Return the current heartbeats and operations. Raises EvidenceUnavailable."""

    @abc.abstractmethod
    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        """Return, for each recorded operation, what its rows say now. Raises EvidenceUnavailable."""


class NoRows(ServiceEvidence):
    """Stands for the rows of a container that has none; nothing is asked of it."""

    PROFILE = NO_PROFILE
    BEATS = False

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        return Activity((), ())

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        return ()


_TIME = re.compile(r".*_at|written|start_time")
_NUMBERS = (
    "age",
    "deleted",
    "disabled",
    "forced_down",
    "lifetime",
    "newest",
    "old",
    "report_count",
    "settled",
    "under_way",
)
_IDS = ("id", "service_id")  # some tables have numbers, some UUIDs


def understood(query: Query) -> Query:
    """Return the query with rows whose values are of the types that the evidence knows, by their columns' names.

    A time that is no date, such as 0000-00-00, is not known. Raises EvidenceUnavailable for other types, which would
    pass for something else: the one byte of a BIT column is true whatever it holds.
    """

    def ask(sql: str, params: Sequence[object] = ()) -> list[Row]:
        return [{name: _understood(name, value) for name, value in row.items()} for row in query(sql, params)]

    return ask


def _understood(name: str, value: object) -> object:
    if isinstance(value, Decimal) and value.is_finite() and value == int(value):
        value = int(value)
    if value is None:
        return None
    if _TIME.fullmatch(name):
        wanted: tuple[type, ...] = (datetime, str)
    elif name in _NUMBERS:
        wanted = (int,)
    else:
        wanted = (int, str) if name in _IDS else (str,)
    if not isinstance(value, wanted):
        raise EvidenceUnavailable(
            f"the rows could not be understood: the column {name} holds a value of type {type(value).__name__}",
            passing=True,
        )
    return None if wanted == (datetime, str) and isinstance(value, str) else value


def utc(moment: datetime | None) -> str | None:
    """Format a row's time as ISO 8601 with microseconds. OpenStack stores UTC without a time zone."""
    return None if moment is None else moment.isoformat(timespec="microseconds") + "Z"


def now_utc() -> str:
    """Return this host's time as ISO 8601, in whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def ids(values: Iterable[object]) -> list[object]:
    """Return the values without duplicates, in their order."""
    return list(dict.fromkeys(values))


def heartbeat(row: Row, service: str, service_down_time: float, *, forced_down: bool = False) -> Heartbeat:
    """Make a heartbeat from a row of a ``services`` table; Cinder and Nova both call age <= service_down_time up."""
    age = None if row["age"] is None else float(row["age"])
    return Heartbeat(
        service=service,
        host=row["host"],
        age=age,
        report_count=row["report_count"],
        up=age is not None and age <= service_down_time and not forced_down,
        disabled=bool(row["disabled"]),
        disabled_reason=row["disabled_reason"] or "",
        cluster=row.get("cluster_name") or "",
    )

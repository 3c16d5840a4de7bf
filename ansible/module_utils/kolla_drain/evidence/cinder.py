"""What the evidence of Cinder's services has in common, from the sources of cinder 29.0.0."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..database.connection import Query, Row
from ..errors import EvidenceUnavailable
from ..model import Ending, Heartbeat, Operation, Outcome, Profile
from ..service.config import ServiceConfig
from .base import TRUE, ServiceEvidence, escaped, heartbeat, ids, marks, utc

# Seconds after which an attachment call of cinder-api has been answered or given up by its caller, counted from the
# write of its row: drivers connect much faster, and a status that lasts longer waits for Nova.
ATTACH_CALL = 10
# A service deletes its worker row last, after writing the final status and the quota (cinder/objects/cleanable.py
# set_workers). For this many seconds such a row means that the operation is still finishing; an older one was left
# behind by a failure.
TAIL = 3
# Seconds during which a cleanup that has no status of its own is looked for (see cinder_volume).
CLEANUP = 60
# Members of a Galera cluster hand out ids of their own, so a row may come with a lower id than others before it.
UNORDERED = 30

_NO_EVENTLET = "OS_CINDER_DISABLE_EVENTLET_PATCHING"
_ONE_SIGNAL = 27  # Cinder of 2025.2


class CinderEvidence(ServiceEvidence):
    """Evidence of a service that keeps its work at SIGTERM and SIGHUP on eventlet, and drops it on native threads.

    On native threads cotyledon ends the worker processes at SIGHUP and starts others; on eventlet the processes
    stay and only reset (observed with oslo.service 4.8.0).
    """

    def __init__(self) -> None:
        self._services = Services()

    @classmethod
    def profile_in(cls, env: Mapping[str, str], release: int | None, config: ServiceConfig | None) -> Profile:
        # cinder/monkey_patch.py: these values in any case select native threads. 29.0.0 runs on eventlet otherwise.
        if env.get(_NO_EVENTLET, "").lower() in TRUE:
            return replace(cls.PROFILE, keeps_work=False, reload_keeps_work=False)
        # Up to 2025.1 the parent of several backends sends its children a second SIGTERM, which ends them in the middle
        # of their work (seen in operation: https://github.com/sapcc/cinder/pull/314, /pull/338).
        several = config is not None and len(config.backends) > 1
        old = release is None or release < _ONE_SIGNAL
        return replace(cls.PROFILE, keeps_work=False) if several and old else cls.PROFILE


@dataclass(frozen=True)
class Kind:
    """A kind of operation, identified by the transitional statuses of the row that it works on."""

    name: str
    statuses: tuple[str, ...]
    healed: str = ""  # what the service's next start makes of an interrupted one; empty: nothing
    heals_queued: bool = False  # the next start does so even while the request is still queued
    needs_worker: bool = False  # the next start finds it only by a worker row of its own
    deletes: bool = False  # it finishes by deleting the row
    informs: bool = False


class Services:
    """Finds a container's rows in ``services``, and remembers their ids, because no index of the table has the host.

    The first look goes through the whole table. Later ones read the rows that were found then and those with higher
    ids, and go through the table again only if one that was found is gone.
    """

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()
        self._newest = 0

    def rows(self, query: Query, config: ServiceConfig) -> list[Row]:
        """Return the live rows of the configured hosts. Raises EvidenceUnavailable if there are none."""
        return configured(self.candidates(query, config), config)

    def candidates(self, query: Query, config: ServiceConfig) -> list[Row]:
        """Return the live rows of the configured hosts and of all backends of this host, whether configured or not."""
        rows = self._look(query, config, self._known) if self._known else []
        if not self._known or not self._known <= {row["id"] for row in rows}:
            rows = self._look(query, config, None)
        self._known = frozenset(row["id"] for row in rows)
        if rows:
            self._newest = int(rows[0]["newest"])
        return rows

    def _look(self, query: Query, config: ServiceConfig, known: Collection[int] | None) -> list[Row]:
        among, params = "", []
        if known is not None:
            among = f" AND (s.id IN ({marks(list(known))}) OR s.id > %s)"
            params = [*known, self._newest - UNORDERED]
        return query(
            "SELECT s.id, s.host, s.cluster_name, s.report_count, s.replication_status, s.created_at, s.updated_at,"
            " IF(c.id IS NULL, s.disabled, c.disabled) AS disabled,"
            " IF(c.id IS NULL, s.disabled_reason, c.disabled_reason) AS disabled_reason,"
            " TIMESTAMPDIFF(SECOND, s.updated_at, UTC_TIMESTAMP()) AS age,"
            " TIMESTAMPDIFF(SECOND, s.created_at, UTC_TIMESTAMP()) AS lifetime,"
            " (SELECT MAX(id) FROM services) AS newest"
            " FROM services s"
            " LEFT JOIN clusters c ON c.name = s.cluster_name AND c.`binary` = s.`binary` AND c.deleted = 0"
            f" WHERE s.deleted = 0 AND s.`binary` = %s AND (s.host IN ({marks(config.service_hosts)})"
            f" OR s.host LIKE %s ESCAPE '!'){among} ORDER BY s.host, s.id",
            [config.service, *config.service_hosts, escaped(config.host + "@") + "%", *params],
        )


def configured(candidates: Iterable[Row], config: ServiceConfig) -> list[Row]:
    """Return the rows of the configured hosts, or where none are configured those of all backends of this host.

    Raises EvidenceUnavailable if there are none: the host name or the database is wrong, and its silence must not be
    mistaken for an idle service.
    """
    hosts, prefix = config.service_hosts, config.host + "@"
    # The database ignores case, accents and trailing blanks when it compares; Cinder does not.
    rows = [
        row for row in candidates if row["host"] in hosts or (not hosts and row["host"].startswith(prefix))
    ]
    if not rows:
        looked_for = ", ".join(hosts) or config.host
        raise EvidenceUnavailable(
            f"the database has no {config.service} at {looked_for}: "
            "check that the service's configuration and the database belong to this container"
        )
    return rows


def heartbeats(config: ServiceConfig, rows: Sequence[Row]) -> tuple[Heartbeat, ...]:
    """Return the heartbeats in these rows."""
    return tuple(heartbeat(row, config.service, config.service_down_time) for row in rows)


def age_of(*columns: str) -> str:
    """Return an SQL expression for the seconds since the first of these times that is set, by the database's clock.

    The times are in whole seconds of the clock of the service that wrote them. If that clock is ahead the row looks
    younger than it is, so that a request is waited for rather than missed.
    """
    return f"TIMESTAMPDIFF(SECOND, COALESCE({', '.join(columns)}), UTC_TIMESTAMP())"


def young(row: Row, limit: float) -> bool:
    """Return whether a row was written less than ``limit`` seconds ago."""
    return row["age"] is not None and row["age"] < limit


def on_hosts(column: str, hosts: Sequence[str]) -> tuple[str, list[object]]:
    """Return an SQL condition, and its parameters, for resources at ``host@backend`` or ``host@backend#pool``."""
    condition = f"({column} = %s OR {column} LIKE %s ESCAPE '!')"
    params: list[object] = []
    for host in hosts:
        params += [host, escaped(host) + "#%"]
    return "(" + (" OR ".join([condition] * len(hosts)) or "FALSE") + ")", params


@dataclass(frozen=True)
class Worker:
    """A row of ``workers`` and its holder."""

    status: str
    holder: str | None  # "us", "nobody", the binary of another service, None if its row is gone
    since: str | None
    touched: str | None
    member: str = ""  # services.host of another member of a cluster that holds it

    @property
    def waits(self) -> bool:
        """Whether the request that the row belongs to has not been taken yet."""
        return self.holder in ("nobody", "cinder-scheduler")


def workers(
    query: Query, own: Iterable[int], resources: Iterable[tuple[str, str]] = ()
) -> dict[tuple[str, str], Worker]:
    """Return by resource the worker rows that these services hold and those of the given resources.

    A SENTINEL row only records the precision of the database's clock (cinder/db/api.py); it is not work.
    """
    mine = list(own)
    of_type: dict[str, list[object]] = {}
    for resource_type, resource_id in resources:
        of_type.setdefault(resource_type, []).append(resource_id)
    # With their types, by which the index begins.
    wanted = {resource_type: ids(found) for resource_type, found in of_type.items()}
    theirs = "".join(
        f" OR (w.resource_type = %s AND w.resource_id IN ({marks(found)}))" for found in wanted.values()
    )
    rows = query(
        "SELECT w.resource_type, w.resource_id, w.status, w.service_id, w.created_at, w.updated_at, s.`binary`,"
        " IF(s.deleted = 0 AND s.cluster_name IS NOT NULL, s.host, NULL) AS member"
        " FROM workers w LEFT JOIN services s ON s.id = w.service_id"
        " WHERE w.deleted = 0 AND w.resource_type <> 'SENTINEL'"
        f" AND (w.service_id IN ({marks(mine)}){theirs})",
        [*mine, *(param for resource_type, found in wanted.items() for param in (resource_type, *found))],
    )
    holders: dict[Any, str] = {None: "nobody", **dict.fromkeys(mine, "us")}
    return {
        (row["resource_type"], row["resource_id"]): Worker(
            status=row["status"],
            holder=holders.get(row["service_id"], row["binary"]),
            since=utc(row["created_at"] or row["updated_at"]),
            touched=utc(row["updated_at"]),
            member="" if row["service_id"] in mine else row["member"] or "",
        )
        for row in rows
    }


def kind_of(status: str | None, kinds: Iterable[Kind]) -> Kind | None:
    """Return the kind to which a status belongs."""
    return next((kind for kind in kinds if status in kind.statuses), None)


def statuses(kinds: Iterable[Kind]) -> list[str]:
    """Return all statuses of these kinds."""
    return [status for kind in kinds for status in kind.statuses]


def ending(operation: Operation, kind: Kind, status: str | None, worker: Worker | None, thing: str) -> Ending:
    """Return what the rows say of an operation now.

    ``status`` is the row's, None if the row is gone or marked as deleted. ``thing`` names the resource in sentences.
    """
    if status is None:
        # Whatever the kind: nothing can be left unfinished of a resource that does not exist.
        return Ending(operation, Outcome.FINISHED, "deleted")
    if status in kind.statuses:
        return _unfinished(operation, kind, status, worker, thing)
    if status.startswith("error"):
        return Ending(operation, Outcome.INTERRUPTED, status, f"ended in error; the {thing} is {status}")
    if kind.deletes:
        return Ending(
            operation, Outcome.INTERRUPTED, status, f"it was given up; the {thing} is {status} again"
        )
    return Ending(operation, Outcome.FINISHED, status)


def _unfinished(operation: Operation, kind: Kind, status: str, worker: Worker | None, thing: str) -> Ending:
    stays = f"the {thing} stays {status} until an operator resets it"
    if worker is not None and worker.waits:
        fate = f"nobody took it: done at the next start if its request still waits in the queue, else {stays}"
        return Ending(operation, Outcome.UNKNOWN, status, fate)
    # cinder/manager.py do_cleanup handles only worker rows of its own service whose status is still the resource's.
    seen_by_start = worker is not None and worker.holder == "us" and worker.status == status
    fate = kind.healed if seen_by_start or not kind.needs_worker else ""
    return Ending(
        operation, Outcome.INTERRUPTED, status, fate or stays, kind.healed if kind.heals_queued else ""
    )

"""What the evidence of Cinder's services has in common, from the sources of cinder 29.0.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..database.connection import Query, Row
from ..errors import EvidenceUnavailable
from ..model import Ending, Heartbeat, Operation, Outcome, Profile
from ..service.config import ServiceConfig
from .base import ServiceEvidence
from .rows import escaped, heartbeat, ids, marks, utc

# Seconds after which an attachment call of cinder-api has been answered or given up by its caller, counted from the
# write of its row: drivers connect much faster, and a status that lasts longer waits for Nova.
ATTACH_CALL = 10
# A service deletes its worker row last, after writing the final status and the quota (cinder/objects/cleanable.py
# set_workers). For this many seconds such a row means that the operation is still finishing; an older one was left
# behind by a failure.
TAIL = 3
# Seconds during which a cleanup that has no status of its own is looked for (see cinder_volume).
CLEANUP = 60

_NO_EVENTLET = "OS_CINDER_DISABLE_EVENTLET_PATCHING"
_TRUE = ("1", "true", "yes")


class CinderEvidence(ServiceEvidence):
    """Evidence of a service that keeps its work at SIGTERM and SIGHUP on eventlet, and drops it on native threads.

    On native threads cotyledon ends the worker processes at SIGHUP and starts others; on eventlet the processes
    stay and only reset (observed with oslo.service 4.8.0).
    """

    @classmethod
    def profile_in(cls, env: Mapping[str, str]) -> Profile:
        # cinder/monkey_patch.py: these values in any case select native threads. 29.0.0 runs on eventlet otherwise.
        on_threads = env.get(_NO_EVENTLET, "").lower() in _TRUE
        return replace(cls.PROFILE, keeps_work=False, reload_keeps_work=False) if on_threads else cls.PROFILE


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


def services(query: Query, config: ServiceConfig) -> list[Row]:
    """Return this container's live rows in ``services``.

    Raises EvidenceUnavailable if there are none: the host name or the database is wrong, and its silence must not be
    mistaken for an idle service.
    """
    hosts = config.service_hosts
    if hosts:
        where, params = f"host IN ({marks(hosts)})", list(hosts)
    else:
        where, params = "host LIKE %s ESCAPE '!'", [escaped(config.host) + "@%"]
    candidates = query(
        "SELECT id, uuid, host, cluster_name, disabled, disabled_reason, report_count, replication_status, updated_at,"
        " TIMESTAMPDIFF(SECOND, updated_at, UTC_TIMESTAMP()) AS age"
        f" FROM services WHERE deleted = 0 AND `binary` = %s AND {where} ORDER BY host, id",
        [config.service, *params],
    )
    rows = [row for row in candidates if _is_ours(row["host"], config)]
    if not rows:
        looked_for = ", ".join(hosts) if hosts else config.host
        raise EvidenceUnavailable(
            f"the database has no {config.service} at {looked_for}: "
            "check that the service's configuration and the database belong to this container"
        )
    return rows


def _is_ours(host: str, config: ServiceConfig) -> bool:
    # The database ignores case, accents and trailing blanks when it compares; Cinder does not.
    return host in config.service_hosts if config.service_hosts else host.startswith(config.host + "@")


def heartbeats(query: Query, config: ServiceConfig, rows: Sequence[Row]) -> tuple[Heartbeat, ...]:
    """Return the heartbeats in these rows; a clustered service is disabled together with its cluster."""
    clusters = _clusters(query, config, rows)
    return tuple(
        heartbeat({**row, **clusters.get(row["cluster_name"], {})}, config.service, config.service_down_time)
        for row in rows
    )


def _clusters(query: Query, config: ServiceConfig, rows: Sequence[Row]) -> dict[str, Row]:
    names = ids(row["cluster_name"] for row in rows if row["cluster_name"])
    if not names:
        return {}
    clusters = query(
        "SELECT name, disabled, disabled_reason FROM clusters"
        f" WHERE deleted = 0 AND `binary` = %s AND name IN ({marks(names)})",
        [config.service, *names],
    )
    return {
        row["name"]: {"disabled": row["disabled"], "disabled_reason": row["disabled_reason"]}
        for row in clusters
    }


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


def service_host(resource_host: str | None) -> str:
    """Return the ``services.host`` of a resource's host, which is that host without its pool."""
    return (resource_host or "").split("#", 1)[0]


@dataclass(frozen=True)
class Worker:
    """A row of ``workers`` and its holder."""

    status: str
    holder: str  # "us", "nobody", or the binary of another service
    since: str | None
    touched: str | None


def workers(
    query: Query, own: Iterable[int], resources: Sequence[tuple[str, str]] = ()
) -> dict[tuple[str, str], Worker]:
    """Return by resource the worker rows that these services hold and those of the given resources.

    A SENTINEL row only records the precision of the database's clock (cinder/db/api.py); it is not work.
    """
    mine = list(own)
    resource_ids = ids(resource_id for _, resource_id in resources)
    rows = (
        query(
            "SELECT resource_type, resource_id, status, service_id, created_at, updated_at FROM workers"
            " WHERE deleted = 0 AND resource_type <> 'SENTINEL'"
            f" AND (service_id IN ({marks(mine)}) OR resource_id IN ({marks(resource_ids)}))",
            [*mine, *resource_ids],
        )
        if mine or resource_ids
        else []
    )
    holders: dict[Any, str] = {None: "nobody", **dict.fromkeys(mine, "us")}
    holders.update(_binaries(query, {row["service_id"] for row in rows} - set(holders)))
    return {(row["resource_type"], row["resource_id"]): _worker(row, holders) for row in rows}


def _worker(row: Row, holders: Mapping[Any, str]) -> Worker:
    return Worker(
        status=row["status"],
        holder=holders.get(row["service_id"], "another"),
        since=utc(row["created_at"] or row["updated_at"]),
        touched=utc(row["updated_at"]),
    )


def _binaries(query: Query, service_ids: set[int]) -> dict[int, str]:
    wanted = sorted(service_ids)
    if not wanted:
        return {}
    rows = query(f"SELECT id, `binary` FROM services WHERE id IN ({marks(wanted)})", wanted)
    return {row["id"]: row["binary"] for row in rows}


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
    if worker is not None and worker.holder in ("nobody", "cinder-scheduler"):
        fate = f"nobody took it: done at the next start if its request still waits in the queue, else {stays}"
        return Ending(operation, Outcome.UNKNOWN, status, fate)
    # cinder/manager.py do_cleanup handles only worker rows of its own service whose status is still the resource's.
    seen_by_start = not kind.needs_worker or (
        worker is not None and worker.holder == "us" and worker.status == status
    )
    fate = kind.healed if kind.healed and seen_by_start else stays
    queued_fate = kind.healed if kind.heals_queued else ""
    return Ending(operation, Outcome.INTERRUPTED, status, fate, queued_fate)

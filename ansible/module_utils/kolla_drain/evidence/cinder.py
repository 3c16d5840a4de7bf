"""What the evidence of Cinder's services has in common. From the sources of cinder 29.0.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..database.connection import Query, Row
from ..errors import EvidenceUnavailable
from ..model import Ending, Heartbeat, Operation, Outcome, Profile
from ..service.config import ServiceConfig
from .rows import escaped, heartbeat, ids, marks, utc

# A call of cinder-api for an attachment is over, or given up by its caller, this many seconds after its row was
# written: drivers make a connection in well under that, and what lasts longer is a state that waits for Nova.
ATTACH_CALL = 10
# A service takes away its worker row after all else that belongs to the operation, the final status and the quota
# included (cinder/objects/cleanable.py set_workers). Such a row is the operation's tail for this many seconds;
# one that is older outlived a failure.
TAIL = 3
# What is deleted after an operation with no status of its own (see cinder_volume) is looked for this long, in seconds.
CLEANUP = 60

_THREADS = "OS_CINDER_DISABLE_EVENTLET_PATCHING"
_TRUE = ("1", "true", "yes")


@dataclass(frozen=True)
class Kind:
    """One kind of operation, known by the transitional status of the row that it works on."""

    name: str
    statuses: tuple[str, ...]
    healed: str = ""  # what the next start makes of it; empty: nothing, it stays as it is
    heals_queued: bool = False  # also of one whose request nobody has taken yet
    needs_worker: bool = False  # the next start sees it only by a worker row of its own
    deletes: bool = False  # it ends with the row's end
    informs: bool = False


def adapt(profile: Profile, env: Mapping[str, str]) -> Profile:
    """Return the profile for the environment of the container.

    cinder/monkey_patch.py: "1", "true" and "yes" in any case put the service on native threads, and
    with an empty or no value 29.0.0 runs on eventlet. On threads SIGTERM drops the work (TESTBED), and SIGHUP
    as well: cotyledon ends the worker processes and starts others, while on eventlet they stay and only reset
    (oslo.service 4.8.0, seen in the test stack).
    """
    on_threads = env.get(_THREADS, "").lower() in _TRUE
    return replace(profile, keeps_work=False, reload_keeps_work=False) if on_threads else profile


def services(query: Query, config: ServiceConfig) -> list[Row]:
    """Return the live rows of this container in ``services``.

    Raises EvidenceUnavailable if there is none: a container without a row is a wrong host name or a
    wrong database, and silence from there must not pass for rest.
    """
    hosts = config.service_hosts
    if hosts:
        where, params = f"host IN ({marks(hosts)})", list(hosts)
    else:
        where, params = "host LIKE %s ESCAPE '!'", [escaped(config.host) + "@%"]
    found = query(
        "SELECT id, uuid, host, cluster_name, disabled, disabled_reason, report_count, replication_status, updated_at,"
        " TIMESTAMPDIFF(SECOND, updated_at, UTC_TIMESTAMP()) AS age"
        f" FROM services WHERE deleted = 0 AND `binary` = %s AND {where} ORDER BY host, id",
        [config.service, *params],
    )
    rows = [row for row in found if _is_ours(row["host"], config)]
    if not rows:
        looked_for = ", ".join(hosts) if hosts else config.host
        raise EvidenceUnavailable(
            f"the database has no {config.service} at {looked_for}: "
            "check that the service's configuration and the database belong to this container"
        )
    return rows


def _is_ours(host: str, config: ServiceConfig) -> bool:
    # The database compares without regard to case, accents and trailing blanks; hosts are exact.
    return host in config.service_hosts if config.service_hosts else host.startswith(config.host + "@")


def heartbeats(query: Query, config: ServiceConfig, rows: Sequence[Row]) -> tuple[Heartbeat, ...]:
    """Return the heartbeats of these rows; a clustered service is disabled with its cluster."""
    clusters = _clusters(query, config, rows)
    return tuple(
        heartbeat({**row, **clusters.get(row["cluster_name"], {})}, config.service, config.service_down_time)
        for row in rows
    )


def _clusters(query: Query, config: ServiceConfig, rows: Sequence[Row]) -> dict[str, Row]:
    names = ids(row["cluster_name"] for row in rows if row["cluster_name"])
    if not names:
        return {}
    found = query(
        "SELECT name, disabled, disabled_reason FROM clusters"
        f" WHERE deleted = 0 AND `binary` = %s AND name IN ({marks(names)})",
        [config.service, *names],
    )
    return {
        row["name"]: {"disabled": row["disabled"], "disabled_reason": row["disabled_reason"]} for row in found
    }


def age_of(*columns: str) -> str:
    """Return a question for the seconds since the first of these times that is set, on the database's clock.

    The times are those of the clock of the service that wrote them, to the second: what comes from a clock that
    is ahead is taken for young, so that a request is rather waited for than missed.
    """
    return f"TIMESTAMPDIFF(SECOND, COALESCE({', '.join(columns)}), UTC_TIMESTAMP())"


def young(row: Row, limit: float) -> bool:
    """Whether a row was written less than ``limit`` seconds ago."""
    return row["age"] is not None and row["age"] < limit


def on_hosts(column: str, hosts: Sequence[str]) -> tuple[str, list[object]]:
    """Return a condition for resources of these service hosts: ``host@backend`` or ``host@backend#pool``."""
    one = f"({column} = %s OR {column} LIKE %s ESCAPE '!')"
    params: list[object] = []
    for host in hosts:
        params += [host, escaped(host) + "#%"]
    return "(" + (" OR ".join([one] * len(hosts)) or "FALSE") + ")", params


def service_host(resource_host: str | None) -> str:
    """Return the ``services.host`` that a resource's host belongs to: its pool is cut off."""
    return (resource_host or "").split("#", 1)[0]


@dataclass(frozen=True)
class Worker:
    """A row of ``workers`` and who holds it."""

    resource: tuple[str, str]  # type and id
    status: str
    holder: str  # "us", "nobody", or the binary of another service
    since: str | None
    touched: str | None


def workers(
    query: Query, own: Iterable[int], resources: Sequence[tuple[str, str]] = ()
) -> dict[tuple[str, str], Worker]:
    """Return the worker rows that these services hold, and those of the resources given, by resource.

    SENTINEL rows only keep the precision of the database's clock (cinder/db/api.py); they are no work.
    """
    mine = list(own)
    resource_ids = ids(resource_id for _, resource_id in resources)
    found = (
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
    holders.update(_binaries(query, {row["service_id"] for row in found} - set(holders)))
    return {(row["resource_type"], row["resource_id"]): _worker(row, holders) for row in found}


def _worker(row: Row, holders: Mapping[Any, str]) -> Worker:
    return Worker(
        resource=(row["resource_type"], row["resource_id"]),
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
    """Return the kind that a status belongs to."""
    return next((kind for kind in kinds if status in kind.statuses), None)


def statuses(kinds: Iterable[Kind]) -> list[str]:
    """Return every status of these kinds."""
    return [status for kind in kinds for status in kind.statuses]


def ending(operation: Operation, kind: Kind, status: str | None, worker: Worker | None, thing: str) -> Ending:
    """Return what the rows say of an operation now.

    ``status`` is the row's, None when the row is gone or marked as deleted; ``thing`` is how a
    sentence names the resource.
    """
    if status is None:
        # Of any kind: where nothing is left, nothing is left unfinished.
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
    # cinder/manager.py do_cleanup takes worker rows of its own service only, and of these only
    # those whose status is still the resource's.
    seen_by_start = not kind.needs_worker or (
        worker is not None and worker.holder == "us" and worker.status == status
    )
    fate = kind.healed if kind.healed and seen_by_start else stays
    queued_fate = kind.healed if kind.heals_queued else ""
    return Ending(operation, Outcome.INTERRUPTED, status, fate, queued_fate)

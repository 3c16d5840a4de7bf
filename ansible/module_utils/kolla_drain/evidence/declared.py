"""Evidence of a declared service: rows with a host and a status, as profiles/form.py describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import ClassVar

from ..database import statements
from ..database.connection import Query, Row
from ..errors import EvidenceUnavailable
from ..model import Ending, Heartbeat, Operation, Outcome, Profile
from ..profiles import declared
from ..profiles.form import Beat, Kind, Service, Work
from ..service.config import ServiceConfig
from .base import TRUE, Activity, ServiceEvidence, heartbeat, ids, utc

_EPOCH = datetime(1970, 1, 1)


@cache
def evidence_class(name: str) -> type[DeclaredEvidence]:
    """Return the class of the evidence of a declared service."""
    service = declared(name)
    assert service is not None
    # At SIGHUP native threads are replaced together with what they work on. Eventlet's stay, so there it is caution.
    profile = replace(service.profile, reload_keeps_work=False)
    facts = {"SERVICE": service, "PROFILE": profile, "BEATS": service.beat is not None}
    return type("DeclaredEvidence", (DeclaredEvidence,), facts)


class DeclaredEvidence(ServiceEvidence):
    """Evidence of one container of a declared service. Remembers the ids under which its processes work."""

    SERVICE: ClassVar[Service]

    def __init__(self) -> None:
        self._was_seen = False
        self._starts = False
        self._is_alone = False  # no other host reports that the service runs there
        self._owners: dict[str, None] = {}

    @classmethod
    def profile_in(cls, env: Mapping[str, str], release: int | None, config: ServiceConfig | None) -> Profile:
        eventlet = cls.SERVICE.eventlet
        if eventlet is None or release is None or release > eventlet.last:
            return cls.PROFILE
        on_threads = env.get(eventlet.variable, "").lower() in TRUE
        return cls.PROFILE if on_threads else replace(cls.PROFILE, keeps_work=True)

    def await_first_report(self) -> None:
        self._starts = True

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        beats = self._heartbeats(query, self.SERVICE.beat, config) if self.SERVICE.beat else ()
        found = (
            _operation(work, row, "" if self._is_alone else self.SERVICE.name)
            for work in self.SERVICE.work
            if self._owners or not work.owner
            for row in query(*statements.operations(work, config.service_hosts, list(self._owners)))
            if self._is_its(work, row, config)
        )
        # A row can be in the result twice, where the table that was joined has several for it.
        return Activity(beats, tuple({op.key: op for op in found if op is not None}.values()))

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        found: dict[tuple[str, str], Ending] = {}
        for work in self.SERVICE.work:
            kinds = {kind.name: kind for kind in work.kinds}
            asked = [operation for operation in operations if operation.kind in kinds]
            if not asked:
                continue
            wanted = ids(operation.id for operation in asked)
            rows = {str(row["id"]): row for row in query(*statements.endings(work, wanted))}
            for operation in asked:
                row = rows.get(operation.id)
                is_held = row is not None and self._is_its(work, row, config)
                found[operation.key] = _ending(operation, work, kinds[operation.kind], row, is_held=is_held)
        return tuple(found[operation.key] for operation in operations)

    def _heartbeats(self, query: Query, beat: Beat, config: ServiceConfig) -> tuple[Heartbeat, ...]:
        """Return one heartbeat a host: that of the row which moved last, as each process may have its own."""
        name, hosts = self.SERVICE.name, config.service_hosts
        found = query(*statements.heartbeats(beat, self.SERVICE.command))
        # The database ignores case, accents and trailing blanks when it compares, so it is done here.
        rows = [row for row in found if row["host"] in hosts]
        others = (heartbeat(row, name, config.service_down_time) for row in found if row["host"] not in hosts)
        self._is_alone = not any(other.up for other in others)
        # Some services delete their rows at a clean exit, so an empty answer means nothing once there were rows. The
        # first report of a process that starts then has to be seen to move: the next may be a minute away.
        if not rows and beat.owner and self._starts:
            return tuple(
                [Heartbeat(name, host, age=None, report_count=0, up=False, disabled=False) for host in hosts]
            )
        if not rows and not self._was_seen:
            raise EvidenceUnavailable(
                f"the database has no {name} at {', '.join(hosts)}: "
                "check that the service's configuration and the database belong to this container"
            )
        self._was_seen = True
        newest: dict[str, Heartbeat] = {}
        for row in sorted(rows, key=lambda row: row["seen_at"] or _EPOCH):
            if row["report_count"] is None and row["seen_at"] is not None:
                row["report_count"] = int((row["seen_at"] - _EPOCH).total_seconds())
            newest[row["host"]] = heartbeat(row, name, config.service_down_time)
            if row["owner"] is not None and newest[row["host"]].up:
                self._owners[row["owner"]] = None
        if beat.owner and not self._owners:
            raise EvidenceUnavailable(
                f"no process of {name} at {', '.join(hosts)} has reported in time, and its reports alone tell what it "
                "works on: see that it runs and reaches its database",
                passing=True,
            )
        return tuple(newest.values())

    def _is_its(self, work: Work, row: Row, config: ServiceConfig) -> bool:
        """Return whether a row names this container's host or one of its processes, or whose it is does not show."""
        if work.owner:
            return row["owner"] in self._owners
        if not work.host:
            return True
        host = row["host"] or ""
        return (host.partition("#")[0] if work.pools else host) in config.service_hosts


def _operation(work: Work, row: Row, any_of: str) -> Operation | None:
    """Return the operation in a row. What is shared is any container's of the service ``any_of``; empty: this one's."""
    status = _status_of(row)
    kind = _kind_of(work.kinds, status)
    if kind is None:  # the database ignores case when it compares
        return None
    written = utc(row["written"])
    return Operation(
        kind=kind.name,
        id=str(row["id"]),
        status=status,
        since=written,
        # A row that names its holder only while it is held was taken by it.
        claimed=True if work.held else None,
        informs=bool(work.stale) and (row["age"] is None or row["age"] >= work.stale),
        written=written,
        unattributed=f"no row tells which {any_of} works on it" if work.shared and any_of else "",
    )


def _kind_of(kinds: Sequence[Kind], status: str) -> Kind | None:
    """Return the kind to which a status belongs, or else the one of any status."""
    by_status = (kind for kind in kinds if status in kind.statuses)
    return next(by_status, next((kind for kind in kinds if not kind.statuses), None))


def _status_of(row: Row) -> str:
    return "none" if row["status"] is None else str(row["status"])


def _ending(operation: Operation, work: Work, kind: Kind, row: Row | None, *, is_held: bool) -> Ending:
    if row is None:
        # Whatever the kind: nothing can be left unfinished of a resource that does not exist.
        return Ending(operation, Outcome.FINISHED, "deleted")
    status = _status_of(row)
    stays = f"the {work.thing} stays {status} until an operator resets it"
    if status in kind.statuses and work.held and not is_held:
        fate = f"the {work.thing} is {status}, and this container does not hold it any more"
        return Ending(operation, Outcome.UNKNOWN, status, fate)
    if is_held if not kind.statuses else status in kind.statuses:
        return Ending(operation, Outcome.INTERRUPTED, status, kind.fate or stays)
    if status in kind.failed or (kind.statuses and status.lower().startswith("error")):
        # The drain knows a failure by this word, whatever the service calls it.
        shown = status if status.startswith("error") else f"error: {status}"
        return Ending(operation, Outcome.INTERRUPTED, shown, f"ended in error; the {work.thing} is {status}")
    if kind.deletes:
        fate = f"it was given up; the {work.thing} is {status}"
        return Ending(operation, Outcome.INTERRUPTED, status, fate)
    return Ending(operation, Outcome.FINISHED, status)

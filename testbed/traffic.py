"""Random requests against the Cinder API, and what should have become of each in the end.

traffic = Traffic(stack, backends=("s1-1", "s1-2"), seed=7, rate=2.5)
traffic.start(); ...; traffic.quiet(); verdict = traffic.finish()

Only a request that the API accepted counts. A resource with a request pending gets no other, so
whatever is wrong with it in the end is that request's. Each stream has a project of its own: its
quotas and its rows are nobody else's.
"""

from __future__ import annotations

import collections
import random
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pymysql.cursors
import requests

from testbed import mariadb
from testbed.cinder_api import CinderApi
from testbed.paths import CINDER_DIR
from testbed.stack import Stack

GIB = 1024**3
# How often each kind is asked for, where it is possible.
VOLUME_KINDS = {
    "volume_create": 6,
    "volume_from_snapshot": 2,
    "volume_clone": 2,
    "volume_delete": 7,
    "volume_extend": 4,
    "snapshot_create": 3,
    "snapshot_delete": 3,
}
RETYPE_KINDS = {"volume_retype": 1}
ATTACH_KINDS = {"attach": 3, "detach": 3}
BACKUP_KINDS = {"backup_create": 4, "backup_restore": 3, "backup_delete": 4}
# Which pause of the drivers makes which kind slow; see drivers/kolla_drain_testbed.
PAUSES = (
    "volume_create",
    "volume_from_snapshot",
    "volume_clone",
    "volume_delete",
    "volume_extend",
    "snapshot_create",
    "snapshot_delete",
    "volume_attach",
    "volume_detach",
    "backup_delete",
)
CHUNK_PAUSES = ("backup_chunk", "restore_chunk")
CHUNKS = 16  # of a backup of 1 GiB
MOST_VOLUMES = 14
MOST_BACKUPS = 8
MOST_COPIES = 2
LONGEST_COPY = 60.0
LARGEST = 6
# Longer than the API waits for an answer of a service (rpc_response_timeout, 60 s).
API_PATIENCE = 150.0
PENDING = "pending"
DONE = "done"
LOST = "lost"


@dataclass(eq=False)
class Thing:
    """A volume, snapshot, backup or attachment of ours."""

    resource: str
    id: str
    backend: str
    size: int = 1
    of: Thing | None = None  # the volume that it belongs to
    busy: bool = True
    attached: bool = False


@dataclass(eq=False)
class Request:
    """One request that was sent, and what became of it."""

    kind: str
    thing: Thing
    sent: float  # seconds since the epoch, as all times here
    wanted: Callable[[Rows], str]  # returns what is not right yet; empty when it is done
    holds: tuple[Thing, ...] = ()
    answered: float = 0.0
    settled: float = 0.0
    state: str = PENDING
    why: str = ""
    born: tuple[Thing, ...] = ()  # what can be used from its end on
    ends: tuple[Thing, ...] = ()  # what is no more from its end on
    after: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Lost:
    """An accepted request that did not come to its right end."""

    kind: str
    id: str
    sent: float
    answered: float
    why: str


@dataclass(frozen=True)
class Usage:
    """What Cinder counts of one resource for a quota, where that is not what its rows say."""

    resource: str
    in_use: int
    reserved: int
    there: int

    def __str__(self) -> str:
        more = f" and {self.reserved} reserved" if self.reserved else ""
        return f"{self.resource}: {self.in_use} in use{more}, {self.there} there"


@dataclass(frozen=True)
class Outcome:
    """What a stream came to."""

    seed: int
    accepted: dict[str, int]  # by kind
    refused: dict[str, int]  # by the API's code, or the name of the error
    lost: tuple[Lost, ...]
    quota: tuple[Usage, ...]  # those that do not agree with the rows
    strays: tuple[str, ...]  # rows and files that nobody asked for

    @property
    def lost_by_kind(self) -> dict[str, int]:
        return dict(sorted(collections.Counter(one.kind for one in self.lost).items()))


@dataclass(frozen=True)
class Rows:
    """One look at the database: the live rows of the stream's project, by id."""

    volumes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    snapshots: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    attachments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Refused(Exception):
    """The API did not accept a request."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code} {text}")
        self.code = code


class Database:
    """The stream's rows. One connection, for one thread at a time."""

    def __init__(self, stack: Stack, project: str) -> None:
        self._stack, self._project = stack, project
        self._lock = threading.Lock()
        self._connection: Any = None

    def rows(self, sql: str, params: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        """One question or order; the connection is made anew after a failure."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._stack.db()
                    self._connection.autocommit(True)
                with self._connection.cursor(pymysql.cursors.DictCursor) as cursor:
                    return mariadb.run(cursor, sql, params)
            except pymysql.err.MySQLError:
                self._connection = None
                raise

    def look(self) -> Rows:
        """All that is live in the project."""
        return Rows(
            self._by_id(
                "SELECT v.id, v.status, v.size, v.host, v.migration_status, v._name_id AS name_id, t.name AS type"
                " FROM volumes v LEFT JOIN volume_types t ON t.id = v.volume_type_id"
                " WHERE v.deleted = 0 AND v.project_id = %s"
            ),
            self._by_id(
                "SELECT id, status, volume_size AS size FROM snapshots WHERE deleted = 0 AND project_id = %s"
            ),
            self._by_id(
                "SELECT id, status, size, fail_reason FROM backups WHERE deleted = 0 AND project_id = %s"
            ),
            self._by_id(
                "SELECT a.id, a.attach_status AS status FROM volume_attachment a JOIN volumes v ON v.id = a.volume_id"
                " WHERE a.deleted = 0 AND v.project_id = %s"
            ),
        )

    def _by_id(self, sql: str) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self.rows(sql, (self._project,))}

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class Traffic:
    """One stream of requests for some volume types, all of the same cinder-volume."""

    def __init__(
        self,
        stack: Stack,
        backends: Iterable[str],
        *,
        seed: int,
        rate: float = 1.0,  # requests a second, on average
        concurrency: int = 8,
        kinds: Mapping[str, int] | None = None,
        host: str | None = None,  # of the cinder-backup that is to take the backups
    ) -> None:
        self.stack = stack
        self.backends = tuple(backends)
        self.seed, self.rate, self.concurrency = seed, rate, concurrency
        self.kinds = dict(VOLUME_KINDS if kinds is None else kinds)
        self.project = uuid.uuid4().hex
        self.requests: list[Request] = []
        self.refused: collections.Counter[str] = collections.Counter()
        self.database = Database(stack, self.project)
        self._random = random.Random(seed)
        self._things: dict[str, list[Thing]] = {
            "volume": [], "snapshot": [], "backup": [], "attachment": []
        }  # fmt: skip
        self._types = self._type_ids()
        self._sending = 0
        self._lock = threading.RLock()
        self._local = threading.local()
        self._flowing = threading.Event()
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="traffic")
        self._threads = [
            threading.Thread(target=one, name=one.__name__, daemon=True) for one in (self._send, self._watch)
        ]
        self.trouble: list[str] = []  # what the stream itself stumbled over

    # -- coming and going

    def start(self) -> Traffic:
        """Begin, or go on after ``pause``."""
        self._flowing.set()
        if not self._threads[0].is_alive():
            for thread in self._threads:
                thread.start()
        return self

    def pause(self) -> None:
        """Send nothing new."""
        self._flowing.clear()

    def finish(self, limit: float = 120.0, still: float = 25.0) -> Outcome:
        """Send nothing new, wait for what is pending, and judge.

        ``still``: where nothing has moved for so long nothing will; ``limit`` is the longest wait.
        """
        self.pause()
        deadline = time.monotonic() + limit
        moved, before = time.monotonic(), -1
        while time.monotonic() < deadline:
            pending = len(self.pending())
            if pending == 0:
                break
            if pending != before:
                moved, before = time.monotonic(), pending
            elif time.monotonic() - moved > still and self._sending == 0:
                break
            time.sleep(0.2)
        self._ended.set()
        self._pool.shutdown(wait=True)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        return self._judge()

    def pending(self) -> list[Request]:
        """What is sent, or accepted and not yet seen to be done."""
        with self._lock:
            return [one for one in self.requests if one.state == PENDING]

    def stuck(self, since: float, patience: float) -> set[str]:
        """Ids of resources whose request met the stop that ended at ``since``, and had that long to end afterwards."""
        return {thing.id for one in self._late(since, patience) for thing in (one.thing, *one.holds)}

    def write_off(self, since: float, patience: float) -> int:
        """Count these requests as lost, and take their resources out of the way of later stops."""
        late = self._late(since, patience)
        rows = self.database.look()
        with self._lock:
            for one in late:
                self._lose(one, self._wrong(one, rows) or "late")
        for thing in {thing for one in late for thing in (one.thing, *one.holds)}:
            self._bury(thing)
            self._forget(thing)  # or a stream that loses much has no room for new volumes
        return len(late)

    def _late(self, since: float, patience: float) -> list[Request]:
        if time.time() < since + patience:
            return []
        return [one for one in self.pending() if one.answered and one.sent < since]

    def _bury(self, thing: Thing) -> None:
        table = {"volume": "volumes", "snapshot": "snapshots", "backup": "backups"}.get(thing.resource)
        if table:
            self.database.rows(
                f"UPDATE {table} SET status = 'error' WHERE id = %s AND deleted = 0",
                (thing.id,),
            )
            self.database.rows("DELETE FROM workers WHERE resource_id = %s", (thing.id,))
        if table == "volumes":
            # The status of a migration is evidence of work in flight as well.
            self.database.rows(
                "UPDATE volumes SET migration_status = NULL WHERE id = %s OR migration_status = %s",
                (thing.id, f"target:{thing.id}"),
            )

    # -- sending

    @property
    def api(self) -> CinderApi:
        """A client for the calling thread."""
        if not hasattr(self._local, "api"):
            api = CinderApi(self.stack.state.endpoints.api_port, self.project)
            self._local.api = api
        return self._local.api  # type: ignore[no-any-return]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        api = self.api
        try:
            answer = api.session.request(method, f"{api.base}/{path}", json=body, timeout=API_PATIENCE)
        except requests.ConnectionError as error:
            refused = "refused" in str(error).lower()
            raise Refused("connection refused" if refused else "connection broken") from error
        except requests.Timeout as error:
            raise Refused("no answer") from error
        if answer.status_code >= 400:
            raise Refused(str(answer.status_code), answer.text[:200])
        return answer.json() if answer.content else {}

    def _send(self) -> None:
        while not self._ended.is_set():
            self._ended.wait(self._random.expovariate(self.rate))
            if not self._flowing.is_set():
                self._flowing.wait(0.2)
                continue
            with self._lock:
                if self._ended.is_set() or self._sending >= self.concurrency:
                    continue
                send = self._choose()
                if send is None:
                    continue
                self._sending += 1
            self._pool.submit(self._attempt, send)

    def _attempt(self, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:  # noqa: BLE001 - a thread of a pool keeps its errors to itself
            self.trouble.append(f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._sending -= 1

    def _choose(self) -> Callable[[], None] | None:
        """Something that is possible now; the things it needs are taken at once."""
        names = list(self.kinds)
        self._random.shuffle(names)
        weighted = sorted(names, key=lambda one: self._random.random() ** (1 / self.kinds[one]), reverse=True)
        for name in weighted:
            made = getattr(self, f"_{name}")()
            if made is not None:
                return made  # type: ignore[no-any-return]
        return None

    def _free(self, resource: str, *, where: Callable[[Thing], bool] = lambda _: True) -> Thing | None:
        found = [one for one in self._things[resource] if not one.busy and where(one)]
        return self._random.choice(found) if found else None

    def _take(self, *things: Thing) -> None:
        for thing in things:
            thing.busy = True

    def _release(self, *things: Thing) -> None:
        for thing in things:
            thing.busy = False

    def _ask(self, request: Request, send: Callable[[], Any], *, waits: bool = False) -> Any:
        """Send a request. ``waits``: the API waits for the service, so its failure is the request's end."""
        with self._lock:
            self.requests.append(request)
        try:
            answer = send()
        except Refused as error:
            with self._lock:
                broken = error.code in ("connection broken", "no answer") or error.code.startswith("5")
                if waits and broken:
                    request.answered = time.time()
                    self._lose(request, f"the API answered: {str(error)[:120]}")
                else:
                    self.requests.remove(request)
                    self.refused[error.code] += 1
                    self._release(*request.holds, *request.ends)
            return None
        request.answered = time.time()
        return answer

    # -- the kinds

    def _room(self) -> bool:
        return len(self._things["volume"]) < MOST_VOLUMES

    def _new_volume(
        self, kind: str, size: int, backend: str, holds: tuple[Thing, ...], **more: Any
    ) -> Callable[[], None] | None:
        if not self._room():
            return None
        thing = Thing("volume", "", backend, size)
        self._take(*holds)
        self._things["volume"].append(thing)

        def wanted(rows: Rows) -> str:
            return is_volume(rows, thing)

        request = Request(kind, thing, time.time(), wanted, holds, born=(thing,))
        return self._birth(request, size=size, name=kind, volume_type=backend, **more)

    def _birth(self, request: Request, **body: Any) -> Callable[[], None]:
        """Ask for the thing that the request is about, which is no thing if it is refused."""
        thing = request.thing

        def send() -> None:
            wanted = {thing.resource: body}
            answer = self._ask(request, lambda: self._call("POST", f"{thing.resource}s", wanted))
            if answer is None:
                self._forget(thing)
            else:
                thing.id = answer[thing.resource]["id"]

        return send

    def _forget(self, thing: Thing) -> None:
        with self._lock:
            if thing in self._things[thing.resource]:
                self._things[thing.resource].remove(thing)

    def _volume_create(self) -> Callable[[], None] | None:
        return self._new_volume("volume_create", 1, self._random.choice(self.backends), ())

    def _volume_clone(self) -> Callable[[], None] | None:
        source = self._free("volume", where=lambda one: not one.attached)
        if source is None:
            return None
        return self._new_volume(
            "volume_clone", source.size, source.backend, (source,), source_volid=source.id
        )

    def _volume_from_snapshot(self) -> Callable[[], None] | None:
        source = self._free("snapshot")
        if source is None or source.of is None:
            return None
        return self._new_volume(
            "volume_from_snapshot", source.size, source.backend, (source,), snapshot_id=source.id
        )

    def _lone(self, thing: Thing) -> bool:
        return not thing.attached and not any(one.of is thing for one in self._things["snapshot"])

    def _volume_delete(self) -> Callable[[], None] | None:
        thing = self._free("volume", where=self._lone)
        # Some stay, or nothing else can be asked for.
        if thing is None or len(self._things["volume"]) < MOST_VOLUMES // 3:
            return None
        return self._end("volume_delete", thing, "volumes")

    def _end(self, kind: str, thing: Thing, plural: str) -> Callable[[], None]:
        holds = () if thing.of is None or kind == "backup_delete" else (thing.of,)
        self._take(thing, *holds)

        def wanted(rows: Rows) -> str:
            row = getattr(rows, plural).get(thing.id)
            return "" if row is None else f"{thing.resource} {row['status']}"

        request = Request(kind, thing, time.time(), wanted, holds, ends=(thing,))
        return lambda: self._ask(request, lambda: self._call("DELETE", f"{plural}/{thing.id}"))

    def _volume_extend(self) -> Callable[[], None] | None:
        thing = self._free("volume", where=lambda one: not one.attached and one.size < LARGEST)
        if thing is None:
            return None
        self._take(thing)
        size = thing.size + 1

        def wanted(rows: Rows) -> str:
            wrong = is_volume(rows, thing)
            real = rows.volumes.get(thing.id, {}).get("size")
            return wrong or ("" if real == size else f"volume of {real} GiB")

        def after() -> None:
            thing.size = size

        request = Request("volume_extend", thing, time.time(), wanted, (thing,), after=after)
        body = {"os-extend": {"new_size": size}}
        return lambda: self._ask(request, lambda: self._call("POST", f"volumes/{thing.id}/action", body))

    def _volume_retype(self) -> Callable[[], None] | None:
        thing = self._free("volume", where=lambda one: self._lone(one) and one.size == 1)
        if thing is None or len(self.backends) < 2:
            return None
        self._take(thing)
        target = self._random.choice([one for one in self.backends if one != thing.backend])

        def wanted(rows: Rows) -> str:
            wrong = is_volume(rows, thing)
            row = rows.volumes.get(thing.id, {})
            moving = row.get("migration_status") not in (None, "success")
            if wrong or moving or row.get("type") != target:
                return (
                    f"{wrong or 'volume'} of type {row.get('type')}, migration {row.get('migration_status')}"
                )
            return ""

        def after() -> None:
            thing.backend = target

        request = Request("volume_retype", thing, time.time(), wanted, (thing,), after=after)
        body = {"os-retype": {"new_type": target, "migration_policy": "on-demand"}}
        return lambda: self._ask(request, lambda: self._call("POST", f"volumes/{thing.id}/action", body))

    def _snapshot_create(self) -> Callable[[], None] | None:
        volume = self._free("volume", where=lambda one: not one.attached)
        if volume is None:
            return None
        self._take(volume)
        thing = Thing("snapshot", "", volume.backend, volume.size, volume)
        self._things["snapshot"].append(thing)

        def wanted(rows: Rows) -> str:
            return is_in(rows.snapshots, thing, "snapshot")

        request = Request("snapshot_create", thing, time.time(), wanted, (volume,), born=(thing,))
        return self._birth(request, volume_id=volume.id, name="traffic")

    def _snapshot_delete(self) -> Callable[[], None] | None:
        thing = self._free("snapshot", where=lambda one: one.of is not None and not one.of.busy)
        return None if thing is None else self._end("snapshot_delete", thing, "snapshots")

    def _copying(self) -> bool:
        """Whether as many backups and restores are under way as the machine can bear."""
        then = time.time() - LONGEST_COPY  # what was sent before is lost, and occupies nobody
        kinds = ("backup_create", "backup_restore")
        return sum(one.kind in kinds and one.sent > then for one in self.pending()) >= MOST_COPIES

    def _backup_create(self) -> Callable[[], None] | None:
        volume = self._free("volume", where=lambda one: not one.attached and one.size == 1)
        if volume is None or len(self._things["backup"]) >= MOST_BACKUPS or self._copying():
            return None
        self._take(volume)
        thing = Thing("backup", "", volume.backend)
        self._things["backup"].append(thing)

        def wanted(rows: Rows) -> str:
            return is_in(rows.backups, thing, "backup") or is_volume(rows, volume)

        request = Request("backup_create", thing, time.time(), wanted, (volume,), born=(thing,))
        return self._birth(request, volume_id=volume.id, name="traffic")

    def _backup_restore(self) -> Callable[[], None] | None:
        thing = self._free("backup")
        volume = self._free("volume", where=lambda one: not one.attached and one.size == 1)
        if thing is None or volume is None or self._copying():
            return None
        self._take(thing, volume)

        def wanted(rows: Rows) -> str:
            return is_in(rows.backups, thing, "backup") or is_volume(rows, volume)

        request = Request("backup_restore", thing, time.time(), wanted, (thing, volume))
        body = {"restore": {"volume_id": volume.id}}
        return lambda: self._ask(request, lambda: self._call("POST", f"backups/{thing.id}/restore", body))

    def _backup_delete(self) -> Callable[[], None] | None:
        thing = self._free("backup")
        if thing is None or len(self._things["backup"]) < 2:
            return None
        return self._end("backup_delete", thing, "backups")

    # What the API waits for: the answer is the end.

    def _attach(self) -> Callable[[], None] | None:
        volume = self._free("volume", where=lambda one: not one.attached)
        if volume is None:
            return None
        self._take(volume)
        thing = Thing("attachment", "", volume.backend, of=volume)

        def after() -> None:
            volume.attached = True

        request = Request(
            "attach", thing, time.time(), lambda _: "", (volume,), born=(thing,), after=after
        )  # fmt: skip

        def send() -> None:
            try:
                made = self._call("POST", "attachments", {"attachment": {"volume_uuid": volume.id}})
            except Refused as error:
                with self._lock:
                    self.refused[error.code] += 1
                    self._release(volume)
                return
            thing.id = made["attachment"]["id"]
            request.sent = time.time()
            self._things["attachment"].append(thing)
            body = {"attachment": {"connector": {"host": "traffic", "ip": "127.0.0.1", "initiator": "none"}}}
            self._ask(request, lambda: self._call("PUT", f"attachments/{thing.id}", body), waits=True)

        return send

    def _detach(self) -> Callable[[], None] | None:
        thing = self._free("attachment", where=lambda one: one.of is not None and not one.of.busy)
        if thing is None or thing.of is None:
            return None
        volume = thing.of
        self._take(thing, volume)

        def after() -> None:
            volume.attached = False

        request = Request(
            "detach", thing, time.time(), lambda rows: is_volume(rows, volume), (volume,), ends=(thing,), after=after
        )  # fmt: skip
        return lambda: self._ask(request, lambda: self._call("DELETE", f"attachments/{thing.id}"), waits=True)

    # -- watching

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                self.settle()
            except Exception as error:  # noqa: BLE001 - the database may be away for a moment
                self.trouble.append(f"{type(error).__name__}: {error}")
            self._ended.wait(0.15)

    def settle(self) -> None:
        """See what is done by now."""
        asked = time.time()
        rows = self.database.look()
        with self._lock:
            for request in [one for one in self.requests if one.state == PENDING]:
                # A row that was read before the answer says nothing of what the request began.
                if request.answered and request.answered < asked and not self._wrong(request, rows):
                    self._done(request)

    @staticmethod
    def _wrong(request: Request, rows: Rows) -> str:
        return request.wanted(rows)

    def _done(self, request: Request) -> None:
        request.state, request.settled = DONE, time.time()
        request.after()
        for thing in request.ends:
            self._forget(thing)
        self._release(*request.holds, *request.born)

    def _lose(self, request: Request, why: str) -> None:
        """What it held is never used again."""
        request.state, request.settled, request.why = LOST, time.time(), why

    # -- judging

    def _judge(self) -> Outcome:
        self.settle()
        rows = self.database.look()
        with self._lock:
            for request in [one for one in self.requests if one.state == PENDING]:
                self._lose(request, self._wrong(request, rows) or "never answered")
            lost = [
                Lost(one.kind, one.thing.id, one.sent, one.answered, one.why)
                for one in self.requests if one.state == LOST
            ]  # fmt: skip
            lost += self._wrong_files(rows)
            accepted = collections.Counter(one.kind for one in self.requests)
        quota, strays = self._left_over()
        return Outcome(
            self.seed,
            dict(sorted(accepted.items())),
            dict(sorted(self.refused.items())),
            tuple(lost),
            quota,
            strays,
        )

    def _left_over(self, limit: float = 20.0) -> tuple[tuple[Usage, ...], tuple[str, ...]]:
        """Quotas that are off and rows of nobody. A quota is written after its row, a source deleted after its move."""
        deadline = time.monotonic() + limit
        while True:
            rows = self.database.look()
            found = tuple(self._wrong_quotas(rows)), tuple(self._strays(rows))
            if not any(found) or time.monotonic() > deadline:
                return found
            time.sleep(1)

    def _wrong_files(self, rows: Rows) -> Iterator[Lost]:
        """Of all that is done: a file of the right size for each volume, and none for what is gone."""
        latest: dict[Thing, Request] = {}
        for request in self.requests:
            for thing in {request.thing, *request.holds, *request.ends}:
                latest[thing] = request
        for thing, request in latest.items():
            if request.state == DONE and thing.id:
                wrong = self._wrong_file(thing, gone=thing in request.ends, rows=rows)
                if wrong:
                    yield Lost(request.kind, thing.id, request.sent, request.answered, wrong)

    def _wrong_file(self, thing: Thing, gone: bool, rows: Rows) -> str:
        if thing.resource == "volume":
            name = (rows.volumes.get(thing.id) or {}).get("name_id") or thing.id
            path = CINDER_DIR / "volumes" / thing.backend / f"volume-{name}"
        elif thing.resource == "snapshot":
            path = CINDER_DIR / "volumes" / thing.backend / f"snapshot-{thing.id}"
        else:
            return ""
        if gone:
            return f"{thing.resource} deleted, but its file is there" if path.exists() else ""
        if not path.exists():
            return f"{thing.resource} without its file"
        real = path.stat().st_size
        return "" if real == thing.size * GIB else f"{thing.resource} with a file of {real} bytes"

    def _wrong_quotas(self, rows: Rows) -> Iterator[Usage]:
        """What Cinder counts against what is there."""
        there: collections.Counter[str] = collections.Counter()
        for row in rows.volumes.values():
            # NOTE: the second volume of a migration is not counted.
            if not str(row["migration_status"] or "").startswith("target:"):
                there["volumes"] += 1
                there["gigabytes"] += row["size"]
        for row in rows.snapshots.values():
            there["snapshots"] += 1
            there["gigabytes"] += row["size"]
        for row in rows.backups.values():
            there["backups"] += 1
            there["backup_gigabytes"] += row["size"]
        found = self.database.rows(
            "SELECT resource, in_use, reserved FROM quota_usages WHERE deleted = 0 AND project_id = %s",
            (self.project,),
        )
        for row in found:
            name = row["resource"]
            if name not in ("volumes", "gigabytes", "snapshots", "backups", "backup_gigabytes"):
                continue
            if row["in_use"] != there[name] or row["reserved"]:
                yield Usage(name, row["in_use"], row["reserved"], there[name])

    def _strays(self, rows: Rows) -> Iterator[str]:
        with self._lock:
            ours = {one.thing.id for one in self.requests}
        for resource in ("volumes", "snapshots", "backups"):
            for row in getattr(rows, resource).values():
                if row["id"] not in ours:
                    yield f"{resource[:-1]} {row['id']} {row['status']} {row.get('migration_status') or ''}".strip()

    def _type_ids(self) -> dict[str, str]:
        rows = self.database.rows("SELECT id, name FROM volume_types WHERE deleted = 0")
        return {row["name"]: row["id"] for row in rows}

    # -- cleaning

    def clean(self) -> None:
        """Take all of the stream's rows and files away, whatever state they are in. By hand: much quicker."""
        rows = self.database.look()
        look = self.database.rows
        names = {"volume": list(rows.volumes.values()), "snapshot": list(rows.snapshots.values())}
        for resource, found in names.items():
            for row in found:
                self._remove_files(resource, row)
        for backup in rows.backups:
            shutil.rmtree(CINDER_DIR / "backup" / backup[:2] / backup[2:4] / backup, ignore_errors=True)
        for ident in (*rows.volumes, *rows.snapshots):
            look("DELETE FROM workers WHERE resource_id = %s", (ident,))
        for ident in rows.attachments:
            look(
                "UPDATE volume_attachment SET deleted = 1, attach_status = 'detached' WHERE id = %s", (ident,)
            )
        for table, column in (("snapshots", 1), ("volumes", 1), ("backups", 1)):
            look(
                f"UPDATE {table} SET status = 'deleted', deleted = %s, deleted_at = UTC_TIMESTAMP()"
                " WHERE deleted = 0 AND project_id = %s",
                (column, self.project),
            )
        self.database.close()

    def _remove_files(self, resource: str, row: Mapping[str, Any]) -> None:
        name = row.get("name_id") or row["id"]
        for backend in self.backends:
            (CINDER_DIR / "volumes" / backend / f"{resource}-{name}").unlink(missing_ok=True)


def is_volume(rows: Rows, thing: Thing) -> str:
    """What is not right with a volume that should be at rest."""
    return is_in(rows.volumes, thing, "volume")


def is_in(rows: Mapping[str, Mapping[str, Any]], thing: Thing, what: str) -> str:
    """What is not right with a row that should be available."""
    row = rows.get(thing.id)
    if row is None:
        return f"{what} gone"
    if row["status"] == "available":
        return ""
    reason = row.get("fail_reason")
    return f"{what} {row['status']}" + (f": {reason}" if reason else "")


def sweep(stack: Stack, host: str) -> None:
    """Take away what streams that were broken off have left with the services of this host."""
    look = Database(stack, "")
    here = f"{host}@%"
    look.rows("DELETE FROM workers WHERE resource_id IN (SELECT id FROM volumes WHERE host LIKE %s)", (here,))
    gone = "status = 'deleted', deleted = 1, deleted_at = UTC_TIMESTAMP()"
    of_volume = "volume_id IN (SELECT id FROM volumes WHERE host LIKE %s)"
    look.rows(f"UPDATE snapshots SET {gone} WHERE deleted = 0 AND {of_volume}", (here,))
    look.rows(f"UPDATE backups SET {gone} WHERE deleted = 0 AND host = %s", (host,))
    look.rows(f"UPDATE volumes SET {gone} WHERE deleted = 0 AND host LIKE %s", (here,))
    look.close()

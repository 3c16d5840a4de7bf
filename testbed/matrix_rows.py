"""The rows of the matrix: what is in flight, which container is stopped meanwhile, and the right end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from testbed.image_source import CHUNKS as IMAGE_CHUNKS
from testbed.matrix import Honesty, Job, Row
from testbed.matrix_bench import CHUNKS, Bench, content_of, gone
from testbed.matrix_terms import BACKUP, GONE, OURS, STOP, VOLUME, Operation, State
from testbed.stack import MODES


@dataclass(frozen=True)
class Known:
    """A volume whose content is known, and what was made of it."""

    volume: str
    content: str
    snapshot: str = ""
    backup: str = ""


def known_ones(bench: Bench, number: int) -> list[Known]:
    """Volumes with content."""
    return [Known(volume, content_of([bench.file_of(volume)])) for volume in bench.volumes(number)]


def known(bench: Bench) -> Known:
    """One of them."""
    return known_ones(bench, 1)[0]


def with_snapshot(bench: Bench) -> Known:
    had = known(bench)
    return replace(had, snapshot=bench.snapshot(had.volume))


def with_backup(bench: Bench) -> Known:
    had = known(bench)
    return replace(had, backup=bench.backup(had.volume))


# -- one operation each


def create(bench: Bench, _: object = None) -> list[Operation]:
    bench.slow("volume_create")
    volume = str(bench.api.create_volume(1, "matrix", backend=bench.first)["id"])
    bench.begun("volume_create", volume)
    return [Operation("create", (State("volume", volume),), lambda: bench.available(volume))]


def from_image(bench: Bench, _: object = None) -> list[Operation]:
    image = bench.stack.images.new()
    bench.slow("image_chunk", 1 / IMAGE_CHUNKS)
    volume = str(bench.api.create_volume(1, "matrix", backend=bench.first, image_id=image)["id"])
    # Its status is "downloading" only once the image has been fetched.
    bench.logged(rf"Volume {volume}: being created as image")

    def check() -> str:
        meta = bench.api.get("volume", volume).get("volume_image_metadata", {})
        if meta.get("image_id") != image:
            return "its row does not name the image"
        wrong = bench.available(volume)
        if not wrong and not bench.stack.images.is_in(bench.file_of(volume), image):
            return "its content is not the image's"
        return wrong

    return [Operation("create from image", (State("volume", volume),), check)]


def delete(bench: Bench, had: Known) -> list[Operation]:
    file = bench.file_of(had.volume)
    bench.slow("volume_delete")
    bench.api.delete_volume(had.volume)
    bench.begun("volume_delete", had.volume)
    return [gone("delete", "volume", had.volume, file)]


def extend(bench: Bench, had: Known) -> list[Operation]:
    bench.slow("volume_extend")
    bench.api.extend_volume(had.volume, 2)
    bench.begun("volume_extend", had.volume)
    check = lambda: bench.available(had.volume, size=2, content=had.content)  # noqa: E731
    return [Operation("extend", (State("volume", had.volume),), check)]


def clone(bench: Bench, had: Known) -> list[Operation]:
    bench.slow("volume_clone")
    volume = str(bench.api.create_volume(1, "clone", source_volid=had.volume)["id"])
    bench.begun("volume_clone", volume)
    return [_copy(bench, "clone", volume, had.content)]


def from_snapshot(bench: Bench, had: Known) -> list[Operation]:
    bench.slow("volume_from_snapshot")
    volume = str(bench.api.create_volume(1, "copy", snapshot_id=had.snapshot)["id"])
    bench.begun("volume_from_snapshot", volume)
    return [_copy(bench, "create from snapshot", volume, had.content)]


def _copy(bench: Bench, kind: str, volume: str, content: str) -> Operation:
    return Operation(kind, (State("volume", volume),), lambda: bench.available(volume, content=content))


def snapshot_create(bench: Bench, had: Known) -> list[Operation]:
    bench.slow("snapshot_create")
    snapshot = str(bench.api.create_snapshot(had.volume)["id"])
    bench.begun("snapshot_create", snapshot)
    return [_snapshot(bench, had, snapshot)]


def _snapshot(bench: Bench, had: Known, snapshot: str) -> Operation:
    def check() -> str:
        if bench.api.get("snapshot", snapshot)["volume_id"] != had.volume:
            return "its parent is another volume"
        file = bench.snapshot_file(snapshot)
        if not file.exists():
            return "it has no file"
        return "" if content_of([file]) == had.content else "its content is another"

    return Operation("snapshot create", (State("snapshot", snapshot),), check)


def snapshot_delete(bench: Bench, had: Known) -> list[Operation]:
    bench.slow("snapshot_delete")
    bench.api.delete_snapshot(had.snapshot)
    bench.begun("snapshot_delete", had.snapshot)
    return [gone("snapshot delete", "snapshot", had.snapshot, bench.snapshot_file(had.snapshot))]


def backup_create(bench: Bench, had: Known) -> list[Operation]:
    bench.slow("backup_chunk", 1 / CHUNKS)
    backup = str(bench.api.create_backup(had.volume)["id"])
    bench.begun("backup_chunk", backup, BACKUP)
    return [_backup(bench, had, backup)]


def backup_create_first_hop(bench: Bench, had: Known) -> list[Operation]:
    """cinder-volume is paused, so that cinder-backup waits for it; then the backup comes back for its second hop."""
    bench.slow("backup_chunk", 0.5 / CHUNKS)
    bench.pause(VOLUME)
    backup = str(bench.api.create_backup(had.volume)["id"])
    bench.waits_for_the_volume(backup)
    return [_backup(bench, had, backup)]


def _backup(bench: Bench, had: Known, backup: str) -> Operation:
    def check() -> str:
        files = bench.backup_files(backup)
        if len(files) != CHUNKS:
            return f"{len(files)} of {CHUNKS} chunks are there"
        return "" if content_of(files) == had.content else "its content is another"

    return Operation("backup create", (State("backup", backup), State("volume", had.volume)), check)


def backup_restore(bench: Bench, had: Known) -> list[Operation]:
    (target,) = bench.volumes(1)
    bench.slow("restore_chunk", 1 / CHUNKS)
    bench.api.restore_backup(had.backup, target)
    bench.begun("restore_chunk", had.backup, BACKUP)
    states = (State("volume", target), State("backup", had.backup))
    return [Operation("backup restore", states, lambda: bench.available(target, content=had.content))]


def backup_delete(bench: Bench, had: Known) -> list[Operation]:
    bench.slow("backup_delete")
    bench.api.delete_backup(had.backup)
    bench.begun("backup_delete", had.backup, BACKUP)

    def check() -> str:
        left = bench.backup_files(had.backup)
        return f"{len(left)} of its files are left" if left else ""

    return [Operation("backup delete", (State("backup", had.backup, GONE),), check)]


def migrate(bench: Bench, had: Known) -> list[Operation]:
    """The generic migration: a new volume on the other backend, a copy, and the old one's deletion."""
    before = bench.file_of(had.volume)
    bench.slow("volume_create")
    bench.api.volume_action(had.volume, "os-retype", new_type=bench.second, migration_policy="on-demand")
    bench.begun("volume_create", "")

    def check() -> str:
        found = bench.api.get("volume", had.volume)
        if f"@{bench.second}" not in bench.host_of(had.volume):
            return f"it is on {bench.host_of(had.volume)}"
        if found["volume_type"] != bench.second:
            return f"its type is {found['volume_type']}"
        if before.exists():
            return "its old file is still there"
        return bench.available(had.volume, content=had.content)

    return [Operation("retype and migrate", (State("volume", had.volume),), check)]


# -- several


def four_prepared(bench: Bench) -> list[Known]:
    return known_ones(bench, 3)


def four(bench: Bench, had: list[Known]) -> list[Operation]:
    """A create, a delete, an extend and a snapshot, all at once."""
    return [
        *create(bench),
        *delete(bench, had[0]),
        *extend(bench, had[1]),
        *snapshot_create(bench, had[2]),
    ]


REQUESTS_OF_A_KIND = 5


def for_requests(bench: Bench) -> list[list[Known]]:
    """Volumes for requests of each kind."""
    had = known_ones(bench, 3 * REQUESTS_OF_A_KIND + 1)
    return [had[1::3], had[2::3], had[3::3], had[:1]]


def busy(bench: Bench, _: object) -> list[Operation]:
    """One slow operation that the stop waits for; what is sent meanwhile is quick, so that there are quiet moments."""
    found = create(bench)
    bench.lane.set_pause("volume_create", 0)
    return found


def requests(bench: Bench, had: list[list[Known]]) -> Iterator[Callable[[], Operation]]:
    """Yield creates, extends, deletes and snapshots in turn, and a backup, without end."""
    to_extend, to_delete, to_snapshot, (to_back_up,) = had
    kinds: list[Iterator[Callable[[], Operation]]] = [
        (lambda: _asked_create(bench) for _ in range(REQUESTS_OF_A_KIND)),
        (lambda one=one: _asked_extend(bench, one) for one in to_extend),
        (lambda one=one: _asked_delete(bench, one) for one in to_delete),
        (lambda one=one: _asked_snapshot(bench, one) for one in to_snapshot),
    ]
    in_turn = [make for four_of_them in zip(*kinds) for make in four_of_them]
    # The backup comes while the stop waits for the slow operation, as a rule.
    yield from (*in_turn[:2], lambda: _asked_backup(bench, to_back_up), *in_turn[2:])
    # Creates need no volume that was prepared.
    yield from itertools.repeat(lambda: _asked_create(bench))


def _late(operation: Operation) -> Operation:
    return replace(operation, in_flight=False)


def _asked_create(bench: Bench) -> Operation:
    volume = str(bench.api.create_volume(1, "asked", backend=bench.first)["id"])
    return _late(Operation("create", (State("volume", volume),), lambda: bench.available(volume)))


def _asked_extend(bench: Bench, had: Known) -> Operation:
    bench.api.extend_volume(had.volume, 2)
    check = lambda: bench.available(had.volume, size=2, content=had.content)  # noqa: E731
    return _late(Operation("extend", (State("volume", had.volume),), check))


def _asked_delete(bench: Bench, had: Known) -> Operation:
    file = bench.file_of(had.volume)
    bench.api.delete_volume(had.volume)
    return gone("delete", "volume", had.volume, file, in_flight=False)


def _asked_snapshot(bench: Bench, had: Known) -> Operation:
    snapshot = str(bench.api.create_snapshot(had.volume)["id"])
    return _late(_snapshot(bench, had, snapshot))


def _asked_backup(bench: Bench, had: Known) -> Operation:
    backup = str(bench.api.create_backup(had.volume)["id"])
    return _late(_backup(bench, had, backup))


CREATE = Row("create", "volume create", VOLUME, create)
FROM_IMAGE = Row("from-image", "create from image", VOLUME, from_image)
ROWS: Sequence[Row] = (
    Row("idle", "idle", VOLUME, lambda bench, _: []),
    CREATE,
    FROM_IMAGE,
    Row("delete", "volume delete", VOLUME, delete, known),
    Row("extend", "extend", VOLUME, extend, known),
    Row("clone", "clone", VOLUME, clone, known, only_full=True),
    Row("from-snapshot", "create from snapshot", VOLUME, from_snapshot, with_snapshot, only_full=True),
    Row("snapshot-create", "snapshot create", VOLUME, snapshot_create, known),
    Row("snapshot-delete", "snapshot delete", VOLUME, snapshot_delete, with_snapshot, only_full=True),
    Row("backup-create", "backup create (stopping backup)", BACKUP, backup_create, known),
    Row(
        "backup-create-first-hop",
        "backup create (stopping backup in its first hop)",
        BACKUP,
        backup_create_first_hop,
        known,
    ),
    Row("backup-create-volume", "backup create (stopping volume)", VOLUME, backup_create, known),
    Row("backup-restore", "backup restore (stopping backup)", BACKUP, backup_restore, with_backup),
    Row(
        "backup-delete", "backup delete (stopping backup)", BACKUP, backup_delete, with_backup, only_full=True
    ),
    Row("migrate", "retype with migration", VOLUME, migrate, known),
    Row("four", "four at once", VOLUME, four, four_prepared, only_full=True),
    Row("requests", "new requests during the drain", VOLUME, busy, for_requests, requests),
    replace(CREATE, name="create-twice", title="volume create, two stops in a row", in_a_row=True),
    replace(
        FROM_IMAGE,
        name="from-image-twice",
        title="create from image, two stops in a row",
        in_a_row=True,
        only_full=True,
    ),
)
BY_NAME = {row.name: row for row in ROWS}

LONG = (
    "requests",
    "from-image-twice",
    "create-twice",
    "backup-restore",
    "backup-create-volume",
    "backup-create",
    "backup-create-first-hop",
    "four",
)

# Stops that are meant to lose work, or to leave it alone, and the verdict that each must have. Their time is enough for
# a look at the work on a busy machine.
HONEST = (
    Honesty("killed", "create", "eventlet", "graceful_shutdown_timeout=12", "killed", held=True),
    Honesty("killed-threads", "extend", "threads", "graceful_shutdown_timeout=12", "killed", held=True),
    Honesty("cut", "create", "threads", "quiesce=never", "cut", held=True),
    Honesty(
        "left-running",
        "extend",
        "eventlet",
        "graceful_shutdown_timeout=12 on_timeout=leave",
        "left_running",
        held=True,
    ),
    Honesty("unverified", "create", "eventlet", "service=none", "unverified"),
)


def job_of(one: Honesty) -> Job:
    """Return the job of a stop that is meant not to drain."""
    return Job(
        BY_NAME[one.row],
        STOP,
        one.mode,
        arguments=one.arguments,
        verdicts=(one.verdict,),
        honesty=one.name,
        held=one.held,
    )


def every_row_once() -> list[Job]:
    """Return most rows in one mode and one of our two ways, which alternate, and the stops of HONEST."""
    turns = list(itertools.product(OURS, MODES))
    rows = [Job(row, *turns[number % len(turns)]) for number, row in enumerate(ROWS) if not row.only_full]
    return longest_first([*rows, *(job_of(one) for one in HONEST)])


def every_cell(rows: Sequence[str], ways: Sequence[str], modes: Sequence[str], times: int = 1) -> list[Job]:
    """Return these rows under these ways in these modes; the ways of others are run once."""
    found = itertools.product(range(1, times + 1), rows, ways, modes)
    return [Job(BY_NAME[row], way, mode, one) for one, row, way, mode in found if one == 1 or way in OURS]


def longest_first(jobs: Sequence[Job]) -> list[Job]:
    """Sort the jobs so that the whole takes least time side by side."""
    rank = {name: number for number, name in enumerate(LONG)}
    return sorted(jobs, key=lambda job: rank.get(job.row.name, len(rank)))

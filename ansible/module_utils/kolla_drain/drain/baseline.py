"""Tell which operations count: rows may be wrecks of an earlier life, and the user may name what is to be passed over.

A crash, a kill or a lost message leaves a row in a transitional status for good. Such a wreck was last written before
the process began, and so was the row of a request that waited in the queue at that moment. These bounds tell the two
apart. In doubt a row counts as work.

Where several processes share a row of ``services``, what was claimed before the process began is another's. No margin
for a queue is needed there, because whoever claims a request has taken it from the queue.

What an earlier life of the service has claimed is taken up at the start, but not for a backend whose driver cannot be
initialised. So after an hour it counts as another process's as well.

A delete that a service resumes at its start has an old row, too. It is not waited for; the next start resumes it again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..model import EvidenceState, Operation, Reading

# Seconds before its process began that a request may have been made which the process still takes from the queue.
# Queues are emptied right after a start, so this is how long a service may have been away.
QUEUED = 3600.0

# Seconds after its start for which a process may work on a request that had waited, without writing its row again: an
# upload or a retype can take hours.
SETTLED = 86400.0

# Seconds by which the clocks of the host, of the database and of the service that wrote the row may differ. Services
# count as down if they differ by more.
CLOCKS = 60.0


@dataclass(frozen=True)
class Baseline:
    """What the operations of one process are compared with."""

    # When the process began, seconds on the loop's clock; None: there is none, or unknown.
    began: float | None = None
    ignored: frozenset[str] = frozenset()  # ids of operations that the user wants passed over

    def judged(
        self, reading: Reading, now: float, waited_for: Collection[tuple[str, str]] = frozenset()
    ) -> Reading:
        """Return the reading, heard at ``now`` seconds, with the reason at each operation that is passed over.

        The evidence itself may have a reason already.

        An operation whose key is in ``waited_for`` was found to count before, and does so to its end, unless another
        process turns out to have claimed it.
        """
        if reading.state is not EvidenceState.OK:
            return reading
        whys = [self._why(op, reading.at, now, op.key in waited_for) for op in reading.operations]
        if not any(whys):
            return reading
        operations = tuple(
            replace(op, passed_over=why) if why else op for op, why in zip(reading.operations, whys)
        )
        return replace(reading, operations=operations)

    def unchanged(self, op: Operation, at: str | None, now: float) -> bool:
        """Return whether an operation's rows have not been written for a minute, but have in the life of the process.

        One that is unattributed may be older than the process.
        """
        if op.written is None or at is None or self.began is None:
            return False
        since = (_moment(at) - _moment(op.written)).total_seconds()
        return since >= CLOCKS and (bool(op.unattributed) or since <= now - self.began)

    def _why(self, op: Operation, at: str | None, now: float, is_waited_for: bool) -> str:
        if op.informs:
            return ""
        if op.id in self.ignored:
            return "ignored, as ignore_operations asks"
        is_claim = bool(op.claimed and (op.unattributed or op.touched))
        since = op.touched if is_claim else op.written
        if since is None or at is None or self.began is None:
            return ""
        age = now - self.began  # of the process
        before = (_moment(at) - _moment(since)).total_seconds() - age
        began = (_moment(at) - timedelta(seconds=age)).isoformat(timespec="seconds")
        if is_claim:
            told = f"another process claimed it {since[:19]}Z, before this one began {began}Z"
            return told if before > CLOCKS and (op.unattributed or age > QUEUED) else ""
        if is_waited_for or op.claimed or (before <= QUEUED and (before <= CLOCKS or age <= SETTLED)):
            return ""
        return f"unchanged since {since[:19]}Z, older than the process, which began {began}Z"


# Nothing is passed over.
NO_BASELINE = Baseline()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.rstrip("Z"))

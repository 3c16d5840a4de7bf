"""Weigh what the rows of a service show against what its processes tell.

One rule, in this order:

1. Rows that certainly are this container's work are in flight, and the processes need not be asked.
2. Else they are asked, and each of their requests is in flight.
3. A row in doubt is in flight as well, but for one that has not been written for a minute while no process works on
   anything: where requests are the only way in which it could be worked on, it is passed over.

A row is in doubt where none tells which container works on it, and where its request may have been lost on its way:
written in the life of this process, not for a minute, and not known to be taken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Protocol

from ..model import Operation, Profile, Reading


class Life(Protocol):
    """The life of the container's process, by which the age of rows is judged. Moments are seconds since the boot."""

    def judged(self, reading: Reading, now: float) -> Reading:
        """Return the reading with the reason at each operation that is passed over."""

    def unchanged(self, op: Operation, at: str | None, now: float) -> bool:
        """Return whether an operation's rows have not been written for a minute, but have in this life."""


class Scale(NamedTuple):
    """Weighs the readings of one container."""

    profile: Profile
    life: Life

    def needs_processes(self, reading: Reading, now: float) -> bool:
        """Return whether the rows alone do not tell whether the container is at work."""
        working = self.life.judged(reading, now).working
        return all(op.unattributed or self._may_be_lost(op, reading, now) for op in working)

    def idle(self, reading: Reading, now: float) -> Reading:
        """Return a reading of the rows of a container of which no process works on anything."""
        return replace(reading, operations=tuple([self._idle(op, reading, now) for op in reading.operations]))

    def _may_be_lost(self, op: Operation, reading: Reading, now: float) -> bool:
        only_by_request = self.profile.works_in_requests or op.claimed is False
        return only_by_request and op.claimed is not True and self.life.unchanged(op, reading.at, now)

    def _idle(self, op: Operation, reading: Reading, now: float) -> Operation:
        if op.informs or op.passed_over or not self._may_be_lost(op, reading, now):
            return op
        why = (
            f"unchanged since {(op.written or '')[:19]}Z, and no process of this container works on a request"
        )
        return replace(op, passed_over=why)

"""Follow the heartbeats of one service from reading to reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .model import Heartbeat


class Heartbeats:
    """The newest heartbeat rows, and when each was seen to move.

    A report_count that moves between two readings is a sign of life that no skew between clocks can fake. Times are
    seconds on the caller's clock; ``limit`` is service_down_time in seconds.
    """

    def __init__(self, limit: float) -> None:
        self.rows: tuple[Heartbeat, ...] = ()
        self._limit = limit
        self._moved_at: dict[str, float] = {}

    def update(self, rows: Iterable[Heartbeat], now: float) -> None:
        """Take in the rows of a reading; one that moved lately is up, whatever its age says."""
        before = {row.host: row.report_count for row in self.rows}
        rows = tuple(rows)
        for row in rows:
            if row.host in before and row.report_count != before[row.host]:
                self._moved_at[row.host] = now
        self.rows = tuple(
            [
                row if row.up or not self._moved_lately(row.host, now) else replace(row, up=True)
                for row in rows
            ]
        )

    def moved(self, host: str) -> bool:
        """Return whether this row was ever seen to move."""
        return host in self._moved_at

    @property
    def up(self) -> frozenset[str]:
        """The hosts whose heartbeat is up, by age or because it moved lately."""
        return frozenset([row.host for row in self.rows if row.up])

    def silent_for(self, now: float) -> float | None:
        """Return the seconds since any row was last seen to move; None if none was."""
        latest = max(self._moved_at.values(), default=None)
        return None if latest is None else now - latest

    def _moved_lately(self, host: str, now: float) -> bool:
        return host in self._moved_at and now - self._moved_at[host] <= self._limit

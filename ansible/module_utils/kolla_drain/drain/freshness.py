"""TODO: say what this is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..model import Heartbeat, Operation, Profile


class Pulse:
    """A service's heartbeats over one stop. A report_count that moves is life, whatever the clocks say."""

    def __init__(self, profile: Profile, service_down_time: float) -> None:
        self.rows: tuple[Heartbeat, ...] = ()
        self._profile = profile
        self._limit = service_down_time
        self._moved_at: dict[str, float] = {}

    def update(self, rows: tuple[Heartbeat, ...], now: float) -> None:
        """Take in the rows of a reading."""
        before = {row.host: row.report_count for row in self.rows}
        for row in rows:
            if row.host in before and row.report_count != before[row.host]:
                self._moved_at[row.host] = now
        self.rows = tuple(replace(row, up=True) if self._moved_lately(row.host, now) else row for row in rows)

    def beats(self, now: float) -> bool:
        """Whether one of them was seen to move lately."""
        return any(self._moved_lately(row.host, now) for row in self.rows)

    def _moved_lately(self, host: str, now: float) -> bool:
        return host in self._moved_at and now - self._moved_at[host] <= self._limit

    def note(self, signalled: bool, now: float) -> str:
        """What the heartbeat says of the service, judged by its profile; empty when there is none."""
        if not self.rows:
            return ""
        latest = max(self._moved_at.values(), default=None)
        if latest is not None and now - latest <= self._limit:
            return f"moved {now - latest:.0f} s ago: it lives"
        if signalled and not self._profile.heartbeat_while_draining:
            return f"silent, as {self._profile.name} is from its signal on"
        if any(row.up for row in self.rows):
            return "up by its age"
        return f"still for over {self._limit:g} s: it hangs, or its work does not let it beat"


class Freshness:
    """Tells dead operations by worker rows that stand still, where rows are refreshed at all.

    A service refreshes its rows if the profile says so, or if a row was seen to move twice with
    nothing else about it changed: once can be the tail of a status change. Stock Cinder never does, so
    there age means nothing. Standing still is measured on our own clock from one reading to the next;
    no skew between clocks enters.
    """

    def __init__(self, refreshes: bool, service_down_time: float) -> None:
        self.refreshes = refreshes
        self._limit = service_down_time
        self._last: dict[tuple[str, str], tuple[Operation, float]] = {}
        self._moves: dict[tuple[str, str], int] = {}

    def update(self, operations: Iterable[Operation], now: float) -> None:
        """Take in a readable reading's operations, seen at ``now`` seconds."""
        last, self._last = self._last, {}
        for op in operations:
            before, since = last.get(op.key, (op, now))
            same = (before.status, before.claimed) == (op.status, op.claimed)
            moved = before.touched != op.touched
            if same and moved and before.touched and op.touched:
                self._moves[op.key] = self._moves.get(op.key, 0) + 1
                self.refreshes = self.refreshes or self._moves[op.key] >= 2
            self._last[op.key] = (op, since if same and not moved else now)

    def blind(self, now: float) -> None:
        """No reading could be had: a row that nobody looked at did not stand still."""
        self._last = {key: (op, now) for key, (op, _) in self._last.items()}

    def dead(self, now: float) -> frozenset[tuple[str, str]]:
        """Keys of the operations whose row stood still for longer than service_down_time."""
        if not self.refreshes:
            return frozenset()
        return frozenset(
            key
            for key, (op, since) in self._last.items()
            if op.claimed and op.touched and now - since > self._limit
        )

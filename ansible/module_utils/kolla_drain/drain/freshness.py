"""Judge how fresh a service and its workers are while it drains."""

from __future__ import annotations

from collections.abc import Iterable

from ..heartbeat import Heartbeats
from ..model import Operation, Profile


def heartbeat_note(
    heartbeats: Heartbeats, profile: Profile, service_down_time: float, *, signalled: bool, now: float
) -> str:
    """Say what the heartbeat tells of the service, a clause; empty when there is none."""
    if not heartbeats.rows:
        return ""
    silent = heartbeats.silent_for(now)
    if silent is not None and silent <= service_down_time:
        return f"moved {silent:.0f} s ago: it lives"
    if signalled and not profile.heartbeat_while_draining:
        return f"silent, as {profile.name} is from its signal on"
    if heartbeats.up:
        return "up by its age"
    return f"still for over {service_down_time:g} s: it hangs, or its work does not let it beat"


class Freshness:
    """Tells dead operations from slow ones by worker rows that stand still, where rows are refreshed at all.

    A service refreshes its rows if the profile says so, or if a row was seen to move twice with nothing else about it
    changed: once can be the tail of a status change. Stock Cinder never does, so there age means nothing. Standing
    still is measured on our own clock from one reading to the next, so that no skew between clocks enters.
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
        """Take in that nothing could be read: a row that nobody looked at did not stand still."""
        self._last = {key: (op, now) for key, (op, _) in self._last.items()}

    def dead(self, now: float) -> frozenset[tuple[str, str]]:
        """Return the keys of the operations whose row stood still for longer than service_down_time."""
        if not self.refreshes:
            return frozenset()
        return frozenset(
            key
            for key, (op, since) in self._last.items()
            if op.claimed and op.touched and now - since > self._limit
        )

"""When the evidence is read next.

A stop reads often at its beginning, and less often the longer it has waited. A server that answers slowly is left
alone for a multiple of that time, so that many hosts together cannot keep it busy. Hosts that began at the same moment
drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ..model import EvidenceState
from .context import Context

# Seconds from the first empty reading to the one that confirms it, at most.
CONFIRM_AFTER = 0.5
# A reading may come late by this part of the time that the stop has waited so far, and by so many seconds at the most.
LATE, LATEST = 0.1, 30.0
# After a reading its database has peace for so many times as long as that took, and for so many seconds at the most.
REST, LONGEST_REST = 20.0, 5.0
# Pauses are longer or shorter by up to this part.
SPREAD = 0.2
# Seconds after which a question that has had no answer is asked again. A reading gives up before.
NO_ANSWER = 30.0


def interval(context: Context, rest: float, *, exited: bool, signalled: bool) -> float:
    """Return the seconds from one reading of a container's evidence to the next one.

    ``rest`` is how long its database is to have peace. The interval is short after a first empty reading, so that its
    confirmation comes. It grows while the next reading decides nothing: as long as work of the container's own is in
    flight, and after the signal. After the exit the verdict waits for a reading.
    """
    history, longest = context.history, context.plan.timeout / 10
    usual = min(context.target.request.poll_interval, longest)
    if exited:
        return usual
    if history.empty_readings == 1 and not signalled:
        return min(usual, CONFIRM_AFTER)
    if signalled or any(not op.unattributed for op in history.waiting_for):
        usual = max(usual, min(LATE * (context.clock() - context.begun), LATEST))
    if history.reading is not None and history.reading.state is not EvidenceState.OK:
        return usual  # the patience with a fault is limited
    return max(usual, min(rest, longest))


class Pace:
    """The moments of the readings of one run. ``chance`` is a number from 0 to 1. Times are seconds on one clock."""

    def __init__(self, chance: Callable[[], float], now: float) -> None:
        self._chance = chance
        self._share = 1.0
        self._next = now
        self._asked: dict[str, float] = {}  # since when an answer is waited for, by key
        self._took: dict[str, float] = {}

    @property
    def rest(self) -> float:
        """Seconds for which the database is to have peace."""
        return min(REST * max(self._took.values(), default=0.0), LONGEST_REST)

    def waits(self, key: str, now: float) -> bool:
        """Return whether a question is still to be answered."""
        return key in self._asked and now - self._asked[key] < NO_ANSWER

    def asked(self, keys: Iterable[str], now: float) -> None:
        """Take in that readings were asked for."""
        self._asked.update((key, now) for key in keys if not self.waits(key, now))
        self._share = 1.0 + SPREAD * (2.0 * self._chance() - 1.0)
        self._next = math.inf

    def heard(self, key: str, now: float) -> None:
        """Take in that an answer came in."""
        if key in self._asked:
            self._took[key] = now - self._asked.pop(key)
            self._next = max(self._next, now + self._share * self.rest)

    def next(self, interval: float, now: float) -> float:
        """Return the moment of the next reading. It comes earlier if the interval has become shorter."""
        self._next = min(self._next, now + self._share * interval)
        return self._next

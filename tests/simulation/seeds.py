"""Play the schedules of many seeds, and tell of those that break a promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .schedules import Play, broken_promise, simplified, spelled
from .worlds import kind_of, schedule

# These are played each time, whatever the new ones are, the last of them because they once broke a promise: each row of
# the page must be met so many times in them.
FIXED = (
    *range(1, 2801),
    912649,
    30001854,
    30004123,
    40007241,
    50002268,
    50015225,
    984309882,
    984311403,
    984370399,
)
AT_LEAST = 2
PAGE = "docs/results/simulation.rst"


@dataclass
class Tally:
    """What was met, in so many schedules, and the seeds of those that broke a promise."""

    number: int = 0
    met: Counter[str] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.number += other.number
        self.met += other.met
        self.broken += other.broken


def play(seeds: Iterable[int]) -> Tally:
    """Play the schedule of each seed, until ten have broken a promise."""
    tally = Tally()
    for seed in seeds:
        played = Play(schedule(seed))
        tally.number += 1
        try:
            played.hold()
        except Exception:  # noqa: BLE001 - told of by its seed
            tally.broken.append(seed)
            if len(tally.broken) == 10:
                break
        tally.met.update(played.seen)
    return tally


def told(seed: int) -> str:
    """Tell what the schedule of a seed breaks, how to see it again, and the simplest schedule that breaks the same."""
    drawn = schedule(seed)
    broken = broken_promise(drawn)
    if broken is None:
        return f"seed {seed}: {kind_of(seed).__name__} keeps the promises"
    simple = Play(simplified(drawn))
    try:
        simple.hold()
    except Exception as exc:  # noqa: BLE001 - it is the one that was looked for
        error = exc
    return (
        f"seed {seed}: {kind_of(seed).__name__} breaks a promise: {broken.words}\n"
        f"to see it again: tools/simulate 1 --seed {seed}\n"
        f"the simplest that breaks the same promise ({error}):\n{spelled(simple.schedule)}\n{simple.story}"
    )

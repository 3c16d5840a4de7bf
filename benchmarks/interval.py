"""Confidence intervals of proportions and of medians, without SciPy.

https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

# Standard deviations that hold 95 % of a normal distribution.
Z = 1.959963984540054


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion, as two numbers from 0 to 1.

    Raises ValueError when there are more hits than trials.
    """
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is no proportion")
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, Z * Z
    centre = share + square / (2 * trials)
    spread = Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    # Rounding must not leave a bound just outside.
    low = 0.0 if hits == 0 else (centre - spread) / scale
    high = 1.0 if hits == trials else (centre + spread) / scale
    return low, high


def difference(hits: int, trials: int, other_hits: int, other_trials: int) -> tuple[float, float]:
    """Return the 95 % interval of the first proportion minus the second (Newcombe's hybrid score interval).

    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C873::AID-SIM779%3E3.0.CO;2-I
    """
    low, high = wilson(hits, trials)
    other_low, other_high = wilson(other_hits, other_trials)
    if not trials or not other_trials:
        return -1.0, 1.0
    share, other = hits / trials, other_hits / other_trials
    gap = share - other
    return (
        gap - math.hypot(share - low, other_high - other),
        gap + math.hypot(high - share, other - other_low),
    )


def median(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and its interval of at least 95 %, whatever the distribution: two of the values.

    With fewer than six values, which allow no such interval, the smallest and the largest.
    https://en.wikipedia.org/wiki/Quantile#Confidence_intervals_for_quantiles
    Raises ValueError without a value.
    """
    if not values:
        raise ValueError("nothing was measured")
    found, count = sorted(values), len(values)
    # The interval from the place-th smallest to the place-th largest value misses the median with twice this chance.
    place = 0
    while 2 * sum(math.comb(count, under) for under in range(place + 2)) <= 0.05 * 2**count:
        place += 1
    return statistics.median(found), found[place], found[-1 - place]

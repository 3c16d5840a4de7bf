"""Where a moment stands on a line of time, and how times are spelled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST = 5  # steps on a line: more do not fit on a phone


class Scale(NamedTuple):
    """A line of time, from its first second to its last."""

    first: float
    last: float

    def span(self, at: float, seconds: float) -> tuple[float, float]:
        """Return where something begins and how long it is, in percent of the line."""
        whole = max(self.last - self.first, 0.1)
        begin = min(max((at - self.first) / whole, 0.0), 1.0)
        end = min(max((at + seconds - self.first) / whole, begin), 1.0)
        return round(100 * begin, 2), round(100 * (end - begin), 2)

    def ticks(self) -> Iterator[tuple[str, float, str]]:
        """Yield the ticks: their text, their place in percent, and on which side of it the text stands."""
        whole = max(self.last - self.first, 0.1)
        step = next((step for step in _STEPS if whole / step <= _MOST), _STEPS[-1])
        for number in range(int(whole / step) + 1):
            left = self.span(self.first + number * step, 0)[0]
            yield _tick(number * step), left, "end" if left > 92 else "begin" if left < 4 else ""


def _tick(seconds: int) -> str:
    if seconds < 60 or seconds % 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 or seconds % 3600 else f"{seconds // 3600} h"


def spelled(seconds: float) -> str:
    """Return seconds in words: 0.4 s, 12 s, 4 min 12 s, 1 h 4 min."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s" if round(seconds, 1) % 1 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def clock(moment: str) -> str:
    """Return the time of day of an ISO 8601 moment."""
    return moment[11:19]

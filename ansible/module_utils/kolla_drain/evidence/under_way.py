"""Since when requests or connections have been seen, from one look to the next."""

from __future__ import annotations

from collections.abc import Collection

# Seconds for which short ones that come and go are waited for: a busy service is never without one, and whoever asked,
# as for a list, asks again. One that lasts as long is waited for.
SHORT = 30.0


class UnderWay:
    """What was under way at the last look. Moments are seconds since the boot."""

    def __init__(self) -> None:
        self.since: dict[tuple[str, str], float] = {}  # when each was seen first
        self._busy_since = 0.0  # from when on no look was without one

    def see(self, keys: Collection[tuple[str, str]], now: float) -> None:
        """Take in what a look has seen."""
        self._busy_since = self._busy_since if self.since and keys else now
        self.since = {key: self.since.get(key, now) for key in keys}

    def busy_for(self, now: float) -> float:
        """Return the seconds for which no look was without one."""
        return now - self._busy_since

    def is_short(self, key: tuple[str, str], now: float) -> bool:
        """Return whether it is one of those that come and go without an end."""
        return self.busy_for(now) >= SHORT > now - self.since[key]

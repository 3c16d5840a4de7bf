"""Whether several processes report in one row of ``services``, as with one backend_host on three hosts.

From the sources of cinder 29.0.0 (cinder/service.py): every process adds one to report_count each report_interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from ..database.connection import Row
from ..model import Heartbeat
from ..service.config import ServiceConfig

# What one process may add to report_count beyond one for each report_interval: one because of where the time begins,
# and one that it catches up with after a report that the database held up.
BEYOND = 2

# What a row's whole age may have made of its count by other causes, such as a report_interval that was shorter before.
USUAL = 1.5

# Seconds by which a time may be wrong that is the difference of two that the database rounds.
ROUNDED = 1.0


def doubt_of(host: str) -> str:
    """Return why work in a shared row may be another process's, a clause."""
    return f"other processes report as {host}, too, and any of them may work on it"


class Reporters:
    """Tells which rows grow faster than one process can make them, from the first reading on.

    In doubt a row is one process's, because that process's work is then waited for to the end. Two processes show
    after two or three intervals, so an idle service has long been stopped, and one that works is still waited for.
    """

    def __init__(self) -> None:
        self.shared: set[str] = set()  # by services.host
        self.suspected: set[str] = set()  # those whose count is too high for the age of the row
        self._first: dict[str, tuple[int, datetime]] = {}

    def update(self, rows: Iterable[Row], report_interval: float) -> None:
        """Take in the rows of a reading."""
        for row in rows:
            if row["report_count"] is None or row["updated_at"] is None or report_interval <= 0:
                continue
            # By the database's clock, because the processes' own may differ.
            now = row["updated_at"] + timedelta(seconds=row["age"])
            count, at = self._first.setdefault(row["host"], (row["report_count"], now))
            seconds = (now - at).total_seconds() + ROUNDED
            if row["report_count"] - count > seconds / report_interval + BEYOND:
                self.shared.add(row["host"])
            if row["created_at"] is not None:
                age = (now - row["created_at"]).total_seconds() + ROUNDED
                if row["report_count"] > USUAL * age / report_interval + BEYOND:
                    self.suspected.add(row["host"])

    def told(self, heartbeats: Iterable[Heartbeat], config: ServiceConfig) -> tuple[Heartbeat, ...]:
        """Return the heartbeats with what is known of their rows."""
        named = {backend.service_host for backend in config.backends if backend.host != config.host}
        return tuple(
            replace(
                beat,
                shared=beat.host in self.shared or (None if beat.host in named | self.suspected else False),
            )
            for beat in heartbeats
        )

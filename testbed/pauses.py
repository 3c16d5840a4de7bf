"""How long operations take: the file that the drivers in drivers/ read afresh each time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from testbed.errors import TestbedError

HELD = "held"  # a file beside that of the pauses; see drivers/kolla_drain_testbed/pauses.py
HOWS = ("sleep", "execute", "block")


@dataclass(frozen=True)
class Pauses:
    """The pauses of one stack."""

    file: Path

    def set(self, operation: str, seconds: float, how: str = "sleep") -> None:
        """Make the operation take that long from now on; see drivers/kolla_drain_testbed/pauses.py."""
        if how not in HOWS:
            raise TestbedError(f"No way to pause called {how}; there are {', '.join(HOWS)}.")
        pauses = self.read()
        pauses[operation] = {"seconds": seconds, "how": how}
        self._write(pauses)

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the pauses that are set."""
        try:
            return cast("dict[str, dict[str, Any]]", json.loads(self.file.read_text()))
        except FileNotFoundError:
            return {}

    def clear(self) -> None:
        """Make every operation quick again; operations under way keep their time, and none is held."""
        self._write({})
        self.go_on()

    def hold(self) -> None:
        """Stop the time of slow operations until ``go_on``; each takes its seconds from then on."""
        self.file.with_name(HELD).touch()

    def go_on(self) -> None:
        """Let the time of slow operations pass again."""
        self.file.with_name(HELD).unlink(missing_ok=True)

    def _write(self, pauses: dict[str, Any]) -> None:
        half = self.file.with_suffix(".half")
        half.write_text(json.dumps(pauses))
        half.rename(self.file)


class Slowed:
    """The part of a stack or a lane that sets how long operations take."""

    _pauses: Pauses

    def set_pause(self, operation: str, seconds: float, how: str = "sleep") -> None:
        """Make the operation take that long from now on; see drivers/kolla_drain_testbed."""
        self._pauses.set(operation, seconds, how)

    def pauses(self) -> dict[str, dict[str, Any]]:
        """Return the pauses that are set."""
        return self._pauses.read()

    def clear_pauses(self) -> None:
        """Make every operation quick again; operations under way keep their time, and none is held."""
        self._pauses.clear()

    def hold(self) -> None:
        """Stop the time of slow operations until ``go_on``; each takes its seconds from then on."""
        self._pauses.hold()

    def go_on(self) -> None:
        """Let the time of slow operations pass again."""
        self._pauses.go_on()

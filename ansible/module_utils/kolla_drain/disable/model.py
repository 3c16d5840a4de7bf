"""TODO: say what this is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import KollaDrainError

MARKER = "kolla-drain:"
# Cinder's and Nova's column, and their API schemas.
REASON_LENGTH = 255


class FenceError(KollaDrainError):
    """A service cannot be fenced, unfenced or looked at."""


class NoAnswer(FenceError):
    """The API did not answer a request; whether it took effect is not known."""


class NoSuchService(FenceError):
    """The API lists no such service."""


@dataclass(frozen=True)
class Row:
    """One service as the API lists it."""

    binary: str
    host: str  # host@backend for cinder-volume
    enabled: bool
    up: bool
    id: str = ""  # Nova's uuid; Cinder's API gives none
    zone: str = ""
    reason: str = ""  # disabled_reason
    cluster: str = ""
    frozen: bool = False
    forced_down: bool = False

    @property
    def ours(self) -> bool:
        """Whether it was us who disabled it."""
        return not self.enabled and self.reason.startswith(MARKER)

    @property
    def half_thawed(self) -> bool:
        """Whether a freeze went through and the thaw that should have followed did not."""
        return self.frozen or (not self.enabled and self.reason == "frozen")

    @property
    def seat(self) -> str:
        """How the scheduler calls its backend."""
        return self.cluster or self.host

    @property
    def living(self) -> bool:
        """Whether it can be given work now."""
        return self.enabled and self.up and not self.frozen and not self.forced_down


# Pools by the seat of their backend: the names that volume types may ask for.
Pools = Mapping[str, "frozenset[str]"]


class Api(Protocol):
    """What is asked of Cinder or Nova. Every method raises FenceError."""

    @property
    def name(self) -> str:
        """How sentences call it."""

    def rows(self, binary: str) -> list[Row]:
        """Return every service of that binary."""

    def pools(self) -> Pools | None:
        """Return what the scheduler offers now; None where it has no pools or does not tell."""

    def disable(self, row: Row, reason: str) -> None:
        """Disable, with a reason."""

    def disable_plainly(self, row: Row) -> None:
        """Disable, without a reason."""

    def enable(self, row: Row) -> None:
        """Enable."""

    def freeze_and_thaw(self, row: Row) -> None:
        """Freeze cinder-volume's backend and thaw it at once, which enables it."""


class SecondWay(Protocol):
    """The service's database. Every method raises FenceError."""

    def check(self, rows: Sequence[Row]) -> None:
        """See that enabling these would be allowed; changes nothing."""

    def enable(self, row: Row) -> bool:
        """Enable the row if it is still disabled with this very reason; False if it was not."""


@dataclass(frozen=True)
class Wish:
    """What is asked of this run."""

    service: str
    host: str
    state: str  # fenced, unfenced or status
    fence: str = "auto"
    reason: str = ""
    timeout: float = 30.0
    second_way: str = "auto"
    ignore_missing: bool = False
    check_mode: bool = False


@dataclass(frozen=True)
class Clock:
    """Time, from outside."""

    now: Callable[[], float]  # monotonic
    sleep: Callable[[float], None]
    utc: Callable[[], str]  # 2026-11-21T17:44:39Z


@dataclass(frozen=True)
class Outcome:
    """What was done, and what is so now."""

    changed: bool
    before: tuple[Row, ...]
    rows: tuple[Row, ...]
    reason: str
    method: str = ""
    undo: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def fenced(self) -> bool:
        """Whether none of them is given new work, whoever saw to that."""
        return bool(self.rows) and not any(row.enabled for row in self.rows)


@dataclass(frozen=True)
class Choice:
    """Which rows to fence, and why the others not."""

    rows: tuple[Row, ...]
    refusals: tuple[str, ...] = ()


def marker(moment: str, text: str) -> str:
    """Return a disabled reason that says it was us, when and why; every database and API can take it."""
    plain = "".join(char if char.isprintable() and ord(char) < 0x10000 else " " for char in text)
    return " ".join(f"{MARKER} fenced {moment} {plain}".split())[:REASON_LENGTH].rstrip()


def rows_of(rows: Iterable[Row], host: str) -> tuple[Row, ...]:
    """Return the rows of a host: itself, and of cinder-volume each of its backends; of host@backend that one."""
    return tuple(
        row for row in rows if row.host == host or ("@" not in host and row.host.split("@")[0] == host)
    )

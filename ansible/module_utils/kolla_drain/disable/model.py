"""Services as their API lists them, requests, outcomes, and the ports to the API and to the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import KollaDrainError

MARKER = "kolla-drain:"
# The width of the column in Cinder and Nova, and the limit of their API schemas.
REASON_LENGTH = 255


class DisableError(KollaDrainError):
    """A service cannot be disabled, enabled or looked up."""


class NoAnswer(DisableError):
    """The API did not answer a request, so whether it took effect is unknown."""


class NoSuchService(DisableError):
    """The API lists no such service."""


@dataclass(frozen=True)
class Service:
    """One service as the API lists it."""

    binary: str
    host: str  # host@backend for cinder-volume
    enabled: bool
    up: bool
    id: str = ""  # Nova's UUID; Cinder's API gives none
    zone: str = ""
    reason: str = ""  # disabled_reason
    cluster: str = ""
    frozen: bool = False  # Cinder: the API refuses to change anything on this backend
    forced_down: bool = False

    @property
    def name(self) -> str:
        """The service as messages name it."""
        return f"{self.binary} on {self.host}"

    @property
    def disabled_by_us(self) -> bool:
        """Whether kolla-drain disabled the service."""
        return not self.enabled and self.reason.startswith(MARKER)

    @property
    def backend(self) -> str:
        """The name by which the scheduler knows the backend."""
        return self.cluster or self.host

    @property
    def available(self) -> bool:
        """Whether the scheduler can give the service work now."""
        return self.enabled and self.up and not self.frozen and not self.forced_down


# By backend: the values of volume_backend_name that its pools report.
Pools = Mapping[str, "frozenset[str]"]


class Api(Protocol):
    """Cinder's or Nova's API. Every method raises DisableError."""

    @property
    def name(self) -> str:
        """The API as messages name it."""

    def services(self, binary: str) -> list[Service]:
        """Return every service of that binary."""

    def pools(self) -> Pools | None:
        """Return the pools that the scheduler offers now; None if it has none or does not answer."""

    def disable(self, service: Service, reason: str) -> None:
        """Disable the service, with a reason."""

    def disable_without_reason(self, service: Service) -> None:
        """Disable the service, without a reason."""

    def enable(self, service: Service) -> None:
        """Enable the service."""


class Fallback(Protocol):
    """The database of the services, used where the API cannot enable. Every method raises DisableError."""

    def check(self, services: Sequence[Service]) -> None:
        """Check that the account may enable these services; change nothing."""

    def enable(self, service: Service) -> bool:
        """Enable the service if it is disabled with this very reason; return whether it was."""


@dataclass(frozen=True)
class Request:
    """The task's request."""

    service: str
    host: str
    state: str  # disabled, enabled or status
    disable: str = "auto"
    reason: str = ""
    timeout: float = 30.0  # seconds
    ignore_missing: bool = False
    check_mode: bool = False


@dataclass(frozen=True)
class Clock:
    """Time, passed in so that tests need none."""

    now: Callable[[], float]  # monotonic seconds
    sleep: Callable[[float], None]
    utc: Callable[[], str]  # 2026-11-21T17:44:39Z


@dataclass(frozen=True)
class Outcome:
    """The services before and after, and what was done."""

    changed: bool
    before: tuple[Service, ...]
    services: tuple[Service, ...]
    reason: str
    method: str = ""
    undo: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def disabled(self) -> bool:
        """Whether all of the services are disabled, by whomever."""
        return bool(self.services) and not any(service.enabled for service in self.services)


@dataclass(frozen=True)
class Choice:
    """The services to disable, and a sentence for each of the others."""

    services: tuple[Service, ...]
    refusals: tuple[str, ...] = ()


def disabled_reason(moment: str, text: str) -> str:
    """Return a disabled reason with the marker, the time and the text, which every API and database accepts."""
    # One line, and no character beyond the three bytes of MySQL's utf8.
    plain = "".join(char if char.isprintable() and ord(char) < 0x10000 else " " for char in text)
    return " ".join(f"{MARKER} disabled {moment} {plain}".split())[:REASON_LENGTH].rstrip()


def services_of(services: Iterable[Service], host: str) -> tuple[Service, ...]:
    """Return the services of a host with all its backends or, for host@backend, of that backend alone."""
    return tuple(
        service
        for service in services
        if service.host == host or ("@" not in host and service.host.split("@")[0] == host)
    )

"""Services as their API lists them, and the request and outcome of one run of kolla_service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import KollaDrainError

MARKER = "kolla-drain:"
# The width of the column in Cinder, Manila and Nova, and the limit of their API schemas.
REASON_LENGTH = 255


class DisableError(KollaDrainError):
    """A service cannot be disabled, enabled or looked up."""


class NoAnswer(DisableError):
    """The API did not answer a request, so whether it took effect is unknown."""


@dataclass(frozen=True)
class Service:
    """One service as the API lists it."""

    binary: str
    host: str  # host@backend for cinder-volume and manila-share
    enabled: bool
    up: bool
    id: str = ""  # Nova's UUID, Manila's number; Cinder's API gives none
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

    def __str__(self) -> str:
        """Say how the service is, and by whose hand."""
        if self.enabled:
            return f"{self.name} is enabled"
        if self.disabled_by_us:
            return f"{self.name} is disabled already, with the reason '{self.reason}'"
        why = f"with the reason '{self.reason}'" if self.reason else "without a reason"
        return f"{self.name} was disabled by somebody else, {why}, and stays disabled"


# By backend: the values of volume_backend_name or share_backend_name that its pools report.
Pools = Mapping[str, "frozenset[str]"]


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


def disabled_reason(moment: str, text: str) -> str:
    """Return a disabled reason with the marker, the time and the text, which every API and database accepts."""
    # One line, and no character beyond the three bytes of MySQL's utf8.
    plain = "".join(char if char.isprintable() and ord(char) < 0x10000 else " " for char in text)
    return " ".join(f"{MARKER} disabled {moment} {plain}".split())[:REASON_LENGTH].rstrip()


def services_of(services: Iterable[Service], host: str) -> tuple[Service, ...]:
    """Return the services of a host with all its backends or, for host@backend, of that backend alone."""
    return tuple(service for service in services if host in (service.host, service.host.split("@")[0]))

"""Typed errors. Each message is one sentence that names the thing, the cause and the way out."""

from __future__ import annotations


class KollaDrainError(Exception):
    """The root of all errors that a user can cause or must hear of.

    ``code`` names the cause for programs: driver_missing, config_missing; empty for most errors.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Refused(KollaDrainError):
    """The input cannot be acted on; nothing was touched."""


class ConfigError(KollaDrainError):
    """A service's own configuration files cannot be used."""


class EngineError(KollaDrainError):
    """The container engine refused, or could not do what it was asked."""


class EngineUnreachable(EngineError):
    """The container engine did not answer; whether a request took effect is not known."""


class EngineAbsent(EngineUnreachable):
    """Nothing listens where the engine should be: the request was not sent."""


class NoSuchContainer(EngineError):
    """The engine knows no container of that name or id."""


class NotRunning(EngineError):
    """The container has no process that could be signalled."""


class EvidenceUnavailable(KollaDrainError):
    """The service's database cannot be read.

    ``passing`` is true for a cause that may go away by itself, such as a server that is down.
    """

    def __init__(self, message: str, *, passing: bool = False, code: str = "") -> None:
        super().__init__(message, code=code)
        self.passing = passing


class LedgerError(KollaDrainError):
    """The record of signals on the managed host cannot be kept."""


class LedgerBusy(LedgerError):
    """Another run holds the lock of this container."""


class UnitError(KollaDrainError):
    """systemd could not do with a container's unit what it was asked."""


class SystemdSilent(UnitError):
    """systemd is there and does not answer."""

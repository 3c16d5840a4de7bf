"""The interface that each service's evidence implements."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from ..database.connection import Query
from ..model import Ending, Heartbeat, Operation, Profile
from ..service.config import ServiceConfig


class Activity(NamedTuple):
    """Heartbeats and operations of one container, read in one database snapshot."""

    heartbeats: tuple[Heartbeat, ...]
    operations: tuple[Operation, ...]


class ServiceEvidence(abc.ABC):
    """Reads the evidence of one container, and may remember from one reading to the next."""

    PROFILE: ClassVar[Profile]

    @classmethod
    def profile_in(cls, env: Mapping[str, str]) -> Profile:
        """Return the profile that applies in a container with this environment."""
        return cls.PROFILE

    @abc.abstractmethod
    def read(self, query: Query, config: ServiceConfig) -> Activity:
        """Return the current heartbeats and operations. Raises EvidenceUnavailable."""

    @abc.abstractmethod
    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        """Return, for each recorded operation, what its rows say now. Raises EvidenceUnavailable."""

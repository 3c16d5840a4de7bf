"""Evidence: what a service's own database says of its life and of its work in flight.

A new service is one file here and one line in the registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ..database.connection import Query
from ..errors import ConfigError
from ..kolla import kolla_service
from ..model import NO_PROFILE, Ending, Heartbeat, Operation, Profile
from ..service.config import ServiceConfig
from . import cinder_backup, cinder_scheduler, cinder_volume, nova_compute, nova_conductor, nova_scheduler

__all__ = [
    "SERVICES",
    "ServiceEvidence",
    "configured",
    "evidence_of",
    "profile_for",
    "service_of",
]


class ServiceEvidence(Protocol):
    """What each service's file offers."""

    @property
    def PROFILE(self) -> Profile:
        """What is known of the service."""

    def adapt(self, profile: Profile, env: Mapping[str, str]) -> Profile:
        """Return the profile for a container with this environment."""

    def read(
        self, query: Query, config: ServiceConfig
    ) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
        """Return heartbeats and operations now. Raises EvidenceUnavailable."""

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        """Return an ending for each operation that was recorded before. Raises EvidenceUnavailable."""


SERVICES: dict[str, ServiceEvidence] = {
    "cinder-volume": cinder_volume,
    "cinder-backup": cinder_backup,
    "cinder-scheduler": cinder_scheduler,
    "nova-compute": nova_compute,
    "nova-conductor": nova_conductor,
    "nova-scheduler": nova_scheduler,
}


def service_of(container_name: str) -> str | None:
    """Return the service with evidence that Kolla runs in a container of this name, or None."""
    return kolla_service(container_name)


def evidence_of(service: str) -> ServiceEvidence:
    """Return the evidence of a service. Raises ConfigError for one that is not known."""
    try:
        return SERVICES[service]
    except KeyError:
        raise ConfigError(
            f"no evidence is known for the service {service!r}: it is one of {', '.join(SERVICES)} or none"
        ) from None


def profile_for(service: str, container_env: Mapping[str, str]) -> Profile:
    """Return the profile of a service as this container runs it. Raises ConfigError for one not known.

    ``none`` is the profile of a container without evidence.
    """
    if service == NO_PROFILE.name:
        return NO_PROFILE
    evidence = evidence_of(service)
    return evidence.adapt(evidence.PROFILE, container_env)


def configured(profile: Profile, config: ServiceConfig | None) -> Profile:
    """Return the profile of a service that is configured like this.

    In a cluster a request waits in a queue that all members share, and only a create, a delete and a snapshot
    have a worker row that tells which member has it. What another member does is not shown here, and the other
    way round.
    """
    if config is not None and config.cluster:
        return replace(profile, evidence_complete=False, freezable=False)
    return profile

"""Evidence: what a service's own database says of its life and of its work in flight.

A new service is one subclass of ServiceEvidence and one line in the registry.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ConfigError
from ..kolla import service_of
from ..model import NO_PROFILE, Profile
from ..service.config import ServiceConfig
from .base import ServiceEvidence
from .cinder_backup import CinderBackup
from .cinder_scheduler import CinderScheduler
from .cinder_volume import CinderVolume
from .nova import NovaConductor, NovaScheduler
from .nova_compute import NovaCompute

__all__ = ["SERVICES", "ServiceEvidence", "evidence_of", "profile_for", "service_of"]

SERVICES: Mapping[str, type[ServiceEvidence]] = {
    "cinder-volume": CinderVolume,
    "cinder-backup": CinderBackup,
    "cinder-scheduler": CinderScheduler,
    "nova-compute": NovaCompute,
    "nova-conductor": NovaConductor,
    "nova-scheduler": NovaScheduler,
}


def evidence_of(service: str) -> ServiceEvidence:
    """Return the evidence of one container of this service: a new instance at each call.

    Raises ConfigError for an unknown service.
    """
    return _class_of(service)()


def profile_for(
    service: str, env: Mapping[str, str], release: int | None = None, config: ServiceConfig | None = None
) -> Profile:
    """Return the profile of a service in a container with this environment, of this release of its project.

    Where the release is not known (None), the service is taken for one that may drop its work at the signal if any
    release does. ``none`` is the profile of a container without evidence. Raises ConfigError for an unknown service.
    """
    if service == NO_PROFILE.name:
        return NO_PROFILE
    return _class_of(service).profile_in(env, release, config)


def _class_of(service: str) -> type[ServiceEvidence]:
    try:
        return SERVICES[service]
    except KeyError:
        raise ConfigError(
            f"no evidence is known for the service {service!r}: use one of {', '.join(SERVICES)}, or none"
        ) from None

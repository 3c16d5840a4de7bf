"""Evidence: what a service's own database says of its life and of its work in flight, or its sockets do.

A service whose rows have a host and a status is declared in profiles/services/. Any other is one subclass of
ServiceEvidence and one line in the registry. Its module is imported when a container of it is met.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..kolla import service_of
from ..model import NO_PROFILE, Profile
from ..profiles import NAMES

if TYPE_CHECKING:
    from ..service.config import ServiceConfig
    from . import (  # noqa: F401 - to be sent
        cinder_backup,
        cinder_scheduler,
        cinder_volume,
        declared,
        nova,
        nova_compute,
        requests,
    )
    from .base import ServiceEvidence

__all__ = ["SERVICES", "class_of", "evidence_of", "profile_for", "service_of"]

# Those whose evidence is on the host alone: named by what is in flight, because it is the same for many.
WITHOUT_ROWS: Mapping[str, str] = {
    "requests": "requests.Requests",
    "consoles": "requests.Consoles",
    "sessions": "requests.Sessions",
}
SERVICES: Mapping[str, str] = {
    "cinder-volume": "cinder_volume.CinderVolume",
    "cinder-backup": "cinder_backup.CinderBackup",
    "cinder-scheduler": "cinder_scheduler.CinderScheduler",
    "nova-compute": "nova_compute.NovaCompute",
    "nova-conductor": "nova.NovaConductor",
    "nova-scheduler": "nova.NovaScheduler",
    **dict.fromkeys(NAMES, "declared"),
    **WITHOUT_ROWS,
}


def evidence_of(service: str) -> ServiceEvidence:
    """Return the evidence of one container of this service: a new instance at each call.

    Raises ConfigError for an unknown service.
    """
    return class_of(service)()


def profile_for(
    service: str, env: Mapping[str, str], release: int | None = None, config: ServiceConfig | None = None
) -> Profile:
    """Return the profile of a service in a container with this environment, of this release of its project.

    Where the release is not known (None), the service is taken for one that may drop its work at the signal if any
    release does. ``none`` is the profile of a container without evidence. Raises ConfigError for an unknown service.
    """
    if service == NO_PROFILE.name:
        return NO_PROFILE
    return class_of(service).profile_in(env, release, config)


def class_of(service: str) -> type[ServiceEvidence]:
    """Return the class of a service's evidence. Raises ConfigError for an unknown service."""
    try:
        module, _, class_name = SERVICES[service].partition(".")
    except KeyError:
        raise ConfigError(
            f"no evidence is known for the service {service!r}: use one of {', '.join(SERVICES)}, or none"
        ) from None
    imported = import_module(f".{module}", __package__)
    found: type[ServiceEvidence] = (
        getattr(imported, class_name) if class_name else imported.evidence_class(service)
    )
    return found

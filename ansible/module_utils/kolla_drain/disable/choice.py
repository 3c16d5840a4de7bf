"""Choose the services to disable: those whose flag is read and whose work another service can take."""

from __future__ import annotations

from collections.abc import Sequence

from .model import Pools, Service

# Whose flag decides where new work goes. docs/disable.rst says which code reads it.
FLAG_IS_READ = ("cinder-backup", "cinder-volume", "manila-share", "nova-compute")
# Whose work is bound to a backend: one row for each host@backend.
HAS_BACKENDS = ("cinder-volume", "manila-share")


def choose(
    mode: str, wanted: Sequence[Service], everywhere: Sequence[Service], pools: Pools | None
) -> tuple[list[Service], list[str]]:
    """Return those to disable, and why the other enabled ones stay so. ``everywhere``: all of the binary."""
    hosts = {service.host for service in wanted}
    others = [service for service in everywhere if service.host not in hosts and service.available]
    refusals = {service: _refusal(mode, service, others, pools) for service in wanted if service.enabled}
    return (
        [service for service, why in refusals.items() if not why],
        [f"{service.name} stays enabled: {why}" for service, why in refusals.items() if why],
    )


def _refusal(mode: str, service: Service, others: Sequence[Service], pools: Pools | None) -> str:
    """Return why the service must stay enabled; empty if it can be disabled."""
    if mode == "never":
        return "disable is never"
    if service.binary not in FLAG_IS_READ:
        return "nothing reads its flag, so a disabled one is given work like an enabled one"
    if service.cluster:
        return (
            f"it belongs to the cluster {service.cluster}, and the scheduler reads the cluster's flag alone"
        )
    if mode == "always" or any(_can_replace(other, service, pools) for other in others):
        return ""
    zone = f" in zone {service.zone}" if service.zone else ""
    other = f"no other {service.binary}{zone} that is enabled and up"
    if service.binary not in HAS_BACKENDS:
        return f"{other} could take its work"
    return f"{other} has its backend name {', '.join(sorted(_backend_names(service, pools)))}"


def _can_replace(other: Service, service: Service, pools: Pools | None) -> bool:
    if other.zone != service.zone:
        return False
    if service.binary not in HAS_BACKENDS:
        return True
    if pools is not None and not {service.backend, other.backend} <= pools.keys():
        if service.binary == "manila-share":
            pools = None  # as they were at the scheduler's last request; a heartbeat tells that a backend is ready
        elif other.backend not in pools:
            return False  # the scheduler does not offer it, whatever the API lists
    return _backend_names(service, pools) <= _backend_names(other, pools)


def _backend_names(service: Service, pools: Pools | None) -> frozenset[str]:
    """Return the backend names that volume types can select: the scheduler's, else the part after the @."""
    return (pools or {}).get(service.backend) or frozenset([service.host.partition("@")[2]])

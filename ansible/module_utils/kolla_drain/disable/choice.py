"""Choose the services to disable: those whose flag is read and whose work another service can take."""

from __future__ import annotations

from collections.abc import Sequence

from .model import Choice, Pools, Service

# Whose flag decides where new work goes. docs/disable.rst says which code reads it.
FLAG_IS_READ = ("cinder-backup", "cinder-volume", "nova-compute")


def choose(
    mode: str, wanted: Sequence[Service], everywhere: Sequence[Service], pools: Pools | None
) -> Choice:
    """Choose among the enabled services of ``wanted``. ``everywhere`` is every service of the binary."""
    hosts = {service.host for service in wanted}
    others = [service for service in everywhere if service.host not in hosts and service.available]
    chosen, refusals = [], []
    for service in wanted:
        if not service.enabled:
            continue
        refusal = refusal_of(mode, service, others, pools)
        if refusal:
            refusals.append(refusal)
        else:
            chosen.append(service)
    return Choice(tuple(chosen), tuple(refusals))


def refusal_of(mode: str, service: Service, others: Sequence[Service], pools: Pools | None) -> str:
    """Return why the service must stay enabled; empty if it can be disabled."""
    if mode == "never":
        why = "disable is never"
    elif service.binary not in FLAG_IS_READ:
        why = "nothing reads its flag, so a disabled one is given work like an enabled one"
    elif service.cluster:
        why = f"it belongs to the cluster {service.cluster}, and the scheduler reads the cluster's flag alone"
    elif mode == "always" or any(_can_replace(other, service, pools) for other in others):
        return ""
    else:
        why = _no_replacement(service, pools)
    return f"{service.name} stays enabled: {why}"


def _can_replace(other: Service, service: Service, pools: Pools | None) -> bool:
    if other.zone != service.zone:
        return False
    if service.binary != "cinder-volume":
        return True
    if pools is not None and other.backend not in pools:
        return False  # the scheduler does not offer it, whatever the API lists
    return _backend_names(service, pools) <= _backend_names(other, pools)


def _backend_names(service: Service, pools: Pools | None) -> frozenset[str]:
    """Return the backend names that volume types can select: the scheduler's, else the part after the @."""
    return (pools or {}).get(service.backend) or frozenset([service.host.partition("@")[2]])


def _no_replacement(service: Service, pools: Pools | None) -> str:
    zone = f" in zone {service.zone}" if service.zone else ""
    other = f"no other {service.binary}{zone} that is enabled and up"
    if service.binary != "cinder-volume":
        return f"{other} could take its work"
    return f"{other} has its backend name {', '.join(sorted(_backend_names(service, pools)))}"

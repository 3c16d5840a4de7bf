"""Cinder's, Manila's and Nova's services, listed and changed through their APIs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Union

from .client import Access, ApiClient
from .model import DisableError, Pools, Service

# Seconds. The scheduler may be down while another service is disabled; the API would wait a minute for it.
POOLS_TIMEOUT = 10.0


class _BackendsApi(ApiClient):
    """The services of a project whose scheduler offers the pools of backends."""

    pools_path = ""
    backend_name = ""  # the capability by which types select a backend

    def pools(self) -> Pools | None:
        """Return the backend names of each host@backend that the scheduler offers; None if it does not answer."""
        try:
            pools = self.request("GET", self.pools_path, timeout=POOLS_TIMEOUT, params={"detail": "True"})[
                "pools"
            ]
        except DisableError:
            return None
        names: dict[str, frozenset[str]] = {}
        for pool in pools:
            backend = pool["name"].partition("#")[0]
            name = (pool.get("capabilities") or {}).get(self.backend_name)
            names[backend] = names.get(backend, frozenset()).union([name] if name else [])
        return names


class CinderApi(_BackendsApi):
    """Cinder's services."""

    name = "Cinder's API"
    # 3.7 lists the cluster. Not 3.49: to list backend_state the API asks the scheduler, which may be the
    # service that is stopped.
    service_type, version, microversion = "block-storage", "3", "3.7"
    pools_path, backend_name = "/scheduler-stats/get_pools", "volume_backend_name"

    def disable(self, service: Service, reason: str = "") -> None:
        """Disable the service, by another path of the API where a reason is given."""
        if reason:
            self._put("disable-log-reason", service, disabled_reason=reason)
        else:
            self._put("disable", service)

    def enable(self, service: Service) -> None:
        """Enable the service."""
        self._put("enable", service)

    def _put(self, action: str, service: Service, **more: str) -> None:
        body = {"binary": service.binary, "host": service.host, **more}
        self.request("PUT", f"/os-services/{action}", json=body)


class ManilaApi(_BackendsApi):
    """Manila's services."""

    name = "Manila's API"
    # 2.83 (2024.1) has the disabled reason.
    service_type, version, microversion = "shared-file-system", "2", "2.83"
    services_path = "/services"
    pools_path, backend_name = "/scheduler-stats/pools/detail", "share_backend_name"
    # Seconds: the default of service_down_time, which the API does not tell.
    down_time = 60.0

    def services(self, binary: str) -> list[Service]:
        """Return every service of that binary; those whose heartbeat is old count as down."""
        entries = self.entries(binary)
        # The API lists the state that a service has last written of itself, so one that died is "up" for good.
        # Its heartbeat is compared with the newest one, because the services' clock may be another than ours.
        newest = max(map(_reported, entries), default=datetime.min)
        return [
            self.service(entry, up=entry["state"] == "up" and self._is_fresh(entry, newest))
            for entry in entries
        ]

    def _is_fresh(self, entry: dict[str, Any], newest: datetime) -> bool:
        return (newest - _reported(entry)).total_seconds() <= self.down_time

    def disable(self, service: Service, reason: str = "") -> None:
        """Disable the service."""
        self._put("disable", service, **({"disabled_reason": reason} if reason else {}))

    def enable(self, service: Service) -> None:
        """Enable the service."""
        self._put("enable", service)

    def _put(self, action: str, service: Service, **more: str) -> None:
        self.request(
            "PUT", f"/services/{action}", json={"binary": service.binary, "host": service.host, **more}
        )


def _reported(entry: dict[str, Any]) -> datetime:
    """Return when the service has reported last, or was changed by an operator, by the services' clock."""
    return datetime.fromisoformat(entry["updated_at"][:19]) if entry["updated_at"] else datetime.min


class NovaApi(ApiClient):
    """Nova's services."""

    name = "Nova's API"
    # From 2.53 on services have UUIDs, in every cell, and only nova-compute can be updated.
    service_type, version, microversion = "compute", "2", "2.53"

    def pools(self) -> Pools | None:
        """Return None, because Nova has no pools."""
        return None

    def disable(self, service: Service, reason: str = "") -> None:
        """Disable the service. The API waits for nova-compute to set its trait in Placement."""
        self._put(service, status="disabled", disabled_reason=reason)

    def enable(self, service: Service) -> None:
        """Enable the service."""
        self._put(service, status="enabled")

    def _put(self, service: Service, **body: str) -> None:
        self.request("PUT", f"/os-services/{service.id}", json=body)


Api = Union[CinderApi, ManilaApi, NovaApi]

_APIS: dict[str, type[Api]] = {"cinder": CinderApi, "manila": ManilaApi, "nova": NovaApi}


def api_for(service: str, access: Access) -> Api:
    """Return the API that the service belongs to."""
    return _APIS[service.partition("-")[0]](access)

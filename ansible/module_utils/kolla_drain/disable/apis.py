"""Cinder's and Nova's services, listed and changed through their APIs."""

from __future__ import annotations

from .client import Access, ApiClient
from .model import DisableError, Pools, Service

# Seconds. The scheduler may be down while another service is disabled; cinder-api would wait a minute for it.
POOLS_TIMEOUT = 10.0


class CinderApi(ApiClient):
    """Cinder's services."""

    name = "Cinder's API"
    # 3.7 lists the cluster. Not 3.49: to list backend_state the API asks the scheduler, which may be the
    # service that is stopped.
    service_type, version, microversion = "block-storage", "3", "3.7"

    def pools(self) -> Pools | None:
        """Return the backend names of each host@backend that the scheduler offers; None if it does not answer."""
        try:
            pools = self.request(
                "GET", "/scheduler-stats/get_pools", timeout=POOLS_TIMEOUT, params={"detail": "True"}
            )["pools"]
        except DisableError:
            return None
        names: dict[str, frozenset[str]] = {}
        for pool in pools:
            backend = pool["name"].partition("#")[0]
            name = (pool.get("capabilities") or {}).get("volume_backend_name")
            names[backend] = names.get(backend, frozenset()).union([name] if name else [])
        return names

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


def api_for(service: str, access: Access) -> CinderApi | NovaApi:
    """Return the API that the service belongs to."""
    return NovaApi(access) if service.startswith("nova-") else CinderApi(access)

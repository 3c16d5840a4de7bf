"""Cinder's and Nova's APIs of services, reached with openstacksdk."""

from __future__ import annotations

from typing import Any

from .client import Access, ApiClient
from .model import DisableError, Pools, Service

# 3.7 lists the cluster. Not 3.49: to list backend_state the API asks the scheduler, which may be the
# service that is stopped.
CINDER_VERSION = "3.7"
# Services by UUID, in every cell. From here on only nova-compute can be updated.
NOVA_VERSION = "2.53"
# Seconds. The scheduler may be down while another service is disabled; cinder-api would wait a minute for it.
POOLS_TIMEOUT = 10.0


class CinderApi:
    """Cinder's services."""

    name = "Cinder's API"

    def __init__(self, access: Access) -> None:
        self._client = ApiClient(access, "block-storage", self.name, "3", CINDER_VERSION)

    def services(self, binary: str) -> list[Service]:
        """Return every service of that binary."""
        return [
            Service(**_common(entry), cluster=entry.get("cluster") or "", frozen=bool(entry.get("frozen")))
            for entry in self._client.get("/os-services", binary=binary)["services"]
            if entry["binary"] == binary
        ]

    def pools(self) -> Pools | None:
        """Return the backend names of each host@backend that the scheduler offers; None if it does not answer."""
        try:
            pools = self._client.get("/scheduler-stats/get_pools", POOLS_TIMEOUT, detail="True")["pools"]
        except DisableError:
            return None
        names: dict[str, frozenset[str]] = {}
        for pool in pools:
            backend = pool["name"].partition("#")[0]
            name = (pool.get("capabilities") or {}).get("volume_backend_name")
            names[backend] = names.get(backend, frozenset()) | (frozenset([name]) if name else frozenset())
        return names

    def disable(self, service: Service, reason: str) -> None:
        """Disable the service, with a reason."""
        self._put("disable-log-reason", service, disabled_reason=reason)

    def disable_without_reason(self, service: Service) -> None:
        """Disable the service, without a reason."""
        self._put("disable", service)

    def enable(self, service: Service) -> None:
        """Enable the service."""
        self._put("enable", service)

    def _put(self, action: str, service: Service, **more: str) -> None:
        self._client.put(f"/os-services/{action}", {"binary": service.binary, "host": service.host, **more})


class NovaApi:
    """Nova's services."""

    name = "Nova's API"

    def __init__(self, access: Access) -> None:
        self._client = ApiClient(access, "compute", self.name, "2", NOVA_VERSION)

    def services(self, binary: str) -> list[Service]:
        """Return every service of that binary, in every cell that answers."""
        return [
            Service(**_common(entry), id=str(entry["id"]), forced_down=bool(entry.get("forced_down")))
            for entry in self._client.get("/os-services", binary=binary)["services"]
            if entry["binary"] == binary
        ]

    def pools(self) -> Pools | None:
        """Return None, because Nova has no pools."""
        return None

    def disable(self, service: Service, reason: str) -> None:
        """Disable the service, with a reason. The API waits for nova-compute to set its trait in Placement."""
        self._put(service, status="disabled", disabled_reason=reason)

    def disable_without_reason(self, service: Service) -> None:
        """Disable the service, without a reason."""
        self._put(service, status="disabled")

    def enable(self, service: Service) -> None:
        """Enable the service."""
        self._put(service, status="enabled")

    def _put(self, service: Service, **body: str) -> None:
        self._client.put(f"/os-services/{service.id}", body)


def _common(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that both APIs list."""
    return {
        "binary": entry["binary"],
        "host": entry["host"],
        "enabled": entry["status"] == "enabled",
        "up": entry["state"] == "up",
        "zone": entry.get("zone") or "",
        "reason": entry.get("disabled_reason") or "",
    }


def api_for(service: str, access: Access) -> CinderApi | NovaApi:
    """Return the API that the service belongs to."""
    return NovaApi(access) if service.startswith("nova-") else CinderApi(access)

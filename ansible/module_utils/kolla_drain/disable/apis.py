"""Cinder's and Nova's service APIs, reached with openstacksdk, as fence.py asks for them."""

from __future__ import annotations

from .client import Access, ApiClient
from .model import FenceError, Pools, Row

# 3.7 tells the cluster. Not 3.49: for its backend_state the API asks the scheduler, which may be the one
# that is stopped.
CINDER_VERSION = "3.7"
# Services by id, in every cell; updates are for nova-compute alone.
NOVA_VERSION = "2.53"
# The scheduler may be down while another service is fenced; cinder-api would wait for it for a minute.
POOLS_TIMEOUT = 10.0
# A living cinder-volume answers both calls at once; for a dead one cinder-api would wait for a minute, twice.
THAW_TIMEOUT = 20.0


class CinderApi:
    """Cinder's services."""

    name = "Cinder's API"

    def __init__(self, access: Access) -> None:
        self._client = ApiClient(access, "block-storage", self.name, "3", CINDER_VERSION)

    def rows(self, binary: str) -> list[Row]:
        """Return every service of that binary."""
        found = self._client.get("/os-services", binary=binary)["services"]
        return [
            Row(
                binary=one["binary"],
                host=one["host"],
                enabled=one["status"] == "enabled",
                up=one["state"] == "up",
                zone=one.get("zone") or "",
                reason=one.get("disabled_reason") or "",
                cluster=one.get("cluster") or "",
                frozen=bool(one.get("frozen")),
            )
            for one in found
            if one["binary"] == binary
        ]

    def pools(self) -> Pools | None:
        """Return the backend names of each host@backend that the scheduler offers; None if it does not tell."""
        try:
            found = self._client.get("/scheduler-stats/get_pools", POOLS_TIMEOUT, detail="True")["pools"]
        except FenceError:
            return None
        names: dict[str, frozenset[str]] = {}
        for pool in found:
            host = pool["name"].partition("#")[0]
            name = (pool.get("capabilities") or {}).get("volume_backend_name")
            names[host] = names.get(host, frozenset()) | (frozenset([name]) if name else frozenset())
        return names

    def disable(self, row: Row, reason: str) -> None:
        """Disable, with a reason."""
        self._put("disable-log-reason", row, disabled_reason=reason)

    def disable_plainly(self, row: Row) -> None:
        """Disable, without a reason."""
        self._put("disable", row)

    def enable(self, row: Row) -> None:
        """Enable."""
        self._put("enable", row)

    def freeze_and_thaw(self, row: Row) -> None:
        """Freeze the backend and thaw it at once: cinder-volume then enables its row itself.

        Both are calls that wait for cinder-volume (cinder/volume/manager.py). Thawed is also what could not
        be frozen to the end, or the backend would stay read-only.
        """
        try:
            self._client.put("/os-services/freeze", {"host": row.host}, THAW_TIMEOUT)
        finally:
            try:
                self._client.put("/os-services/thaw", {"host": row.host}, THAW_TIMEOUT)
            except FenceError:
                # "frozen" stands in our reason's place now: without ours nobody could tell who it was.
                self.disable(row, row.reason)
                raise

    def _put(self, action: str, row: Row, **more: str) -> None:
        self._client.put(f"/os-services/{action}", {"binary": row.binary, "host": row.host, **more})


class NovaApi:
    """Nova's services."""

    name = "Nova's API"

    def __init__(self, access: Access) -> None:
        self._client = ApiClient(access, "compute", self.name, "2", NOVA_VERSION)

    def rows(self, binary: str) -> list[Row]:
        """Return every service of that binary, in every cell that answers."""
        found = self._client.get("/os-services", binary=binary)["services"]
        return [
            Row(
                binary=one["binary"],
                host=one["host"],
                enabled=one["status"] == "enabled",
                up=one["state"] == "up",
                id=str(one["id"]),
                zone=one.get("zone") or "",
                reason=one.get("disabled_reason") or "",
                forced_down=bool(one.get("forced_down")),
            )
            for one in found
            if one["binary"] == binary
        ]

    def pools(self) -> Pools | None:
        """Nova has no pools."""
        return None

    def disable(self, row: Row, reason: str) -> None:
        """Disable, with a reason. The API waits for nova-compute to set its trait in Placement."""
        self._put(row, status="disabled", disabled_reason=reason)

    def disable_plainly(self, row: Row) -> None:
        """Disable, without a reason."""
        self._put(row, status="disabled")

    def enable(self, row: Row) -> None:
        """Enable."""
        self._put(row, status="enabled")

    def freeze_and_thaw(self, row: Row) -> None:
        """Nova has nothing of the kind."""
        raise FenceError(f"{self.name} cannot freeze {row.binary}")

    def _put(self, row: Row, **body: str) -> None:
        self._client.put(f"/os-services/{row.id}", body)


def api_for(service: str, access: Access) -> CinderApi | NovaApi:
    """Return the API that the service belongs to."""
    return NovaApi(access) if service.startswith("nova-") else CinderApi(access)

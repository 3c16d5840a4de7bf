"""A small client of the Compute API, as tests and the demo need it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testbed.api_client import ASK_EVERY, PATIENCE, ApiClient, Resource
from testbed.errors import NotReady, TestbedError
from testbed.waiting import wait_until

MICROVERSION = "compute 2.96"
GONE = "gone"
IMAGE = "11111111-1111-4111-8111-111111111111"
FLAVOR = "testbed"


class NovaApi(ApiClient):
    """The Compute API."""

    def __init__(self, port: int, token: str, host: str = "127.0.0.1") -> None:
        root = f"http://{host}:{port}"
        super().__init__(root, f"{root}/v2.1", token, MICROVERSION)

    def healthy(self) -> bool:
        """Return whether the API answers a question that needs its databases."""
        return self.session.get(f"{self.base}/os-services", timeout=10).status_code == 200

    # -- services

    def service(self, binary: str) -> Resource:
        """Return the only service of this binary."""
        (found,) = [one for one in self.services() if one["binary"] == binary]
        return found

    def set_service(self, binary: str, status: str, reason: str | None = None) -> Resource:
        """Enable or disable a service, with a reason if wanted."""
        body = {"status": status} | ({"disabled_reason": reason} if reason else {})
        found: Resource = self.call("PUT", f"os-services/{self.service(binary)['id']}", body)["service"]
        return found

    # -- instances

    def ensure_flavor(self) -> None:
        """The flavor that create_server asks for."""
        if all(one["id"] != FLAVOR for one in self.call("GET", "flavors")["flavors"]):
            flavor = {"id": FLAVOR, "name": FLAVOR, "ram": 64, "vcpus": 1, "disk": 0}
            self.call("POST", "flavors", {"flavor": flavor})

    def create_server(self, name: str = "testbed", **more: Any) -> Resource:
        """Ask for an instance without a network."""
        server = {"name": name, "imageRef": IMAGE, "flavorRef": FLAVOR, "networks": "none", **more}
        found: Resource = self.call("POST", "servers", {"server": server})["server"]
        return found

    def delete_server(self, server_id: str) -> None:
        """Ask for the instance's deletion."""
        self.call("DELETE", f"servers/{server_id}")

    def server_action(self, server_id: str, action: str, argument: Any = None) -> Resource:
        """Send a server action by its name in the API."""
        answer: Resource = self.call("POST", f"servers/{server_id}/action", {action: argument})
        return answer

    def server(self, server_id: str) -> Resource:
        """Return an instance; the status is ``gone`` when there is none."""
        answer = self.session.get(f"{self.base}/servers/{server_id}", timeout=PATIENCE)
        if answer.status_code == 404:
            return {"id": server_id, "status": GONE}
        if answer.status_code >= 400:
            raise TestbedError(f"GET server {server_id}: {answer.status_code} {answer.text[:400]}")
        found: Resource = answer.json()["server"]
        return found

    def status(self, server_id: str) -> str:
        """ACTIVE, BUILD, ERROR, ... or ``gone``."""
        return str(self.server(server_id)["status"])

    def servers(self) -> list[Resource]:
        """Return all instances with their details."""
        found: list[Resource] = self.call("GET", "servers/detail?all_tenants=1")["servers"]
        return found

    def wait_status(self, server_id: str, wanted: str | Iterable[str], timeout: float = 400) -> str:
        """Wait for one of the statuses. Raises TestbedError at ERROR, unless it waits for a deletion."""
        wanted = {wanted} if isinstance(wanted, str) else set(wanted)

        def reached() -> str | None:
            server = self.server(server_id)
            if server["status"] in wanted:
                return str(server["status"])
            if server["status"] == "ERROR" and GONE not in wanted:
                raise NotReady(
                    f"instance {server_id} went to ERROR: {server.get('fault', {}).get('message')}"
                )
            raise TestbedError(f"status {server['status']}")

        found = wait_until(reached, timeout, f"instance {server_id} {'/'.join(sorted(wanted))}", ASK_EVERY)
        assert found
        return found

"""The common part of the clients of the stack's APIs."""

from __future__ import annotations

from typing import Any

import requests

from testbed.errors import TestbedError

Resource = dict[str, Any]
# Seconds between two questions after a status: an answer costs the API and the database more than the wait does.
ASK_EVERY = 0.5
# Seconds to wait for an answer, on a machine where many services share two processors.
PATIENCE = 180


class ApiClient:
    """An API on this machine. Every method returns the resource as a plain dictionary."""

    version_header = "OpenStack-API-Version"

    def __init__(self, root: str, base: str, token: str, microversion: str) -> None:
        self.root, self.base = root, base
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy for our own machine
        self.session.headers.update({"X-Auth-Token": token, self.version_header: microversion})
        # As Kolla's uWSGI ends each connection; an idle one would count as a request in flight.
        self.session.headers["Connection"] = "close"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request. Raises TestbedError with the API's text."""
        answer = self.session.request(method, f"{self.base}/{path}", json=body, timeout=PATIENCE)
        if answer.status_code >= 400:
            raise TestbedError(f"{method} {path}: {answer.status_code} {answer.text[:400]}")
        return answer.json() if answer.content else {}

    def services(self) -> list[Resource]:
        """Return the API's list of services."""
        found: list[Resource] = self.call("GET", "os-services")["services"]
        return found

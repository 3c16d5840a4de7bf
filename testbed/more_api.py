"""Small clients of the Shared File Systems, Bare Metal and Orchestration APIs, as tests need them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testbed.api_client import ASK_EVERY, PATIENCE, ApiClient, Resource
from testbed.errors import NotReady, TestbedError
from testbed.waiting import wait_until

GONE = "gone"


class MoreApi(ApiClient):
    """What the three have in common."""

    def status(self, resource_id: str) -> str:
        """The resource's status, or ``gone``."""
        path, keys = self._where(resource_id)
        answer = self.session.get(f"{self.base}/{path}", timeout=PATIENCE)
        if answer.status_code == 404:
            return GONE
        if answer.status_code >= 400:
            raise TestbedError(f"GET {path}: {answer.status_code} {answer.text[:400]}")
        found: Any = answer.json()
        for key in keys:
            found = found[key]
        return str(found)

    def _where(self, resource_id: str) -> tuple[str, tuple[str, ...]]:
        """The path of a resource, and the keys that lead to its status in the answer."""
        raise NotImplementedError

    def wait_status(self, resource_id: str, wanted: str | Iterable[str], timeout: float = 400) -> str:
        """Wait for one of the statuses. Raises NotReady at one that tells of a failure."""
        wanted = {wanted} if isinstance(wanted, str) else set(wanted)

        def reached() -> str:
            status = self.status(resource_id)
            if status in wanted:
                return status
            words = f"{resource_id} is {status}"
            if "fail" in status.lower() or status == "error":
                raise NotReady(f"{words}, not {'/'.join(sorted(wanted))}")
            raise TestbedError(words)

        return wait_until(reached, timeout, f"{resource_id} {'/'.join(sorted(wanted))}", ASK_EVERY)

    def _answers(self, path: str) -> bool:
        return self.session.get(f"{self.base}/{path}", timeout=10).status_code == 200


class ManilaApi(MoreApi):
    """The Shared File Systems API."""

    version_header = "X-OpenStack-Manila-API-Version"

    def __init__(self, port: int, token: str, project_id: str) -> None:
        root = f"http://127.0.0.1:{port}"
        super().__init__(root, f"{root}/v2/{project_id}", token, "2.80")

    def healthy(self) -> bool:
        """Return whether it answers a question that needs its database."""
        return self._answers("services")

    def _where(self, resource_id: str) -> tuple[str, tuple[str, ...]]:
        return f"shares/{resource_id}", ("share", "status")

    def ensure_type(self, name: str) -> None:
        """The type that shares are of."""
        if all(one["name"] != name for one in self.call("GET", "types")["share_types"]):
            specs = {"driver_handles_share_servers": False}
            self.call("POST", "types", {"share_type": {"name": name, "extra_specs": specs}})

    def pools(self) -> set[str]:
        """The backends that the scheduler knows, as host@backend."""
        found = self.call("GET", "scheduler-stats/pools")["pools"]
        return {one["name"].partition("#")[0] for one in found}

    def create_share(self, name: str = "testbed", size: int = 1) -> Resource:
        """Ask for a share."""
        share = {"share_proto": "NFS", "size": size, "name": name}
        found: Resource = self.call("POST", "shares", {"share": share})["share"]
        return found

    def extend_share(self, share_id: str, size: int) -> None:
        """Ask for a larger share."""
        self.call("POST", f"shares/{share_id}/action", {"extend": {"new_size": size}})

    def delete_share(self, share_id: str, force: bool = False) -> None:
        """Ask for the share's deletion; with ``force`` whatever its status is."""
        if force:
            self.call("POST", f"shares/{share_id}/action", {"force_delete": None})
        else:
            self.call("DELETE", f"shares/{share_id}")

    def shares(self) -> list[Resource]:
        """Return all shares."""
        found: list[Resource] = self.call("GET", "shares/detail?all_tenants=1")["shares"]
        return found


class IronicApi(MoreApi):
    """The Bare Metal API."""

    version_header = "X-OpenStack-Ironic-API-Version"

    def __init__(self, port: int, token: str) -> None:
        root = f"http://127.0.0.1:{port}"
        super().__init__(root, f"{root}/v1", token, "1.87")

    def healthy(self) -> bool:
        """Return whether it answers a question that needs its database."""
        return self._answers("nodes")

    def _where(self, resource_id: str) -> tuple[str, tuple[str, ...]]:
        return f"nodes/{resource_id}", ("provision_state",)

    def drivers(self) -> dict[str, list[str]]:
        """The hardware types that conductors offer, with their hosts."""
        return {one["name"]: one["hosts"] for one in self.call("GET", "drivers")["drivers"]}

    def enrol(self, name: str) -> str:
        """Make a node that is ready to be deployed; return its id."""
        node = str(self.call("POST", "nodes", {"driver": "fake-hardware", "name": name})["uuid"])
        for target, state in (("manage", "manageable"), ("provide", "available")):
            self.provision(node, target)
            self.wait_status(node, state)
        return node

    def provision(self, node_id: str, target: str) -> None:
        """Ask for a change of the provision state, such as ``active``."""
        self.call("PUT", f"nodes/{node_id}/states/provision", {"target": target})

    def last_error(self, node_id: str) -> str:
        """What Ironic says of the last failure."""
        return str(self.call("GET", f"nodes/{node_id}")["last_error"])

    def delete_node(self, node_id: str) -> bool:
        """Remove the record of a node, whatever its state is. Raises TestbedError while it is locked."""
        self.call("PUT", f"nodes/{node_id}/maintenance", {"reason": "it goes"})
        self.call("DELETE", f"nodes/{node_id}")
        return True

    def nodes(self) -> list[Resource]:
        """Return all nodes."""
        found: list[Resource] = self.call("GET", "nodes")["nodes"]
        return found


class HeatApi(MoreApi):
    """The Orchestration API."""

    def __init__(self, port: int) -> None:
        root = f"http://127.0.0.1:{port}"
        super().__init__(root, f"{root}/v1/admin", "", "orchestration 1.0")

    def healthy(self) -> bool:
        """Return whether it answers a question that needs an engine and the database."""
        return self._answers("stacks")

    def _where(self, resource_id: str) -> tuple[str, tuple[str, ...]]:
        return f"stacks/{resource_id}", ("stack", "stack_status")

    def create_stack(self, name: str, seconds: float = 0) -> Resource:
        """Ask for a stack of one resource that takes so many seconds."""
        times = {"create": seconds, "update": 0, "delete": 0}
        resource = {"type": "OS::Heat::TestResource", "properties": {"action_wait_secs": times}}
        template = {"heat_template_version": "2021-04-16", "resources": {"slow": resource}}
        body = {"stack_name": name, "template": template}
        found: Resource = self.call("POST", "stacks", body)["stack"]
        return found

    def delete_stack(self, name: str, stack_id: str) -> None:
        """Ask for the stack's deletion."""
        self.call("DELETE", f"stacks/{name}/{stack_id}")

    def stacks(self) -> list[Resource]:
        """Return all stacks."""
        found: list[Resource] = self.call("GET", "stacks")["stacks"]
        return found

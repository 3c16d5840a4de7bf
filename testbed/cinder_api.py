"""A small client of the Block Storage API, as tests and the demo need it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from testbed.api_client import ASK_EVERY, PATIENCE, ApiClient, Resource
from testbed.errors import NotReady, TestbedError
from testbed.locks import locked
from testbed.waiting import wait_until

MICROVERSION = "volume 3.70"
GONE = "gone"
PLURALS = {
    "volume": "volumes",
    "snapshot": "snapshots",
    "backup": "backups",
    "attachment": "attachments",
}
# Of a host that takes volumes as files, for attachments.
CONNECTOR = {"host": "compute-1", "ip": "127.0.0.1", "initiator": "iqn.testbed:compute-1", "multipath": False}


class CinderApi(ApiClient):
    """The Block Storage API."""

    def __init__(self, port: int, project_id: str, host: str = "127.0.0.1") -> None:
        root = f"http://{host}:{port}"
        super().__init__(root, f"{root}/v3/{project_id}", f"{project_id}:{project_id}", MICROVERSION)
        # NOTE: as Nova's requests do; others may not delete the attachment of an instance.
        self.session.headers["X-Service-Roles"] = "service"

    def healthy(self) -> bool:
        """Return whether the API answers its health check."""
        return self.session.get(f"{self.root}/healthcheck", timeout=5).status_code == 200

    # -- volumes

    def create_volume(
        self,
        size: int = 1,
        name: str = "",
        *,
        backend: str | None = None,
        snapshot_id: str | None = None,
        source_volid: str | None = None,
        image_id: str | None = None,
        **more: Any,
    ) -> Resource:
        """Create a volume, on one backend by the volume type of that name."""
        wanted = {
            "size": size,
            "name": name,
            "volume_type": backend,
            "snapshot_id": snapshot_id,
            "source_volid": source_volid,
            "imageRef": image_id,
            **more,
        }
        body = {"volume": {key: value for key, value in wanted.items() if value is not None}}
        found: Resource = self.call("POST", "volumes", body)["volume"]
        return found

    def delete_volume(self, volume_id: str, **query: Any) -> None:
        """Ask for the volume's deletion."""
        self.call("DELETE", f"volumes/{volume_id}" + _query(query))

    def extend_volume(self, volume_id: str, new_size: int) -> None:
        """Ask for a larger volume."""
        self.volume_action(volume_id, "os-extend", new_size=new_size)

    def volume_action(self, volume_id: str, action: str, **arguments: Any) -> Resource:
        """Send a volume action by its name in the API."""
        answer: Resource = self.call("POST", f"volumes/{volume_id}/action", {action: arguments})
        return answer

    def reset_status(self, resource: str, resource_id: str, status: str) -> None:
        """Set the status as an administrator does."""
        self.call(
            "POST", f"{PLURALS[resource]}/{resource_id}/action", {"os-reset_status": {"status": status}}
        )

    # -- attachments, as Nova makes them

    def create_attachment(
        self, volume_id: str, instance_uuid: str | None = None, connector: dict[str, Any] | None = None
    ) -> Resource:
        """Reserve the volume for the instance; with a connector cinder-volume exports it before the answer comes."""
        wanted = {
            "volume_uuid": volume_id,
            "instance_uuid": instance_uuid or str(uuid.uuid4()),
            "connector": connector,
        }
        body = {"attachment": {key: value for key, value in wanted.items() if value is not None}}
        found: Resource = self.call("POST", "attachments", body)["attachment"]
        return found

    def update_attachment(self, attachment_id: str, connector: dict[str, Any] | None = None) -> Resource:
        """Have cinder-volume export the volume; the answer comes once it has."""
        body = {"attachment": {"connector": connector or CONNECTOR}}
        found: Resource = self.call("PUT", f"attachments/{attachment_id}", body)["attachment"]
        return found

    def complete_attachment(self, attachment_id: str) -> None:
        """Mark the volume as in use."""
        self.call("POST", f"attachments/{attachment_id}/action", {"os-complete": None})

    def delete_attachment(self, attachment_id: str) -> None:
        """Have cinder-volume disconnect the volume; the answer comes once it has."""
        self.call("DELETE", f"attachments/{attachment_id}")

    # -- snapshots

    def create_snapshot(self, volume_id: str, name: str = "") -> Resource:
        """Snapshot a volume."""
        body = {"volume_id": volume_id, "name": name}
        found: Resource = self.call("POST", "snapshots", {"snapshot": body})["snapshot"]
        return found

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Ask for the snapshot's deletion."""
        self.call("DELETE", f"snapshots/{snapshot_id}")

    # -- backups

    def create_backup(self, volume_id: str, name: str = "", **more: Any) -> Resource:
        """Back a volume up."""
        body = {"volume_id": volume_id, "name": name, **more}
        found: Resource = self.call("POST", "backups", {"backup": body})["backup"]
        return found

    def restore_backup(self, backup_id: str, volume_id: str | None = None) -> Resource:
        """Restore into a volume, or into a new one."""
        body = {"volume_id": volume_id} if volume_id else {}
        found: Resource = self.call("POST", f"backups/{backup_id}/restore", {"restore": body})["restore"]
        return found

    def delete_backup(self, backup_id: str) -> None:
        """Ask for the backup's deletion."""
        self.call("DELETE", f"backups/{backup_id}")

    # -- looking

    def get(self, resource: str, resource_id: str) -> Resource:
        """Return a volume, snapshot or backup; the status is ``gone`` when there is none."""
        path = f"{self.base}/{PLURALS[resource]}/{resource_id}"
        answer = self.session.get(path, timeout=PATIENCE)
        if answer.status_code == 404:
            return {"id": resource_id, "status": GONE}
        if answer.status_code >= 400:
            raise TestbedError(f"GET {resource} {resource_id}: {answer.status_code} {answer.text[:400]}")
        found: Resource = answer.json()[resource]
        return found

    def status(self, resource: str, resource_id: str) -> str:
        """Return the status, or ``gone``."""
        return str(self.get(resource, resource_id)["status"])

    def wait_status(
        self,
        resource: str,
        resource_id: str,
        wanted: str | Iterable[str],
        timeout: float = 400,
        fail_on_error: bool = True,
    ) -> str:
        """Wait for one of the statuses. Raises TestbedError at an unwanted error status."""
        wanted = {wanted} if isinstance(wanted, str) else set(wanted)

        def reached() -> str | None:
            status = self.status(resource, resource_id)
            if status in wanted:
                return status
            if fail_on_error and status.startswith("error"):
                raise NotReady(f"{resource} {resource_id} went to {status}, waited for {sorted(wanted)}")
            raise TestbedError(f"status {status}")

        found = wait_until(
            reached, timeout, f"{resource} {resource_id} {'/'.join(sorted(wanted))}", ASK_EVERY
        )
        assert found
        return found

    def pools(self) -> set[str]:
        """Return the backends that the scheduler may place volumes on, as ``host@backend``."""
        found = self.call("GET", "scheduler-stats/get_pools")["pools"]
        return {str(pool["name"]).partition("#")[0] for pool in found}

    def list(self, resource: str) -> list[Resource]:
        """Return all volumes, snapshots or backups with their details."""
        plural = PLURALS[resource]
        found: list[Resource] = self.call("GET", f"{plural}/detail")[plural]
        return found

    # -- set-up

    def ensure_types(self, backends: Iterable[str]) -> None:
        """Make a volume type for each backend, named by it."""
        with locked("volume-types"):
            there = {one["name"] for one in self.call("GET", "types")["volume_types"]}
            for backend in sorted(set(backends) - there):
                specs = {"volume_backend_name": backend}
                self.call("POST", "types", {"volume_type": {"name": backend, "extra_specs": specs}})


def _query(query: dict[str, Any]) -> str:
    return "?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else ""

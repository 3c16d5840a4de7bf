"""Requests to an OpenStack API that lists services, with openstacksdk; every error is one sentence."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..masking import masked
from .model import DisableError, NoAnswer, Service


@dataclass(frozen=True)
class Access:
    """How to reach the cloud, as openstacksdk names it. What clouds.yaml or the environment gives may be left out."""

    cloud: str | None = None
    auth_type: str | None = None
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    region_name: str | None = None
    interface: str | None = None
    endpoint_override: str | None = None
    verify: bool | None = None
    cacert: str | None = None
    cert: str | None = None
    key: str | None = field(default=None, repr=False)
    api_timeout: float = 60.0  # seconds, for each answer

    def settings(self) -> dict[str, Any]:
        """Return the settings for openstacksdk. Raises DisableError."""
        auth, auth_type = dict(self.auth), self.auth_type
        if auth_type == "none":
            auth["endpoint"] = self.endpoint_override or auth.get("endpoint")
            if not auth["endpoint"]:
                raise DisableError(
                    "auth_type none needs endpoint_override, because no catalogue gives the address"
                )
            # The plugin "none" sends a token of its own; "admin_token" sends the given one.
            auth_type = "admin_token" if auth.get("token") else "none"
        names = ("cloud", "region_name", "interface", "verify", "cacert", "cert", "key")
        settings = {
            "auth_type": auth_type,
            "auth": auth or None,
            **{name: getattr(self, name) for name in names},
        }
        return {key: value for key, value in settings.items() if value is not None}


class ApiClient:
    """A client of one API. Its methods raise DisableError, or NoAnswer if the request may have taken effect."""

    name = service_type = version = microversion = ""
    services_path = "/os-services"

    def __init__(self, access: Access) -> None:
        try:
            import keystoneauth1.adapter
            from openstack.config import OpenStackConfig
        except ImportError:
            raise DisableError(
                f"openstacksdk is missing in {sys.executable}: install it there with '{sys.executable} -m pip install "
                "openstacksdk' or the package python3-openstacksdk, or delegate the task to a host that has it"
            ) from None
        # What keystoneauth logs would go to standard error, with the addresses as they were given.
        logging.getLogger().addHandler(logging.NullHandler())
        settings = access.settings()
        # Credentials given in full are not mixed with a clouds.yaml or an environment that happens to exist.
        alone = access.cloud is None and bool(access.auth or access.auth_type)
        try:
            config = OpenStackConfig(load_yaml_config=not alone, load_envvars=not alone)
            region = config.get_one(**settings)
            region.config["api_timeout"] = access.api_timeout
            session = region.get_session()
        except Exception as exc:  # noqa: BLE001 - PyYAML has its own for a broken clouds.yaml
            raise DisableError(
                f"{self.name} cannot be reached with these cloud and auth options: {_first_line(exc)}"
            ) from None
        self._auth_url = str((region.config.get("auth") or {}).get("auth_url") or "")
        self._adapter = keystoneauth1.adapter.Adapter(
            session=session,
            service_type=self.service_type,
            interface=region.get_interface(self.service_type),
            region_name=region.get_region_name(self.service_type),
            endpoint_override=access.endpoint_override or region.get_endpoint(self.service_type),
            min_version=self.version,
            max_version=f"{self.version}.latest",
            default_microversion=self.microversion,
            connect_retries=0,
        )

    def services(self, binary: str) -> list[Service]:
        """Return every service of that binary; Nova's API lists those of every cell that answers."""
        return [self.service(entry, up=entry["state"] == "up") for entry in self.entries(binary)]

    def entries(self, binary: str) -> list[dict[str, Any]]:
        """Return every service of that binary, as the API lists it."""
        listed = self.request("GET", self.services_path, params={"binary": binary})["services"]
        return [entry for entry in listed if entry["binary"] == binary]

    @staticmethod
    def service(entry: Mapping[str, Any], *, up: bool) -> Service:
        """Return a service as it is listed."""
        return Service(
            binary=entry["binary"],
            host=entry["host"],
            enabled=entry["status"] == "enabled",
            up=up,
            id=str(entry.get("id") or ""),
            zone=entry.get("zone") or "",
            reason=entry.get("disabled_reason") or "",
            cluster=entry.get("cluster") or "",
            frozen=bool(entry.get("frozen")),
            forced_down=bool(entry.get("forced_down")),
        )

    def request(self, method: str, path: str, **more: Any) -> Any:
        """Send a request and return the JSON of the answer."""
        import keystoneauth1.exceptions as faults

        try:
            answer = self._adapter.request(path, method, raise_exc=False, **more)
        except faults.Unauthorized:
            place = urlsplit(self._auth_url).netloc.rpartition("@")[2]
            keystone = f"Keystone at {place}" if place else "Keystone"
            raise DisableError(
                f"{keystone} refuses the credentials (401): check auth or clouds.yaml"
            ) from None
        except (faults.EndpointNotFound, faults.EmptyCatalog) as exc:
            raise DisableError(
                f"the catalogue has no endpoint of {self.name} for this region and interface: check region_name and "
                f"interface, or give endpoint_override ({_first_line(exc)})"
            ) from None
        except faults.ConnectTimeout as exc:
            raise NoAnswer(f"{self.name} did not answer in time: {_first_line(exc)}") from None
        except faults.ConnectFailure as exc:
            # The address and the system's error, without the messages of requests and urllib3 around them.
            cause = re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", str(exc))
            address = _first_line(exc).split(": ")[0]
            raise NoAnswer(
                f"{self.name} cannot be reached: {address}{f' ({cause[1]})' if cause else ''}"
            ) from None
        except faults.SSLError as exc:
            raise DisableError(
                f"no TLS connection to {self.name}: {_first_line(exc)}: give ca_cert, or correct the address"
            ) from None
        except faults.ClientException as exc:
            raise DisableError(f"the request to {self.name} failed: {_first_line(exc)}") from None
        return self._read(answer, f"{method} {path}")

    def _read(self, answer: Any, asked: str) -> Any:
        status = answer.status_code
        if status in (401, 403):
            refusal = "refuses the credentials" if status == 401 else "does not allow the account to do this"
            raise DisableError(
                f"{self.name} {refusal} ({asked}: {status}): use an administrator's account, or one that its "
                "policy allows to list and change services"
            )
        if status >= 300:
            raise DisableError(f"{self.name} answered {asked} with {status}: {_fault(answer)}")
        try:
            return answer.json() if answer.content else {}
        except ValueError:
            raise DisableError(
                f"{self.name} answered {asked} with text that is not JSON: check endpoint_override"
            ) from None


def _first_line(exc: BaseException) -> str:
    # Addresses may hold a password.
    return masked("", (str(exc).strip().splitlines() or [type(exc).__name__])[0].rstrip(".")[:300])


def _fault(answer: Any) -> str:
    """Return the message in the API's answer: {"badRequest": {"message": …}}."""
    try:
        (fault,) = answer.json().values()
        return str(fault["message"]).strip().rstrip(".")[:300]
    except (ValueError, KeyError, TypeError, AttributeError):
        return str(answer.reason or "no reason given")

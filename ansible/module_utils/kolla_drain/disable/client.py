"""Requests to one OpenStack API with openstacksdk; every error is one sentence."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .model import DisableError, NoAnswer


@dataclass(frozen=True)
class Access:
    """How to reach the cloud. Whatever clouds.yaml or the environment gives may be left out."""

    cloud: str | None = None
    auth_type: str | None = None
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    region_name: str | None = None
    interface: str | None = None
    endpoint_override: str | None = None
    validate_certs: bool | None = None
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = field(default=None, repr=False)
    api_timeout: float = 60.0  # seconds, for each answer


class ApiClient:
    """A client of one API. Its methods raise DisableError, or NoAnswer if the request may have taken effect."""

    def __init__(self, access: Access, service_type: str, name: str, version: str, microversion: str) -> None:
        self.name = name
        self._microversion = microversion
        self._timeout = access.api_timeout
        self._auth_url = str(access.auth.get("auth_url") or "")
        self._adapter = self._connected(access, service_type, version)

    def _connected(self, access: Access, service_type: str, version: str) -> Any:
        try:
            import keystoneauth1.adapter
            from openstack.config import OpenStackConfig
        except ImportError:
            raise DisableError(
                f"openstacksdk is missing in {sys.executable}: install it there with '{sys.executable} -m pip install "
                "openstacksdk' or the package python3-openstacksdk, or delegate the task to a host that has it"
            ) from None
        settings = _settings(access)
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
        self._auth_url = self._auth_url or str((region.config.get("auth") or {}).get("auth_url") or "")
        return keystoneauth1.adapter.Adapter(
            session=session,
            service_type=service_type,
            interface=region.get_interface(service_type),
            region_name=region.get_region_name(service_type),
            endpoint_override=access.endpoint_override or region.get_endpoint(service_type),
            min_version=version,
            max_version=f"{version}.latest",
        )

    def get(self, path: str, timeout: float | None = None, **params: str) -> Any:
        """Send a GET request and return the JSON of the answer. ``timeout`` is in seconds."""
        return self._call("GET", path, timeout, params=params)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a PUT request and return the JSON of the answer."""
        return self._call("PUT", path, None, json=dict(body))

    def _call(self, method: str, path: str, timeout: float | None, **more: Any) -> Any:
        import keystoneauth1.exceptions as faults

        try:
            answer = self._adapter.request(
                path,
                method,
                microversion=self._microversion,
                raise_exc=False,
                timeout=timeout or self._timeout,
                connect_retries=0,
                **more,
            )
        except faults.Unauthorized:
            raise DisableError(
                f"{self._keystone} refuses the credentials (401): check auth or clouds.yaml"
            ) from None
        except (faults.EndpointNotFound, faults.EmptyCatalog) as exc:
            raise DisableError(
                f"the catalogue has no endpoint of {self.name} for this region and interface: check region_name and "
                f"interface, or give endpoint_override ({_first_line(exc)})"
            ) from None
        except faults.ConnectTimeout as exc:
            raise NoAnswer(f"{self.name} did not answer in time: {_first_line(exc)}") from None
        except faults.ConnectFailure as exc:
            raise NoAnswer(f"{self.name} cannot be reached: {_unreachable(exc)}") from None
        except faults.SSLError as exc:
            raise DisableError(
                f"no TLS connection to {self.name}: {_first_line(exc)}: give ca_cert, or correct the address"
            ) from None
        except faults.ClientException as exc:
            raise DisableError(f"the request to {self.name} failed: {_first_line(exc)}") from None
        return self._read(answer, method, path)

    @property
    def _keystone(self) -> str:
        return f"Keystone at {urlsplit(self._auth_url).netloc}" if self._auth_url else "Keystone"

    def _read(self, answer: Any, method: str, path: str) -> Any:
        status = answer.status_code
        if status in (401, 403):
            refusal = "refuses the credentials" if status == 401 else "does not allow the account to do this"
            raise DisableError(
                f"{self.name} {refusal} ({method} {path}: {status}): use an administrator's account, or one that its "
                "policy allows to list and change services"
            )
        if status >= 300:
            raise DisableError(f"{self.name} answered {method} {path} with {status}: {_fault(answer)}")
        try:
            return answer.json() if answer.content else {}
        except ValueError:
            raise DisableError(
                f"{self.name} answered {method} {path} with text that is not JSON: check endpoint_override"
            ) from None


def _settings(access: Access) -> dict[str, Any]:
    """Return the settings for openstacksdk."""
    auth = {key: value for key, value in access.auth.items() if value is not None}
    auth_type = access.auth_type
    if auth_type == "none":
        auth["endpoint"] = access.endpoint_override or auth.get("endpoint")
        if not auth["endpoint"]:
            raise DisableError(
                "auth_type none needs endpoint_override, because no catalogue gives the address"
            )
        # The plugin "none" sends a token of its own; "admin_token" sends the given one.
        auth_type = "admin_token" if auth.get("token") else "none"
    settings = {
        "cloud": access.cloud,
        "auth_type": auth_type,
        "auth": auth or None,
        "region_name": access.region_name,
        "interface": access.interface,
        "verify": access.validate_certs,
        "cacert": access.ca_cert,
        "cert": access.client_cert,
        "key": access.client_key,
    }
    return {key: value for key, value in settings.items() if value is not None}


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0].rstrip(".")[:300]


def _unreachable(exc: BaseException) -> str:
    """Return the address and the system's error, without the messages of requests and urllib3 around them."""
    why = re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", str(exc))
    return _first_line(exc).split(": ")[0] + (f" ({why.group(1)})" if why else "")


def _fault(answer: Any) -> str:
    """Return the message in the API's answer: {"badRequest": {"message": …}}."""
    try:
        (fault,) = answer.json().values()
        return str(fault["message"]).strip().rstrip(".")[:300]
    except (ValueError, KeyError, TypeError, AttributeError):
        return str(getattr(answer, "reason", "") or "no reason given")

"""Make, find and remove containers, images and volumes of podman.

Podman's service speaks Docker's interface, too. Containers are created through that, so that one description of a
container serves both engines. They are inspected through podman's own, which shows more, and put into Docker's words.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..container.spec import ASKED_LABEL, ContainerSpec, Found, Healthcheck, Image
from ..container.spelling import capability
from .common import PATIENT, QUICK
from .image_reference import ImageReference
from .podman_client import call, inspection, stream
from .podman_config import listed
from .resources import Maker

# Settings that podman gives every container by itself.
_GIVEN = {
    "environment": frozenset(("PATH", "TERM", "HOME", "HOSTNAME", "container")),
    "cap_add": frozenset(("CAP_AUDIT_WRITE",)),
}
# It hands these on from its own environment.
_PROXY = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
_HEALTH = Healthcheck((), interval=30 * 10**9, timeout=30 * 10**9, retries=3)
_MODES = frozenset(("rbind", "nosuid", "nodev", "noexec", "bind"))
_TMPFS = frozenset(("rw", "rprivate", "nosuid", "nodev", "tmpcopyup"))
# Kolla's word for a mount of podman that no volume is: a devpts, at devpts:/dev/pts.
_TERMINALS = "devpts"
# Podman labels what it makes within a unit.
_UNIT_LABEL = "PODMAN_SYSTEMD_UNIT"
_NO_NAME = re.compile(r"[0-9a-f]{64}")


class PodmanMaker(Maker):
    """Makes things on podman. ``client_timeout`` (seconds) is for calls that may take long, such as a pull."""

    def __init__(self, client_timeout: int = 120) -> None:
        super().__init__(_Client(QUICK), _Client(client_timeout), contextlib.nullcontext)

    def found(self, container_id: str) -> Found:
        """Return podman's inspection of a container in Docker's words and the image that it was made from."""
        shown = inspection(container_id)
        inspected = in_dockers_words(shown, ipc_is_hosts=shares_ipc(shown.get("OCIConfigPath") or ""))
        given = self._given(inspected)
        return Found(inspected, self.image(inspected["Image"]), self._names(), given, _HEALTH)

    def _given(self, inspected: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        variables = (variable.partition("=")[0] for variable in listed("env"))
        proxies = (*_PROXY, *map(str.upper, _PROXY))
        environment = super()._given(inspected)["environment"].union(variables, proxies)
        capabilities = map(capability, listed("default_capabilities"))
        return {
            "environment": _GIVEN["environment"] | environment,
            "cap_add": _GIVEN["cap_add"].union(capabilities),
        }

    def _body(self, spec: ContainerSpec, image: Image, labels: Mapping[str, str]) -> dict[str, Any]:
        body = super()._body(spec, image, labels)
        if spec.dimensions.get("memswap_limit") == -1:
            self.warnings.append(
                f"{spec.name}: podman does not take memswap_limit -1; memory and swap together are limited to twice "
                "mem_limit."
            )
        if not spec.privileged:
            # Kolla's images start with sudo, which needs CAP_AUDIT_WRITE; podman's default set may lack it.
            body["HostConfig"]["CapAdd"] = sorted({*spec.cap_add, *_GIVEN["cap_add"]})
        host = body["HostConfig"]
        host["Mounts"] = [
            {"Type": _TERMINALS, "Target": bind.target} for bind in spec.binds if bind.source == _TERMINALS
        ]
        host["Binds"] = [str(bind) for bind in sorted(spec.binds, key=str) if bind.source != _TERMINALS]
        return body

    def _volumes(self, spec: ContainerSpec) -> Sequence[str]:
        return [name for name in super()._volumes(spec) if name != _TERMINALS]


class _Client:
    """The methods of the docker SDK's client that a maker calls, by podman-py. ``timeout`` is in seconds."""

    def __init__(self, timeout: int) -> None:
        self._call = functools.partial(call, timeout=timeout)

    def containers(self, *, filters: Mapping[str, str] | None = None, **params: Any) -> Any:
        if filters:
            params["filters"] = json.dumps({key: [value] for key, value in filters.items()})
        return self._call("get", "/containers/json", params=params, compatible=True).json()

    def create_container_from_config(self, body: Mapping[str, Any], name: str) -> Any:
        path, params = "/containers/create", {"name": name}
        return self._call("post", path, params=params, json=body, compatible=True).json()

    def remove_container(self, container_id: str, *, v: bool = False) -> None:
        self._call("delete", f"/containers/{container_id}", params={"v": v})

    def exec_create(self, container_id: str, command: list[str], user: str) -> Any:
        body = {"Cmd": command, "User": user, "AttachStdout": True, "AttachStderr": True}
        return self._call("post", f"/containers/{container_id}/exec", json=body).json()["Id"]

    def exec_start(self, job: str) -> None:
        _ = self._call("post", f"/exec/{job}/start", json={"Detach": False, "Tty": False}).content

    def exec_inspect(self, job: str) -> Any:
        return self._call("get", f"/exec/{job}/json").json()

    def logs(self, container_id: str, **params: Any) -> Iterator[bytes]:
        """Yield the output of one stream, without the header of eight bytes before each piece."""
        response = self._call("get", f"/containers/{container_id}/logs", params=params, stream=True)
        rest = b""
        for piece in stream(response.iter_content(65536)):
            rest += piece
            while len(rest) >= 8 and len(rest) >= 8 + int.from_bytes(rest[4:8], "big"):
                length = 8 + int.from_bytes(rest[4:8], "big")
                yield rest[8:length]
                rest = rest[length:]

    def inspect_image(self, reference: str) -> Any:
        image = self._call("get", f"/images/{reference}/json").json()
        check = image.get("HealthCheck") or image.get("Healthcheck")
        config = {**(image.get("Config") or {}), "Healthcheck": check}
        return {**image, "Id": _with_kind(image["Id"]), "Config": config}

    def remove_image(self, reference: str) -> None:
        self._call("delete", f"/images/{reference}")

    def pull(
        self, repository: str, *, tag: str, auth_config: Mapping[str, str] | None = None, **_: Any
    ) -> Iterator[dict[str, Any]]:
        headers = {}
        if auth_config:
            login = json.dumps({"username": auth_config["username"], "password": auth_config["password"]})
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(login.encode()).decode()
        params = {"reference": str(ImageReference(repository, tag)), "policy": "always"}
        # Podman sends nothing while it downloads a layer, however long that takes.
        patience = (QUICK, PATIENT)
        response = call("post", "/images/pull", params=params, headers=headers, stream=True, timeout=patience)
        for line in stream(response.iter_lines()):
            if line:
                yield json.loads(line)

    def inspect_volume(self, name: str) -> Any:
        return self._call("get", f"/volumes/{name}/json").json()

    def create_volume(self, *, name: str, driver: str, labels: Mapping[str, str]) -> None:
        self._call("post", "/volumes/create", json={"Name": name, "Driver": driver, "Labels": dict(labels)})

    def remove_volume(self, name: str) -> None:
        self._call("delete", f"/volumes/{name}")


def shares_ipc(config_path: str) -> bool:
    """Return whether a container's runtime configuration leaves it in the host's IPC namespace.

    There is none before the container's first start.
    """
    try:
        with open(config_path, encoding="utf-8") as stream:
            namespaces = json.load(stream)["linux"]["namespaces"]
        return all(namespace["type"] != "ipc" for namespace in namespaces)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def in_dockers_words(inspected: Mapping[str, Any], *, ipc_is_hosts: bool = False) -> dict[str, Any]:
    """Return ``podman inspect`` as ``docker inspect`` would show the same container. Pure."""
    config, host = dict(inspected["Config"]), dict(inspected["HostConfig"])
    if isinstance(config.get("Entrypoint"), str):
        config["Entrypoint"] = shlex.split(config["Entrypoint"])
    config["StopSignal"] = str(config.get("StopSignal") or "")
    config["Labels"] = {key: text for key, text in (config.get("Labels") or {}).items() if key != _UNIT_LABEL}
    config["Volumes"] = {
        mount["Destination"]: {}
        for mount in inspected.get("Mounts") or ()
        if mount.get("Type") == "volume" and _NO_NAME.fullmatch(mount.get("Name") or "")
    }
    binds = (entry.split(":") for entry in host.get("Binds") or ())
    host["Binds"] = [_bind(entry) for entry in binds if not _NO_NAME.fullmatch(entry[0])]
    host["Tmpfs"] = {path: _words(options, _TMPFS) for path, options in (host.get("Tmpfs") or {}).items()}
    host["Ulimits"] = [
        {**limit, "Name": limit["Name"].replace("RLIMIT_", "").lower()} for limit in host.get("Ulimits") or ()
    ]
    host["CgroupnsMode"] = host.get("CgroupMode") or ""
    host["PidMode"] = "" if host.get("PidMode") == "private" else host.get("PidMode") or ""
    host["IpcMode"] = _ipc(config, host.get("IpcMode") or "", ipc_is_hosts)
    if _asked(config).get("memswap_limit") == -1:  # podman dropped it when it made the container
        host["MemorySwap"] = -1
    host["CapAdd"] = _asked(config).get("cap_add") or host.get("CapAdd")
    return {**inspected, "Image": _with_kind(inspected["Image"]), "Config": config, "HostConfig": host}


def _with_kind(image_id: str) -> str:
    return image_id if image_id.startswith("sha256:") else f"sha256:{image_id}"


def _bind(entry: Sequence[str]) -> str:
    modes = _words(entry[2], _MODES) if len(entry) > 2 else ""
    return ":".join([*entry[:2], *([modes] if modes else [])])


def _words(options: str, without: frozenset[str]) -> str:
    return ",".join(word for word in options.split(",") if word not in without)


def _ipc(config: Mapping[str, Any], shown: str, ipc_is_hosts: bool) -> str:
    """Return the mode that a container has; empty where podman does not tell.

    Podman before 4.4 shows shareable, whatever the mode is (https://github.com/containers/podman/issues/17189).
    """
    if shown != "shareable":
        return shown
    return str(_asked(config).get("ipc_mode") or "") or ("host" if ipc_is_hosts else "")


def _asked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was asked for when the container was created, where podman shows that in another way."""
    try:
        asked = json.loads((config.get("Labels") or {}).get(ASKED_LABEL) or "{}")
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}

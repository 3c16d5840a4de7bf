"""The adapters against small servers that speak like Keystone and the APIs: shapes recorded from the test stack."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("openstack", reason="no openstacksdk for this Python")

from kolla_drain.disable.apis import api_for
from kolla_drain.disable.client import Access
from kolla_drain.disable.model import DisableError, NoAnswer, Service

PROJECT = "0123456789abcdef0123456789abcdef"
COMPUTE = {
    "id": "9f373a96-adeb-4e7c-8988-14fe850f3d63",
    "binary": "nova-compute",
    "host": "vm",
    "zone": "nova",
    "status": "disabled",
    "state": "up",
    "updated_at": "2026-11-21T18:06:30.000000",
    "disabled_reason": "kolla-drain: disabled",
    "forced_down": True,
}
VOLUME = {
    "binary": "cinder-volume",
    "host": "vm@file-1",
    "zone": "nova",
    "status": "enabled",
    "state": "up",
    "updated_at": "2026-11-21T17:58:28.000000",
    "cluster": None,
    "disabled_reason": None,
    "replication_status": "disabled",
    "active_backend_id": None,
    "frozen": False,
}
SHARE = {
    "id": 3,
    "binary": "manila-share",
    "host": "vm@one",
    "zone": "nova",
    "status": "enabled",
    "state": "up",
    "updated_at": "2026-11-21T17:58:28.120000",
    "disabled_reason": None,
}
POOLS = [
    {"name": "vm@file-1#gold", "capabilities": {"volume_backend_name": "file"}},
    {"name": "vm@file-1#iron", "capabilities": {"volume_backend_name": "rust"}},
    {"name": "vm@file-2#file-2", "capabilities": {}},
]


class Cloud:
    """All of a cloud on one port. ``answers`` overrides by (method, path)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(cloud) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.split("?")[0]
                cloud.requests.append(
                    (self.command, self.path, dict(self.headers), json.loads(body or b"null"))
                )
                status, said = cloud.answers.get((self.command, path)) or cloud.usual(self.command, path)
                text = json.dumps(said).encode() if not isinstance(said, bytes) else said
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                if path == "/identity/v3/auth/tokens":
                    self.send_header("X-Subject-Token", "a-token")
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_POST = answer

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def usual(self, method: str, path: str) -> tuple[int, Any]:
        if path.rstrip("/") in ("/identity", "/identity/v3"):
            version = {
                "id": "v3.14",
                "status": "stable",
                "links": [{"rel": "self", "href": f"{self.root}/identity/v3/"}],
            }
            many = path.rstrip("/") == "/identity"
            return 200, {"versions": {"values": [version]}} if many else {"version": version}
        if path == "/identity/v3/auth/tokens":
            catalog = [
                self._endpoint("block-storage", f"{self.root}/volume/v3"),
                self._endpoint("compute", f"{self.root}/compute/v2.1"),
                # As Kolla registers Manila.
                self._endpoint("share", f"{self.root}/share/v1/{PROJECT}"),
                self._endpoint("sharev2", f"{self.root}/share/v2"),
            ]
            return 201, {
                "token": {"expires_at": "2099-01-01T00:00:00Z", "methods": ["password"], "catalog": catalog}
            }
        if method == "GET" and path.endswith("/os-services"):
            return 200, {"services": [COMPUTE if "compute" in path else VOLUME]}
        if method == "GET" and path.endswith("/v2/services"):
            return 200, {"services": [SHARE]}
        if path == "/share/v2/scheduler-stats/pools/detail":
            return 200, {"pools": [{"name": "vm@one#_pool0", "capabilities": {"share_backend_name": "ONE"}}]}
        if path.endswith("/scheduler-stats/get_pools"):
            return 200, {"pools": POOLS}
        return 200, {}

    @staticmethod
    def _endpoint(kind: str, url: str) -> dict[str, Any]:
        endpoint = {"interface": "internal", "region": "one", "region_id": "one", "url": url, "id": "e"}
        return {"type": kind, "name": kind, "id": "s", "endpoints": [endpoint]}

    @property
    def by_password(self) -> Access:
        auth = {
            "auth_url": f"{self.root}/identity",
            "username": "admin",
            "password": "secret",
            "project_name": "admin",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        return Access(auth=auth, interface="internal", region_name="one")

    def without_keystone(self, path: str, token: str | None = None) -> Access:
        return Access(
            auth_type="none", endpoint_override=self.root + path, auth={"token": token} if token else {}
        )


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.server.shutdown()
    cloud.server.server_close()


def test_nova_through_keystone(cloud: Cloud) -> None:
    api = api_for("nova-compute", cloud.by_password)

    (service,) = api.services("nova-compute")
    api.disable(service, "why")
    api.enable(service)

    assert service == Service(
        "nova-compute",
        "vm",
        enabled=False,
        up=True,
        id=str(COMPUTE["id"]),
        zone="nova",
        reason="kolla-drain: disabled",
        forced_down=True,
    )
    puts = [(path, body) for method, path, _, body in cloud.requests if method == "PUT"]
    path = f"/compute/v2.1/os-services/{COMPUTE['id']}"
    assert puts == [(path, {"status": "disabled", "disabled_reason": "why"}), (path, {"status": "enabled"})]
    headers = cloud.requests[-1][2]
    assert headers["OpenStack-API-Version"] == "compute 2.53"
    assert headers["X-Auth-Token"] == "a-token"
    assert api.pools() is None


def test_cinder_through_keystone(cloud: Cloud) -> None:
    api = api_for("cinder-volume", cloud.by_password)

    (service,) = api.services("cinder-volume")
    api.disable(service, "why")

    assert service == Service("cinder-volume", "vm@file-1", enabled=True, up=True, zone="nova")
    assert api.pools() == {"vm@file-1": frozenset({"file", "rust"}), "vm@file-2": frozenset()}
    _, path, headers, body = next(one for one in cloud.requests if one[0] == "PUT")
    assert path == "/volume/v3/os-services/disable-log-reason"
    assert body == {"binary": "cinder-volume", "host": "vm@file-1", "disabled_reason": "why"}
    assert headers["OpenStack-API-Version"] == "volume 3.7"


def test_manila_through_keystone(cloud: Cloud) -> None:
    api = api_for("manila-share", cloud.by_password)

    (service,) = api.services("manila-share")
    api.disable(service, "why")
    api.disable(service)
    api.enable(service)

    assert service == Service("manila-share", "vm@one", enabled=True, up=True, id="3", zone="nova")
    assert api.pools() == {"vm@one": frozenset({"ONE"})}
    puts = [(path, body) for method, path, _, body in cloud.requests if method == "PUT"]
    whom = {"binary": "manila-share", "host": "vm@one"}
    assert puts == [
        ("/share/v2/services/disable", {**whom, "disabled_reason": "why"}),
        ("/share/v2/services/disable", whom),
        ("/share/v2/services/enable", whom),
    ]
    assert {headers.get("X-OpenStack-Manila-API-Version") for _, path, headers, _ in cloud.requests
            if path.startswith("/share/")} == {"2.83"}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "updated_at", "up"),
    [
        ("up", "2026-11-21T17:57:28", True),
        ("up", "2026-11-21T17:57:27", False),  # it died without a word
        ("up", None, False),  # it has never reported
        ("stopped", "2026-11-21T17:58:28", False),
    ],
)
def test_a_share_service_is_up_if_its_heartbeat_is(
    cloud: Cloud, state: str, updated_at: str | None, up: bool
) -> None:
    other = {**SHARE, "host": "other@one", "state": state, "updated_at": updated_at}
    cloud.answers["GET", "/share/v2/services"] = (200, {"services": [SHARE, other]})

    listed = api_for("manila-share", cloud.by_password).services("manila-share")

    assert [service.up for service in listed] == [True, up]


def test_without_keystone_the_token_is_sent_as_it_is(cloud: Cloud) -> None:
    path = f"/volume/v3/{PROJECT}"
    api = api_for("cinder-volume", cloud.without_keystone(path, f"{PROJECT}:{PROJECT}"))

    assert api.services("cinder-volume")
    assert cloud.requests[-1][1] == f"{path}/os-services?binary=cinder-volume"
    assert cloud.requests[-1][2]["X-Auth-Token"] == f"{PROJECT}:{PROJECT}"
    assert len(cloud.requests) == 1, "nobody else is asked"


def test_without_keystone_and_without_a_token(cloud: Cloud) -> None:
    assert api_for("nova-compute", cloud.without_keystone("/compute/v2.1")).services("nova-compute")


def test_none_needs_an_address() -> None:
    with pytest.raises(DisableError, match="auth_type none needs endpoint_override"):
        api_for("nova-compute", Access(auth_type="none"))


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (401, {}, r"refuses the credentials .*401"),
        (403, {"forbidden": {"message": "no"}}, r"does not allow the account to do this .*403"),
        (404, {"itemNotFound": {"message": "Service x."}}, r"with 404: Service x$"),
        (500, b"<html>", r"with 500: Internal Server Error"),
        (200, b"<html>", "not JSON: check endpoint_override"),
    ],
)
def test_what_the_api_refuses_is_one_sentence(cloud: Cloud, status: int, said: Any, message: str) -> None:
    cloud.answers["GET", "/compute/v2.1/os-services"] = (status, said)
    api = api_for("nova-compute", cloud.by_password)

    with pytest.raises(DisableError, match=message) as caught:
        api.services("nova-compute")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_keystone_refuses(cloud: Cloud) -> None:
    cloud.answers["POST", "/identity/v3/auth/tokens"] = (401, {"error": {"message": "who?", "code": 401}})

    with pytest.raises(DisableError, match=r"Keystone at 127.0.0.1:\d+ refuses the credentials \(401\)"):
        api_for("nova-compute", cloud.by_password).services("nova-compute")


def test_a_password_in_its_address_is_not_shown(cloud: Cloud) -> None:
    cloud.answers["POST", "/identity/v3/auth/tokens"] = (401, {"error": {"message": "who?", "code": 401}})
    auth = dict(cloud.by_password.auth)
    auth["auth_url"] = auth["auth_url"].replace("//", "//u:s3cr3t@")

    with pytest.raises(DisableError, match=r"Keystone at 127.0.0.1:\d+ refuses"):
        api_for("nova-compute", Access(auth=auth)).services("nova-compute")


def test_a_catalogue_without_the_service(cloud: Cloud) -> None:
    access = Access(auth=cloud.by_password.auth, interface="public", region_name="one")

    with pytest.raises(
        DisableError, match="the catalogue has no endpoint of Nova's API for this region and interface"
    ):
        api_for("nova-compute", access).services("nova-compute")


def test_nobody_listens(cloud: Cloud) -> None:
    access = Access(auth_type="none", endpoint_override="http://127.0.0.1:9/v3/x")

    with pytest.raises(
        NoAnswer, match=r"Cinder's API cannot be reached: .*127.0.0.1:9/\S* \(Connection refused\)"
    ):
        api_for("cinder-volume", access).services("cinder-volume")


def test_a_cloud_that_is_in_no_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        DisableError, match=r"Cinder's API cannot be reached with these cloud and auth options: .*nosuch"
    ):
        api_for("cinder-volume", Access(cloud="nosuch"))


def test_a_cloud_of_clouds_yaml(cloud: Cloud, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    settings = {"auth": dict(cloud.by_password.auth), "region_name": "one", "interface": "internal"}
    (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"mine": settings}}))

    assert api_for("nova-compute", Access(cloud="mine")).services("nova-compute")


def test_pools_that_cannot_be_had_are_none(cloud: Cloud) -> None:
    cloud.answers["GET", "/volume/v3/scheduler-stats/get_pools"] = (403, {"forbidden": {"message": "no"}})

    assert api_for("cinder-volume", cloud.by_password).pools() is None

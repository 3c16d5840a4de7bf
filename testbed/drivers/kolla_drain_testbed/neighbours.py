"""Stand-ins for the Image and the Network API: as little as an instance without a network needs.

Every image asked for is there, and nothing of the network is. Images that are created (snapshots) are kept in memory.
"""

import json
import re
import uuid

from kolla_drain_testbed.images import record, schema

_IMAGE = re.compile(r"/v2/images/([0-9a-f-]{36})(/file)?\Z")
_LIST = re.compile(r"/v2\.0/([a-z-]+)(?:\.json)?\Z")
_created = {}


def _images(method, path, body):
    if path == "/v2/schemas/image":
        return 200, schema()
    if path == "/v2/images" and method == "POST":
        image = record(str(uuid.uuid4()), **{**json.loads(body), "status": "queued"})
        _created[image["id"]] = image
        return 201, image
    if path == "/v2/images":
        return 200, {"images": list(_created.values())}
    asked = _IMAGE.match(path)
    if asked is None:
        return None
    image = _created.get(asked[1]) or record(asked[1])
    if method == "DELETE":
        _created.pop(asked[1], None)
        return 204, None
    if method == "PUT":
        image["status"] = "active"
        return 204, None
    return 200, image


def _network(method, path, _body):
    asked = _LIST.match(path)
    if asked is None or method != "GET":
        return None
    return 200, {asked[1].replace("-", "_"): []}


def application(environ, start_response):
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    answer = _images(method, path, body) or _network(method, path, body) or (404, {"path": path})
    status, content = answer
    text = b"" if content is None else json.dumps(content).encode()
    start_response(
        f"{status} {'OK' if status < 400 else 'Not Found'}",
        [("Content-Type", "application/json"), ("Content-Length", str(len(text)))],
    )
    return [text]

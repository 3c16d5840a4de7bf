"""Stand-in for the Image API: images of known content, downloaded as slowly as one is told, and room for new ones.

Every image asked for is there: IMAGE_SIZE random bytes that its id makes. A download is sent in CHUNKS pieces, and
``image_chunk`` of the asker's pauses says how long each takes. Cinder's asker names itself by what stands before /v2:
nothing for the stack, /lanes/NAME for a lane. An upload is taken, counted and forgotten.
"""

import hashlib
import json
import random
import re
import time
import uuid

from kolla_drain_testbed.pauses import LOOK_EVERY, held, told

IMAGE_SIZE = 4 * 1024**2
CHUNKS = 16
_PIECE = IMAGE_SIZE // CHUNKS
_PATH = re.compile(r"(?P<asker>(/lanes/[a-z0-9]+)?)(/v2)?(?P<rest>/.*)\Z")
_IMAGE = re.compile(r"/images/([0-9a-f-]{36})(/file)?\Z")
_created = {}


def record(image_id, **more):
    """What the API tells of an image."""
    return {
        "id": image_id,
        "name": "testbed",
        "status": "active",
        "visibility": "public",
        "container_format": "bare",
        "disk_format": "raw",
        "size": 1,
        "min_disk": 0,
        "min_ram": 0,
        "protected": False,
        "owner": "testbed",
        "tags": [],
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "self": f"/v2/images/{image_id}",
        "schema": "/v2/schemas/image",
        **more,
    }


def schema():
    """The client takes for an extra property what is not named here."""
    return {
        "name": "image",
        "properties": {key: {} for key in record("")},
        "additionalProperties": {"type": "string"},
    }


def content(image_id):
    """The bytes of an image that nobody created."""
    return random.Random(image_id).randbytes(IMAGE_SIZE)


def _slowly(image_id, pauses):
    whole = content(image_id)
    for begin in range(0, IMAGE_SIZE, _PIECE):
        seconds, _ = told("image_chunk", pauses)
        while seconds and held(pauses):
            time.sleep(LOOK_EVERY)
        time.sleep(seconds)
        yield whole[begin : begin + _PIECE]


def _found(image_id):
    if image_id in _created:
        return _created[image_id]
    hashed = {"os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(content(image_id)).hexdigest()}
    return record(image_id, size=IMAGE_SIZE, **hashed)


def _create(told_of_it):
    image = record(str(uuid.uuid4()), **{**told_of_it, "status": "queued", "size": None})
    _created[image["id"]] = image
    return image


def _taken(stream, length):
    """How much was uploaded: to the length told, or to the end of the last chunk of a chunked upload."""
    size = 0
    if length:
        while size < int(length):
            size += len(stream.read(min(_PIECE, int(length) - size)))
        return size
    while True:
        left = int(stream.readline().strip() or b"0", 16)
        if not left:
            stream.readline()
            return size
        size += left
        while left:
            left -= len(stream.read(min(_PIECE, left)))
        stream.readline()


def _upload(image_id, environ):
    image = _created.setdefault(image_id, record(image_id))
    image["status"] = "saving"
    image["size"] = _taken(environ["wsgi.input"], environ.get("CONTENT_LENGTH"))
    image["status"] = "active"


def _json(start_response, status, body=None):
    text = b"" if body is None else json.dumps(body).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
    start_response(f"{status} {'OK' if status < 400 else 'Not Found'}", headers)
    return [text]


def _body(environ):
    return json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")


def application(environ, start_response):
    """GET, POST, PATCH, DELETE of images, and their files."""
    method, asked = environ["REQUEST_METHOD"], _PATH.match(environ["PATH_INFO"].rstrip("/"))
    rest = asked["rest"] if asked else ""
    if rest == "/versions":
        return _json(start_response, 200, {"versions": [{"id": "v2.9", "status": "CURRENT"}]})
    if rest == "/schemas/image":
        return _json(start_response, 200, schema())
    if rest == "/images":
        if method == "POST":
            return _json(start_response, 201, _create(_body(environ)))
        return _json(start_response, 200, {"images": list(_created.values())})
    image = _IMAGE.match(rest)
    if not image:
        return _json(start_response, 404, {"error": {"message": environ["PATH_INFO"]}})
    if image[2]:
        return _file(method, image[1], asked["asker"], environ, start_response)
    if method == "DELETE":
        _created.pop(image[1], None)
        return _json(start_response, 204)
    if method == "PATCH":
        _body(environ)
    return _json(start_response, 200, _found(image[1]))


def _file(method, image_id, asker, environ, start_response):
    if method == "PUT":
        _upload(image_id, environ)
        return _json(start_response, 204)
    headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(IMAGE_SIZE))]
    start_response("200 OK", headers)
    return _slowly(image_id, f"/var/lib/cinder{asker}/pauses.json")

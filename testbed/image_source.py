"""The stand-in for the Image API, as tests see it; drivers/kolla_drain_testbed/images.py is what runs.

image = stack.images.new()
stack.set_pause("image_chunk", 2)  # a download has 16 chunks
volume = stack.api.create_volume(1, backend="file-1", image_id=image)
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import requests

from testbed.errors import TestbedError

CHUNKS = 16


class ImageSource:
    """Every image asked for is there, with random content of its own."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}/v2"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy for our own machine

    def healthy(self) -> bool:
        """Return whether the API answers."""
        return self._session.get(f"{self.base}/schemas/image", timeout=5).status_code == 200

    @staticmethod
    def new() -> str:
        """Return the id of an image that nobody has asked for yet."""
        return str(uuid.uuid4())

    def get(self, image_id: str) -> dict[str, Any]:
        """Return the API's record of the image."""
        answer = self._session.get(f"{self.base}/images/{image_id}", timeout=30)
        if answer.status_code >= 400:
            raise TestbedError(f"GET image {image_id}: {answer.status_code} {answer.text[:400]}")
        found: dict[str, Any] = answer.json()
        return found

    def is_in(self, file: Path, image_id: str) -> bool:
        """Return whether the volume's file begins with the whole image."""
        image = self.get(image_id)
        with file.open("rb") as stream:
            begin = stream.read(image["size"])
        return hashlib.sha512(begin).hexdigest() == str(image["os_hash_value"])

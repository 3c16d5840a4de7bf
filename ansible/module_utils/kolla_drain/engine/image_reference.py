"""Names of images and registries, as people write them and as engines want them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOCKER_HUB = "docker.io"
_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")


@dataclass(frozen=True)
class ImageReference:
    """An image by its name, with the tag or the digest that it has at a registry, or by its id alone."""

    repository: str  # with the registry, if one is named; or the id of an image
    version: str = ""  # tag or digest; a digest has a colon in it, and a tag cannot

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a reference; one with neither tag nor digest gets the tag latest."""
        if _ID.fullmatch(text):
            return cls(text)
        if "@" in text:
            repository, _, digest = text.partition("@")
            return cls(repository, digest) if ":" in digest else cls(text)
        repository, colon, tag = text.rpartition(":")
        return cls(repository, tag) if colon and tag and "/" not in tag else cls(text, "latest")

    def __str__(self) -> str:
        """Return the full reference."""
        separator = "@" if ":" in self.version else ":" if self.version else ""
        return f"{self.repository}{separator}{self.version}"

    @property
    def registry(self) -> str:
        """The host, and port if there is one, that the image is pulled from."""
        host, slash, _ = self.repository.partition("/")
        return host if slash and ("." in host or ":" in host or host == "localhost") else _DOCKER_HUB


def registry_host(address: str) -> str:
    """Return the registry of an address that has a scheme, a path, or one of Docker Hub's old hosts."""
    host = re.sub(r"^https?://", "", address).partition("/")[0]
    return _DOCKER_HUB if host in ("", "index.docker.io", "registry-1.docker.io") else host

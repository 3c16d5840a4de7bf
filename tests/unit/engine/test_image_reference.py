"""Names of images and registries: what is read out of them, and what an engine is asked for."""

from __future__ import annotations

import pytest

from kolla_drain.engine.image_reference import ImageReference, registry_host

ID = "3f" * 32
DIGEST = f"sha256:{ID}"


@pytest.mark.parametrize(
    ("text", "full", "repository", "version", "registry"),
    [
        ("cinder-volume", "cinder-volume:latest", "cinder-volume", "latest", "docker.io"),
        ("kolla/cinder:2026.1", "kolla/cinder:2026.1", "kolla/cinder", "2026.1", "docker.io"),
        ("quay.io/kolla/cinder", "quay.io/kolla/cinder:latest", "quay.io/kolla/cinder", "latest", "quay.io"),
        ("host:5000/cinder", "host:5000/cinder:latest", "host:5000/cinder", "latest", "host:5000"),
        ("host:5000/cinder:1", "host:5000/cinder:1", "host:5000/cinder", "1", "host:5000"),
        ("localhost/cinder:1", "localhost/cinder:1", "localhost/cinder", "1", "localhost"),
        (f"quay.io/cinder@{DIGEST}", f"quay.io/cinder@{DIGEST}", "quay.io/cinder", DIGEST, "quay.io"),
        (f"cinder:1@{DIGEST}", f"cinder:1@{DIGEST}", "cinder:1", DIGEST, "docker.io"),
        (DIGEST, DIGEST, DIGEST, "", "docker.io"),
        (ID, ID, ID, "", "docker.io"),
        ("deadbeef0123", "deadbeef0123", "deadbeef0123", "", "docker.io"),
        ("deadbeef", "deadbeef:latest", "deadbeef", "latest", "docker.io"),
        ("cinder@", "cinder@", "cinder@", "", "docker.io"),
    ],
)
def test_a_reference(text: str, full: str, repository: str, version: str, registry: str) -> None:
    reference = ImageReference.parse(text)
    assert str(reference) == full
    assert (reference.repository, reference.version, reference.registry) == (repository, version, registry)
    assert ImageReference.parse(full) == reference


def test_a_tag_that_is_empty_is_left_for_the_engine_to_refuse() -> None:
    assert str(ImageReference.parse("cinder:")) == "cinder::latest"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("", "docker.io"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("quay.io", "quay.io"),
        ("http://registry.example:4000/v2/", "registry.example:4000"),
    ],
)
def test_the_registry_of_an_address(address: str, host: str) -> None:
    assert registry_host(address) == host

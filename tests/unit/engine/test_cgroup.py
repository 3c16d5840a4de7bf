"""Which processes belong to a container, by their cgroups."""

from __future__ import annotations

import builtins
import io

import pytest

from kolla_drain.engine import cgroup

ID = "ffc0bd06188bc52d0e66803802f741aa47c173288785467a173c1b74f736f249"


@pytest.mark.parametrize(
    ("path", "belongs"),
    [
        (f"8:pids:/docker/{ID}", True),
        (f"0::/system.slice/docker-{ID}.scope", True),
        (f"8:pids:/libpod_parent/libpod-{ID}", True),
        (f"0::/machine.slice/libpod-{ID}.scope/container", True),
        # What podman leaves beside a container, to report its end: it must outlive it.
        (f"0::/machine.slice/libpod-conmon-{ID}.scope", False),
        ("8:pids:/libpod_parent/conmon", False),
        ("0::/init.scope", False),
    ],
)
def test_who_belongs_to_a_container(monkeypatch, path, belongs):
    monkeypatch.setattr(builtins, "open", lambda *_, **__: io.StringIO(path))
    assert cgroup._belongs(1, ID) is belongs

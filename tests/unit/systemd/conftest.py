"""Units, their files and their holds over a made-up systemd."""

from __future__ import annotations

import pytest

from kolla_drain.systemd import units
from kolla_drain.systemd.hold import Holds
from kolla_drain.systemd.install import UnitFiles
from kolla_drain.systemd.systemctl import Systemctl
from kolla_drain.systemd.units import Units

from .fake import FakeSystemd


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    monkeypatch.setattr(units, "_watched", set())
    for name in ("booted", "etc", "run"):
        (tmp_path / name).mkdir()
    return FakeSystemd(tmp_path)


@pytest.fixture
def holds(systemd):
    return Holds(Systemctl(systemd), str(systemd.path / "run"), str(systemd.path / "records"))


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def host(systemd, holds, now):
    def wait(seconds):
        now[0] += seconds

    return Units(Systemctl(systemd), str(systemd.path / "booted"), holds, wait, lambda: now[0])


@pytest.fixture
def files(systemd, host):
    return UnitFiles(host, str(systemd.path / "etc"))

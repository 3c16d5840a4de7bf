"""A service's own time-outs: which are out of order, and how they are put right in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolla_drain.errors import ConfigError
from kolla_drain.service import config as service_config
from kolla_drain.service import timeouts
from kolla_drain.service.config import ServiceConfig

STATED = frozenset({"graceful_shutdown_timeout"})


def config(graceful: int, manager: int | None = None, stated: frozenset[str] = STATED) -> ServiceConfig:
    return ServiceConfig(
        "a-service",
        "a-host",
        graceful_shutdown_timeout=graceful,
        manager_shutdown_timeout=manager,
        stated=stated,
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(config(600), [], id="below ours, as somebody chose"),
        pytest.param(config(30), [], id="far below ours, but chosen"),
        pytest.param(
            config(60, stated=frozenset()), [("graceful_shutdown_timeout", 870, False)], id="a short default"
        ),
        pytest.param(config(900), [("graceful_shutdown_timeout", 870, True)], id="as long as ours"),
        pytest.param(config(0), [("graceful_shutdown_timeout", 870, True)], id="endless"),
        pytest.param(config(600, manager=160), [], id="all in order"),
        pytest.param(
            config(150, manager=160), [("manager_shutdown_timeout", 130, True)], id="the manager's above"
        ),
        pytest.param(
            config(1000, manager=900),
            [("graceful_shutdown_timeout", 870, True), ("manager_shutdown_timeout", 850, True)],
            id="both above ours",
        ),
        pytest.param(
            config(900, manager=0), [("graceful_shutdown_timeout", 870, True)], id="no wait is below all"
        ),
    ],
)
def test_what_should_be_changed(given: ServiceConfig, expected: list[tuple[str, int, bool]]) -> None:
    found = timeouts.wanted(given, ours=900, margin=30)
    assert [(change.option, change.wanted, change.wrong) for change in found] == expected


@pytest.mark.parametrize(("ours", "margin"), [(10, 30), (1, 0), (5, 5)])
def test_no_time_out_is_below_a_second(ours: int, margin: int) -> None:
    assert all(change.wanted >= 1 for change in timeouts.wanted(config(900, manager=900), ours, margin))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[DEFAULT]\nhost = a\n", "[DEFAULT]\nx = 5\nhost = a\n", id="new"),
        pytest.param("[DEFAULT]\nx = 1\nhost = a\n", "[DEFAULT]\nx = 5\nhost = a\n", id="there"),
        pytest.param("[DEFAULT]\nx=1\nx: 2\n", "[DEFAULT]\nx=1\nx = 5\n", id="twice: the later counts"),
        pytest.param("[a]\nx = 1\n", "[DEFAULT]\nx = 5\n[a]\nx = 1\n", id="in another section only"),
        pytest.param("[a]\nx = 1\n[DEFAULT]\n", "[a]\nx = 1\n[DEFAULT]\nx = 5\n", id="DEFAULT comes later"),
        pytest.param(
            "[DEFAULT]\n#x = 1\nxy = 2\n", "[DEFAULT]\nx = 5\n#x = 1\nxy = 2\n", id="comments and likes"
        ),
        pytest.param("x = 1\n", "x = 5\n", id="before any section"),
        pytest.param("", "[DEFAULT]\nx = 5\n", id="empty"),
        pytest.param("[DEFAULT]", "[DEFAULT]\nx = 5\n", id="no end of line"),
    ],
)
def test_one_option_is_edited_and_nothing_else(text: str, expected: str) -> None:
    assert timeouts.edited(text, "x", 5) == expected


def test_the_file_is_written_in_place_and_read_back(tmp_path: Path) -> None:
    pytest.importorskip("oslo_config")
    path = tmp_path / "cinder.conf"
    path.write_text(
        "[DEFAULT]\nhost = a\ngraceful_shutdown_timeout = 900\n[database]\nconnection = mysql://x\n"
    )
    path.chmod(0o640)
    inode = path.stat().st_ino
    changes = timeouts.wanted(service_config.load([str(path)], "cinder-volume"), 300, 30)

    timeouts.apply([str(path)], changes, write=False)
    assert "900" in path.read_text()
    timeouts.apply([str(path)], changes, write=True)

    after = service_config.load([str(path)], "cinder-volume")
    assert (after.graceful_shutdown_timeout, after.host) == (270, "a")
    assert timeouts.wanted(after, 300, 30) == []
    assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (inode, 0o640)


def test_a_file_that_cannot_be_changed_is_a_sentence(tmp_path: Path) -> None:
    changes = timeouts.wanted(config(900), 300, 30)
    with pytest.raises(ConfigError, match="could not be changed: No such file"):
        timeouts.apply([str(tmp_path / "none.conf")], changes, write=True)

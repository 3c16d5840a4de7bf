"""A service's own time-outs: which are out of order, and what they should be."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from kolla_drain.service import timeouts
from kolla_drain.service.config import Limit, ServiceConfig

STATED = frozenset({"graceful_shutdown_timeout"})


def config(graceful: int, manager: int | None = None, stated: frozenset[str] = STATED) -> ServiceConfig:
    return ServiceConfig(
        "a-service",
        "a-host",
        graceful_shutdown_timeout=graceful,
        manager_shutdown_timeout=manager,
        stated=stated,
    )


def wanted(given: ServiceConfig, ours: int, margin: int) -> list[tuple[str, int]]:
    """The options that should have another value, and that value."""
    text = re.compile(r"a-service: \[DEFAULT\]/(\w+) is \d+ s and should be (\d+) s: .+\.")
    found = [text.fullmatch(one) for one in timeouts.findings(given, ours, margin)]
    return [(one[1], int(one[2])) for one in found if one]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(config(600), [], id="below ours, as somebody chose"),
        pytest.param(config(30), [], id="far below ours, but chosen"),
        pytest.param(
            config(60, stated=frozenset()), [("graceful_shutdown_timeout", 870)], id="a short default"
        ),
        pytest.param(config(900), [("graceful_shutdown_timeout", 870)], id="as long as ours"),
        pytest.param(config(0), [("graceful_shutdown_timeout", 870)], id="endless"),
        pytest.param(config(600, manager=160), [], id="all in order"),
        pytest.param(
            config(150, manager=150), [("manager_shutdown_timeout", 130)], id="the manager's as long"
        ),
        pytest.param(config(150, manager=160), [("manager_shutdown_timeout", 130)], id="the manager's above"),
        pytest.param(
            config(1000, manager=900),
            [("graceful_shutdown_timeout", 870), ("manager_shutdown_timeout", 850)],
            id="both above ours",
        ),
        pytest.param(config(900, manager=0), [("graceful_shutdown_timeout", 870)], id="no wait is below all"),
    ],
)
def test_what_should_be_changed(given: ServiceConfig, expected: list[tuple[str, int]]) -> None:
    assert wanted(given, ours=900, margin=30) == expected


@pytest.mark.parametrize(("ours", "margin"), [(10, 30), (1, 0), (5, 5)])
def test_no_time_out_is_below_a_second(ours: int, margin: int) -> None:
    assert all(seconds >= 1 for _, seconds in wanted(config(900, manager=900), ours, margin))


def test_every_limit_of_the_service_is_told() -> None:
    more = (Limit("[conductor]/graceful_shutdown_timeout", 60, False), Limit("[conductor]/chosen", 60, True))
    own, others = timeouts.findings(replace(config(60, stated=frozenset()), more_limits=more), 900, 30)
    assert own.startswith("a-service: [DEFAULT]/graceful_shutdown_timeout is 60 s and should be 870 s")
    assert others.startswith("a-service: [conductor]/graceful_shutdown_timeout is 60 s and should be 870 s")


def test_a_service_without_a_limit_has_nothing_to_be_told() -> None:
    assert timeouts.findings(replace(config(60), graceful_shutdown_timeout=None), 900, 30) == []

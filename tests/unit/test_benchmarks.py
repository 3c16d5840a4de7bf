"""Intervals, and how the comparison of ways charges requests to stops, goes on after an interruption and reports."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, database_load, speed_page, ways_page
from benchmarks.compare import Cell, Results, Stop
from benchmarks.interval import difference, median, wilson
from testbed import traffic
from testbed.traffic import Lost, Request, Thing

CELL = Cell("cinder-volume", "threads", "kolla_docker", 0.3, 0.5)


# The examples of Newcombe, Statistics in Medicine 17 (1998), pages 861 and 877.
@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson(hits: int, trials: int, low: float, high: float) -> None:
    assert wilson(hits, trials) == pytest.approx((low, high), abs=0.00006)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
    ],
)
def test_difference(first: tuple[int, int], second: tuple[int, int], low: float, high: float) -> None:
    assert difference(*first, *second) == pytest.approx((low, high), abs=0.00006)


def test_no_trial_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert difference(0, 0, 3, 40) == (-1.0, 1.0)


def test_more_hits_than_trials_is_an_error() -> None:
    with pytest.raises(ValueError, match="4 of 3"):
        wilson(4, 3)


# The ranks of the usual tables of the sign test.
@pytest.mark.parametrize(
    ("count", "low", "high"), [(1, 1, 1), (5, 1, 5), (6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (20, 6, 15)]
)
def test_the_interval_of_a_median(count: int, low: int, high: int) -> None:
    values = [float(one) for one in range(count, 0, -1)]
    assert median(values) == ((count + 1) / 2, low, high)


def test_a_figure_is_compared_with_the_same_round_and_case_only() -> None:
    samples = [
        {"round": 0, "drain": 0, "way": "ping", "over": 1.0},
        {"round": 0, "drain": 0, "way": "ours", "over": 1.5},
        {"round": 0, "drain": 1, "way": "ours", "over": 9.0},
        {"round": 1, "drain": 0, "way": "ping", "over": 2.0},
        {"round": 1, "drain": 0, "way": "ours", "over": 2.25},
        {"round": 2, "drain": 0, "way": "ours", "over": None},
    ]
    assert speed_page.against(samples, "over", "ours", "ping") == [0.5, 0.25]
    assert speed_page.against(samples, "over", "ours") == [1.5, 9.0, 2.25]


def _stop(begun: float) -> Stop:
    return Stop(begun, signalled=begun + 1, exited=begun + 3, started=begun + 4, served=begun + 8)


def _request(sent: float, settled: float, state: str = traffic.DONE) -> Request:
    thing = Thing("volume", "id", "backend")
    return Request("volume_create", thing, sent, lambda _: "", settled=settled, state=state)


@pytest.mark.parametrize(
    ("request_", "met"),
    [
        (_request(100.1, 100.9), [0, 0]),  # done before the first signal
        (_request(100.9, 101.5), [1, 0]),  # in flight at the signal
        (_request(102, 109), [1, 0]),  # sent between the signal and the exit
        (_request(107, 109), [1, 0]),  # sent before the service served again
        (_request(109, 110), [0, 0]),  # between two stops
        (_request(120, 122), [0, 1]),
        (_request(100.5, 100.6, traffic.LOST), [1, 0]),  # lost, whenever that was noticed
        (_request(130, 131), [0, 0]),  # after the last stop
    ],
)
def test_a_request_is_charged_to_the_stop_that_it_met(request_: Request, met: list[int]) -> None:
    stops = [_stop(100), _stop(120)]

    compare.count(stops, [request_], [])

    assert [one.met for one in stops] == met


def test_a_loss_is_charged_to_the_stop_that_it_met() -> None:
    stops = [_stop(100), _stop(120)]
    lost = [
        Lost("volume_create", "1", 102.0, 102.5, "volume creating"),
        Lost("volume_extend", "2", 121.5, 121.6, "volume extending"),
        Lost("volume_extend", "3", 130.0, 130.1, "volume extending"),
    ]

    compare.count(stops, [], lost)

    assert [one.lost for one in stops] == [Counter(volume_create=1), Counter(volume_extend=2)]


def test_when_a_lost_request_was_sent() -> None:
    lost = Lost("volume_create", "1", 120.75, 121.25, "volume creating")

    said = compare.when(lost, _stop(120))

    assert said == (
        "sent 0.25 s before the signal, answered 0.25 s after the signal and 1.75 s before the exit"
    )


@pytest.mark.parametrize(
    ("sent", "answered", "phase"),
    [
        (120.5, 120.9, ways_page.BEFORE),
        (120.75, 121.25, ways_page.STOPPING),
        (120.75, 0, ways_page.STOPPING),  # never answered
        (122.9, 123.5, ways_page.STOPPING),
        (123.5, 124.5, ways_page.AWAY),
        (126, 126.1, ways_page.STARTING),
    ],
)
def test_in_which_part_of_a_stop_a_lost_request_came(sent: float, answered: float, phase: str) -> None:
    assert compare.phase(Lost("volume_create", "1", sent, answered, ""), _stop(120)) == phase


def _round(way: str, stops: list[dict[str, int]], mode: str = "threads") -> dict[str, Any]:
    figures = []
    for lost in stops:
        stop = _stop(100)
        stop.met, stop.lost = 5, Counter(lost)
        figures.append(stop.figures())
    return {
        "service": "cinder-volume", "mode": mode, "way": way, "operation": 0.3, "rate": 0.5,
        "seed": 4000, "made": "2026-11-29 10:00 UTC",
        "load": 2.5, "commit": "abc", "failed": "", "accepted": 60, "quota": [], "strays": 0, "stops": figures,
        "lost": [
            {"kind": kind, "why": "volume extending", "when": "sent", "phase": ways_page.BEFORE}
            for lost in stops for kind in lost
        ],
    }  # fmt: skip


ABOUT = {
    "versions": {"cinder": "29.0.0"},
    "machine": "2 cores",
    "lanes": 1,
    "service_timeout": 60,
}


def test_an_interrupted_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "ways.json"
    results = Results(file, ABOUT, [])
    results.add(_round("kolla_docker", [{}] * 10))
    results.add(_round("kolla_docker", [{}] * 3))
    again = Results(file, ABOUT, json.loads(file.read_text())["rounds"])
    other = Cell("cinder-volume", "threads", "docker-stop", 0.3, 0.5)

    todo = compare.tasks(again, [CELL, other], stops=25, size=10, seed=4)

    assert sorted(one.stops for one in todo if one.cell == CELL) == [2, 10]
    assert sorted(one.stops for one in todo if one.cell == other) == [5, 10, 10]
    # Both are measured in each part of the run.
    assert {one.cell for one in todo[:2]} == {CELL, other}
    assert len({(one.cell, one.seed) for one in todo}) == len(todo)


def test_the_file_has_one_line_a_stop_and_reads_back() -> None:
    data = {
        **ABOUT,
        "rounds": [_round("docker-stop", [{}, {"volume_extend": 1}]), _round("kolla_docker", [])],
    }

    text = compare.as_json(data)

    assert json.loads(text) == data
    assert sum('"waited"' in one for one in text.splitlines()) == 2


def _page(ours: int, theirs: int, stops: int = 40) -> str:
    def made(lossy: int) -> list[dict[str, int]]:
        return [{"volume_extend": 1}] * lossy + [{}] * (stops - lossy)

    return ways_page.page(
        {**ABOUT, "rounds": [_round("kolla_docker", made(ours)), _round("docker-stop", made(theirs))]}
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "claim"),
    [
        (2, 15, "loses requests at fewer stops than"),
        (15, 2, "loses requests at **more** stops than"),
        (2, 5, "no difference is shown"),
        (0, 0, "no difference is shown"),
    ],
)
def test_a_difference_is_claimed_only_where_the_interval_shows_it(ours: int, theirs: int, claim: str) -> None:
    page = _page(ours, theirs)

    assert claim in page
    assert f"{ours} of 40" in page


def test_an_incomplete_run_says_so_and_claims_nothing() -> None:
    page = _page(0, 10, stops=10)

    assert "This run is not complete: 2 of 2 cells have 10 stops instead of 40." in page
    assert "nothing is claimed: 10 and 10 stops are too few" in page
    assert "fewer stops than" not in page


def test_a_complete_run_has_no_warning() -> None:
    assert "warning" not in _page(2, 15)


@pytest.mark.parametrize(
    ("took", "readings"), [(0.005, range(28, 40)), (0.3, range(18, 26)), (5.0, range(12, 16))]
)
def test_how_often_a_stop_of_three_minutes_reads(took: float, readings: range) -> None:
    assert database_load.pace_of_a_stop(took) in readings


def test_the_page_of_the_load() -> None:
    one = {
        "service": "nova-compute",
        "hosts": 1000,
        "rows": 465,
        "p50": 0.004,
        "p99": 0.01,
        "processor": 0.002,
    }
    many = {
        "service": "nova-compute",
        "played": 40,
        "rate": 13.0,
        "p50": 0.04,
        "p99": 0.5,
        "failed": 3,
        "peak": 3.5,
    }
    many |= {"connections": 40, "share": 0.09, "by_pace": 180.0, "share_by_pace": 0.36}
    about = {"made": "now", "commit": "c0ffee", "machine": "2 cores", "load_at_first": 0.4, "hosts": 1000}
    told = database_load.page({**about, "readings": [one], "loads": [many, {**many, "slow": True}]})
    cells = " ".join(told.replace("   * - ", "     - ").split("     - ")).split("\n")
    assert {"1,000", "465", "4.0 ms", "10.0 ms", "2.00 ms"} <= {cell.strip() for cell in cells}
    assert told.count("36%, 180 readings a second") == 1
    assert (
        "40 nova-compute at once, at most 5% of a core: **not met**, 36%. The floor is one reading, 2.0 ms"
        in told
    )
    assert "once in 2 s" in told
    assert told.count("40 nova-compute, slow server") == 1

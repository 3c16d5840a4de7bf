"""Dead operations are told from slow ones by worker rows that stand still, where rows are refreshed at all."""

from __future__ import annotations

from dataclasses import replace

from kolla_drain.drain.freshness import Freshness
from kolla_drain.model import Operation

LIMIT = 60.0  # service_down_time
ROW = Operation("volume_create", "d1ce", "creating", claimed=True, touched="0")
OTHER = replace(ROW, id="ca5e")


def beats(freshness, row, moments):
    """Feed readings in each of which the row has been touched since the one before."""
    for moment in moments:
        freshness.update([replace(row, touched=str(moment))], moment)


def stands(freshness, rows, moments):
    for moment in moments:
        freshness.update(rows, moment)


def test_in_stock_cinder_age_means_nothing():
    freshness = Freshness(False, LIMIT)
    stands(freshness, [ROW], range(0, 10_000, 100))
    assert not freshness.refreshes
    assert freshness.dead(10_000) == frozenset()


def test_one_move_can_be_the_tail_of_a_status_change():
    freshness = Freshness(False, LIMIT)
    beats(freshness, ROW, [0, 10])
    assert not freshness.refreshes
    stands(freshness, [replace(ROW, touched="10")], range(20, 500, 10))
    assert freshness.dead(500) == frozenset()


def test_a_row_that_moves_twice_is_refreshed():
    freshness = Freshness(False, LIMIT)
    beats(freshness, ROW, [0, 10, 20])
    assert freshness.refreshes


def test_two_rows_that_move_once_each_prove_nothing():
    freshness = Freshness(False, LIMIT)
    freshness.update([ROW, OTHER], 0)
    freshness.update([replace(ROW, touched="1"), replace(OTHER, touched="1")], 10)
    assert not freshness.refreshes


def test_a_move_with_another_status_is_no_refresh():
    freshness = Freshness(False, LIMIT)
    for number, status in enumerate(["creating", "downloading", "creating", "downloading"]):
        freshness.update([replace(ROW, status=status, touched=str(number))], number * 10)
    assert not freshness.refreshes


def test_a_claim_is_no_refresh():
    freshness = Freshness(False, LIMIT)
    for number, claimed in enumerate([False, True, False, True]):
        freshness.update([replace(ROW, claimed=claimed, touched=str(number))], number * 10)
    assert not freshness.refreshes


def test_a_first_touch_is_no_refresh():
    freshness = Freshness(False, LIMIT)
    freshness.update([replace(ROW, touched=None)], 0)
    freshness.update([replace(ROW, touched="1")], 10)
    freshness.update([replace(ROW, touched="2")], 20)
    assert not freshness.refreshes


def test_a_refreshed_row_that_stands_still_is_dead_after_service_down_time():
    freshness = Freshness(False, LIMIT)
    beats(freshness, ROW, [0, 10, 20])
    stands(freshness, [replace(ROW, touched="20")], [50, 80])
    assert freshness.dead(80) == frozenset()  # exactly service_down_time is not longer
    assert freshness.dead(80.1) == {ROW.key}


def test_a_row_that_moves_is_not_dead_whatever_its_age():
    freshness = Freshness(True, LIMIT)
    beats(freshness, ROW, range(0, 5000, 50))
    assert freshness.dead(5000) == frozenset()


def test_a_dead_row_that_moves_again_lives():
    freshness = Freshness(True, LIMIT)
    stands(freshness, [ROW], [0, 100])
    assert freshness.dead(100) == {ROW.key}
    freshness.update([replace(ROW, touched="101")], 101)
    assert freshness.dead(101) == frozenset()


def test_the_profile_says_that_rows_are_refreshed():
    freshness = Freshness(True, LIMIT)
    stands(freshness, [ROW], [0, 61])
    assert freshness.dead(61) == {ROW.key}


def test_standing_still_counts_from_the_first_look():
    """How long a row stood before anybody looked would need the clocks of two machines."""
    freshness = Freshness(True, LIMIT)
    freshness.update([replace(ROW, touched="2020-01-01T00:00:00Z")], 1000)
    assert freshness.dead(1000) == frozenset()


def test_a_change_of_status_counts_as_life():
    freshness = Freshness(True, LIMIT)
    freshness.update([ROW], 0)
    freshness.update([replace(ROW, status="downloading")], 50)
    assert freshness.dead(100) == frozenset()
    assert freshness.dead(111) == {ROW.key}


def test_an_outage_is_not_standing_still():
    freshness = Freshness(True, LIMIT)
    freshness.update([ROW], 0)
    freshness.blind(50)
    freshness.blind(500)
    freshness.update([ROW], 550)
    assert freshness.dead(550) == frozenset()
    assert freshness.dead(561) == {ROW.key}


def test_a_row_that_nobody_has_taken_is_not_refreshed_by_anybody():
    freshness = Freshness(True, LIMIT)
    stands(freshness, [replace(ROW, claimed=False), replace(OTHER, claimed=None)], [0, 1000])
    assert freshness.dead(1000) == frozenset()


def test_a_row_without_a_time_cannot_stand_still():
    freshness = Freshness(True, LIMIT)
    stands(freshness, [replace(ROW, touched=None)], [0, 1000])
    assert freshness.dead(1000) == frozenset()


def test_only_the_one_that_stands_still_is_dead():
    freshness = Freshness(False, LIMIT)
    for moment in range(0, 100, 10):
        freshness.update([replace(ROW, touched=str(moment)), OTHER], moment)
    assert freshness.dead(90) == {OTHER.key}


def test_a_row_that_went_is_forgotten():
    freshness = Freshness(True, LIMIT)
    stands(freshness, [ROW], [0, 100])
    freshness.update([], 110)
    assert freshness.dead(110) == frozenset()
    freshness.update([ROW], 120)
    assert freshness.dead(120) == frozenset()

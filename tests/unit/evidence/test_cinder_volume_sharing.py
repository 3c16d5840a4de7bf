"""How fast a row of services may grow that one process reports in."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from kolla_drain.evidence.cinder_backup import CinderBackup
from kolla_drain.evidence.cinder_volume_sharing import Reporters, doubt_of
from kolla_drain.model import Heartbeat
from kolla_drain.service.config import Backend, ServiceConfig

BEGUN = datetime(2026, 11, 29, 12, 0, 0)
HOST = "rbd:volumes@rbd-1"


def row(count, at, created=-86400.0, age=0):
    """The row as it is read at so many seconds, ``age`` seconds after a report."""
    report = BEGUN + timedelta(seconds=at - age)
    created_at = None if created is None else BEGUN + timedelta(seconds=created)
    return {"host": HOST, "report_count": count, "updated_at": report, "created_at": created_at, "age": age}


def grown(interval, *readings):
    reporters = Reporters()
    for reading in readings:
        reporters.update([reading], interval)
    return HOST in reporters.shared


@pytest.mark.parametrize("interval", [1, 10, 120])
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_show_within_a_few_intervals(interval, processes):
    seen = next(
        at
        for at in range(9 * interval)
        if grown(interval, row(100, 0), row(100 + processes * at // interval, at))
    )
    assert seen <= 4 * interval + 3


@pytest.mark.parametrize("interval", [1, 10, 120])
@pytest.mark.parametrize("phase", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("rounded", [-0.9, 0.0, 0.9])
def test_one_process_never_does(interval, phase, rounded):
    """Whenever it is read, even if one report came late and the next one on its heels."""
    for at in range(1, 20 * interval):
        reports = int(at / interval + phase) + 1
        assert not grown(interval, row(100, 0), row(100 + reports, at + min(0, rounded)))


def test_the_time_of_the_reading_counts_and_not_that_of_the_report():
    """A report that came long before the first reading says that none came since."""
    assert not grown(10, row(100, 0, age=50), row(103, 30))
    assert grown(10, row(100, 0, age=50), row(108, 50))


def test_it_stays_shared_though_a_sibling_ends():
    reporters = Reporters()
    for reading in (row(100, 0), row(110, 30), row(110, 600)):
        reporters.update([reading], 10)
    assert reporters.shared == {HOST}


@pytest.mark.parametrize("broken", [{"report_count": None}, {"updated_at": None}])
def test_what_says_nothing_is_left_out(broken):
    assert not grown(10, {**row(0, 0), **broken}, row(100, 1))
    assert not grown(0, row(0, 0), row(100, 1))


@pytest.mark.parametrize(
    ("count", "created", "suspected"),
    [
        (8640, -86400.0, None),  # one process since it was created, and no more can be
        (8000, -86400.0, None),
        (17280, -86400.0, True),  # two
        (12000, -86400.0, None),  # for a while its report_interval was shorter
        (10**6, None, None),
    ],
)
def test_a_count_that_is_too_high_for_the_age_of_its_row(count, created, suspected):
    reporters = Reporters()
    reporters.update([row(count, 0, created)], 10)
    assert (HOST in reporters.suspected) is bool(suspected)


@pytest.mark.parametrize(
    ("backend_host", "count", "shared"),
    [("ctl", 1, False), ("rbd:volumes", 1, None), ("ctl", 10**6, None)],
)
def test_what_is_told_of_a_row(backend_host, count, shared):
    config = ServiceConfig("cinder-volume", "ctl", backends=(Backend("rbd-1", backend_host),))
    host = f"{backend_host}@rbd-1"
    reporters = Reporters()
    reporters.update([{**row(count, 0), "host": host}], 10)
    beat = Heartbeat("cinder-volume", host, 3.0, count, up=True, disabled=False)
    assert [told.shared for told in reporters.told([beat], config)] == [shared]
    reporters.update([{**row(count + 50, 1), "host": host}], 10)
    assert [told.shared for told in reporters.told([beat], config)] == [True]


class Backups:
    """Answers the questions for services and backups of three processes that share one row."""

    def __init__(self):
        self.count = 100

    def __call__(self, sql, params=()):
        if " FROM services " in sql:
            self.count += 10
            service = {
                "id": 1,
                "cluster_name": None,
                "disabled": 0,
                "disabled_reason": "",
                "replication_status": None,
                "newest": 1,
            }
            return [{**row(self.count, 0), **service, "host": "group"}]
        at = datetime(2026, 11, 29)
        rows = [("b1", "group", "creating"), ("b2", "group", "deleting"), ("b3", None, "creating")]
        return [
            {"id": id_, "host": host, "status": status, "created_at": at, "updated_at": at}
            for id_, host, status in rows
        ]


def test_backups_of_a_host_that_processes_share_are_not_known_to_be_its_own():
    query, evidence = Backups(), CinderBackup()
    config = ServiceConfig("cinder-backup", "group")
    (beat,), first = evidence.read(query, config)
    assert [op.unattributed for op in first] == ["", "", ""]
    assert [op.ended_by_start for op in first] == [True, False, False]
    (beat,), second = evidence.read(query, config)
    assert beat.shared
    assert {op.unattributed for op in second} == {doubt_of("group")}

"""cinder-volume's backends that run and are not configured any more: what is remembered from look to look."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence.cinder import UNORDERED
from kolla_drain.evidence.cinder_volume import CinderVolume
from kolla_drain.model import Operation
from kolla_drain.service.config import Backend, ServiceConfig

CONFIG = ServiceConfig("cinder-volume", "ctl", backends=(Backend("new", "ctl"),))
VOLUME = {
    "id": "v1",
    "status": "extending",
    "migration_status": None,
    "cluster_name": None,
    "deleted": 0,
    "age": 5,
}
TIMES = {"created_at": None, "updated_at": None}
SERVICE = {
    "cluster_name": None,
    "disabled": 0,
    "disabled_reason": "",
    "report_count": 5,
    "replication_status": None,
    "newest": 1000,
}


class Database:
    """Answers the questions for services and volumes; ``beating`` is what has a fresh heartbeat."""

    def __init__(self, *beating: str) -> None:
        self.beating = list(beating)
        self.hosts = ["ctl@new", "ctl@old"]
        self.asked: list[tuple[str, list[object]]] = []

    def __call__(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        self.asked.append((sql, list(params)))
        if " FROM services s" in sql:
            return [
                {**SERVICE, "id": number, "host": host, "age": 5 if host in self.beating else 500, **TIMES}
                for number, host in enumerate(self.hosts, 1)
            ]
        if " FROM volumes WHERE deleted = 0 AND (status" in sql:
            return [{**VOLUME, **TIMES, "host": "ctl@old#p"}] if "ctl@old" in params else []
        return []


def seen(evidence: CinderVolume, database: Database) -> list[str]:
    heartbeats, operations = evidence.read(database, CONFIG)
    assert [beat.host for beat in heartbeats] == ["ctl@new"]
    return [operation.id for operation in operations]


def test_one_that_beat_once_counts_to_the_end() -> None:
    evidence = CinderVolume()
    assert seen(evidence, Database("ctl@new", "ctl@old")) == ["v1"]
    assert seen(evidence, Database()) == ["v1"]
    assert seen(CinderVolume(), Database()) == []


def test_the_backends_of_another_container_on_the_host_are_not_ours() -> None:
    own = replace(CONFIG, own=True)
    _, operations = CinderVolume().read(Database("ctl@new", "ctl@old"), own)
    assert operations == ()


def test_its_services_are_ours_when_an_end_is_judged() -> None:
    evidence = CinderVolume()
    evidence.read(Database("ctl@old"), CONFIG)
    failover = Operation("backend_failover", "ctl@old", "failing-over")
    (ending,) = evidence.endings(Database(), CONFIG, [failover])
    assert ending.status == "none", "it has a row"


@pytest.mark.parametrize(("limit", "found"), [(4, []), (5, ["v1"])])
def test_the_heartbeat_must_be_younger_than_the_services_own_limit(limit: int, found: list[str]) -> None:
    _, operations = CinderVolume().read(Database("ctl@old"), replace(CONFIG, service_down_time=limit))
    assert [operation.id for operation in operations] == found


def looks(database: Database) -> list[list[object]]:
    """What the questions for services were narrowed down to, the host being known."""
    return [params[3:] for sql, params in database.asked if " FROM services s" in sql]


def test_the_whole_table_is_looked_through_once() -> None:
    evidence, database = CinderVolume(), Database("ctl@new")
    for _ in range(3):
        evidence.read(database, CONFIG)
    evidence.endings(database, CONFIG, [])
    assert looks(database) == [[], *[[1, 2, 1000 - UNORDERED]] * 3]


def test_it_is_looked_through_again_if_a_row_is_gone() -> None:
    evidence, database = CinderVolume(), Database("ctl@new")
    evidence.read(database, CONFIG)
    del database.hosts[1]
    evidence.read(database, CONFIG)
    evidence.read(database, CONFIG)
    assert looks(database) == [[], [1, 2, 1000 - UNORDERED], [], [1, 1000 - UNORDERED]]


def test_without_known_backends_nothing_more_is_asked() -> None:
    database = Database()
    database.hosts = []
    with pytest.raises(EvidenceUnavailable):
        CinderVolume().read(database, ServiceConfig("cinder-volume", "ctl"))
    assert len(database.asked) == 1

"""cinder-volume's backends that run and are not configured any more: what is remembered from look to look."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence.cinder_volume import CinderVolume
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
}


class Database:
    """Answers the questions for services and volumes; ``beating`` is what has a fresh heartbeat."""

    def __init__(self, *beating: str) -> None:
        self.beating = list(beating)
        self.asked: list[tuple[str, list[object]]] = []

    def __call__(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        self.asked.append((sql, list(params)))
        if sql.startswith("SELECT host FROM services"):
            return [{"host": host} for host in self.beating]
        if " FROM services " in sql:
            hosts = ("ctl@new", "ctl@old")
            return [
                {**SERVICE, "id": len(host), "host": host, "age": 5, **TIMES}
                for host in hosts
                if host in params
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


def test_its_services_are_ours_when_an_end_is_judged() -> None:
    evidence = CinderVolume()
    evidence.read(Database("ctl@old"), CONFIG)
    database = Database()
    evidence.endings(database, CONFIG, [])
    assert [params for sql, params in database.asked if " FROM services " in sql] == [
        ["cinder-volume", "ctl@new", "ctl@old"]
    ]


def test_the_heartbeat_must_be_younger_than_the_services_own_limit() -> None:
    database = Database()
    config = ServiceConfig(
        "cinder-volume", "ctl_1", backends=(Backend("new", "ctl_1"),), service_down_time=45
    )
    with pytest.raises(EvidenceUnavailable):
        CinderVolume().read(database, config)
    assert database.asked[0][1] == ["cinder-volume", "ctl!_1@%", 45]


def test_without_known_backends_nothing_more_is_asked() -> None:
    database = Database()
    with pytest.raises(EvidenceUnavailable):
        CinderVolume().read(database, ServiceConfig("cinder-volume", "ctl"))
    assert len(database.asked) == 1

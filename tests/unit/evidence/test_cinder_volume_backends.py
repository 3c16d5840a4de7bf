"""cinder-volume's backends that run and are not configured any more: what is remembered from look to look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolla_drain.actions import options
from kolla_drain.actions import survey as lookup
from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence import cinder_volume
from kolla_drain.model import Container, ContainerStatus
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
        if " FROM volumes WHERE deleted = 0 AND ((host" in sql:
            return [{**VOLUME, **TIMES, "host": "ctl@old#p"}] if "ctl@old" in params else []
        return []


def seen(watch: cinder_volume.Watch, database: Database) -> list[str]:
    heartbeats, operations = watch.read(database, CONFIG)
    assert [beat.host for beat in heartbeats] == ["ctl@new"]
    return [operation.id for operation in operations]


def test_one_that_beat_once_counts_to_the_end() -> None:
    watch = cinder_volume.Watch()
    assert seen(watch, Database("ctl@new", "ctl@old")) == ["v1"]
    assert seen(watch, Database()) == ["v1"]
    assert seen(cinder_volume.Watch(), Database()) == []


def test_its_services_are_ours_when_an_end_is_judged() -> None:
    watch = cinder_volume.Watch()
    watch.read(Database("ctl@old"), CONFIG)
    database = Database()
    watch.endings(database, CONFIG, [])
    assert [params for sql, params in database.asked if " FROM services " in sql] == [
        ["cinder-volume", "ctl@new", "ctl@old"]
    ]


def test_the_heartbeat_must_be_younger_than_the_services_own_limit() -> None:
    database = Database()
    config = ServiceConfig(
        "cinder-volume", "ctl_1", backends=(Backend("new", "ctl_1"),), service_down_time=45
    )
    cinder_volume._beating(database, config)
    assert database.asked[0][1] == ["cinder-volume", "ctl!_1@%", 45]


def test_without_known_backends_nothing_more_is_asked() -> None:
    database = Database()
    with pytest.raises(EvidenceUnavailable):
        cinder_volume.Watch().read(database, ServiceConfig("cinder-volume", "ctl"))
    assert len(database.asked) == 1


def test_each_stop_looks_for_itself(tmp_path: Path) -> None:
    """What one stop has seen must not hold up a later one, whose process may have other backends."""
    file = tmp_path / "cinder.conf"
    file.write_text("[DEFAULT]\nhost = ctl\n[database]\nconnection = mysql+pymysql://u:p@db.example/cinder\n")
    given = options.EvidenceOptions(service_config=(str(file),))
    container = Container("id", "cinder_volume", ContainerStatus.RUNNING)
    first, second = (lookup.evidence_for(given, container)[1] for _ in range(2))
    assert first is not None
    assert second is not None
    assert isinstance(first.evidence, cinder_volume.Watch)
    assert first.evidence is not second.evidence
    assert first.evidence.PROFILE is cinder_volume.PROFILE

"""Evidence of declared services, with rows from a table; those of a real database are in tests/functional."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from kolla_drain import evidence
from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.model import Operation, Outcome
from kolla_drain.service.config import Backend, ServiceConfig

AT = datetime(2026, 11, 30, 12)
FINISHED, INTERRUPTED, UNKNOWN = Outcome.FINISHED, Outcome.INTERRUPTED, Outcome.UNKNOWN
SHARE = ServiceConfig("manila-share", "h", backends=(Backend("a", "h"), Backend("b_1", "h")))
HEAT = ServiceConfig("heat-engine", "h", service_down_time=120)
IRONIC = ServiceConfig("ironic-conductor", "h")


class Database:
    """Answers with the rows of the table that a statement begins with, and keeps the parameters."""

    def __init__(self, **tables: list[dict[str, Any]]) -> None:
        self.tables = tables
        self.asked: dict[str, list[object]] = {}

    def __call__(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        found = re.search(r"FROM `(\w+)` t", sql)
        assert found
        assert sql.count("%s") == len(params)
        self.asked[found[1]] = list(params)
        return [dict(row) for row in self.tables.get(found[1], [])]


def beat(host: str, age: float = 3, count: int | None = 5, owner: str | None = None) -> dict[str, Any]:
    return {
        "host": host,
        "seen_at": AT - timedelta(seconds=age),
        "age": age,
        "report_count": count,
        "disabled": 0,
        "disabled_reason": None,
        "owner": owner,
    }


def row(
    key: str, status: str | None, host: str | None = None, owner: str | None = None, age: float = 9
) -> dict[str, Any]:
    return {"id": key, "status": status, "host": host, "owner": owner, "written": AT, "age": age}


def read(config: ServiceConfig, database: Database) -> tuple[list[Any], list[tuple[str, str, str]]]:
    beats, operations = evidence.evidence_of(config.service).read(database, config)
    return list(beats), [(op.kind, op.id, op.status) for op in operations]


def test_rows_of_the_own_hosts_and_their_pools() -> None:
    """The database takes H for h; Manila does not."""
    database = Database(
        services=[beat("h@a"), beat("H@b_1")],
        share_instances=[
            row("own", "creating", "h@a#pool"),
            row("plain", "deleting", "h@b_1"),
            row("case", "creating", "H@a#pool"),
            row("other", "creating", "h@ab#pool"),
            row("word", "Creating", "h@a#pool"),
        ],
    )
    beats, operations = read(SHARE, database)
    assert [beat.host for beat in beats] == ["h@a"]
    assert operations == [("share_create", "own", "creating"), ("share_delete", "plain", "deleting")]
    assert database.asked["share_instances"][:4] == ["h@a", "h@a#%", "h@b_1", "h@b!_1#%"]


def test_a_row_that_a_join_finds_twice_is_one_operation() -> None:
    database = Database(
        services=[beat("h@a")], share_instances=[row("x", "creating", "h@a"), row("x", "creating", "h@a")]
    )
    assert read(SHARE, database)[1] == [("share_create", "x", "creating")]


def test_without_a_process_that_reports_nobody_knows_whose_the_work_is() -> None:
    """After an outage of the database the next report of heat-engine may be a minute away."""
    held = row("uuid", "CREATE_IN_PROGRESS", owner="e1")
    its = evidence.evidence_of("heat-engine")
    late = Database(service=[beat("h", age=130, owner="e1"), beat("h", age=125, owner="e2")], resource=[held])
    with pytest.raises(
        EvidenceUnavailable, match="no process of heat-engine at h has reported in time"
    ) as raised:
        its.read(late, HEAT)
    assert raised.value.passing

    its.read(Database(service=[beat("h", owner="e1")]), HEAT)
    assert [op.id for op in its.read(late, HEAT).operations] == ["uuid"], "it is known from then on"


def test_no_row_means_the_wrong_database_until_there_was_one() -> None:
    """heat-engine deletes its rows at a clean exit."""
    its, database = evidence.evidence_of("heat-engine"), Database()
    with pytest.raises(EvidenceUnavailable, match="the database has no heat-engine at h: check"):
        its.read(database, HEAT)
    database.tables["service"] = [beat("h", owner="e1")]
    assert len(its.read(database, HEAT).heartbeats) == 1
    database.tables["service"] = []
    assert its.read(database, HEAT).heartbeats == ()


def test_the_first_report_of_a_process_that_was_started_is_one_that_moved() -> None:
    """The next one of heat-engine is a minute away, and its old rows went with the old processes."""
    its = evidence.evidence_of("heat-engine")
    its.await_first_report()
    (down,) = its.read(Database(), HEAT).heartbeats
    (first,) = its.read(Database(service=[beat("h", age=0, count=None, owner="new")]), HEAT).heartbeats
    assert (down.host, down.up, first.up) == ("h", False, True)
    assert down.report_count != first.report_count


def test_what_is_held_by_a_process_that_has_gone_stays_in_view() -> None:
    """Its id is in no row of services any more, but in those of its work."""
    its = evidence.evidence_of("heat-engine")
    database = Database(
        service=[beat("h", owner="e1", count=None), beat("h", age=900, owner="dead", count=None)]
    )
    (beating,), _ = its.read(database, HEAT)
    assert beating.up
    assert database.asked["resource"] == ["e1"]
    database.tables = {
        "resource": [row("r", "CREATE_IN_PROGRESS", owner="e1"), row("x", "CREATE_IN_PROGRESS", owner="E1")]
    }
    (operation,) = its.read(database, HEAT).operations
    assert (operation.kind, operation.id, operation.claimed) == ("resource_action", "r", True)
    (ending,) = its.endings(database, HEAT, [operation])
    assert ending.outcome is INTERRUPTED
    assert ending.fate.startswith("its stack stays IN_PROGRESS")


def test_without_a_count_the_time_of_the_beat_moves() -> None:
    its, database = evidence.evidence_of("ironic-conductor"), Database(conductors=[beat("h", 5, None)])
    (first,), _ = its.read(database, IRONIC)
    database.tables["conductors"] = [beat("h", 4, None)]
    (second,), _ = its.read(database, IRONIC)
    assert second.report_count == first.report_count + 1
    database.tables["conductors"] = [beat("h", 61, None)]
    assert not its.read(database, IRONIC).heartbeats[0].up


def test_the_work_of_nobody_in_particular_is_unattributed_and_informs_when_it_is_old() -> None:
    database = Database(
        load_balancer=[row("new", "PENDING_CREATE", age=9), row("old", "PENDING_UPDATE", age=1800)]
    )
    config = ServiceConfig("octavia-worker", "h")
    beats, (new, old) = evidence.evidence_of("octavia-worker").read(database, config)
    assert beats == ()
    assert new.unattributed == "no row tells which octavia-worker works on it"
    assert (new.claimed, new.informs, old.informs) == (None, False, True)


@pytest.mark.parametrize(
    ("others", "is_its_own"),
    [([], True), ([beat("other", age=61)], True), ([beat("other", age=60)], False), ([beat("H")], False)],
)
def test_it_is_its_own_where_no_other_runs(others: list[dict[str, Any]], is_its_own: bool) -> None:
    database = Database(services=[beat("h"), *others], shares=[row("s", "data_copying_starting")])
    _, (operation,) = evidence.evidence_of("manila-data").read(database, ServiceConfig("manila-data", "h"))
    assert (operation.unattributed == "") is is_its_own


@pytest.mark.parametrize(
    ("config", "kind", "now", "outcome", "status", "words"),
    [
        (SHARE, "share_create", row("i", "available", "h@a#p"), FINISHED, "available", ""),
        (SHARE, "share_create", row("i", "creating", "h@a#p"), INTERRUPTED, "creating", "stays creating until"),
        (SHARE, "share_create", row("i", "error", "h@a#p"), INTERRUPTED, "error", "ended in error"),
        (SHARE, "share_create", None, FINISHED, "deleted", ""),
        (SHARE, "share_extend", row("i", "extending_error"), INTERRUPTED, "error: extending_error", "ended in error"),
        (SHARE, "share_delete", row("i", "available", "h@a"), INTERRUPTED, "available", "it was given up"),
        (SHARE, "share_ensure", row("i", "ensuring", "h@a"), INTERRUPTED, "ensuring", "its next start ensures"),
        (IRONIC, "node_deploy", row("i", "deploying", "h"), INTERRUPTED, "deploying", "sets the node to deploy failed"),
        (IRONIC, "node_deploy", row("i", "deploy failed"), INTERRUPTED, "error: deploy failed", "ended in error"),
        (IRONIC, "node_deploy", row("i", "deploying", "other"), UNKNOWN, "deploying", "does not hold it any more"),
        (IRONIC, "node_deploy", row("i", "active", "h"), FINISHED, "active", ""),
        (IRONIC, "node_task", row("i", "active", "h"), INTERRUPTED, "active", "releases the node"),
        (IRONIC, "node_task", row("i", "error"), FINISHED, "error", ""),  # as it was before
        (IRONIC, "node_task", row("i", None), FINISHED, "none", ""),
    ],
)  # fmt: skip
def test_what_became_of_it(
    config: ServiceConfig, kind: str, now: dict[str, Any] | None, outcome: Outcome, status: str, words: str
) -> None:
    tables = {"share_instances": [now] if now else [], "nodes": [now] if now else []}
    operation = Operation(kind, "i", "as it was")
    (ending,) = evidence.evidence_of(config.service).endings(Database(**tables), config, [operation])
    assert (ending.operation, ending.outcome, ending.status) == (operation, outcome, status)
    assert words in ending.fate
    assert bool(words) == bool(ending.fate)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("deploying", "node_deploy"),
        ("unrescuing", "node_rescue"),
        ("active", "node_task"),
        (None, "node_task"),
    ],
)
def test_a_node_that_is_held_is_worked_on_in_any_state(state: str | None, kind: str) -> None:
    database = Database(conductors=[beat("h", 3, None)], nodes=[row("n", state, "h")])
    assert read(IRONIC, database)[1] == [(kind, "n", state or "none")]


def test_a_reload_waits_for_the_work_as_on_native_threads() -> None:
    assert not evidence.profile_for("heat-engine", {}).reload_keeps_work
    assert not evidence.profile_for("manila-share", {}, 22).reload_keeps_work


@pytest.mark.parametrize(
    ("release", "value", "keeps"),
    [
        (22, "", True),
        (22, "0", True),
        (22, "true", False),
        (23, "", False),
        (23, "0", False),
        (None, "", False),
    ],
)
def test_manila_keeps_its_work_on_eventlet_up_to_2026_1(release: int | None, value: str, keeps: bool) -> None:
    env = {"OS_MANILA_DISABLE_EVENTLET_PATCHING": value}
    assert evidence.profile_for("manila-share", env, release).keeps_work is keeps

"""The module's result, composed of typed results."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kolla_drain.actions import report
from kolla_drain.drain.plan import Plan
from kolla_drain.drain.result import Event, StopResult
from kolla_drain.model import (
    Ending,
    EvidenceState,
    Finding,
    Heartbeat,
    Operation,
    Outcome,
    Profile,
    Reading,
    Verdict,
)

OPERATION = Operation("volume_create", "d1ce", "creating", "2026-11-21T10:00:00Z", claimed=True, touched="x")
STANDING = Operation("volume_attach", "ca5e", "attaching", informs=True)
WRECK = Operation("volume_extend", "0ff", "extending", passed_over="ignored, as ignore_operations asks")
DONE = Ending(OPERATION, Outcome.FINISHED, "available")
LOST = Ending(OPERATION, Outcome.INTERRUPTED, "creating", "its next start sets it to error")
OPEN = Ending(OPERATION, Outcome.UNKNOWN, "creating")
BEAT = Heartbeat("cinder-volume", "h@lvm", 3.14159, 42, True, False)
PLAN = Plan("SIGTERM", 180.0, 165.04, 14.96, "the last 15 s are kept for the drain")
RESULT = StopResult(
    name="cinder_volume",
    id="1d",
    verdict=Verdict.DRAINED,
    reason="exited by itself with exit code 0, 1 operation finished",
    changed=True,
    signal="SIGTERM",
    exit_code=0,
    quiesced=12.345,
    drained=1.999,
    timeout=180.04,
    endings=(DONE,),
    standing=(STANDING,),
    passed_over=(WRECK,),
    heartbeats=(BEAT,),
    heartbeat_note="silent, as cinder-volume is from its signal on",
    evidence=EvidenceState.OK,
    findings=(Finding("stop_signal", "a text"),),
    timeline=(Event(0.0, "begun"), Event(12.35, "SIGTERM sent")),
    plan=PLAN,
    profile=Profile("cinder-volume"),
)


def test_a_result_is_plain_data():
    told = report.stop_result(RESULT)
    assert json.loads(json.dumps(told)) == told
    assert told == {
        "name": "cinder_volume",
        "id": "1d",
        "changed": True,
        "failed": False,
        "service": "cinder-volume",
        "verdict": "drained",
        "reason": "exited by itself with exit code 0, 1 operation finished",
        "joined": False,
        "signal": "SIGTERM",
        "exit_code": 0,
        "oom_killed": False,
        "quiesced": 12.3,
        "drained": 2.0,
        "timeout": 180.0,
        "plan": {
            "signal": "SIGTERM",
            "timeout": 180.0,
            "quiesce": 165.0,
            "drain": 15.0,
            "reason": "the last 15 s are kept for the drain",
        },
        "operations": [
            {
                "kind": "volume_create",
                "id": "d1ce",
                "status": "creating",
                "since": "2026-11-21T10:00:00Z",
                "claimed": True,
                "unattributed": "",
                "outcome": "finished",
                "last_status": "available",
                "fate": "",
                "dead": False,
            }
        ],
        "standing": [
            {
                "kind": "volume_attach",
                "id": "ca5e",
                "status": "attaching",
                "since": None,
                "claimed": None,
                "unattributed": "",
            }
        ],
        "passed_over": [
            {
                "kind": "volume_extend",
                "id": "0ff",
                "status": "extending",
                "since": None,
                "claimed": None,
                "unattributed": "",
                "why": "ignored, as ignore_operations asks",
            }
        ],
        "heartbeat": {
            "up": True,
            "disabled": False,
            "note": "silent, as cinder-volume is from its signal on",
            "rows": [
                {
                    "service": "cinder-volume",
                    "host": "h@lvm",
                    "age": 3.1,
                    "report_count": 42,
                    "up": True,
                    "disabled": False,
                    "disabled_reason": "",
                    "cluster": "",
                    "shared": False,
                }
            ],
        },
        "evidence": "ok",
        "evidence_why": "",
        "preflight": [{"code": "stop_signal", "text": "a text"}],
        "timeline": [{"at": 0.0, "event": "begun"}, {"at": 12.35, "event": "SIGTERM sent"}],
    }


def test_a_result_that_came_to_nothing():
    told = report.stop_result(StopResult("cinder_volume", "1d", None, "the engine refused", failed=True))
    assert json.loads(json.dumps(told)) == told
    assert (told["verdict"], told["failed"], told["plan"], told["heartbeat"]) == (None, True, {}, {})
    assert (told["quiesced"], told["drained"], told["evidence"]) == (None, None, "none")
    assert told["service"] == "none"


def test_a_dead_operation_is_marked():
    told = report.stop_result(replace(RESULT, endings=(LOST,), dead=frozenset({OPERATION.key})))
    assert told["operations"][0]["dead"] is True
    assert told["operations"][0]["fate"] == "its next start sets it to error"


@pytest.mark.parametrize(
    ("rows", "up", "disabled"),
    [
        ((BEAT, BEAT), True, False),
        ((BEAT, replace(BEAT, up=False)), False, False),
        ((BEAT, replace(BEAT, disabled=True)), True, True),
    ],
    ids=["all well", "one down", "one disabled"],
)
def test_of_several_heartbeats_the_worst_stands_at_the_top(rows, up, disabled):
    told = report.heartbeat(rows)
    assert (told["up"], told["disabled"], len(told["rows"])) == (up, disabled, len(rows))


def test_no_heartbeat():
    assert report.heartbeat(()) == {}
    assert report.heartbeat((replace(BEAT, age=None, report_count=None),))["rows"][0]["age"] is None


def test_a_reading_keeps_apart_what_only_informs_and_what_is_passed_over():
    seen = (OPERATION, STANDING, WRECK)
    told = report.reading(Reading(EvidenceState.OK, heartbeats=(BEAT,), operations=seen))
    assert [op["id"] for op in told["operations"]] == ["d1ce"]
    assert [op["id"] for op in told["standing"]] == ["ca5e"]
    assert [op["id"] for op in told["passed_over"]] == ["0ff"]


@pytest.mark.parametrize(
    ("reading", "missing", "state", "why"),
    [
        (None, "", "none", ""),
        (
            None,
            "its configuration is not on this host",
            "unavailable",
            "its configuration is not on this host",
        ),
        (Reading(EvidenceState.UNAVAILABLE, "the server is down"), "", "unavailable", "the server is down"),
        (Reading(EvidenceState.OK), "", "ok", ""),
    ],
)
def test_why_there_is_no_reading(reading, missing, state, why):
    told = report.reading(reading, missing)
    assert (told["evidence"], told["evidence_why"], told["operations"]) == (state, why, [])


SEES_NOTHING = Profile("nova-conductor", rows_tell=False)
UNREAD = dict(evidence=EvidenceState.UNAVAILABLE, evidence_why="the server is down", endings=())
WARNINGS = {
    # what is otherwise: the sentences' beginnings
    "drained": ({}, []),
    "cut": (
        dict(verdict=Verdict.CUT, endings=(LOST,)),
        [
            "cinder_volume: cut: ",
            "cinder_volume: volume_create d1ce was interrupted (creating); its next start",
        ],
    ),
    "killed, with nothing in flight": (dict(verdict=Verdict.KILLED, endings=()), ["cinder_volume: killed: "]),
    "unverified": (dict(verdict=Verdict.UNVERIFIED, **UNREAD), ["cinder_volume: unverified: "]),
    "unverified, and nothing to verify by": (
        dict(verdict=Verdict.UNVERIFIED, endings=(), evidence=EvidenceState.NONE),
        [],
    ),
    "unverified, for no row tells of its work": (
        dict(verdict=Verdict.UNVERIFIED, endings=(), profile=SEES_NOTHING),
        [],
    ),
    "no row tells of its work, and its heartbeat could not be read either": (
        dict(verdict=Verdict.UNVERIFIED, profile=SEES_NOTHING, **UNREAD),
        ["cinder_volume: unverified: "],
    ),
    "killed, where no row tells of its work": (
        dict(verdict=Verdict.KILLED, endings=(), profile=SEES_NOTHING),
        ["cinder_volume: killed: "],
    ),
    "unknown": (
        dict(verdict=Verdict.UNVERIFIED, endings=(OPEN,)),
        ["cinder_volume: unverified: ", "cinder_volume: volume_create d1ce was unknown (creating)."],
    ),
    "left running is a failure, and told there": (
        dict(verdict=Verdict.LEFT_RUNNING, failed=True, endings=(OPEN,)),
        [],
    ),
}


@pytest.mark.parametrize(("otherwise", "beginnings"), WARNINGS.values(), ids=WARNINGS)
def test_warnings(otherwise, beginnings):
    said = report.warnings(replace(RESULT, **otherwise))
    assert len(said) == len(beginnings)
    for sentence, beginning in zip(said, beginnings):
        assert sentence.startswith(beginning)
        assert sentence.endswith(".")


def test_failure_says_what_goes_on_and_what_to_do():
    left = replace(
        RESULT, verdict=Verdict.LEFT_RUNNING, failed=True, endings=(OPEN,), reason="it has not exited"
    )
    said = report.failure(left)
    assert said.startswith("cinder_volume was left running with 1 operation in flight: it has not exited. ")
    assert "It goes on draining; run this again to wait on" in said
    assert "has not been signalled" in report.failure(replace(left, signal=""))
    assert "in flight" not in report.failure(replace(left, endings=(DONE,)))


def test_a_failure_without_a_verdict_is_its_reason():
    assert "The engine refused." in report.failure(
        replace(RESULT, verdict=None, reason="The engine refused.")
    )

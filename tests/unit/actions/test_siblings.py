"""What a start would end of other processes' work: who shares a row, what is told before, and what is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from kolla_drain.actions import siblings
from kolla_drain.actions.options import REPLACE, RESTART, STOP, STOP_AND_REMOVE, TAKE_BACK, Intent, Options
from kolla_drain.actions.results import ContainerResult
from kolla_drain.actions.survey import Survey, Surveys
from kolla_drain.database.target import DatabaseTarget
from kolla_drain.drain.plan import Plan
from kolla_drain.drain.result import StopResult
from kolla_drain.errors import ConfigError, Refused
from kolla_drain.evidence import evidence_of
from kolla_drain.evidence.reader import Source
from kolla_drain.model import (
    Container,
    ContainerStatus,
    Ending,
    EvidenceState,
    Heartbeat,
    Operation,
    Outcome,
    Reading,
    StopRequest,
    Verdict,
)
from kolla_drain.service.config import ServiceConfig
from tests.support.checks import is_sentence

ROW = "rbd:volumes@rbd-1"
BEAT = Heartbeat("cinder-volume", ROW, 3.0, 42, up=True, disabled=False, shared=None)
CREATE = Operation("volume_create", "d1ce", "creating", claimed=True, ended_by_start=True)
EXTEND = Operation("volume_extend", "ca5e", "extending")
BUSY = Reading(EvidenceState.OK, heartbeats=(BEAT,), operations=(CREATE, EXTEND))
IDLE = replace(BUSY, operations=(EXTEND,))
ALONE = replace(BUSY, heartbeats=(replace(BEAT, shared=False),))
AWAY = Reading(EvidenceState.UNAVAILABLE, "the server is down", passing=True)

RUNNING = Container("1d", "cinder_volume", ContainerStatus.RUNNING)
OPTIONS = Options("start_container", ("cinder_volume",), StopRequest())


def at_rest(seconds: float | None) -> Container:
    """A container that ended so many seconds ago, or never ran."""
    if seconds is None:
        return replace(RUNNING, status=ContainerStatus.CREATED)
    ended = datetime.fromtimestamp(time.time() - seconds, timezone.utc).isoformat().replace("+00:00", "Z")
    return replace(RUNNING, status=ContainerStatus.EXITED, finished_at=ended)


@pytest.mark.parametrize(
    ("rested", "age", "shared", "is_shared"),
    [
        (0.0, 3.0, False, False),
        (0.0, 3.0, None, True),
        (0.0, 900.0, True, True),
        (2.0, 3.0, False, False),  # its own last one
        (2.0, 3.0, None, True),
        (30.0, 3.0, False, True),  # since its end
        (7.0, 3.0, False, False),  # clocks differ
        (9000.0, 900.0, None, False),  # nobody has for long
        (None, 3.0, False, False),  # that of a container that is gone
        (None, 3.0, None, True),
    ],
)
def test_in_whose_row_others_report(
    rested: float | None, age: float, shared: bool | None, is_shared: bool
) -> None:
    container = RUNNING if rested == 0.0 else at_rest(rested)
    reading = replace(BUSY, heartbeats=(replace(BEAT, age=age, up=age < 60, shared=shared),))
    found = siblings.siblings(container, reading)
    assert found == (((ROW,), (CREATE,)) if is_shared else ((), ()))


def test_what_cannot_be_read_tells_of_nobody() -> None:
    assert siblings.siblings(RUNNING, AWAY) == siblings.siblings(RUNNING, None) == ((), ())


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``rows(reading, service)`` is what the database has from then on."""

    def become(reading: Reading, service: str = "cinder-volume") -> None:
        source = Source(
            evidence_of(service),
            ServiceConfig(service, "ctl"),
            DatabaseTarget(host="one", user="u", name="d"),
        )
        monkeypatch.setattr(siblings, "evidence_for", lambda *_: (source.config, source, ""))
        monkeypatch.setattr(siblings.survey, "read", lambda sources, _: dict.fromkeys(sources, reading))

    return become


# --- before a restart


def surveys(service: str = "cinder-volume") -> Surveys:
    evidence = evidence_of(service)
    source = Source(evidence, ServiceConfig(service, "ctl"), DatabaseTarget(host="one", user="u", name="d"))
    plan = Plan("SIGTERM", 180.0, 165.0, 15.0, "")
    one = Survey(RUNNING, evidence.PROFILE, plan, source.config, source, "", (), (), "")
    return Surveys({"cinder_volume": RUNNING}, (one,))


@pytest.mark.parametrize("intent", [RESTART, REPLACE])
def test_preflight_names_what_the_restart_would_end(rows: Any, intent: Intent) -> None:
    rows(BUSY)
    (one,) = siblings.told(surveys(), intent, "warn").existing
    assert [finding.code for finding in one.findings] == ["start_ends_others_work"]
    text = one.findings[0].text
    is_sentence(text)
    assert ROW in text
    assert "volume_create d1ce;" in text
    assert "ca5e" not in text, "the next start does not look at it"
    assert one.notes == ()


def test_a_stop_alone_is_warned_of_and_not_refused(rows: Any) -> None:
    rows(BUSY)
    (one,) = siblings.told(surveys(), STOP, "strict").existing
    assert one.findings == ()
    assert [note.code for note in one.warned_of] == ["start_ends_others_work"]


def test_with_nothing_in_flight_it_is_a_note(rows: Any) -> None:
    rows(IDLE)
    (one,) = siblings.told(surveys(), RESTART, "warn").existing
    assert one.findings == ()
    assert ([note.code for note in one.notes], one.warned_of) == (["shared_row"], ())


@pytest.mark.parametrize(
    ("intent", "preflight", "service", "reading"),
    [
        (STOP_AND_REMOVE, "warn", "cinder-volume", BUSY),
        (TAKE_BACK, "warn", "cinder-volume", BUSY),
        (STOP, "off", "cinder-volume", BUSY),
        (RESTART, "off", "cinder-volume", BUSY),
        (RESTART, "warn", "cinder-scheduler", BUSY),
        (RESTART, "warn", "cinder-volume", ALONE),
        (RESTART, "warn", "cinder-volume", AWAY),
    ],
)
def test_where_there_is_nothing_to_tell(
    rows: Any, intent: Intent, preflight: str, service: str, reading: Reading
) -> None:
    rows(reading, service)
    (one,) = siblings.told(surveys(service), intent, preflight).existing
    assert (one.findings, one.notes) == ((), ())


# --- before a start


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        (OPTIONS, 0),
        (replace(OPTIONS, check_mode=True), 1),
        (replace(OPTIONS, check_mode=True, preflight="off"), 0),
    ],
)
def test_check_mode_says_what_a_start_would_end(rows: Any, options: Options, warnings: int) -> None:
    rows(BUSY)
    result = ContainerResult("cinder_volume")
    siblings.warn(options, at_rest(None), result)
    assert len(result.warnings) == warnings


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_strict_start_is_refused(rows: Any, check_mode: bool) -> None:
    rows(BUSY)
    strict = replace(OPTIONS, preflight="strict", check_mode=check_mode)
    with pytest.raises(Refused, match=r"nothing was touched: cinder_volume: .*volume_create d1ce"):
        siblings.warn(strict, at_rest(None), ContainerResult("cinder_volume"))
    rows(IDLE)
    siblings.warn(strict, at_rest(None), ContainerResult("cinder_volume"))


# --- at a start


def stopped(*endings: Ending, evidence: EvidenceState = EvidenceState.OK) -> ContainerResult:
    stop = StopResult("cinder_volume", "1d", Verdict.UNVERIFIED, "", endings=endings, evidence=evidence)
    return ContainerResult.of(at_rest(1.0), stop=stop)


def test_what_is_in_flight_at_the_start_is_counted_and_warned_of(rows: Any) -> None:
    rows(BUSY)
    result = stopped()
    siblings.count(OPTIONS, at_rest(1.0), at_rest(1.0), result)
    assert result.unattributed_at_start == (CREATE,)
    (warning,) = result.warnings
    is_sentence(warning)
    assert "1 operation was in flight at its start" in warning
    assert "volume_create d1ce" in warning


@pytest.mark.parametrize(("unattributed", "counted"), [("", ()), ("any of them may", (CREATE,))])
def test_what_its_own_stop_left_unfinished_is_not_theirs(
    rows: Any, unattributed: str, counted: tuple[Operation, ...]
) -> None:
    rows(BUSY)
    cut = Ending(replace(CREATE, unattributed=unattributed), Outcome.UNKNOWN, "creating")
    result = stopped(cut)
    siblings.count(OPTIONS, at_rest(1.0), at_rest(1.0), result)
    assert result.unattributed_at_start == counted


@pytest.mark.parametrize(("reading", "counted"), [(IDLE, ()), (ALONE, None), (AWAY, None)])
def test_none_of_theirs_is_told_where_they_are(rows: Any, reading: Reading, counted: object) -> None:
    rows(reading)
    result = stopped()
    siblings.count(OPTIONS, at_rest(1.0), at_rest(1.0), result)
    assert (result.unattributed_at_start, result.warnings) == (counted, [])


def test_a_database_that_did_not_answer_is_not_asked_again(rows: Any) -> None:
    rows(BUSY)
    result = stopped(evidence=EvidenceState.UNAVAILABLE)
    siblings.count(OPTIONS, at_rest(1.0), at_rest(1.0), result)
    assert result.unattributed_at_start is None


def test_a_configuration_that_cannot_be_used_is_left_to_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def evidence_for(*_: object) -> None:
        raise ConfigError("it is not UTF-8 text")

    monkeypatch.setattr(siblings, "evidence_for", evidence_for)
    result = stopped()
    siblings.count(OPTIONS, at_rest(1.0), at_rest(1.0), result)
    assert result.unattributed_at_start is None

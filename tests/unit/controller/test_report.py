"""The report of a run, from the results of its tasks."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.controller.report import files
from kolla_drain.controller.report.collect import moment, report, seconds_of
from kolla_drain.controller.report.metrics import metrics
from kolla_drain.controller.report.model import Container, Report, Unheard, as_data, from_data
from kolla_drain.controller.report.page import page
from kolla_drain.controller.report.scale import Scale, spelled
from tests.support.report_samples import (
    CREATED,
    EXTENDED,
    SECRET,
    T,
    disabled,
    fact,
    killed,
    operation,
    replaced,
    run,
    seen,
    stopped,
    timeline,
    upgrade,
)


def one_of(result: dict[str, Any], **more: Any) -> Container:
    """The container of a run that did this alone."""
    (container,) = report(run(), [fact("storage01", result, **more)]).containers
    return container


def phases(container: Container) -> list[tuple[str, float, float]]:
    return [(phase.name, phase.at, phase.seconds) for phase in container.phases]


# --- a container


def test_a_replaced_container_has_its_phases_and_its_gap() -> None:
    container = one_of(killed("cinder_volume"), end=100.0)

    assert phases(container) == [
        ("quiesce", 0.0, 45.0), ("drain", 45.0, 15.0), ("kill", 60.0, 0.4), ("gap", 60.4, 1.4), ("ready", 61.8, 6.2),
    ]  # fmt: skip
    assert (container.did, container.verdict, container.gap) == ("replaced", "killed", 1.4)
    # It served, and so the task ended, at second 100.
    assert seconds_of(container.began) == pytest.approx(T + 100 - 68, abs=1)


def test_a_stop_begins_when_its_call_did() -> None:
    container = one_of(stopped("cinder_volume"), end=20.0)

    assert phases(container) == [("quiesce", 0.0, 2.0), ("drain", 2.0, 3.0)]
    assert container.began == moment(T + 20 - 6)
    assert container.did == "stopped"


def test_operations_have_their_span_and_what_to_do() -> None:
    created, extended = one_of(killed("cinder_volume")).operations

    assert (created.began, created.ended, created.outcome) == (0.0, 60.4, "interrupted")
    assert created.advice is not None
    assert created.advice.text.startswith("Its next start sets it to error; that start was in this run.")
    assert created.advice.commands == (
        f"openstack volume show {CREATED}",
        f"openstack volume delete {CREATED}",
    )
    assert (extended.began, extended.ended, extended.advice) == (0.0, 18.3, None)


def test_a_stop_that_was_joined_begins_where_the_first_run_began_it() -> None:
    told = stopped(
        "cinder_volume", joined=True, quiesced=30.0, drained=12.0,
        timeline=timeline(
            (0.0, "joined the stop under way, 90 s before its deadline"), (0.0, "already signalled with SIGTERM"),
            (4.0, "exited by itself with exit code 0"), (4.2, "drained: exited by itself"),
        ),
    )  # fmt: skip
    container = one_of(told, end=20.0)

    assert phases(container) == [("quiesce", 0.0, 30.0), ("drain", 30.0, 12.0)]
    assert container.events[0].at == 38.0
    assert str(one_of(stopped("a", quiesced=1.98)).events[0].at) == "0.0"
    assert container.began == moment(T + 20 - 6 - 38)


def test_what_is_left_running_has_no_end_yet() -> None:
    told = stopped(
        "cinder_volume", verdict="left_running", drained=None, exit_code=None, failed=True, quiesced=170.0,
        operations=[operation("volume_create", CREATED, "unknown", "creating", "still in flight when it was left")],
        timeline=timeline(
            (0.0, "begun, with 180 s until the deadline"), (0.1, f"volume_create {CREATED} (creating) in flight"),
            (170.0, "SIGTERM sent: the last 10 s are kept"), (180.0, "left_running: the deadline has passed"),
        ),
    )  # fmt: skip
    found = report(run("failed"), [fact("storage01", {**told, "msg": "It was left running."}, failed=True)])
    (container,) = found.containers

    assert phases(container) == [("quiesce", 0.0, 170.0), ("drain", 170.0, 10.0)]
    assert container.operations[0].ended == 180.0
    assert container.failure == "It was left running."
    assert found.headline.text == "What became of 1 operation is not known."
    assert "Run the same again to wait on." in found.headline.more


@pytest.mark.parametrize(
    ("result", "did"),
    [
        (stopped("a"), "stopped"),
        ({"name": "a", "verdict": "absent", "reason": "there is none"}, "stopped"),
        (replaced("a"), "replaced"),
        ({**stopped("a"), "gap": 0.5, "ready_after": 1.0}, "restarted"),
        (
            {"name": "a", "status": "running", "how": "reload", "reloaded": True, "restarted": False},
            "reloaded",
        ),
        ({"name": "a", "ready_after": 1.0, "ready_by": "its heartbeat"}, "started"),
        (seen("a"), "seen"),
        ({**seen("a"), "verdict": "drained"}, "seen"),  # foreseen in check mode
        (
            seen("a", timeline=timeline((-30.0, "begun, with 180 s until the deadline"))),
            "seen",
        ),  # nobody watches its drain
        (stopped("a", verdict=None, failed=True), "stopped"),
        ({"name": "a", "status": "running", "how": "reload", "would": "reload"}, "seen"),
        # compare_container, ensure_image, and a container that was not different
        ({"name": "a", "id": "1", "changed": False, "failed": False, "differences": []}, ""),
        ({"name": "a", "verdict": None, "reason": "the engine has no such container", "failed": True}, ""),
        ({"image": "a:1", "image_id": "1"}, ""),
    ],
)
def test_what_was_done(result: dict[str, Any], did: str) -> None:
    assert [one.did for one in report(run(), [fact("h", result)]).containers] == [did] * bool(did)


@pytest.mark.parametrize(
    ("action", "did"),
    [
        ("stop_container", "stopped"),
        ("restart_container", "restarted"),
        ("recreate_or_restart_container", "replaced"),
    ],
)
def test_kolla_ansibles_own_tasks_tell_by_their_action(action: str, did: str) -> None:
    told = {"changed": True, "result": True, "kolla_drain": stopped("cinder_volume")}

    container = one_of(told, module="kolla_container", args={"action": action})

    assert (container.did, container.began) == (did, moment(T))
    assert not report(run(), [fact("h", {"changed": True}, module="kolla_container")]).containers


# --- the whole run


def test_the_totals_count_each_operation_once() -> None:
    sums = upgrade().totals

    assert (sums.containers, sums.hosts) == (3, 2)
    assert (sums.in_flight, sums.finished, sums.interrupted, sums.unknown) == (2, 1, 1, 0)
    assert (sums.killed, sums.longest_gap, sums.longest_gap_of) == (1, 1.4, "storage01 cinder_volume")


def test_what_was_only_looked_at_is_told_if_nothing_was_done_to_it() -> None:
    facts = [
        fact("storage01", seen("cinder_volume", operations=[operation("volume_create", CREATED, "", "")])),
        fact("storage01", seen("cinder_backup", operations=[operation("backup_create", EXTENDED, "", "")])),
        fact("storage01", stopped("cinder_volume")),
        fact("storage01", seen("cinder_volume")),
    ]
    found = report(run(), facts)

    assert [(one.name, one.did) for one in found.containers] == [
        ("cinder_volume", "stopped"),
        ("cinder_backup", "seen"),
    ]
    assert found.totals.in_flight == 0


HEADLINES = [
    ([], "ended", False, ("good", "Nothing was stopped.", [])),
    ([seen("a", operations=[operation("x", "1", "", "")])], "ended", True,
     ("good", "Nothing was touched: this was a dry run.", ["1 operation is in flight."])),
    ([stopped("a")], "ended", False, ("good", "Nothing was lost.", ["No operation was seen in flight."])),
    ([stopped("a", operations=[operation("x", str(n), "finished", "available") for n in "12"])], "ended", False,
     ("good", "Nothing was lost.", ["2 operations were in flight and finished."])),
    ([killed("a")], "ended", False,
     ("bad", "1 operation was interrupted.", ["1 of 2 that were in flight finished."])),
    ([killed("a", operations=[])], "ended", False,
     ("bad", "a on h was killed at its deadline.", ["No operation was seen in flight."])),
    ([stopped("a", verdict="unverified", evidence="unavailable")], "ended", False,
     ("doubt", "Nobody knows whether 1 container lost anything.", ["No operation was seen in flight."])),
    ([stopped("a", verdict="unverified", evidence="none", service="none")], "ended", False,
     ("good", "Nothing was lost.", ["No operation was seen in flight."])),
    ([{"name": "a", "verdict": "absent", "reason": "there is none"}], "ended", False,
     ("good", "Nothing was lost.", [])),
    ([stopped("a")], "failed", False,
     ("doubt", "Nothing was lost.", ["No operation was seen in flight.", "The run failed."])),
    ([stopped("a")], "interrupted", False,
     ("doubt", "Nothing was lost.", ["No operation was seen in flight.",
      "The run was interrupted; run the same again, which joins what is under way."])),
]  # fmt: skip


@pytest.mark.parametrize(("results", "state", "check", "expected"), HEADLINES)
def test_the_first_line_says_whether_anything_was_lost(
    results: list[dict[str, Any]], state: str, check: bool, expected: tuple[str, str, list[str]]
) -> None:
    found = report(run(state, check=check), [fact("h", result) for result in results]).headline

    assert (found.level, found.text, list(found.more)) == expected


def test_a_service_is_left_disabled_until_it_is_enabled() -> None:
    left = report(run(), [disabled("disabled", "disabled", 1)])
    back = report(run(), [disabled("disabled", "disabled", 1), disabled("enabled", "enabled", 9)])

    assert left.left_disabled[0].commands == (
        "openstack volume service set --enable storage01@ceph cinder-volume",
    )
    assert left.headline.more == ("1 service is still disabled.",)
    assert back.left_disabled == ()
    assert [step.text for step in back.steps] == [
        "cinder-volume at storage01@ceph disabled",
        "cinder-volume at storage01@ceph enabled",
    ]


def test_a_failure_is_told_once_and_in_the_words_that_name_the_most() -> None:
    facts = [
        fact("h", {"msg": "It did not come up."}, failed=True),
        fact("h", {"msg": "cinder-volume on h: It did not come up."}, failed=True, module="fail"),
        fact("h", {"msg": "not of interest"}, failed=True, ignored=True),
        fact("h", {"censored": "hidden", "msg": SECRET}, failed=True, module="uri"),
        fact("g", {"msg": "no route"}, unreachable=True, module="ping"),
    ]
    found = report(run("failed"), facts).failures

    assert [(one.host, one.text, one.unreachable) for one in found] == [
        ("h", "cinder-volume on h: It did not come up.", False),
        ("h", "what it said is hidden by no_log", False),
        ("g", "no route", True),
    ]
    # A play that puts right what failed ends well.
    assert report(run("ended"), facts).failures == ()


# --- its files


class Checker(HTMLParser):
    """Whether every element is closed, which ids there are, and which of them something refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wanted: list[str] = []
        self.fetched: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"a script in {tag}"
            if name == "id":
                self.ids.append(value or "")
            if name == "aria-labelledby" or (name == "href" and (value or "").startswith("#")):
                self.wanted.append((value or "").lstrip("#"))
            elif name in ("href", "src"):
                self.fetched.append((tag, value or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing() -> None:
    told = page(upgrade())
    checker = Checker()
    checker.feed(told)

    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert set(checker.wanted) <= set(checker.ids)
    assert checker.fetched == [("link", "data:,")]
    assert "<script" not in told
    assert "url(" not in told


def test_nothing_that_a_task_says_is_markup() -> None:
    evil = "<img src=x onerror=alert(1)> \"'&"
    told = page(report(run("failed"), [
        fact(evil, killed(evil, reason=evil, evidence_why=evil, operations=[
            operation(evil, evil, "interrupted", evil, evil)])),
        fact("h", {"msg": evil}, failed=True, task=evil),
    ]))  # fmt: skip

    assert "<img" not in told
    assert told.count("&lt;img") > 8
    Checker().feed(told)


@pytest.mark.parametrize("told", [page(upgrade()), json.dumps(as_data(upgrade())), metrics(upgrade())])
def test_no_secret_is_in_any_of_them(told: str) -> None:
    assert SECRET not in told


def test_the_json_gives_the_same_report_again() -> None:
    told = json.loads(json.dumps(as_data(upgrade())))

    assert from_data(told) == upgrade()
    with pytest.raises(ValueError, match="version 1"):
        from_data({**told, "version": 99})


def test_metrics_are_what_the_textfile_collector_takes() -> None:
    told = metrics(upgrade())
    sample = re.compile(r'(kolla_drain_[a-z_]+)(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?\d+(\.\d+)?')
    seen: dict[str, int] = {}
    lines = told.splitlines()
    for line in lines:
        if not line.startswith("#"):
            match = sample.fullmatch(line)
            assert match, line
            seen[match[1]] = seen.get(match[1], 0) + 1
    assert told.endswith("\n")
    assert len(set(lines)) == len(lines)
    for name in seen:
        assert f"# TYPE {name} gauge" in lines
        assert any(line.startswith(f"# HELP {name} ") for line in lines)
    assert 'kolla_drain_operations{outcome="interrupted"} 1' in lines
    assert (
        'kolla_drain_container_phase_seconds{host="storage01",container="cinder_volume",phase="gap"} 1.4'
        in lines
    )


def test_two_stops_of_a_container_make_no_sample_twice() -> None:
    told = metrics(report(run(), [fact("h", stopped("a")), fact("h", replaced("a"))])).splitlines()

    names = [line.rpartition(" ")[0] for line in told if not line.startswith("#")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("given", ["upgrade", "upgrade.html", "upgrade.json"])
def test_json_and_page_lie_side_by_side(tmp_path: Path, given: str) -> None:
    files.write(upgrade(), files.base_of(f"{tmp_path}/new/{given}"))

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["upgrade.html", "upgrade.json"]
    assert files.base_of("/var/upgrade-2026.1") == Path("/var/upgrade-2026.1")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.prom"
    path.write_text("old")
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / f".a.prom.{files.os.getpid()}.new").symlink_to(elsewhere)

    files.write_metrics(upgrade(), str(path))
    assert path.read_text().startswith("# HELP")
    assert not elsewhere.exists(), "a link that somebody has put there was written through"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    path.write_text("old")
    with pytest.raises(OSError, match="No space"):
        files.write_metrics(upgrade(), str(path))
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.prom"]


# --- small parts


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (12, "12 s"),
        (59.96, "1 min"),
        (252, "4 min 12 s"),
        (3600, "1 h"),
        (3840, "1 h 4 min"),
    ],
)
def test_how_seconds_are_spelled(seconds: float, words: str) -> None:
    assert spelled(seconds) == words


@pytest.mark.parametrize("last", [0.0, 0.3, 1.0, 9.0, 61.0, 900.0, 4000.0, 90_000.0, 500_000.0])
def test_a_line_of_time_has_few_ticks(last: float) -> None:
    scale = Scale(0.0, last)
    assert 1 <= len(list(scale.ticks())) <= 6
    begin, width = scale.span(last / 2, last)
    assert 0 <= begin + width <= 100


def test_an_empty_report_is_a_page_too() -> None:
    empty: Report = report(run("under_way"), [])
    assert "Nothing was lost so far." in page(empty)


def test_a_run_that_has_not_heard_of_an_end_does_not_say_that_nothing_was_lost() -> None:
    lost = Unheard(moment(T), "h", "a task")
    first = report(run("interrupted"), [fact("h", stopped("a"))], [lost]).headline

    assert (first.level, first.text) == ("doubt", "Nothing was lost, as far as this run has heard.")
    assert first.more[-1] == "1 task of it has not been heard of since."


# --- what the documentation says of them


DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_documentation_names_every_key_of_the_json() -> None:
    table = (DOCS / "report.rst").read_text().partition(".. report-schema")[2].partition("The metrics\n")[0]
    rows = re.findall(r"^   \* - ``(\w+)``\n     - (.*?)(?=^   \* - |\Z)", table, re.MULTILINE | re.DOTALL)
    named = {key: set(re.findall(r"``(\w+)``", text)) - {"kolla_docker"} for key, text in rows}
    told = as_data(upgrade())
    containers = told["containers"]
    lists = {
        **{key: told[key] for key in ("containers", "left_disabled", "steps", "failures", "unheard")},
        **{
            key: [part for one in containers for part in one[key]]
            for key in ("phases", "events", "operations")
        },
    }
    keys = {key: set(told[key]) for key in ("headline", "run", "totals")}
    keys |= {key: {name for one in found for name in one} for key, found in lists.items()}
    keys["operations"] |= {"text", "commands"}
    assert named == keys
    assert set(told) == {"schema", "version", *keys} - {"phases", "events", "operations"}


def test_the_documentation_names_every_metric() -> None:
    named = set(re.findall(r"``(kolla_drain_[a-z_]+)``", (DOCS / "report.rst").read_text()))
    assert named - {"kolla_drain_report"} == set(
        re.findall(r"^# TYPE (\S+)", metrics(upgrade()), re.MULTILINE)
    )


def test_the_documentations_own_report_is_of_this_version() -> None:
    told = from_data(json.loads((DOCS / "results" / "report.json").read_text()))

    assert told.totals.interrupted == 1
    assert told.run.state == "ended"
    assert "1 operation was interrupted." in page(told)

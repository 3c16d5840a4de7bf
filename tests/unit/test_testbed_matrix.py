"""The matrix's own judgement: what of kolla_docker's words it lets pass, and what not."""

from __future__ import annotations

import importlib.util
import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from testbed import matrix_page, matrix_results, matrix_run, matrix_tool
from testbed.errors import TestbedError
from testbed.matrix import Job, Row, judge
from testbed.matrix_rows import BY_NAME
from testbed.matrix_run import CellRun, Sender
from testbed.matrix_terms import (
    KOLLA_ANSIBLE,
    OURS,
    PLAIN,
    STOP,
    UPGRADE,
    WAYS,
    Cell,
    Fate,
    Operation,
    State,
    Stopped,
)
from testbed.paths import DRIVERS

ROW = Row("extend", "extend", "volume", lambda bench, had: [])
REQUESTS = Row("requests", "requests", "volume", lambda bench, had: [], requests=lambda bench, had: [])


def fate(**more: Any) -> Fate:
    known = {
        "kind": "extend", "id": "1", "wanted": "available", "at_exit": "available", "status": "available",
        "right": True, "in_flight": True, "told": "finished",
    }  # fmt: skip
    return Fate(**{**known, **more})


def stopped(verdict: str = "drained", **more: Any) -> Stopped:
    """As the engine tells of a service that exited 10 s after the beginning of the stop."""
    known = {"verdict": verdict, "signals": (15,), "ended": verdict != "left_running", "seconds": 10.0}
    return Stopped(**{**known, **more})


LOST = {"at_exit": "extending", "status": "extending", "right": False}


def job(verdict: str = "drained", way: str = STOP) -> Job:
    return Job(ROW, way, "eventlet", verdicts=(verdict,))


@pytest.mark.parametrize(
    ("wanted", "said", "one"),
    [
        ("drained", "drained", fate()),
        ("drained", "drained", fate(in_flight=False, told="", at_exit="")),
        ("killed", "killed", fate(told="interrupted", **LOST)),
        ("cut", "cut", fate(told="interrupted", at_exit="creating", status="error", right=False)),
        ("left_running", "left_running", fate(told="unknown", at_exit="extending")),
        ("unverified", "unverified", fate(told="")),
    ],
)
def test_true_words_pass(wanted: str, said: str, one: Fate) -> None:
    assert judge(job(wanted), stopped(said), [one]) == []


@pytest.mark.parametrize(
    ("wanted", "said", "one", "words"),
    [
        ("drained", "cut", fate(), "the verdict is cut"),
        ("drained", "drained", fate(**LOST), "lost: extending for good"),
        ("drained", "drained", fate(at_exit="deleting"), "drained is said, but"),
        ("drained", "drained", fate(told=""), "is not among the operations"),
        ("killed", "killed", fate(told="finished", **LOST), "is told as finished"),
        ("killed", "killed", fate(told="unknown", **LOST), "is told as unknown"),
        ("unverified", "unverified", fate(), "without evidence"),
    ],
)
def test_what_is_not_so_is_found(wanted: str, said: str, one: Fate, words: str) -> None:
    assert words in " ".join(judge(job(wanted), stopped(said), [one]))


@pytest.mark.parametrize(
    ("second", "right"),
    [
        ("already_stopped", True),
        (
            "unverified: exit code 137; its evidence could not be read before the signal: what was in flight",
            True,
        ),
        ("unverified: exit code 137; its evidence could not be read after the exit", False),
        ("killed", False),
    ],
)
def test_a_second_call_may_claim_nothing_where_it_came_too_late_to_look(second: str, right: bool) -> None:
    found = judge(job(), stopped(second=second), [fate()])
    assert (found == []) == right, found


def test_a_second_signal_is_found() -> None:
    assert judge(job("killed"), stopped("killed", signals=(15, 9)), [fate(told="interrupted", **LOST)]) == []
    assert "more than once" in judge(job(), stopped(signals=(15, 15)), [fate()])[0]


def test_nothing_is_drained_that_was_killed() -> None:
    assert "ended by SIGKILL" in judge(job(), stopped(signals=(15, 9)), [fate()])[0]


def test_a_cell_that_saw_no_signal_or_no_end_proves_nothing() -> None:
    assert judge(job(), stopped(signals=()), [fate()]) == [
        "the container ended, and the engine told of no signal"
    ]
    assert "told of no end" in judge(job(), stopped(ended=False), [fate()])[0]


@pytest.mark.parametrize(
    ("way", "moments", "words"),
    [
        (STOP, (4.0, 11.0), ""),
        (STOP, (4.0, 9.9), "while the container was down"),
        (STOP, (11.0,), "between the beginning of the stop and the container's end"),
        (UPGRADE, (4.0,), ""),
        (UPGRADE, (), "between the beginning of the stop and the container's end"),
    ],
)
def test_requests_were_sent_when_they_matter(way: str, moments: tuple[float, ...], words: str) -> None:
    sent = [fate(in_flight=False, told="", sent=moment) for moment in moments]

    found = judge(Job(REQUESTS, way, "eventlet"), stopped(), [fate(), *sent])

    assert words in " ".join(found)
    assert bool(found) == bool(words)


@pytest.mark.parametrize(
    ("verdict", "late", "words"),
    [
        ("unverified", {"sent": 4.0, "told": "unknown", **LOST}, ""),
        ("cut", {"sent": 4.0, "told": "interrupted", **LOST}, ""),
        # It may not have been in the database yet when the module looked for the last time.
        ("drained", {"sent": 8.0, "told": "", **LOST}, ""),
        (
            "drained",
            {"sent": 4.0, "told": "", **LOST},
            "lost: extending for good and not among the operations",
        ),
        ("drained", {"sent": 4.0, "told": "finished", **LOST}, "is told as finished, but is lost"),
        ("drained", {"sent": 12.0, "told": "", **LOST}, "sent after the exit, is lost"),
        ("killed", {"sent": 4.0, "told": ""}, "the verdict is killed"),
    ],
)
def test_a_request_that_came_during_the_stop_may_be_lost_but_not_hidden(
    verdict: str, late: dict[str, Any], words: str
) -> None:
    others = [fate(in_flight=False, told="", sent=moment) for moment in (3.0, 11.0)]
    fates = [fate(), fate(in_flight=False, **late), *others]

    found = judge(Job(REQUESTS, STOP, "eventlet"), stopped(verdict), fates)

    assert words in " ".join(found)
    assert len(found) == bool(words)


def test_requests_during_a_stop_excuse_no_loss_of_what_was_in_flight() -> None:
    sent = [fate(in_flight=False, told="", sent=moment) for moment in (3.0, 11.0)]

    found = judge(Job(REQUESTS, STOP, "eventlet"), stopped("cut"), [fate(told="interrupted", **LOST), *sent])

    assert found == ["extend 1 is lost: extending for good"]


def test_an_operation_out_of_nowhere_is_found() -> None:
    assert "nobody asked for" in judge(job(), stopped(told=({"id": "7"},)), [])[0]


def test_of_the_other_ways_nothing_is_asked() -> None:
    assert judge(job(way=PLAIN), Stopped(), [fate(told="", **LOST)]) == []


@pytest.mark.parametrize(
    ("fates", "word"),
    [
        ([], "nothing in flight"),
        ([fate()], "done"),
        ([fate(at_exit="deleting", status="gone", wanted="gone")], "done after the start"),
        ([fate(**LOST)], "lost: extending for good"),
        ([fate(status="error", right=False)], "error"),
        ([fate(right=False, wrong="its content is another")], "wrong: its content is another"),
        ([fate(), fate()], "all 2 done"),
        ([fate(), fate(**LOST), fate(**LOST)], "1 of 3 done; 2 x extend lost: extending for good"),
    ],
)
def test_words_for_people(fates: list[Fate], word: str) -> None:
    cell = Cell("extend-stop-eventlet", "extend", STOP, "eventlet", "m1", fates=tuple(fates))

    assert cell.word == word
    assert Cell.from_dict(cell.as_dict()) == cell


def cell_of(way: str, **more: Any) -> dict[str, Any]:
    cell = Cell(f"extend-{way}-eventlet", "extend", way, "eventlet", "m1", (stopped(),), (fate(),), **more)
    return cell.as_dict()


VERSIONS = {"cinder": "29.0.0", "kolla-drain": "0000001"}


def whole() -> dict[str, Any]:
    """The results of one run of all ways."""
    results = matrix_results.nothing(14)
    record = matrix_results.Record(None, results, "2026-01-02", VERSIONS, 4)
    for way in WAYS:
        record.add(Cell.from_dict(cell_of(way, patience=74.0 if way in OURS else 34.0)))
    return results


def again(results: dict[str, Any]) -> dict[str, Any]:
    """The two ways of others once more, from another commit."""
    jobs = [Job(BY_NAME["extend"], way, "eventlet") for way in (PLAIN, KOLLA_ANSIBLE)]
    kept = matrix_results.kept(results, 14, jobs)
    record = matrix_results.Record(None, kept, "2026-03-04", {**VERSIONS, "kolla-drain": "0000002"}, 4)
    for job in jobs:
        record.add(Cell.from_dict(cell_of(job.way, patience=74.0)))
    return kept


def test_what_is_kept_keeps_its_date_and_its_commit() -> None:
    results = again(whole())

    whose = {cell["way"]: (cell["made"], cell["commit"], cell["patience"]) for cell in results["cells"]}
    assert whose == {
        **dict.fromkeys(OURS, ("2026-01-02", "0000001", 74.0)),
        **dict.fromkeys((PLAIN, KOLLA_ANSIBLE), ("2026-03-04", "0000002", 74.0)),
    }


def test_the_page_says_which_cells_are_of_which_run() -> None:
    before = matrix_page.made_of(whole())
    after = matrix_page.made_of(again(whole()))

    assert "* 2026-01-02, 4 cells (kolla_docker: stop; kolla_docker: upgrade; docker stop" in before
    assert "34 s (docker stop, 10 s; kolla-ansible's way)" in " ".join(before.split())
    assert "* 2026-01-02, 2 cells (kolla_docker: stop; kolla_docker: upgrade)" in after
    assert "* 2026-03-04, 2 cells (docker stop, 10 s; kolla-ansible's way)" in after
    assert "final state 74 s after" in " ".join(after.split())


def test_the_page_is_made_of_the_file_of_the_results(tmp_path: Path) -> None:
    file, page = tmp_path / "cache" / "matrix.json", tmp_path / "matrix.rst"
    record = matrix_results.Record(file, matrix_results.nothing(14), "2026-01-02", VERSIONS, 1)
    record.add(Cell.from_dict(cell_of(STOP)))

    matrix_tool.write_page(file, page)

    assert "* 2026-01-02, 1 cells (kolla_docker: stop)" in page.read_text()


def test_the_page_tells_of_requests_that_were_lost_while_the_service_exited() -> None:
    results = whole()
    late = fate(in_flight=False, told="unknown", sent=4.0, **LOST)
    cell = Cell(
        "requests-stop-threads", "requests", STOP, "threads", "m3", (stopped("unverified"),), (fate(), late)
    )
    results["cells"].append(cell.as_dict())

    assert "Of 1 requests sent during a stop, 1 were lost" in matrix_page.made_of(results)


def test_results_of_other_operations_are_not_mixed() -> None:
    with pytest.raises(TestbedError, match="--seconds"):
        matrix_results.kept(whole(), 20)


class NoBench:
    """As much of a bench as looking back needs."""

    seconds = 8.0


def test_at_the_exit_only_what_the_module_tells_of_counts() -> None:
    """cinder-volume's part of a backup is over a moment before the backup's row says so."""
    run = CellRun(NoBench(), job())  # type: ignore[arg-type]
    run.at_exit = {("backup", "b"): "creating", ("volume", "v"): "available"}
    backup = Operation("backup create", (State("backup", "b"), State("volume", "v")))

    by_volume = run._status_at_exit(backup, stopped(told=({"id": "v", "outcome": "finished"},)))
    by_backup = run._status_at_exit(backup, stopped(told=({"id": "b", "outcome": "finished"},)))
    unseen = run._status_at_exit(backup, stopped())

    assert (by_volume, by_backup, unseen) == ("available", "creating", "creating")


def test_requests_are_sent_until_it_is_enough_and_keep_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_run, "ASK_EVERY", 0.01)
    refused: list[str] = []
    asked: list[int] = []

    def ask() -> Operation:
        asked.append(1)
        if len(asked) == 2:
            raise TestbedError("503")
        return Operation("create", (State("volume", "v"),), in_flight=False)

    sender = Sender(itertools.repeat(ask), refused, began=time.time() - 5)
    while len(asked) < 6:
        time.sleep(0.01)
    taken = sender.end()

    assert len(taken) >= 4
    assert all(one.sent is not None and one.sent >= 5.0 for one in taken)
    assert len(refused) == 1
    assert "503" in refused[0]


def test_what_is_held_takes_its_time_from_the_end_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = tmp_path / "pauses.json"
    pauses.write_text(json.dumps({"extend": {"seconds": 0.5}}))
    held = tmp_path / "held"
    held.touch()
    monkeypatch.setenv("TESTBED_PAUSES", str(pauses))
    spec = importlib.util.spec_from_file_location("pauses", DRIVERS / "kolla_drain_testbed" / "pauses.py")
    assert spec
    assert spec.loader
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)

    operation = threading.Thread(target=driver.pause, args=("extend", "1"))
    operation.start()
    operation.join(1.2)
    assert operation.is_alive()
    released = time.monotonic()
    held.unlink()
    operation.join(30)

    assert not operation.is_alive()
    assert time.monotonic() - released > 0.25  # it may have looked just before

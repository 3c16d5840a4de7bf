"""One signal to a process, whatever fails, repeats or runs side by side; and many containers in one call."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from kolla_drain.host.ledger import boot_clock
from tests.support import engines
from tests.support.checks import LEDGER, is_sentence, signalled_once, untouched, wait_for_runs
from tests.support.workloads import UNTIL_TOLD, Workloads


def stop(*names: str, **options: Any) -> dict[str, Any]:
    """The options of a stop, with a budget that a busy machine does not use up."""
    return {"action": "stop_container", "name": list(names), "graceful_shutdown_timeout": 150, **options}


def test_left_running_then_joined(run_module: Any, start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    left = run_module(stop(workload.name, graceful_shutdown_timeout=6, on_timeout="leave"))
    assert left["failed"]
    assert left["verdict"] == "left_running"
    assert workload.name in left["msg"]
    assert workload.status == "running"

    run = start_module(stop(workload.name))
    wait_for_runs(workload)
    workload.end()
    joined = run.result()
    assert not joined.get("failed"), joined["msg"]
    assert (joined["verdict"], joined["joined"], joined["exit_code"]) == ("unverified", True, 0)
    assert "already_draining" in [finding["code"] for finding in joined["preflight"]]
    signalled_once(workload)


def test_left_running_again_and_again_then_killed(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600")
    for timeout in (6, 1):  # the first one is time enough for the signal on a busy machine
        left = run_module(stop(workload.name, graceful_shutdown_timeout=timeout, on_timeout="leave"))
        assert left["verdict"] == "left_running"
    killed = run_module(stop(workload.name, graceful_shutdown_timeout=1))
    assert killed["verdict"] == "killed"
    signalled_once(workload, "SIGTERM", "SIGKILL")


def test_a_run_killed_half_way(start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    first = start_module(stop(workload.name))
    workload.wait_line("signal SIGTERM")
    first.kill()
    since = time.monotonic()
    run = start_module(stop(workload.name))
    wait_for_runs(workload)
    drained = time.monotonic() - since
    workload.end()
    second = run.result()
    assert (second["verdict"], second["joined"], second["exit_code"]) == ("unverified", True, 0)
    assert second["signal"] == "SIGTERM"
    assert second["drained"] >= drained, "counted from the first run's signal"
    signalled_once(workload)


def test_a_run_killed_at_any_moment(start_module: Any, workloads: Workloads) -> None:
    """Runs are ended at moments spread over their start, some before the signal, some right after it."""
    made = [workloads.start(*UNTIL_TOLD) for _ in range(8)]
    for i, workload in enumerate(made):
        run = start_module(stop(workload.name))
        time.sleep(0.15 + 0.1 * i)
        run.kill()
    last = start_module(stop(*(workload.name for workload in made)))
    for workload in made:
        wait_for_runs(workload)
        workload.end()
    result = last.result()
    assert not result.get("failed"), result["msg"]
    for one, workload in zip(result["containers"], made):
        assert (one["verdict"], one["exit_code"]) == ("unverified", 0), one["timeline"]
        signalled_once(workload)


def test_runs_at_the_same_time(start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    runs = [start_module(stop(workload.name)) for _ in range(4)]
    wait_for_runs(workload, 4)
    workload.end()
    results = [run.result() for run in runs]
    assert [result["verdict"] for result in results] == ["unverified"] * 4
    assert [result["exit_code"] for result in results] == [0] * 4
    assert sum(result["joined"] for result in results) == 3
    signalled_once(workload)


def test_a_shorter_second_run_does_not_cut_the_first(start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    first = start_module(stop(workload.name))
    workload.wait_line("signal SIGTERM")
    second = start_module(stop(workload.name, graceful_shutdown_timeout=1))
    wait_for_runs(workload, 2)
    time.sleep(2)  # over the second's deadline
    workload.end()
    assert [run.result()["verdict"] for run in (first, second)] == ["unverified"] * 2
    signalled_once(workload)


def test_a_longer_second_run_gives_it_more_time(start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    first = start_module(stop(workload.name, graceful_shutdown_timeout=20))
    workload.wait_line("signal SIGTERM")
    deadline = json.loads((LEDGER / f"{workload.id}.json").read_text())["deadline"]
    second = start_module(stop(workload.name, graceful_shutdown_timeout=600))
    wait_for_runs(workload, 2)
    time.sleep(max(0.0, deadline - boot_clock()) + 2)  # over the first's deadline
    workload.end()
    assert second.result()["verdict"] == "unverified"
    assert second.result()["exit_code"] == 0
    first.result()
    signalled_once(workload)


def test_signalled_by_somebody_else_before(start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    workload.stop_by_another()
    run = start_module(stop(workload.name))
    wait_for_runs(workload)
    workload.end()
    result = run.result()
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    signalled_once(workload)


@pytest.mark.timeout(900)  # a hundred programs in a container
@engines.docker_only("it remembers 256 events, and podman all")
def test_signalled_by_somebody_else_and_forgotten_by_the_engine(
    start_module: Any, workloads: Workloads
) -> None:
    """Each run of a healthcheck is three events, so that forty containers of Kolla fill that within a minute or two."""
    workload = workloads.start(*UNTIL_TOLD)
    workload.raw.kill("SIGTERM")
    for _ in range(100):
        workload.raw.exec_run("true")
    run = start_module(stop(workload.name, graceful_shutdown_timeout=600))
    wait_for_runs(workload)
    time.sleep(5)  # it would have sent its own by now
    workload.end()
    result = run.result()
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert "signals_forgotten" in [note["code"] for note in result["notes"]]
    assert "may be stopping already" in str(result["timeline"])
    assert workload.received == ["SIGTERM"]


@pytest.mark.timeout(900)
@engines.docker_only("it remembers 256 events, and podman all")
def test_what_the_engine_has_forgotten_without_a_trace_is_told(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    for _ in range(100):
        workload.raw.exec_run("true")
    result = run_module(stop(workload.name))
    assert "signals_forgotten" in [note["code"] for note in result["notes"]]
    signalled_once(workload)


@pytest.mark.skipif(not engines.is_podman(), reason="Docker's events name the signal")
def test_a_signal_without_a_name_is_told_and_is_no_stop(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "2")
    workload.raw.kill("SIGWINCH")
    result = run_module(stop(workload.name))
    assert "signal_without_name" in [note["code"] for note in result["notes"]]
    assert (result["verdict"], result["signal"]) == ("unverified", "SIGTERM")
    assert workload.sent == ["SIGWINCH", "SIGTERM"]


def test_a_new_life_is_signalled_again(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    run_module(stop(workload.name))
    workload.raw.start()
    workload.wait_line("ready", 2)
    result = run_module(stop(workload.name))
    assert (result["verdict"], result["joined"]) == ("unverified", False)
    assert workload.sent == workload.received == ["SIGTERM", "SIGTERM"], "one for each life"


# --- the engine's plain stop keeps to it, too


def test_the_plain_stop_does_not_cut_a_stop_under_way(
    run_module: Any, start_module: Any, workloads: Workloads
) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    first = start_module(stop(workload.name))
    workload.wait_line("signal SIGTERM")
    plain = run_module(stop(workload.name, graceful_shutdown=False, graceful_shutdown_timeout=1))
    workload.end()
    assert plain["failed"]
    assert "is being stopped already" in plain["msg"]
    is_sentence(plain["msg"])
    assert (first.result()["verdict"], first.result()["exit_code"]) == ("unverified", 0)
    signalled_once(workload)


def test_a_graceful_stop_joins_the_plain_one(start_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(*UNTIL_TOLD)
    plain = start_module(stop(workload.name, graceful_shutdown=False))
    workload.wait_line("signal SIGTERM")
    assert json.loads((LEDGER / f"{workload.id}.json").read_text())["intent"], (
        "kept before the engine was asked"
    )
    run = start_module(stop(workload.name))
    wait_for_runs(workload, 2)
    workload.end()
    joined = run.result()
    assert (joined["verdict"], joined["exit_code"], joined["signal"]) == ("unverified", 0, "SIGTERM")
    assert plain.result()["exit_code"] == 0
    signalled_once(workload)


# --- many


def test_ten_at_once_take_as_long_as_the_longest(run_module: Any, workloads: Workloads) -> None:
    made = [workloads.start("--drain", str(seconds)) for seconds in range(1, 11)]
    result = run_module(stop(*(workload.name for workload in made)))
    assert [one["name"] for one in result["containers"]] == [workload.name for workload in made]
    for seconds, one, workload in zip(range(1, 11), result["containers"], made):
        assert not one["failed"], one
        assert one["drained"] is not None, one["timeline"]
        # From when the engine's answer to the signal came, which on a busy machine is long after the signal.
        assert one["drained"] >= seconds - 3
        signalled_once(workload)
    moments = {what: [event["timeNano"] for one in made for event in one.log.of(one.id) if event["Action"] == what]
               for what in ("kill", "die")}  # fmt: skip
    over = sum(exit_at < max(moments["kill"]) for exit_at in moments["die"])
    assert over < 9, "one after the other, nine would be over before the last one's signal"


def test_one_that_fails_does_not_stop_the_others(run_module: Any, workloads: Workloads) -> None:
    first, hangs, last = workloads.start(), workloads.start("--drain", "600"), workloads.start("--drain", "1")
    result = run_module(
        stop(
            first.name,
            "kd_test_nobody",
            hangs.name,
            last.name,
            on_timeout="leave",
            graceful_shutdown_timeout=10,
        )
    )
    assert result["failed"]
    assert result["changed"]
    assert "kd_test_nobody" in result["msg"]
    assert hangs.name in result["msg"]
    verdicts = [one["verdict"] for one in result["containers"]]
    assert verdicts == ["unverified", None, "left_running", "unverified"]
    assert [one["failed"] for one in result["containers"]] == [False, True, True, False]
    for workload in (first, hangs, last):
        signalled_once(workload)


def test_a_name_and_the_id_of_the_same_container(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    with untouched(workload):
        result = run_module(stop(workload.name, workload.id))
    assert result["failed"]
    is_sentence(result["msg"])


def test_by_id(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    result = run_module(stop(workload.id))
    assert (result["name"], result["verdict"]) == (workload.name, "unverified")

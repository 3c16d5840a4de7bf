"""Requests found in Guru Meditation Reports, whole and broken."""

from __future__ import annotations

import pytest

from kolla_drain.evidence.threads import Call, ProcessReport, reports

LIB = "/opt/nova/lib/python3.11/site-packages"
IDLE = [
    "/usr/lib/python3.11/threading.py:995 in _bootstrap",
    f"{LIB}/oslo_messaging/_drivers/base.py:47 in _poll_messages",
    f"{LIB}/oslo_messaging/_drivers/impl_rabbit.py:1354 in consume",
]
TAKEN = ["/usr/lib/python3.11/threading.py:995 in _bootstrap", f"{LIB}/futurist/_thread.py:124 in run"]
BUSY = [
    *TAKEN,
    f"{LIB}/oslo_messaging/rpc/server.py:174 in _process_incoming",
    f"{LIB}/oslo_messaging/rpc/dispatcher.py:309 in dispatch",
    f"{LIB}/oslo_messaging/rpc/dispatcher.py:229 in _do_dispatch",
]
METHOD = [*BUSY, f"{LIB}/nova/conductor/manager.py:1500 in build_instances"]


def title(text: str) -> list[str]:
    line = "=" * 72
    return [line, f"===={text:^64}====", line]


def thread(frames: list[str], name: str = " Thread #140012 ") -> list[str]:
    shown = [line for frame in frames for line in (frame, "    `some code: 1 in 2`", "")]
    return [f"------{name:^60}------", "", *(shown or ["No Traceback!"]), ""]


def report(*threads: list[str], green: list[list[str]] | None = None, pid: int = 7) -> list[str]:
    lines = [*title("Guru Meditation"), "|" * 72, *title("Package"), "product = None", *title("Threads")]
    for one in threads:
        lines += thread(one)
    if green is not None:
        lines += title("Green Threads")
        for one in green:
            lines += thread(one, " Green Thread ")
    processes = [
        f"Process {pid} (under 1) [ run by: nova (42436), state: running ]",
        "    Process 99 (under 7)",
    ]
    return [*lines, *title("Processes"), *processes, *title("Configuration"), "  connection = ***"]


def calls(lines: list[str]) -> list[Call]:
    (one,) = reports(lines)
    return list(one.calls)


def test_a_thread_that_waits_for_work_is_none() -> None:
    assert list(reports(report(IDLE, []))) == [ProcessReport(7, ())]


@pytest.mark.parametrize("green", [False, True])
def test_a_request_is_called_by_its_method(green: bool) -> None:
    lines = report(IDLE, green=[METHOD]) if green else report(IDLE, METHOD)

    assert calls(lines) == [Call("build_instances")]


def test_decorators_are_passed_by() -> None:
    wrapped = [
        f"{LIB}/nova/service.py:99 in _tracked",
        f"{LIB}/oslo_messaging/rpc/server.py:244 in inner",
        f"{LIB}/nova/exception_wrapper.py:63 in wrapped",
        f"{LIB}/nova/compute/utils.py:1483 in decorated_function",
        f"{LIB}/nova/conductor/manager.py:402 in migrate_server",
        f"{LIB}/nova/utils.py:9 in wrapper",
        f"{LIB}/nova/conductor/tasks/live_migrate.py:90 in _execute",
    ]
    assert calls(report([*BUSY, *wrapped])) == [Call("migrate_server")]


@pytest.mark.parametrize(
    "frames",
    [
        BUSY[:3],
        BUSY,
        [*BUSY, f"{LIB}/nova/rpc.py:5 in deserialize_entity", f"{LIB}/nova/objects/base.py:9 in obj_from"],
        [
            *BUSY[:3],
            f"{LIB}/oslo_messaging/_drivers/amqpdriver.py:194 in reply",
            f"{LIB}/kombu/m.py:1 in publish",
        ],
    ],
    ids=["taken", "dispatched", "being read", "being answered"],
)
def test_a_request_on_its_way_in_or_out_counts(frames: list[str]) -> None:
    assert calls(report(frames)) == [Call("request")]


def test_a_periodic_task_is_told_as_one() -> None:
    frames = [*TAKEN, f"{LIB}/oslo_service/periodic_task.py:220 in run_periodic_tasks"]

    assert calls(report([*frames, f"{LIB}/nova/manager.py:3 in _sync"])) == [Call("_sync", periodic=True)]


def test_lines_of_others_do_no_harm() -> None:
    lines = [
        line for own in report(METHOD, METHOD) for line in (own, "12:01 INFO nova [-] x.py:5 is busy", "")
    ]

    assert calls(lines) == [Call("build_instances")] * 2


def test_several_reports_keep_their_processes() -> None:
    found = list(reports([*report(METHOD, pid=7), "a line", *report(IDLE, pid=8)]))

    assert found == [ProcessReport(7, (Call("build_instances"),)), ProcessReport(8, ())]


def test_a_report_that_is_not_all_there_is_none() -> None:
    lines = report(METHOD)

    until = lines.index(next(line for line in lines if line.startswith("Process 7")))
    assert list(reports(lines[:until])) == []
    assert list(reports(lines[5:])) == [], "its beginning is missing"


def test_two_that_run_into_each_other_are_not_believed() -> None:
    one, other = report(METHOD, pid=7), report(IDLE, pid=8)
    half = len(one) // 2

    found = list(reports([*one[:half], *other, *one[half:], *report(IDLE, pid=9)]))

    assert found == [ProcessReport(9, ())]

"""Find the requests that a process works on in the Guru Meditation Report that it prints at SIGUSR2.

The report (oslo.reports 3.x) has these sections: Package, Threads, Green Threads where greenlet is installed,
Processes, Configuration and any of the service's own. A request is a thread whose stack passes the dispatcher of
oslo.messaging, and what the dispatcher calls is the method. Configuration is not read, because it is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Call(NamedTuple):
    """One thread that works on something."""

    method: str  # build_instances; of a request that is just being taken, "request"
    periodic: bool = False  # a periodic task: it comes again by itself


class ProcessReport(NamedTuple):
    """What one process said of its threads."""

    pid: int  # as the process sees itself
    calls: tuple[Call, ...]


_SECTION = re.compile(r"====\s+(\S.*\S)\s+====\s*\Z")
_THREAD = re.compile(r"------\s+(?:Thread #-?\d+|Green Thread)\s+------\s*\Z")
_FRAME = re.compile(r"(\S.*\.py[co]?):\d+ in (\S+)\s*\Z")
_PROCESS = re.compile(r"Process (\d+) \(under \d+\)")

# From the moment at which a message is taken from the queue to the moment at which its answer is on the way.
_TAKEN = ("oslo_messaging/rpc/server.py", "_process_incoming")
_DISPATCHER = "oslo_messaging/rpc/dispatcher.py"
_PERIODIC = "oslo_service/periodic_task.py"
# Between the dispatcher and the method: decorators of oslo.messaging, oslo.utils, osprofiler and Nova. A method that
# can be asked for from outside has no underscore before its name (oslo.messaging's DefaultRPCAccessPolicy).
_WRAPPER = re.compile(r"inner|wrapp(?:er|ed)(?:_f)?|decorated(?:_function)?|helper|trace_wrapper|<lambda>")


def reports(lines: Iterable[str]) -> Iterator[ProcessReport]:
    """Yield the whole reports in a log, in their order.

    Lines of others in the middle of a report do no harm. Where two reports run into each other, neither is yielded.
    """
    section, pid_wanted, mixed = "", False, False
    stacks: list[list[tuple[str, str]]] = []
    for line in lines:
        title = _SECTION.match(line)
        if title:
            if title[1] == "Guru Meditation":
                mixed = bool(section)
                section, stacks = title[1], []
            elif section:
                section, pid_wanted = title[1], title[1] == "Processes"
        elif pid_wanted:
            process = _PROCESS.match(line)
            if process:
                if not mixed:
                    calls = tuple(call for call in map(_call, stacks) if call is not None)
                    yield ProcessReport(int(process[1]), calls)
                section, pid_wanted, stacks = "", False, []
        elif section.endswith("Threads"):
            frame = _FRAME.match(line)
            if frame and stacks:
                stacks[-1].append((frame[1], frame[2]))
            elif _THREAD.match(line):
                stacks.append([])


def _call(stack: list[tuple[str, str]]) -> Call | None:
    """Return what a thread works on, None for nothing. Frames are file and function, the outermost first."""
    entered, periodic = -1, False
    for number, (file, function) in enumerate(stack):
        if file.endswith(_DISPATCHER) or (file.endswith(_TAKEN[0]) and function == _TAKEN[1]):
            entered, periodic = number, False
        elif file.endswith(_PERIODIC) and function == "run_periodic_tasks":
            entered, periodic = number, True
    if entered < 0:
        return None
    for file, function in stack[entered + 1 :]:
        if not _WRAPPER.fullmatch(function) and (periodic or not function.startswith("_")):
            # On its way in or out: read from the message, or sent as its answer.
            passes = "/oslo_messaging/" in file or function.startswith(("serialize", "deserialize"))
            return Call("request" if passes else function, periodic)
    return Call("request", periodic)

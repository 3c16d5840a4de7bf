"""What a stop of nova-conductor loses of the builds that go through it, signalled at any moment or at a quiet one.

.venv/bin/python -m benchmarks conductor --stops 4
.venv/bin/python -m benchmarks conductor --page                # only make the page anew
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks import RESULTS, pages
from benchmarks.interval import wilson
from benchmarks.ways import BUDGET, DOCKER_GRACE, SLACK
from testbed.errors import TestbedError
from testbed.nova_stack import NovaStack
from testbed.recorder import Recorder
from testbed.stack import Stack
from testbed.waiting import wait_until

PATH = RESULTS / "conductor.json"
CONTAINER = "nova_conductor"
COMMAND = ".venv/bin/python -m benchmarks conductor"
MODES = {"threads": "native threads", "eventlet": "eventlet"}
WAYS = {"kolla_docker": "``kolla_docker``", "docker-stop": "``docker stop -t 10``"}
# Seconds without any progress after which a build is lost: calls that got no answer are given up after 60 s.
PATIENCE = 90.0
HEADS = (
    "way", "stops", "builds lost of those that met it", "of these asked for before the signal",
    "wait for the signal, s", "signal to exit, s",
)  # fmt: skip


class Pace(NamedTuple):
    """How builds are asked for."""

    told: str
    every: float  # seconds from one to the next
    most: int  # so many in all


STREAMS = {
    "burst": Pace(
        "24 builds are asked for without a break, and the stop begins in the middle of them", 0.0, 24
    ),
    "steady": Pace("a build is asked for every 1.5 s, before, while and after the stop", 1.5, 10_000),
}
ENDED = 4  # builds that have ended when the stop begins


class Stream:
    """Builds that are asked for; the API answers while the conductor is away."""

    def __init__(self, nova: NovaStack, pace: Pace) -> None:
        self._nova, self._pace = nova, pace
        self.sent: dict[str, float] = {}  # when the API answered, by instance
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for number in range(self._pace.most):
            server = self._nova.api.create_server(f"stream-{number}")
            self.sent[server["id"]] = time.time()
            if self._ended.wait(self._pace.every):
                return

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def kolla_docker(nova: NovaStack) -> str:
    """SIGTERM at a moment at which its processes work on nothing. Return the verdict."""
    from tests.support.module_run import ModuleRun

    arguments = {"action": "stop_container", "name": CONTAINER, "graceful_shutdown_timeout": BUDGET}
    result = ModuleRun(arguments).result(BUDGET + SLACK)
    if "verdict" not in result:
        raise TestbedError(f"kolla_docker: {result.get('msg')}")
    return str(result["verdict"])


def docker_stop(nova: NovaStack) -> str:
    """SIGTERM at any moment, and SIGKILL after 10 s."""
    nova.container(CONTAINER).stop(timeout=DOCKER_GRACE)
    return ""


def measure(nova: NovaStack, stream: str, way: str, recorder: Recorder) -> dict[str, Any]:
    """Stop the conductor once under a stream of builds, start it, and return what became of them."""
    nova.delete_servers()
    pace, stop = STREAMS[stream], kolla_docker if way == "kolla_docker" else docker_stop
    builds = Stream(nova, pace)
    try:
        wait_until(lambda: len(_active(nova)) >= ENDED, 120, "the first builds")
        begun, before = time.time(), _active(nova)
        verdict = stop(nova)
        nova.container(CONTAINER).start()
        started = time.time()
        time.sleep(2 * pace.every)
    finally:
        builds.end()
    left, moved = set(builds.sent) - before, time.monotonic()
    while left and time.monotonic() < moved + PATIENCE:
        time.sleep(1.0)
        if ended := left & _active(nova):
            left -= ended
            moved = time.monotonic()
    events = [one for one in recorder.events if one.name == CONTAINER and one.at >= begun]
    signalled = next(one.at for one in events if one.action == "kill")
    exited = next(one.at for one in events if one.action == "die")
    return {
        "stream": stream,
        "way": way,
        "verdict": verdict,
        "waited": round(signalled - begun, 2),
        "exit": round(exited - signalled, 2),
        "killed": any(one.action == "kill" and one.signal == "9" for one in events),
        "met": sum(server not in before and sent < started for server, sent in builds.sent.items()),
        "lost": len(left),
        "lost_before_signal": sum(builds.sent[server] < signalled for server in left),
    }


def _active(nova: NovaStack) -> set[str]:
    return {one["id"] for one in nova.api.servers() if one["status"] == "ACTIVE"}


def main(arguments: list[str]) -> int:
    """Measure what was asked for, or only make the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks conductor", description=__doc__)
    parser.add_argument("--stops", type=int, default=4, help="of each way, in each mode and stream")
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument("--page", action="store_true", help="make the page of the figures that are there")
    chosen = parser.parse_args(arguments)
    if chosen.page:
        keep(json.loads(PATH.read_text()))
        return 0
    stack = Stack()
    data: dict[str, Any] = {"made": pages.now(), "versions": {}, "load": pages.load(), "stops": []}
    for mode in chosen.modes:
        nova = NovaStack(stack).up(mode=mode)
        data["versions"] = _versions(nova)
        recorder = Recorder(stack.client, lambda event: event.name == CONTAINER)
        try:
            # In turn, so that none has the quiet hour of the machine alone.
            for _, stream, way in itertools.product(range(chosen.stops), STREAMS, WAYS):
                data["stops"].append({"mode": mode, **measure(nova, stream, way, recorder)})
                print(data["stops"][-1], flush=True)
                keep(data)
        finally:
            recorder.close()
        nova.delete_servers()
    return 0


def _versions(nova: NovaStack) -> dict[str, str]:
    names = ("nova", "oslo.service", "oslo.messaging", "oslo.reports")
    code = f"from importlib.metadata import version as v; print(*map(v, {names!r}))"
    _, out = nova.container(CONTAINER).exec_run(["/opt/nova/bin/python", "-c", code])
    return dict(zip(names, out.decode().split()))


def keep(data: dict[str, Any]) -> None:
    """Write the figures with one line a stop, and the page."""
    about = json.dumps({name: value for name, value in data.items() if name != "stops"}, indent=1)
    lines = ",\n".join(f"  {json.dumps(one)}" for one in data["stops"])
    PATH.write_text(f'{about[:-2]},\n "stops": [\n{lines}\n ]\n}}\n')
    PATH.with_suffix(".rst").write_text(page(data))


def page(data: dict[str, Any]) -> str:
    """Return the page."""
    text = pages.NOTE.format(command=COMMAND) + pages.title("nova-conductor under a stream of builds")
    text += f"{data['made']}; {pages.spelled(data['versions'])}; load average {data['load']}, {pages.machine()}.\n\n"
    text += (
        "Instances are asked for while nova-conductor is stopped and started again. A build meets the stop if it has "
        "not ended when the stop begins, or is asked for until the conductor is there again. It is lost if it is not "
        f"``ACTIVE`` when nothing has moved for {PATIENCE:g} s. ``kolla_docker`` asks the processes what they work on "
        "(:doc:`/threads`) and signals at a moment at which that is nothing. In brackets: the 95 % Wilson score "
        "interval, as if each build were lost or not by itself; those of one stop are not, so it is rather wider.\n\n"
    )
    for (mode, spelled), (stream, pace) in itertools.product(MODES.items(), STREAMS.items()):
        rows = []
        for way, told in WAYS.items():
            wanted = (mode, stream, way)
            stops = [one for one in data["stops"] if (one["mode"], one["stream"], one["way"]) == wanted]
            if stops:
                rows.append((told, *_cells(stops)))
        if rows:
            text += f"On {spelled}, {pace.told}:\n\n" + pages.table(HEADS, rows)
    return text.rstrip() + "\n"


def _cells(stops: Sequence[dict[str, Any]]) -> tuple[object, ...]:
    lost, met = (sum(one[name] for one in stops) for name in ("lost", "met"))
    low, high = wilson(lost, met)
    waits, exits = ([one[name] for one in stops] for name in ("waited", "exit"))
    return (
        len(stops),
        f"{lost} of {met} ({100 * low:.0f} to {100 * high:.0f} %)",
        sum(one["lost_before_signal"] for one in stops),
        f"{min(waits):.1f} to {max(waits):.1f}",
        f"{min(exits):.1f} to {max(exits):.1f}",
    )

"""The demo: the same volume under a plain stop and under kolla_docker, on real Cinder.

tools/demo          bring the test stack up, show both, print a table
tools/demo --down   remove all that it made
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.console import say
from testbed.errors import TestbedError
from testbed.stack import EngineEvent, Stack
from testbed.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
CONTAINER = "cinder_volume"
LEDGER = Path("/run/kolla-drain")
# Seconds of a volume's creation before the stop.
BEFORE = 2.0


@dataclass(frozen=True)
class Row:
    """One line of the table at the end."""

    way: str
    verdict: str
    seconds: float
    signals: str
    at_exit: str
    in_the_end: str


class Watch:
    """Prints what changes while something else goes on."""

    def __init__(self, stack: Stack, volume: str) -> None:
        self._stack = stack
        self._volume = volume
        self._last = ""
        self._said = 0.0

    def look(self) -> None:
        """Print a line when something has changed, and every five seconds."""
        volume = self._stack.api.status("volume", self._volume)
        line = f"container {self._stack.container(CONTAINER).status:8s}  volume {volume:10s}  {self._phase()}".rstrip()
        if line != self._last or time.monotonic() - self._said >= 5:
            say(f"    {line}")
            self._last, self._said = line, time.monotonic()

    def _phase(self) -> str:
        """Return the module's phase, by its record on the host; empty under the plain stop."""
        record = LEDGER / f"{self._stack.container(CONTAINER).id}.json"
        try:
            entry = json.loads(record.read_text())
        except FileNotFoundError:
            return ""
        return "draining: SIGTERM is sent" if entry["signalled"] else "quiescing: no signal yet"

    def until(self, done: Callable[[], bool], limit: float) -> None:
        """Look until ``done``; TestbedError after ``limit`` seconds."""
        deadline = time.monotonic() + limit
        while not done():
            if time.monotonic() > deadline:
                raise TestbedError(f"{CONTAINER} has not ended within {limit:g} s.")
            self.look()
            time.sleep(0.5)
        self.look()


def in_flight(stack: Stack, seconds: float) -> str:
    """Create a volume that takes ``seconds``; return its id once the service works on it."""
    # Held, because on a slow machine it may be long until it is noticed.
    stack.hold()
    stack.set_pause("volume_create", seconds - BEFORE)
    volume = str(stack.api.create_volume(1, "kolla-drain-demo")["id"])
    wait_until(lambda: stack.taken_by(volume), 180, f"cinder-volume taking volume {volume}")
    say(f"volume {volume} is being created; it needs {seconds:g} s")
    time.sleep(BEFORE)
    stack.go_on()
    return volume


def signals(events: Iterable[EngineEvent]) -> str:
    """Name the signals that the engine sent, oldest first."""
    names = {15: "SIGTERM", 9: "SIGKILL"}
    kills = [event for event in events if event.action == "kill"]
    return ", ".join(names.get(event.signal or 0, f"signal {event.signal}") for event in kills) or "none"


def again(stack: Stack, volume: str) -> str:
    """Start the service again; return the volume's status after that."""
    say("starting cinder_volume again")
    stack.clear_pauses()
    stack.restart_service(CONTAINER)
    api = stack.api
    with contextlib.suppress(TestbedError):  # else it stays as it is, and that is what is shown
        api.wait_status("volume", volume, ("available", "error"), timeout=90, fail_on_error=False)
    status = api.status("volume", volume)
    say(f"the volume is {status}")
    return status


def plain_stop(stack: Stack, seconds: float) -> Row:
    """Stop by ``docker stop`` with ten seconds."""
    say("--- first, the engine's plain stop: docker stop --time 10")
    volume = in_flight(stack, seconds)
    since = begun = time.time()
    process = subprocess.Popen(["docker", "stop", "--time", "10", CONTAINER], stdout=subprocess.DEVNULL)
    Watch(stack, volume).until(lambda: process.poll() is not None, 300)
    took = time.time() - begun
    at_exit = stack.api.status("volume", volume)
    events = stack.engine_events(CONTAINER, since)
    return plain_row(process.returncode, took, events, at_exit, again(stack, volume))


def plain_row(code: int, took: float, events: Iterable[EngineEvent], at_exit: str, in_the_end: str) -> Row:
    """Return the line of the engine's plain stop, which ended with this exit code after ``took`` seconds."""
    verdict = "none: docker stop says ok" if code == 0 else f"docker stop failed ({code})"
    return Row("docker stop -t 10", verdict, took, signals(events), at_exit, in_the_end)


def graceful_stop(stack: Stack, seconds: float) -> Row:
    """Stop by the module, with the ad hoc call of the README."""
    arguments = f"action=stop_container name={CONTAINER} graceful_shutdown_timeout=120"
    say(f"--- now the same with: ansible localhost -m kolla_docker -a '{arguments}'")
    volume = in_flight(stack, seconds)
    since = begun = time.time()
    result = ad_hoc(arguments, Watch(stack, volume))
    took = time.time() - begun
    for event in result.get("timeline", []):
        say(f"    told by the module: {event['at']:5.1f} s  {event['event']}")
    at_exit = stack.api.status("volume", volume)
    events = stack.engine_events(CONTAINER, since)
    return graceful_row(result, took, events, at_exit, again(stack, volume))


def graceful_row(
    result: Mapping[str, Any], took: float, events: Iterable[EngineEvent], at_exit: str, in_the_end: str
) -> Row:
    """Return the line of the module's stop, which returned this result after ``took`` seconds."""
    return Row("kolla_docker", str(result.get("verdict")), took, signals(events), at_exit, in_the_end)


def is_good(row: Row) -> bool:
    """Return whether the module's stop went well: one stop signal, no SIGKILL, and nothing lost."""
    return (row.verdict, row.signals, row.in_the_end) == ("drained", "SIGTERM", "available")


def ad_hoc(arguments: str, watch: Watch) -> dict[str, Any]:
    """Run the module as a person would, print what changes meanwhile, and return its result."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [
        str(Path(sys.executable).with_name("ansible")),
        "localhost",
        "-m",
        "kolla_docker",
        "-a",
        arguments,
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    watch.until(lambda: process.poll() is not None, 600)
    assert process.stdout is not None
    output = process.stdout.read()
    begin = output.find("=> {")
    if begin < 0:
        raise TestbedError(f"ansible said nothing that can be read:\n{output}")
    return dict(json.JSONDecoder().raw_decode(output[begin + 3 :])[0])


def table(rows: list[Row], seconds: float) -> str:
    """Format the rows as a table."""
    head = ("way to stop", "it says", "seconds", "signals sent", "volume at exit", "volume in the end")
    lines = [
        (row.way, row.verdict, f"{row.seconds:.1f}", row.signals, row.at_exit, row.in_the_end) for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    said = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [head, *lines]
    ]
    said.insert(1, "  ".join("-" * width for width in widths))
    title = f"A volume whose creation takes {seconds:g} s, and cinder-volume stopped 2 s into it:"
    return "\n".join([title, "", *said])


def show(mode: str, seconds: float) -> int:
    """Show both ways, one after the other, and the table."""
    say("bringing the test stack up: MariaDB, RabbitMQ, cinder-api, -scheduler, -volume, -backup")
    stack = Stack()
    stack.up(mode=mode, service_timeout=100)  # below the 120 s that the demo gives, as it should be
    rows = [plain_stop(stack, seconds), graceful_stop(stack, seconds)]
    print(f"\n{table(rows, seconds)}\n")
    say("done; the stack stays up for the next run, 'tools/demo --down' removes all of it")
    return 0 if is_good(rows[1]) else 1


def main() -> int:
    """Run the command line; return 1 after an error."""
    parser = argparse.ArgumentParser(
        prog="tools/demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--down", action="store_true", help="remove the stack, its images and everything else it made"
    )
    parser.add_argument(
        "--mode",
        choices=("eventlet", "threads"),
        default="eventlet",
        help="how Cinder runs (default: eventlet)",
    )
    parser.add_argument(
        "--seconds", type=float, default=20, help="how long the volume's creation takes (default: 20)"
    )
    chosen = parser.parse_args()
    try:
        if chosen.down:
            Stack().down(images_too=True)
            return 0
        return show(chosen.mode, chosen.seconds)
    except TestbedError as error:
        say(f"FAILED: {error}")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())

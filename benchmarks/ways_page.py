"""The page that compares the ways to stop a service, made from the figures of ``benchmarks compare``."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import pages
from benchmarks.interval import difference, wilson

COMMAND = ".venv/bin/python -m benchmarks compare"
PRODUCT = "kolla_docker"
WORDS = {
    PRODUCT: "``kolla_docker``: SIGTERM at a quiet moment",
    "docker-stop": "``docker stop -t 10``",
    "kolla-ansible": "kolla-ansible: ``docker stop -t 60``, then a new container",
}
SHORT = {
    PRODUCT: "``kolla_docker``",
    "docker-stop": "``docker stop -t 10``",
    "kolla-ansible": "kolla-ansible's way",
}
MODES = {"eventlet": "eventlet", "threads": "native threads"}
# The parts of a stop in which a request that is lost in the end may come.
BEFORE, STOPPING, AWAY, STARTING = (
    "in flight at the signal",
    "signal to exit",
    "exit to start",
    "after the start",
)
PHASES = (BEFORE, STOPPING, AWAY, STARTING)
# What the code of cinder-volume 29.0.0 and oslo.messaging 18.3.1 does with a request in each of these parts.
REASONS = """The API writes a status such as ``creating`` into the database before it sends the message. A reading that
shows no such status therefore means that nothing is in flight in the service or on its way to it. What a quiet moment
cannot save is a request that is sent after the signal and before the exit:

* oslo.messaging acknowledges a message as soon as a listener takes it, and RabbitMQ does not deliver it again.
  cinder-volume stops its listeners one after the other, and takes messages until the last one has stopped.
* On native threads the process then exits without waiting for what it has taken. The longer the exit lasts, the more
  requests are lost.
* On eventlet the process waits for what it has taken, but a message that arrives while its listener closes may be
  acknowledged and never be run.

Such a volume or snapshot keeps its status (``creating``, ``deleting``, ``extending``). A request that is sent after
the exit waits in the queue for the service that is started again.

With operations as short as in this run a signal at any moment seldom meets one. What a stop does to an operation of
minutes is on the page :doc:`matrix`.

"""
ENOUGH = 40  # stops of a cell; with fewer nothing is claimed


HEADS = (
    "way", "stops that lost something", "requests lost of those that met a stop", "stops that ended by SIGKILL",
    "wait for the signal, s", "signal to start, s",
)  # fmt: skip


@dataclass
class Sum:
    """All rounds of one cell together."""

    service: str
    mode: str
    way: str
    operation: float
    rate: float
    stops: list[dict[str, Any]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)
    quota: int = 0
    broken: int = 0

    @property
    def stream(self) -> tuple[str, str, float, float]:
        """Return what the compared ways have in common."""
        return self.service, self.mode, self.operation, self.rate

    @property
    def title(self) -> str:
        """Name what the compared ways have in common."""
        return f"{self.service} on {MODES[self.mode]}, operations of {self.operation:g} s"

    @property
    def met(self) -> int:
        """Count the requests that met a stop."""
        return sum(one["met"] for one in self.stops)

    @property
    def lossy(self) -> int:
        """Count the stops with at least one lost request."""
        return sum(bool(one["lost"]) for one in self.stops)


def sums(rounds: Iterable[dict[str, Any]]) -> list[Sum]:
    """Add the rounds up by cell, in the order of the page."""
    found: dict[tuple[str, str, str, float, float], Sum] = {}
    for one in rounds:
        key = one["service"], one["mode"], one["way"], one["operation"], one["rate"]
        cell = found.setdefault(key, Sum(*key))
        cell.stops += one["stops"]
        cell.lost += one["lost"]
        cell.quota += bool(one["quota"])
        cell.broken += bool(one["failed"])
    places = list(WORDS)
    order = {"cinder-volume": 0, "cinder-backup": 1, "cinder-scheduler": 2}
    return sorted(
        found.values(),
        key=lambda one: (order[one.service], one.operation, one.rate, one.mode, places.index(one.way)),
    )


def share(hits: int, trials: int) -> str:
    """Return ``3 of 40: 8 % (3 to 20 %)``, with the 95 % interval."""
    if not trials:
        return "0 of 0"
    low, high = wilson(hits, trials)
    return f"{hits} of {trials}: {_percent(hits / trials)} % ({_percent(low)} to {_percent(high)} %)"


def _percent(part: float) -> str:
    percent = 100 * part
    return f"{percent:.1f}" if 0 < percent < 9.95 else f"{percent:.0f}"


def verdict(one: Sum, other: Sum) -> str:
    """Say whether the first way loses something at fewer stops than the other, as far as the interval shows it."""
    if min(len(one.stops), len(other.stops)) < ENOUGH:
        stops = f"{len(one.stops)} and {len(other.stops)} stops"
        return f"Between {SHORT[one.way]} and {SHORT[other.way]} nothing is claimed: {stops} are too few ({ENOUGH})."
    low, high = difference(one.lossy, len(one.stops), other.lossy, len(other.stops))
    span = f"difference {100 * low:+.0f} to {100 * high:+.0f} percentage points"
    names = f"{SHORT[one.way]} and {SHORT[other.way]}"
    if high < 0:
        return f"{SHORT[one.way]} loses requests at fewer stops than {SHORT[other.way]}: {span}."
    if low > 0:
        return f"{SHORT[one.way]} loses requests at **more** stops than {SHORT[other.way]}: {span}."
    return f"Between {names} no difference is shown: {span}."


def page(data: dict[str, Any]) -> str:
    """Return the page."""
    rounds = data["rounds"]
    found = sums(rounds)
    text = pages.NOTE.format(command=COMMAND) + pages.title("Ways to stop a service")
    text += _about(data, rounds) + _incomplete(found) + _method(data)
    for stream in dict.fromkeys(one.stream for one in found):
        text += _section([one for one in found if one.stream == stream])
    text += pages.title("What a quiet moment cannot save", "-") + REASONS
    text += _what_was_lost(found)
    return text.rstrip() + "\n"


def _incomplete(cells: Sequence[Sum]) -> str:
    """Say so where the run has not come to its end."""
    short = [one for one in cells if len(one.stops) < ENOUGH]
    if not short:
        return ""
    stops = ", ".join(sorted({str(len(one.stops)) for one in short}, key=int))
    return (
        f".. warning:: This run is not complete: {len(short)} of {len(cells)} cells have {stops} stops instead of "
        f"{ENOUGH}. The figures show what was seen and support no claim. ``{COMMAND} --continue`` completes it.\n\n"
    )


def _about(data: dict[str, Any], rounds: Sequence[dict[str, Any]]) -> str:
    if not rounds:
        return "Nothing was measured yet.\n\n"
    days = sorted({one["made"][:10] for one in rounds})
    commits = sorted({one["commit"] for one in rounds})
    loads = sorted(one["load"] for one in rounds)
    return (
        f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))} at commit {', '.join(commits)}; "
        f"{pages.spelled(data['versions'])}; {data['machine']}, load average {loads[0]:.0f} to {loads[-1]:.0f}, "
        f"other programs included; seeds {min(one['seed'] for one in rounds)} to "
        f"{max(one['seed'] for one in rounds)}.\n\n"
    )


def _method(data: dict[str, Any]) -> str:
    lanes = "one lane each" if data["lanes"] == 1 else f"{data['lanes']} lanes each"
    return f"""Requests arrive at random all the time, and each is an operation that takes a fixed time in the
driver. The service is stopped and started again and again, 1 to 3 s after everything that met the last
stop has ended. The service's own ``graceful_shutdown_timeout`` is oslo.service's default,
{data["service_timeout"]} s, as kolla-ansible configures no other. Both modes are measured at the same
time, on {lanes}; the ways take turns in random order.

A request *meets* a stop when it is in flight at the signal, or is sent between the signal and the first heartbeat of
the service that was started again. A request is *lost* when the API accepted it and it did not come to its right end:
in the API, in the database, in the file.

Intervals are 95 % Wilson score intervals. Requests of one stop are not independent of each other, which makes the
interval by request too narrow. Ways are therefore compared by the share of stops that lost something, with Newcombe's
95 % interval of the difference.

``kolla_docker``
  The module itself with its defaults: it waits until the database shows no operation in flight, then sends one
  SIGTERM and waits for the exit.
``docker stop -t 10``
  The engine's default: SIGTERM at any moment, SIGKILL after 10 s.
kolla-ansible's way
  The calls to the engine by which ``kolla_container`` replaces a container. The unit's ExecStop is
  ``docker stop NAME -t 60`` (``docker_graceful_timeout``; kolla-ansible 22.2 and 23.0). The module looks every 5 s
  whether the unit is dead, removes the container by force, and creates and starts another. The module itself was not
  run, because it needs systemd; it causes the same signals. The difference to the engine's default is the longer
  time-out before SIGKILL, and that the service is back later.

"""


def _section(cells: Sequence[Sum]) -> str:
    first = cells[0]
    text = pages.title(first.title, "-") + f"{first.rate:g} requests a second, on average.\n\n"
    text += pages.table(
        HEADS,
        [_row(one) for one in cells],
    )  # fmt: skip
    ours = next((one for one in cells if one.way == PRODUCT), None)
    if ours:
        text += "".join(f"* {verdict(ours, one)}\n" for one in cells if one is not ours)
    notes = [
        f"{SHORT[one.way]}: in {one.quota} of its streams a quota's usage did not agree with the rows in the end.\n"
        for one in cells
        if one.quota
    ] + [f"{SHORT[one.way]}: {one.broken} rounds ended early.\n" for one in cells if one.broken]
    notes += [f"{SHORT[way]}: not measured.\n" for way in WORDS if way not in {one.way for one in cells}]
    return text + "\n" + "".join(f"* {note}" for note in notes) + "\n"


def _row(one: Sum) -> tuple[object, ...]:
    return (
        WORDS[one.way],
        share(one.lossy, len(one.stops)),
        share(sum(sum(stop["lost"].values()) for stop in one.stops), one.met),
        sum(stop["killed"] for stop in one.stops) or "",
        _span(stop["waited"] for stop in one.stops),
        _span(stop["away"] for stop in one.stops),
    )


def _span(values: Iterable[float]) -> str:
    """Return the median and the range."""
    found = sorted(values)
    return f"{statistics.median(found):.1f} ({found[0]:.1f} to {found[-1]:.1f})" if found else ""


def _what_was_lost(cells: Sequence[Sum]) -> str:
    """Return when the lost requests came, and those of the product one by one."""
    if not any(one.lost for one in cells):
        return ""
    text = pages.title("When the lost requests came", "-")
    text += pages.table(
        ("service", "way", *PHASES),
        [(one.title, SHORT[one.way], *(_kinds(one, phase) for phase in PHASES)) for one in cells],
    )
    ours = [one for one in cells if one.way == PRODUCT and one.lost]
    if ours:
        text += pages.title("What kolla_docker lost", "-")
        text += pages.table(
            ("service", "request", "what is wrong", "when"),
            [
                (one.title, f"``{each['kind']}``", each["why"], each["when"])
                for one in ours
                for each in one.lost
            ],
        )
    return text


def _kinds(one: Sum, phase: str) -> str:
    return pages.counted(Counter(each["kind"] for each in one.lost if each["phase"] == phase))

"""What the readings of the evidence cost the database: rows, time, processor, and what a thousand hosts make of it.

.venv/bin/python -m benchmarks.database_load                 # in some five minutes, with a MariaDB of its own
.venv/bin/python -m benchmarks.database_load --hosts 100     # smaller

A site is measured at a tenth of its size and at its whole size, so that it shows what grows with the tables. A
simulated host is the real reader with a connection of its own, the history of a stop and its pace: only the container
is missing. Its work never ends, so it polls on. Where this machine cannot play all the hosts at their pace, the server
and the players take the processor from each other; the share of a core is therefore told in two ways, as it was and as
the processor that one reading takes times the readings of all hosts in a stop of three minutes, by the pace alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, ROOT, compare, pages

sys.path.append(str(ROOT / "ansible" / "module_utils"))

from kolla_drain.database.connection import Database
from kolla_drain.database.target import DatabaseTarget, target
from kolla_drain.drain.context import Context
from kolla_drain.drain.history import Moment
from kolla_drain.drain.pace import Pace, interval
from kolla_drain.drain.plan import plan
from kolla_drain.drain.result import Target
from kolla_drain.evidence import evidence_of, profile_for
from kolla_drain.evidence.base import understood
from kolla_drain.evidence.reader import EvidenceReader, Source
from kolla_drain.model import Container, ContainerStatus, StopRequest
from kolla_drain.service.config import Backend, ServiceConfig
from testbed import many_rows, mariadb
from testbed.mariadb import MariaDB

LOADS = ("nova-compute", "cinder-volume")  # those that a site has many of
READINGS = 40  # of each service, to measure one of them
SECONDS = 40.0  # of each load
SLOWED = 0.2  # of a core, which a slow server has
STOP = 180.0  # seconds, the module's own default for a budget
PROCESSES = 4
TICK = 0.05
IDLE = 2.0  # seconds to see what the server does by itself
CONNECT = 60.0  # seconds for all hosts to connect and read once
USER, PASSWORD = "reader", "read-nothing-else"
GOAL = 0.05  # of a core


def run(
    rounds: int = 1, hosts: int = 1000, seconds: float = SECONDS, played: int | None = None
) -> dict[str, Any]:
    """Measure a site of so many hosts in a server of its own; ``rounds`` times as many readings as one round has.

    ``played`` is how many of the hosts poll at once, where this machine cannot play them all.
    """
    played = played or hosts
    with mariadb.start(f"load_{os.getpid()}") as server:
        for schema in dict.fromkeys(many_rows.DATABASE_OF.values()):
            server.load_schema(schema)
        server.create_user(USER, PASSWORD, "SELECT")
        server.execute("SET GLOBAL innodb_buffer_pool_size = 512 * 1024 * 1024")
        server.execute(f"SET GLOBAL max_connections = {hosts + 100}")
        result: dict[str, Any] = {"made": pages.now(), "commit": compare.commit(), "machine": pages.machine()}
        result |= {"load_at_first": os.getloadavg()[0], "hosts": hosts, "readings": []}
        for size in (max(1, hosts // 10), hosts):
            many_rows.fill(server, size)
            for service in many_rows.DATABASE_OF:
                measured = measure(server, service, READINGS * rounds)
                result["readings"].append({"service": service, "hosts": size, **measured})
        result["load_before"] = os.getloadavg()[0]
        result["loads"] = [load(server, service, played, seconds) for service in LOADS]
        core = server.client.containers.get(server.name)
        core.update(cpu_period=100_000, cpu_quota=int(SLOWED * 100_000))
        result["loads"].append({**load(server, LOADS[0], played, seconds), "slow": True})
    for one in result["loads"]:
        of_one = next(r for r in result["readings"] if (r["service"], r["hosts"]) == (one["service"], hosts))
        one["by_pace"] = pace_of_a_stop(of_one["p50"]) * hosts / STOP
        one["share_by_pace"] = one["by_pace"] * of_one["processor"]
    return result


def page(result: dict[str, Any]) -> str:
    """Return the figures as a page."""
    services = list(many_rows.DATABASE_OF)
    text = pages.NOTE.format(command=".venv/bin/python -m benchmarks speed database")
    text += pages.title("Load on the database")
    text += (
        f"{result['made']}, commit {result['commit']}; {result['machine']}, load average "
        f"{result['load_at_first']:.1f} before it.\n\n"
        "The schemas of Cinder and Nova in a MariaDB of their own, filled as on a site of so many hosts; players and "
        "server share the processors.\n\n"
    ) + pages.title("One reading", "-")
    text += (
        f"Of each {READINGS}, by one reader with nothing beside it. Rows are those that the server read.\n\n"
    )
    text += pages.table(
        ("service", "hosts", "rows", "median", "99 %", "server's processor"),
        [
            (
                one["service"],
                f"{one['hosts']:,}",
                f"{one['rows']:,}",
                f"{one['p50'] * 1e3:.1f} ms",
                f"{one['p99'] * 1e3:.1f} ms",
                f"{one['processor'] * 1e3:.2f} ms",
            )
            for one in sorted(result["readings"], key=lambda one: services.index(one["service"]))
        ],
    )
    text += (
        "What grows with the site has no index in the service's schema: :doc:`/how-a-stop-works` lists it.\n\n"
    ) + pages.title("Many hosts at once", "-")
    text += (
        "Readers of so many hosts whose work does not end, each with a connection of its own, at the pace of a stop. "
        f"The last one is of a server that is given {SLOWED:.0%} of a core. Where these processors cannot play all "
        "hosts at their pace, only the last column tells what the hosts would cost: the processor of one reading "
        f"times the readings of a stop of {STOP:.0f} s.\n\n"
    )
    text += pages.table(
        (
            "hosts", "readings a second", "median", "99 %", "not answered", "connections",
            "busiest tenth of a second, by the mean", "server's share of a core", "by the pace alone",
        ),
        [
            (
                f"{one['played']:,} {one['service']}{', slow server' if one.get('slow') else ''}",
                f"{one['rate']:.0f}",
                f"{one['p50'] * 1e3:.0f} ms",
                f"{one['p99'] * 1e3:.0f} ms",
                f"{one['failed']:,}",
                f"{one['connections']:,}",
                f"{one['peak']:.1f}",
                f"{one['share']:.0%}",
                ""
                if one.get("slow")
                else f"{one['share_by_pace']:.0%}, {one['by_pace']:.0f} readings a second",
            )
            for one in result["loads"]
        ],
    )  # fmt: skip
    for one in result["loads"]:
        if not one.get("slow"):
            word = "met" if one["share_by_pace"] <= GOAL else "**not met**"
            own = one["share_by_pace"] / one["by_pace"]
            text += (
                f"* {one['played']:,} {one['service']} at once, at most {GOAL:.0%} of a core: {word}, "
                f"{one['share_by_pace']:.0%}. The floor is one reading, {own * 1e3:.1f} ms of the server's processor: "
                f"for the goal each host could read once in {one['played'] * own / GOAL:.0f} s.\n"
            )
    return text


def where(server: MariaDB, service: str) -> DatabaseTarget:
    """Return the target of a service's database."""
    parts = {"host": server.host, "port": server.port, "user": USER, "password": PASSWORD}
    return target(name=many_rows.DATABASE_OF[service], **parts)


def config(service: str, number: int) -> ServiceConfig:
    """Return the configuration of a service on a host."""
    host = many_rows.host(number)
    backends = (Backend("a", host), Backend("b", host)) if service == "cinder-volume" else ()
    return ServiceConfig(service, host, backends=backends)


def processor(server: MariaDB) -> float:
    """Return the seconds of processor that the server's container has used, by its cgroup."""
    stats = server.client.api.stats(server.name, stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


class Meter:
    """Tell the processor that readings take, without what the server does by itself, such as writing after a fill."""

    def __init__(self, server: MariaDB) -> None:
        self._server = server
        before = processor(server)
        time.sleep(IDLE)
        self._idle = (processor(server) - before) / IDLE
        self.begin()

    def begin(self) -> None:
        """Begin to count."""
        self._from, self._since = processor(self._server), time.monotonic()

    def read(self) -> tuple[float, float]:
        """Return the seconds of processor and those that have passed."""
        passed = time.monotonic() - self._since
        return max(0.0, processor(self._server) - self._from - self._idle * passed), passed


def measure(server: MariaDB, service: str, readings: int) -> dict[str, float]:
    """Read one host over and over, as the reader does it, from the second reading on."""
    evidence, host = evidence_of(service), config(service, 3)
    database = Database(where(server, service))
    with database.snapshot() as query:
        evidence.read(understood(query), host)
        counted = many_rows.Counted(query)
        _, operations = evidence.read(understood(counted), host)
        evidence.endings(understood(counted), host, operations)
    times, meter = [], Meter(server)
    for _ in range(readings):
        begun = time.monotonic()
        with database.snapshot() as query:
            query("SELECT UTC_TIMESTAMP(6) AS taken")
            evidence.read(understood(query), host)
            evidence.endings(understood(query), host, operations)
        times.append(time.monotonic() - begun)
    used, _ = meter.read()
    database.close()
    read = sum(number for _, number in counted.read)
    return {"rows": read, **quantiles(times), "processor": used / readings}


def quantiles(times: Sequence[float]) -> dict[str, float]:
    """Return the median and the 99th percentile."""
    return {"p50": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98]}


class Host:
    """A stop whose container does not exit, with the real reader."""

    def __init__(self, service: str, number: int, database: DatabaseTarget, now: float) -> None:
        request, profile = StopRequest(timeout=STOP * 10), profile_for(service, {})
        runs = Container("c", "c", ContainerStatus.RUNNING)
        stop = Target(runs, request, profile, plan(request, profile))
        self.context = Context(stop, None, None, time.monotonic)  # type: ignore[arg-type] - neither is asked
        self.context.begun = now
        self.pace = Pace(random.random, now)
        self.answered = now
        self.asked: list[float] = []
        self.took: list[float] = []
        self.failed = 0
        source = Source(evidence_of(service), config(service, number), database)
        self.reader = EvidenceReader({"c": source}, self._wake)

    def _wake(self) -> None:
        self.answered = time.monotonic()

    def begin(self, now: float) -> None:
        """Begin to count, and to wait for the work."""
        self.context.begun, self.pace = now, Pace(random.random, now)
        self.asked.clear()
        self.took.clear()

    def turn(self, now: float) -> None:
        """Take in what came, and ask where it is time."""
        for answer in self.reader.answers():
            self.context.history.hear(answer, self.answered, Moment.BEFORE_SIGNAL)
            self.pace.heard("c", self.answered)
            self.took += [self.answered - moment for moment in self.asked[-1:]]
            self.failed += answer.reading.state.value != "ok"
        pause = interval(self.context, self.pace.rest, exited=False, signalled=False)
        if not self.pace.waits("c", now) and now >= self.pace.next(pause, now):
            self.reader.ask({"c": self.context.history.open()})
            self.asked.append(now)
            self.pace.asked(["c"], now)


def play(
    service: str, numbers: range, database: DatabaseTarget, together: Any, seconds: float, out: Any
) -> None:
    """Play hosts in a process of its own, from when all hosts of all processes have read once."""
    hosts = [Host(service, number, database, time.monotonic()) for number in numbers]
    limit = time.monotonic() + CONNECT
    while not all(host.took for host in hosts) and time.monotonic() < limit:
        for host in hosts:
            if not host.took:
                host.turn(time.monotonic())
        time.sleep(TICK)
    together.wait(CONNECT)
    begin = time.monotonic()
    for host in hosts:
        host.begin(begin)
    while (now := time.monotonic()) < begin + seconds:
        for host in hosts:
            host.turn(now)
        time.sleep(max(0.0, now + TICK - time.monotonic()))
    asked = [moment - begin for host in hosts for moment in host.asked]
    took = [taken for host in hosts for taken in host.took]
    out.put((asked, took, sum(host.failed for host in hosts)))
    for host in hosts:
        host.reader.close(0.0)


def load(server: MariaDB, service: str, hosts: int, seconds: float) -> dict[str, Any]:
    """Let hosts that are connected begin to poll at the same moment. Raises RuntimeError where none gets to it."""
    fork = multiprocessing.get_context("fork")
    out, together = fork.Queue(), fork.Barrier(PROCESSES + 1)
    parts = [range(1 + n * hosts // PROCESSES, 1 + (n + 1) * hosts // PROCESSES) for n in range(PROCESSES)]
    players = [
        fork.Process(target=play, args=(service, part, where(server, service), together, seconds, out))
        for part in parts
    ]
    meter = Meter(server)
    for player in players:
        player.start()
    together.wait(2 * CONNECT)
    meter.begin()
    time.sleep(seconds / 2)
    connections = int(server.execute("SHOW STATUS LIKE 'Threads_connected'")[0][1]) - 1  # its own is one
    time.sleep(seconds / 2)
    used, window = meter.read()
    found = [out.get(timeout=120) for _ in players]
    for player in players:
        player.join()
    times = [taken for _, took, _ in found for taken in took]
    # They begin in step, and drift apart.
    late = [at for asked, _, _ in found for at in asked if at >= seconds / 2]
    if len(times) < 2 or not late:
        raise RuntimeError(
            f"{hosts} hosts cannot be played here: give fewer with --played, or more --seconds"
        )
    busiest = max(Counter(int(at * 10) for at in late).values())
    return {
        "service": service,
        "played": hosts,
        "rate": len(times) / window,
        "peak": busiest / (len(late) / (seconds * 5)),  # the busiest tenth of a second, by the mean
        **quantiles(times),
        "failed": sum(failed for _, _, failed in found),
        "connections": connections,
        "share": used / window,
    }


def pace_of_a_stop(took: float) -> int:
    """Return how many readings a stop makes that waits for its work for three minutes, without waiting for them."""
    request, now = StopRequest(timeout=STOP), [0.0]
    runs = Container("c", "c", ContainerStatus.RUNNING)
    profile = profile_for(LOADS[0], {})
    context = Context(Target(runs, request, profile, plan(request, profile)), None, None, lambda: now[0])  # type: ignore[arg-type]
    pace, number = Pace(lambda: 0.5, 0.0), 0
    while now[0] < STOP:
        pace.asked(["c"], now[0])
        now[0] += took
        pace.heard("c", now[0])
        # As after the signal, which is as with work in flight.
        now[0] = pace.next(interval(context, pace.rest, exited=False, signalled=True), now[0])
        number += 1
    return number


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database_load")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--played", type=int, help="so many of them poll at once (default: all)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    parser.add_argument("--out", type=Path, default=RESULTS / "database_load.json")
    given = parser.parse_args(arguments)
    result = run(given.rounds, given.hosts, given.seconds, given.played)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    told = page(result)
    given.out.with_suffix(".rst").write_text(told)
    print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

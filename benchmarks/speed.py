"""How much time a stop and an exchange take beside the container's own, and what a call costs its host.

.venv/bin/python -m benchmarks speed                    # all of them, in some twenty minutes
.venv/bin/python -m benchmarks speed stop gap           # some
.venv/bin/python -m benchmarks speed --seconds 60       # of each, at least two rounds
.venv/bin/python -m benchmarks speed --page             # only make the page anew

Every figure is compared with others of the same round: the ways take turns in random order.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, compare, database_load, pages, speed_page, upgrade
from benchmarks.speed_host import (
    BARE,
    CLI,
    COMMUNITY,
    GRACE,
    KOLLA,
    KOLLA_ANSIBLE,
    OURS,
    PING,
    UNIT,
    WITH_EVIDENCE,
    Site,
    environment,
    program,
    replacing,
    site,
    stopping,
)  # fmt: skip
from testbed.errors import TestbedError
from testbed.waiting import wait_until
from tests.support.managed_host import FOLDER

Sample = dict[str, Any]
DRAINS = (0, 1, 5)  # seconds
COUNTS = (1, 10, 50)
LONG = 5.0  # seconds that each of many drains
WAITED = 30.0  # seconds for which a waiting run is watched
SETTLED = 6.0  # seconds after the first call to the engine until then
PROBE = Path(__file__).with_name("speed_probe.py")
dice = random.Random(14)


def mixed(ways: Iterable[str]) -> list[str]:
    """Return the ways in random order."""
    found = list(ways)
    dice.shuffle(found)
    return found


# --- one stop


def stop_round(host: Site, number: int) -> list[Sample]:
    """Stop a container in each way, for each drain; kolla_container, which waits 5 s, has every second round."""
    samples: list[Sample] = []
    ways = [OURS, WITH_EVIDENCE, COMMUNITY, CLI, *([KOLLA] if number % 2 == 0 else [])]
    for drain in DRAINS if number % 2 == 0 else DRAINS[:2]:
        names = {way: f"b{place}_{drain}_{number}" for place, way in enumerate(ways)}
        host.start(dict.fromkeys(names.values(), float(drain)), [names[KOLLA]] if KOLLA in names else [])
        with host.events() as at:
            for way in mixed([*ways, PING]):
                ran = host.stop(way, names.get(way, ""))
                sample = {"drain": drain, "way": way, "over": ran.seconds, "controller": ran.computed}
                if way != PING:
                    own = at("die", names[way]) - at("kill", names[way])
                    sample.update(over=ran.seconds - own, own=own, notice=_notice(ran.answer, own))
                if way == WITH_EVIDENCE and ran.answer["evidence"] != "ok":
                    raise TestbedError(f"No evidence: {ran.answer['evidence_why']}")
                samples.append(sample)
                print(f"  {way}: a drain of {drain} s, {ran.seconds:.2f} s", flush=True)
        host.remove(list(names.values()))
    return samples


def _notice(answer: dict[str, Any], own: float) -> float | None:
    """Return the seconds from the engine's event of the exit to the moment when the run knew of it."""
    times = {one["event"].partition(" ")[0]: one["at"] for one in answer.get("timeline", ())}
    sent, seen = times.get("SIGTERM"), times.get("the")
    return None if sent is None or seen is None else seen - sent - own


# --- many on one host


def many_round(host: Site, number: int) -> list[Sample]:
    """Stop 1, 10 and 50 containers in one call."""
    samples: list[Sample] = []
    for count in COUNTS:
        for way in mixed([OURS, CLI, *([KOLLA] if number == 0 and count <= 10 else [])]):
            names = [f"m{place}" for place in range(count)]
            host.start(dict.fromkeys(names, LONG), names if way == KOLLA else [])
            with host.events() as at:
                floor = host.stop(PING, "").seconds
                if way == OURS:
                    seconds = host.ad_hoc("kolla_docker", {"action": "stop_container", "name": names}).seconds
                elif way == CLI:
                    floor, seconds = 0.0, host.docker("stop", "-t", str(GRACE), *names).seconds
                else:
                    seconds = _in_a_loop(host, names)
                own = [at("die", name) - at("kill", name) for name in names]
            samples.append(
                {"count": count, "way": way, "slowest": max(own), "times": (seconds - floor) / max(own)}
            )
            host.remove(names)
    return samples


def _in_a_loop(host: Site, names: list[str]) -> float:
    """Stop containers as kolla-ansible's tasks do, one after the other."""
    module, options = stopping(KOLLA, "{{ item }}")
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{module: options, "loop": names}]}]
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "loop.yml"
        book.write_text(json.dumps(play))
        return host.ansible("ansible-playbook", "-i", str(host.inventory), str(book)).seconds


# --- the gap


def gap_round(host: Site, number: int) -> list[Sample]:
    """Replace a container in each way; the first round makes them."""
    samples: list[Sample] = []
    names = {way: f"g{place}" for place, way in enumerate((OURS, UNIT, COMMUNITY, KOLLA))}
    for way in mixed([*names, BARE]):
        with host.events() as at:
            if way == BARE:
                name = f"bare_{number}"
                host.managed.create(name)
                begun = time.time()
                host.managed.engine.containers.get(name).start()
                gap = at("start", name) - begun
            else:
                if number:
                    host.wait_ready(names[way])
                host.managed.sh(f"mkdir -p {FOLDER}/{names[way]}")
                host.ad_hoc(*replacing(way, names[way], host.managed.image, number))
                if not number:
                    continue
                ended = at("die", names[way])
                gap = at("start", names[way], ended) - ended
        samples.append({"way": way, "gap": gap})
    return samples


# --- what travels and starts

MODULES = {
    OURS: "ansible.legacy.kolla_docker",
    COMMUNITY: "ansible_collections.community.docker.plugins.modules.docker_container",
    KOLLA: "ansible.legacy.kolla_container",
    PING: "ansible.modules.ping",
}


def start_round(host: Site, number: int) -> list[Sample]:
    """Run each module for a container that is not there; the first round also looks at a wait."""
    samples: list[Sample] = []
    for way in mixed(MODULES):
        if way not in host.payloads:
            host.payloads[way] = _payload(host, way)
        report = _probe(host, way, "absent")
        report.communicate()
        samples.append({"way": way, "sent": host.payloads[way][0], **_report(host, "absent", way)})
    return samples if number else [*samples, *_waits(host)]


def _payload(host: Site, way: str) -> tuple[int, str]:
    """Return how many bytes a module is as it is sent, and where on the host it lies unpacked."""
    module, options = stopping(way, "absent")
    with tempfile.TemporaryDirectory() as folder:
        kept = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_PIPELINING": "0", "ANSIBLE_REMOTE_TEMP": folder}
        words = ["localhost", "-c", "local", "--check", "-m", module, "-a", json.dumps(options)]
        # Here it may fail, as it does without the libraries that it needs.
        subprocess.run(
            [program("ansible"), *words], env={**environment(), **kept}, capture_output=True, check=False
        )
        (file,) = Path(folder).glob("*/AnsiballZ_*.py")
        shutil.copy(file, host.managed.host.folder)
        size = file.stat().st_size
    place = f"/run/testbed/{file.stem}"
    host.managed.sh(f"cd /run/testbed && python3 {file.name} explode && mv debug_dir {place}")
    return size, place


def _probe(host: Site, way: str, name: str) -> subprocess.Popen[bytes]:
    """Begin to run a module on the host by itself, out of its payload."""
    shutil.copy(PROBE, host.managed.host.folder)
    (host.managed.host.folder / f"report-{name}").unlink(missing_ok=True)
    into = [
        "docker",
        "exec",
        "-i",
        str(host.managed.host.container.name),
        "python3",
        f"/run/testbed/{PROBE.name}",
    ]
    words = [host.payloads[way][1], MODULES[way], f"/run/testbed/report-{name}"]
    run = subprocess.Popen(
        [*into, *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert run.stdin is not None
    run.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": stopping(way, name)[1]}).encode())
    run.stdin.close()
    run.stdin = None
    return run


def _report(host: Site, name: str, way: str) -> Sample:
    """Return what a probe has written, as soon as there is something."""
    file = host.managed.host.folder / f"report-{name}"
    wait_until(file.exists, 60, f"the report of {way}", 0.1)
    found: Sample = json.loads(file.read_text())
    return found


def _waits(host: Site) -> list[Sample]:
    """Let runs wait side by side for long drains; return what each holds and computes meanwhile."""
    names = {way: f"w{place}" for place, way in enumerate((OURS, COMMUNITY, KOLLA))}
    host.start(dict.fromkeys(names.values(), SETTLED + WAITED + 60), [names[KOLLA]])
    runs = {way: _probe(host, way, name) for way, name in names.items()}
    samples = []
    try:
        pids = {way: _report(host, name, way)["pid"] for way, name in names.items()}
        time.sleep(SETTLED)
        before = {way: _ticks(host, pid) for way, pid in pids.items()}
        begun = time.monotonic()
        time.sleep(WAITED)
        for way, pid in pids.items():
            used = (_ticks(host, pid) - before[way]) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begun)
            held = host.managed.sh(f"grep VmRSS /proc/{pid}/status").split()[1]
            samples.append({"way": way, "waiting": True, "share": used, "resident": int(held) * 1024})
    finally:
        host.managed.sh(
            f"pkill -9 -f ^python3.*{PROBE.name}; docker kill {' '.join(names.values())} > /dev/null; true"
        )
        for run in runs.values():
            run.wait(60)
        host.remove(list(names.values()))
    return samples


def _ticks(host: Site, pid: int) -> int:
    """Return the processor time of a process of the host, in clock ticks."""
    fields = host.managed.sh(f"cat /proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# --- all of them

# What is measured in turns: one round, and for how many seconds rounds are begun.
ROUNDS: dict[str, tuple[Callable[[Site, int], list[Sample]], float]] = {
    "stop": (stop_round, 200.0),
    "many": (many_round, 170.0),
    "gap": (gap_round, 60.0),
    "start": (start_round, 70.0),  # of which the wait takes 40 s
}
LEAST = 2  # rounds
NAMES = (*ROUNDS, "upgrade", "database")


def measure(host: Site, name: str, seconds: float | None) -> list[Sample]:
    """Do rounds of one benchmark until its time is over."""
    one_round, limit = ROUNDS[name]
    samples: list[Sample] = []
    begun, passed, number = time.monotonic(), 0.0, 0
    # Another round, if half of it is within the time.
    while number < LEAST or passed * (1 + 0.5 / number) < (seconds or limit):
        found = one_round(host, number)
        samples += [{"round": number, **one} for one in found]
        number += 1
        load, passed = os.getloadavg()[0], time.monotonic() - begun
        print(f"{name}: {number} rounds in {passed:.0f} s, load {load:.1f}", flush=True)
    return samples


def about() -> dict[str, Any]:
    """Return versions and what matters of the machine."""
    names = ("ansible-core", "docker")
    return {
        "made": pages.now(),
        "commit": compare.commit(),
        "machine": f"{pages.machine()}, {platform.machine()}, Linux {platform.release()}",
        "versions": {**{name: version(name) for name in names}, "kolla-ansible": KOLLA_ANSIBLE},
        "loads": [],
        "samples": {},
    }


def main(arguments: list[str]) -> int:
    """Measure what was asked for, and make the page; what was not asked for stays as it was."""
    chosen = _parser().parse_args(arguments)
    names, path = chosen.names or list(NAMES), Path(chosen.out)
    if chosen.page:
        path.with_suffix(".rst").write_text(speed_page.page(json.loads(path.read_text())))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: what was made is removed
    rounds = [name for name in ROUNDS if name in names]
    data = about()
    if path.exists():
        data["samples"] = json.loads(path.read_text())["samples"]

    def keep(name: str, measured: Callable[[], list[Sample]]) -> None:
        data["loads"].append(os.getloadavg()[0])
        data["samples"][name] = measured()
        data["loads"].append(os.getloadavg()[0])
        path.write_text(as_json(data))
        path.with_suffix(".rst").write_text(speed_page.page(data))

    if rounds:
        with site() as host:
            data["versions"]["Docker Engine"] = str(host.managed.engine.version()["Version"])
            data["versions"]["Python"] = host.managed.sh("python3 -V").split()[1]
            for name in rounds:
                keep(name, lambda name=name: measure(host, name, chosen.seconds))  # type: ignore[misc]
    if "upgrade" in names:
        keep("upgrade", lambda: upgrade.measure(LEAST))
    if data["loads"]:
        print(speed_page.page(data))
    if "database" in names:
        database_load.main([])
    return 0


def as_json(data: dict[str, Any]) -> str:
    """Return JSON with one line a sample, so that it can be read in a diff."""
    told = json.dumps({key: value for key, value in data.items() if key != "samples"}, indent=1)
    parts = []
    for name, samples in data["samples"].items():
        lines = ",\n".join(f"   {json.dumps(_rounded(one))}" for one in samples)
        parts.append(f'  "{name}": [\n{lines}\n  ]')
    return f'{told[:-2]},\n "samples": {{\n' + ",\n".join(parts) + "\n }\n}\n"


def _rounded(sample: Sample) -> Sample:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in sample.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument(
        "--seconds", type=float, help="for each that is done in rounds (default: ten minutes in all)"
    )
    parser.add_argument("--out", default=str(RESULTS / "speed.json"))
    parser.add_argument("--page", action="store_true", help="only make the page of the figures")
    return parser

"""Send requests at random while the upgrade play replaces scheduler, volume and backup again and again.

.venv/bin/python -m benchmarks soak --minutes 10
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, ROOT, pages
from testbed import traffic, upgrades
from testbed.locks import locked
from testbed.recorder import Recorder as EngineRecorder
from testbed.stack import BACKENDS, Stack
from testbed.traffic import Lost, Request, Traffic, Usage
from testbed.waiting import wait_until

SERVICES = ("cinder-scheduler", "cinder-volume", "cinder-backup")
KINDS = {
    **traffic.VOLUME_KINDS,
    **traffic.RETYPE_KINDS,
    **traffic.ATTACH_KINDS,
    **traffic.BACKUP_KINDS,
}
# NOTE: the testbed has backup_use_same_host, so no other cinder-backup can take the requests of a disabled one.
MORE = ("-e", "kolla_drain_disable=never")
# Seconds; longer than all the budgets of a play together.
ROLL_LIMIT = 2700.0
# A request that met a roll and has not ended so many seconds after it is lost.
PATIENCE = 60.0

# A reading of the database may be so many seconds old at the signal: a request that was answered since meets the
# stop. A service needs so many seconds after the engine's start until it serves.
BEFORE, STARTING = 3.0, 30.0


@dataclass
class Roll:
    """One run of the upgrade play."""

    image: str
    begun: float
    ended: float = 0.0
    code: int = -1
    became: list[str] = field(default_factory=list)  # the play's line about each service
    output: str = ""


@dataclass
class Result:
    """The figures of a soak."""

    made: str
    versions: dict[str, str]
    seed: int
    seconds: float
    rolls: list[Roll]
    accepted: dict[str, int]
    refused: dict[str, int]
    lost: list[dict[str, Any]]
    quota: list[str]
    unexplained_quota: list[str]  # those that pages.QUOTA_CAUSE does not explain
    deletes_met: int  # deletes of backups that met a stop or start of cinder-backup
    strays: list[str]
    trouble: list[str]
    load: float = 0.0

    @property
    def lost_by_kind(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self.lost:
            found[one["kind"]] = found.get(one["kind"], 0) + 1
        return found

    @property
    def unexplained(self) -> list[dict[str, Any]]:
        """Return the lost requests that none of pages.CAUSES explains."""
        return [one for one in self.lost if not one["explained"]]

    def __str__(self) -> str:
        failed = sum(one.code != 0 for one in self.rolls)
        return (
            f"{sum(self.accepted.values())} requests accepted in {self.seconds:.0f} s ({self.accepted}), "
            f"{len(self.rolls)} rolls of {len(SERVICES)} services, {failed} of them failed, "
            f"not accepted {self.refused}, LOST {len(self.lost)} {self.lost_by_kind}, "
            f"quotas that do not agree {self.quota}, rows that nobody asked for {self.strays}"
        )


class Recorder(EngineRecorder):
    """Record the engine's events of the stack's Cinder containers."""

    ACTIONS = ("create", "start", "kill", "die", "rename", "destroy")

    def __init__(self, stack: Stack) -> None:
        names = {service.replace("-", "_") for service in SERVICES}
        super().__init__(
            stack.client, lambda event: event.name.partition(".")[0] in names and event.action in self.ACTIONS
        )

    def around(self, moment: float) -> str:
        """Return the three events before this moment and the three after it, as text."""
        before = [one for one in self.events if one.at <= moment][-3:]
        after = [one for one in self.events if one.at > moment][:3]
        words = [f"{one.name} {one.action} {one.signal}".strip() for one in (*before, *after)]
        return "; ".join(
            f"{word} {one.at - moment:+.2f} s"
            for word, one in zip(words, (*before, *after), strict=True)
        )  # fmt: skip

    def stopped(self, name: str, begun: float, ended: float) -> bool:
        """Return whether the container was stopping, away or only just started in this time."""
        out = [one.at for one in self.events if one.name.partition(".")[0] == name and one.action == "kill"]
        back = [one.at for one in self.events if one.name == name and one.action == "start"]
        lives = [(left, next((at for at in back if at > left), left)) for left in out]
        return any(left - BEFORE <= ended and begun <= again + STARTING for left, again in lives)


def soak(stack: Stack, *, minutes: float = 0.0, rolls: int = 0, seed: int = 4, rate: float = 0.5) -> Result:
    """Run the upgrade play for so many minutes or so many times, whichever takes longer."""
    # Without the lock the ``up`` of another run would replace the rolled containers by force.
    with locked("stack"):
        return _soak(stack, minutes, rolls, seed, rate)


def _soak(stack: Stack, minutes: float, rolls: int, seed: int, rate: float) -> Result:
    print(f"soak: seed {seed}, {minutes:g} minutes, {rolls} rolls at least", flush=True)
    dice = random.Random(seed)
    stream = Traffic(stack, BACKENDS, seed=seed, rate=rate, kinds=KINDS)
    recorder = Recorder(stack)
    done: list[Roll] = []
    begun = time.time()
    with tempfile.TemporaryDirectory() as folder:
        sites = _sites(stack, Path(folder))
        try:
            stream.start()
            wait_until(lambda: _warm(stream), 240, "the stream")
            while time.time() < begun + minutes * 60 or len(done) < rolls:
                _set_pauses(stack, dice)
                done.append(roll(*next(sites)))
                print(_line(len(done), done[-1], stream), flush=True)
                stream.write_off(done[-1].ended - PATIENCE, PATIENCE)
        finally:
            stack.clear_pauses()
            outcome = stream.finish(limit=240, still=70)
            recorder.close()
    lost = [_lost(one, recorder) for one in outcome.lost]
    result = Result(
        pages.now(), pages.versions(stack), seed, time.time() - begun, done, outcome.accepted, outcome.refused, lost,
        *_quota(outcome.quota, stream.requests, recorder), list(outcome.strays), stream.trouble[-5:], pages.load(),
    )  # fmt: skip
    stream.clean()
    return result


def _lost(lost: Lost, recorder: Recorder) -> dict[str, Any]:
    _, whose = pages.explanation(lost.kind, lost.why)
    explained = bool(whose) and recorder.stopped(whose, lost.sent, lost.answered)
    return {**asdict(lost), "when": recorder.around(lost.sent), "explained": explained}


def _quota(
    wrong: Sequence[Usage], requests: Sequence[Request], recorder: Recorder
) -> tuple[list[str], list[str], int]:
    """Return all wrong usages, those without a known cause, and how many deletes may be that cause."""
    met = [
        one.thing
        for one in requests
        if one.kind == "backup_delete" and recorder.stopped("cinder_backup", one.sent, one.answered)
    ]
    most = {"backups": len(met), "backup_gigabytes": sum(thing.size for thing in met)}
    unexplained = [
        str(one)
        for one in wrong
        if one.reserved or not 0 < one.there - one.in_use <= most.get(one.resource, 0)
    ]
    return [str(one) for one in wrong], unexplained, len(met)


def _warm(stream: Traffic) -> bool:
    done = [one.kind for one in stream.requests if one.state == traffic.DONE]
    return len(done) >= 8


def _sites(stack: Stack, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield two images in turn, beginning with the one that does not run."""
    images = {
        "stock": upgrades.cinder_image(stack.client),
        "next": upgrades.cinder_image(stack.client, "next"),
    }
    files = {
        name: upgrades.write_inventory(stack, folder / f"{name}.json", image)
        for name, image in images.items()
    }
    runs = stack.container("cinder_volume").attrs["Config"]["Image"]
    name = "stock" if runs == images["next"] else "next"
    while True:
        yield name, files[name]
        name = "stock" if name == "next" else "next"


def roll(image: str, inventory: Path) -> Roll:
    """Run the upgrade play over scheduler, volume and backup."""
    one = Roll(image, time.time())
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory),
        str(ROOT / "ansible" / "upgrade.yml"), "--tags", ",".join(SERVICES), *MORE,
    ]  # fmt: skip
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    try:
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, text=True, timeout=ROLL_LIMIT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        one.code, one.output = ran.returncode, ran.stdout
    except subprocess.TimeoutExpired as late:
        one.output = f"{(late.stdout or b'')!r}\nthe play did not end"
    one.ended = time.time()
    # The task and the summary print the same line.
    found = re.findall(r'(cinder-\w+: (?:replaced|restarted|nothing)[^"\]\n]*)', one.output)
    one.became = list(dict.fromkeys(found))
    if one.code != 0:
        print(one.output, flush=True)
    return one


def _set_pauses(stack: Stack, dice: random.Random) -> None:
    """Let operations take 0.3 to 2.5 s, drawn anew for each roll."""
    for name in traffic.PAUSES:
        stack.set_pause(name, round(dice.uniform(0.3, 2.5), 2))
    for name in traffic.CHUNK_PAUSES:
        stack.set_pause(name, round(dice.uniform(0.3, 2.5) / traffic.CHUNKS, 3))


def _line(number: int, one: Roll, stream: Traffic) -> str:
    accepted = len(stream.requests)
    lost = sum(request.state == traffic.LOST for request in stream.requests)
    return (
        f"roll {number} to {one.image}: {one.ended - one.begun:.0f} s, exit code {one.code}, "
        f"{accepted} requests so far, {len(stream.pending())} pending, {lost} lost; " + "; ".join(one.became)
    )


def save(result: Result, folder: Path = RESULTS) -> None:
    """Write the figures, and the page that is made of them."""
    data = asdict(result)
    for one in data["rolls"]:
        del one["output"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "soak.rst").write_text(pages.soak(data))


def main(arguments: list[str]) -> int:
    """Return zero when nothing was lost."""
    parser = argparse.ArgumentParser(prog="benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rolls", type=int, default=0)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.5, help="requests a second")
    parser.add_argument("--out", default=str(RESULTS))
    chosen = parser.parse_args(arguments)
    stack = Stack().up()
    result = soak(stack, minutes=chosen.minutes, rolls=chosen.rolls, seed=chosen.seed, rate=chosen.rate)
    print(result)
    for one in result.lost:
        print(f"lost: {one['kind']} {one['id']}: {one['why']}; sent at {one['sent']:.2f}: {one['when']}")
    save(result, Path(chosen.out))
    stack.up()
    return 1 if result.lost else 0

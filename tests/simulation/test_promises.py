"""The promises, held against arbitrary schedules: the same few each time, and new ones in each run.

A failure names its seed, the command that plays it again, and the simplest schedule that breaks the same promise; keep
that one as a story in test_stories.py when it is mended.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from . import seeds, worlds
from .schedules import Play, broken_promise, simplified, spelled
from .world import NEVER

ROOT = Path(__file__).resolve().parents[2]
PARTS = 16
NEW = int(os.environ.get("SCHEDULES", "4000"))


def keep_their_promises(tally):
    assert not tally.broken, f"{len(tally.broken)} of {tally.number}\n{seeds.told(tally.broken[0])}"


@pytest.mark.parametrize("part", range(PARTS if NEW else 0))
def test_new_schedules(part, first_seed):
    size = -(-NEW // PARTS)
    keep_their_promises(seeds.play(range(first_seed + part * size, first_seed + (part + 1) * size)))


def test_the_same_schedules_meet_all_that_the_page_names():
    """A promise that nothing puts to the test, or a fault that never comes, is none. tools/simulate --write."""
    tally = seeds.play(seeds.FIXED)
    keep_their_promises(tally)
    page = (ROOT / seeds.PAGE).read_text()
    named = set(re.findall(r"^   \* - ([^*].*)\n     - [0-9,]+$", page, re.MULTILINE))
    assert len(named) > 60
    rare = {name: tally.met[name] for name in named if tally.met[name] < seeds.AT_LEAST}
    assert not rare, f"of {tally.number} schedules only so many meet these"
    assert not set(tally.met) - named


def test_files_and_memory_keep_the_same_ledger():
    for seed in range(40):
        if seed % worlds.EVERY:
            in_memory, in_files = (Play(worlds.schedule(seed), kept) for kept in (True, False))
            in_memory.hold()
            in_files.hold()
            assert in_memory.story == in_files.story, seed


def test_a_seed_is_always_the_same_schedule():
    one, other = worlds.schedule(7), worlds.schedule(7)
    assert one == other != worlds.schedule(14)


def test_a_schedule_that_breaks_a_promise_is_made_simple(monkeypatch):
    """Here by a promise that nobody gives: that no process ignores its signal."""

    def broken(played):
        assert all(service.at_signal != "ignores" for service in played.schedule.scene.services), "made up"

    monkeypatch.setattr(Play, "hold", broken)
    drawn = next(one for one in map(worlds.schedule, range(1, 100)) if broken_promise(one) is not None)
    assert spelled(simplified(drawn)) == "Schedule(scene=Scene(services=(Service(at_signal='ignores'),)))"
    assert spelled(NEVER) == "NEVER"

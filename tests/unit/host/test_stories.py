"""What runs keep of their stops, in real files and between real processes."""

from __future__ import annotations

import json
import os
import time

import pytest

from kolla_drain.host import process as processes
from kolla_drain.host import stories as stories_module
from kolla_drain.host.process import myself
from kolla_drain.host.stories import FORGOTTEN, WATCHED, Stories

LIFE = ("d1ce", "2026-11-21T10:00:00Z")


def story(begun=100.0, **more):
    return {"id": LIFE[0], "started_at": LIFE[1], "name": "cinder_volume", "begun": begun, **more}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "stories"


def of(folder, name, **options):
    return Stories(str(folder / f"{name}.json"), **options)


def test_what_one_run_keeps_another_reads(folder):
    with of(folder, "one", clock=lambda: 5.0) as one:
        one.keep([story(signalled=False)])
        one.keep([story(signalled=True)])
        (found,) = of(folder, "two").of(LIFE)
    assert found == {**story(signalled=True), "lives": True}


def test_the_oldest_run_comes_first_and_ones_own_is_not_told(folder):
    with of(folder, "late", clock=lambda: 9.0) as late, of(folder, "early", clock=lambda: 5.0) as early:
        late.keep([story(by="late")])
        early.keep([story(by="early")])
        assert [found["by"] for found in of(folder, "other").of(LIFE)] == ["early", "late"]
        assert [found["by"] for found in late.of(LIFE)] == ["early"]


def test_another_life_is_another_story(folder):
    with of(folder, "one") as one:
        one.keep([story()])
        assert of(folder, "two").of((LIFE[0], "2026-11-22T10:00:00Z")) == []


def test_a_run_that_has_died_is_told_apart(folder, monkeypatch):
    of(folder, "one").keep([story()])
    monkeypatch.setattr(processes, "named", lambda pid: "")
    assert [found["lives"] for found in of(folder, "two").of(LIFE)] == [False]


def test_two_stops_of_one_container_are_two_stories(folder):
    with of(folder, "one") as one:
        one.keep([story(100.0)])
        one.keep([story(200.0)])
        assert [found["begun"] for found in of(folder, "two").of(LIFE)] == [100.0, 200.0]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"run": 1}', '{"run": "1 2", "begun": "x", "stops": [{"id": 1}]}']
)
def test_what_cannot_be_understood_says_nothing(folder, text):
    with of(folder, "one") as one:
        one.keep([story()])
        (folder / "odd.json").write_text(text)
        assert len(of(folder, "two").of(LIFE)) == 1


def test_only_its_owner_can_read_it(folder):
    with of(folder, "one") as one:
        one.keep([story()])
        assert os.stat(folder).st_mode & 0o777 == 0o700
        assert os.stat(folder / "one.json").st_mode & 0o777 == 0o600


def test_secrets_are_masked_before_they_are_written(folder):
    with of(folder, "one", mask=lambda told: json.loads(json.dumps(told).replace("s3cr3t", "****"))) as one:
        one.keep([story(waits_for="s3cr3t")])
        assert "s3cr3t" not in (folder / "one.json").read_text()


def test_an_unwatched_run_leaves_nothing_and_a_watched_one_its_story(folder):
    with of(folder, "one"), of(folder, "two", watched=True):
        assert len(list(folder.iterdir())) == 2
    assert [path.name for path in folder.iterdir()] == ["two.json"]


def test_what_was_forgotten_is_removed(folder):
    for name in ("old", "new"):
        of(folder, name).keep([story()])
    long_ago = time.time() - FORGOTTEN - 1
    os.utime(folder / "old.json", (long_ago, long_ago))
    with of(folder, "one"):
        assert sorted(path.name for path in folder.iterdir()) == ["new.json", "one.json"]


def test_a_story_that_cannot_be_kept_fails_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with of(tmp_path / "file", "one") as one:
        one.keep([story()])
        one.step("cinder_volume", "pull", "pulling it")
        assert one.of(LIFE) == []


def test_without_a_place_nothing_is_written():
    with Stories() as none:
        none.keep([story()])
        assert none.of(LIFE) == []


@pytest.mark.parametrize(("given", "named"), [("w0ab1", "w0ab1"), ("", ""), ("../w", ""), ("w" * 41, "")])
def test_the_name_comes_from_the_watcher_or_from_the_process(folder, monkeypatch, given, named):
    monkeypatch.setenv(WATCHED, given)
    with Stories.of_this_run(lambda told: told, str(folder)):
        (path,) = folder.iterdir()
    assert path.stem == (named or myself().replace(" ", "-"))
    assert path.exists() == bool(named)


def test_the_end_of_a_step_tells_of_the_whole_step(folder):
    now = [100.0]
    with of(folder, "one", clock=lambda: now[0]) as one:
        one.step("a", "ready", "waits until it serves", seconds=120.0)
        now[0] = 103.0
        one.step("a", "ready", "serves", done=True)
        one.step("b", "ready", "serves", done=True)
        steps = json.loads((folder / "one.json").read_text())["steps"]
    assert [(step["begun"], step["until"], step["done"]) for step in steps] == [
        (100.0, 220.0, False),
        (100.0, 220.0, True),
        (103.0, None, True),
    ]


def test_the_place_is_beside_the_ledger():
    assert stories_module.STORIES == "/run/kolla-drain/stories"

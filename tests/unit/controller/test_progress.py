"""The lines that are made of a run's story."""

from __future__ import annotations

from kolla_drain.actions.run import ACTIONS
from kolla_drain.controller import progress
from kolla_drain.controller.progress import QUIET, Progress, deadline, last_seen

OPERATION = {"kind": "volume_create", "id": "d1ce", "status": "creating", "began": 90.0}
BEAT = {"host": "h@lvm", "up": True, "at": 97.0}
BEGUN = (0, 100.0, "quiesce", "begun, with 180 s until the deadline")


def story(**more):
    return {
        "id": "1d",
        "name": "cinder_volume",
        "service": "cinder-volume",
        "begun": 100.0,
        "deadline": 280.0,
        "signal_by": 265.0,
        "signalled": False,
        "on_timeout": "kill",
        "beats_while_draining": False,
        "exit_seconds": 15.0,
        "phase": "quiesce",
        "waits_for": "quiescing with 1 operation in flight",
        "readings": 1,
        "heard_at": 100.0,
        "in_flight": [OPERATION],
        "beats": [BEAT],
        "events": [BEGUN],
        "outcome": None,
        **more,
    }


def told(*stops, steps=(), at=100.0):
    return {"stops": list(stops), "steps": list(steps), "at": at}


def step(text, phase="ready", at=300.0, until=420.0, name="cinder_volume", done=False):
    return {
        "name": name,
        "at": at,
        "begun": 300.0,
        "until": until,
        "phase": phase,
        "text": text,
        "done": done,
    }


DONE = {"at": 290.0, "verdict": "drained", "reason": "exited by itself", "signal": "SIGTERM"}


def stands(now=130.0, **more):
    """How a container stands, when nothing has been said of it for long."""
    shown = Progress("web1")
    shown.lines(told(story(events=[], **more)), now - QUIET)
    (line,) = shown.lines(told(story(events=[], **more)), now)
    return line


def test_the_actions_are_those_that_tell():
    assert {name for name, action in ACTIONS.items() if action.tells} == set(progress.TELLING)


def test_a_change_is_a_line_with_host_container_phase_and_time():
    (line,) = Progress("web1").lines(told(story()), 101.0)
    assert line == "web1 cinder_volume           quiesce    0/180 s  begun, with 180 s until the deadline"


def test_each_change_is_told_once_and_at_its_own_time():
    shown = Progress("web1")
    shown.lines(told(story()), 101.0)
    sent = (1, 142.0, "drain", "SIGTERM sent: it is quiet")
    (line,) = shown.lines(told(story(events=[BEGUN, sent], phase="drain")), 150.0)
    assert "drain     42/180 s  SIGTERM sent: it is quiet" in line
    assert shown.lines(told(story(events=[BEGUN, sent], phase="drain")), 151.0) == []


def test_what_it_waits_for_is_told_every_half_minute():
    shown = Progress("web1")
    said = [now for now in range(100, 200) if shown.lines(told(story()), float(now))]
    assert said == [100, 130, 160, 190]


def test_it_says_what_is_in_flight_the_heartbeat_and_what_comes_next():
    assert stands().endswith(
        "quiesce   30/180 s  in flight: volume_create d1ce (creating, 40 s); heartbeat 33 s ago; "
        "signal at 165 s at the latest"
    )


def test_the_oldest_of_many_operations_are_named():
    many = [{**OPERATION, "id": f"op{number}", "began": 90.0 - number} for number in range(5)]
    assert "in flight: volume_create op4 (creating, 44 s), " in stands(in_flight=many)
    assert ", volume_create op2 (creating, 42 s), 2 more;" in stands(in_flight=many)


def test_an_age_that_nobody_knows_is_left_out():
    assert "volume_create d1ce (creating);" in stands(in_flight=[{**OPERATION, "began": None}])


def test_why_it_waits_is_told_where_that_is_more():
    why = "quiescing; its evidence cannot be read just now and work was in flight"
    assert f"  {why}; in flight: volume_create d1ce" in stands(waits_for=why)


def test_a_heartbeat_that_is_down_is_called_so():
    assert "heartbeat 83 s ago, down" in stands(beats=[BEAT, {"host": "h@b", "up": False, "at": 47.0}])


def test_a_service_that_falls_silent_at_its_signal_has_no_heartbeat_after_it():
    assert "heartbeat" not in stands(phase="drain")
    assert "heartbeat" in stands(phase="drain", beats_while_draining=True)


def test_what_happens_at_the_deadline_is_told():
    assert stands(phase="drain").endswith("SIGKILL at 180 s")
    assert stands(phase="drain", on_timeout="leave").endswith("left running at 180 s")
    assert stands(signal_by=280.0).endswith("SIGKILL at 180 s")


def test_an_idle_service_is_known_to_exit_within_a_time():
    line = stands(phase="drain", in_flight=[], waits_for="draining")
    assert "draining; an idle cinder-volume exits within 15 s; SIGKILL" in line
    assert "idle" not in stands(phase="drain", in_flight=[], service="none")


def test_an_estimate_rests_on_what_has_ended():
    shown = Progress("web1", every_reading=True)
    other = {**OPERATION, "id": "c0de", "began": 100.0}
    (first,) = shown.lines(told(story(events=[], in_flight=[OPERATION, other])), 100.0)
    assert "about" not in first
    (line,) = shown.lines(
        told(story(events=[], in_flight=[other], readings=2, heard_at=114.0)), 115.0
    )  # the first took 24 s
    assert "about 9 s more, if they take as long as the 1 that ended" in line
    assert "about" not in shown.lines(told(story(events=[], in_flight=[other], readings=3)), 125.0)[0]


def test_every_reading_is_told_if_asked_for():
    shown = Progress("web1", every_reading=True)
    lines = [shown.lines(told(story(readings=number // 2)), 100.0 + number) for number in range(8)]
    assert [len(line) for line in lines] == [1, 0, 1, 0, 1, 0, 1, 0]


def test_what_has_ended_is_silent():
    shown = Progress("web1")
    shown.lines(told(story(outcome=DONE)), 100.0)
    assert shown.lines(told(story(outcome=DONE)), 200.0) == []


def test_a_flood_of_changes_is_cut_short():
    events = [(number, 100.0 + number, "quiesce", f"change {number}") for number in range(50)]
    lines = Progress("web1").lines(told(story(events=events)), 150.0)
    assert len(lines) == progress.AT_A_TIME + 1
    assert "30 more events, which are in the result's timeline" in lines[0]
    assert "change 49" in lines[-1]


def test_containers_are_told_side_by_side_in_the_order_of_time():
    late = (0, 101.0, "quiesce", "late")
    lines = Progress("web1").lines(told(story(id="2d", name="b", events=[late]), story()), 102.0)
    assert [line.split()[1] for line in lines] == ["cinder_volume", "b"]


def test_steps_beside_a_stop_are_told_too():
    shown = Progress("web1")
    waits = step("waits until it serves")
    assert shown.lines(told(story(outcome=DONE, events=[]), steps=[waits]), 300.0) == [
        "web1 cinder_volume           ready      0/120 s  waits until it serves"
    ]
    (again,) = shown.lines(told(story(outcome=DONE, events=[]), steps=[waits]), 331.0)
    assert "31/120 s" in again
    serves = step("serves: its heartbeat moves", at=335.0, done=True)
    assert "35/120 s  serves" in shown.lines(told(steps=[waits, serves]), 336.0)[0]
    assert shown.lines(told(steps=[waits, serves]), 400.0) == []


def test_a_pull_before_the_stop_is_over_with_the_stop():
    shown = Progress("web1")
    pull = step("pulling it", phase="pull", at=50.0, until=None)
    assert "pull           0 s" in shown.lines(told(steps=[{**pull, "begun": 50.0}]), 50.0)[0]
    shown.lines(told(story(outcome=DONE, events=[]), steps=[pull]), 290.0)
    assert shown.lines(told(story(outcome=DONE, events=[]), steps=[pull]), 400.0) == []


def test_nothing_that_a_terminal_would_act_on_is_shown():
    (line,) = Progress("web1").lines(told(story(events=[(0, 100.0, "quiesce", "a\x1b[2Jb\nc")])), 101.0)
    assert line.endswith("a?[2Jb?c")


def test_how_it_stood_when_it_was_last_heard_of():
    assert last_seen(None) == ""
    assert last_seen(told(story(), at=142.0)) == (
        "cinder_volume: quiescing with 1 operation in flight after 42 of 180 s, no stop signal was sent"
    )
    assert last_seen(told(story(outcome=DONE))) == "cinder_volume: drained, exited by itself"


def test_the_latest_deadline_counts():
    assert deadline(None) == 0.0
    assert deadline(told(story(), story(deadline=300.0), story(deadline=400.0, outcome=DONE))) == 300.0

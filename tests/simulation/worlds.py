"""Arbitrary schedules: a seed decides everything that is in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from kolla_drain.drain.baseline import CLOCKS, QUEUED, SETTLED
from kolla_drain.model import OnTimeout, Profile, Quiesce, StopRequest

from .schedules import Call, Schedule
from .world import NEVER, Job, Scene, Service

FAULTS = ("", "lost", "answer lost", "late", "slow", "holds", "absent")
STEPS = (-7200.0, -20.0, -1.0, 1.0, 20.0, 7200.0)
# One schedule in so many has a whole host's containers, and MANY of them.
EVERY, MANY = 1400, 200


class Dice:
    """What is drawn for one schedule. In some there is much out of the ordinary, in others little."""

    def __init__(self, seed: int) -> None:
        self._roll = random.Random(seed).random
        self._odds = self.one_of((0.1, 0.3, 0.3, 0.6))

    def one_of(self, values: Sequence[Any]) -> Any:
        return values[int(self._roll() * len(values))]

    def coin(self) -> bool:
        return self._roll() < 0.5

    def up_to(self, most: int, least: int = 0) -> int:
        return least + int(self._roll() * (most - least + 1))

    def seconds(self, least: float, most: float) -> float:
        """Quarters of a second: coincidences are wanted."""
        return self.up_to(int(most * 4), int(least * 4)) / 4

    def mostly(self, usual: Any, draw: Callable[[], Any]) -> Any:
        return draw() if self._roll() < self._odds else usual

    def some(self, draw: Callable[[], Any], most: int, least: int = 0) -> tuple[Any, ...]:
        return tuple([draw() for _ in range(self.up_to(most, least))])

    def gap(self, most: float) -> tuple[float, float]:
        begin = self.seconds(0, most)
        return begin, begin + self.seconds(0.25, 60)


def job(dice: Dice) -> Job:
    return Job(
        arrives=dice.mostly(0.0, lambda: dice.seconds(0, 60)),
        takes=dice.mostly(5.0, lambda: dice.seconds(0.25, 90) if dice.coin() else NEVER),
        fails=dice.mostly(False, dice.coin),
        by_worker=dice.coin(),
        unattributed=dice.mostly(False, dice.coin),
        anothers=dice.mostly(False, dice.coin),
    )


def of_before(dice: Dice, job: Job, up_for: float) -> Job:
    """A job that was there before the world began: a wreck, or work of this process of whatever age."""
    if up_for == NEVER:
        return replace(job, wreck=dice.coin(), arrives=-dice.one_of((60.0, 4e3, 4e7)))
    if dice.coin():
        waited = dice.one_of((-up_for / 2, CLOCKS, QUEUED, QUEUED + 1.0, 2 * SETTLED, 4e7))
        return replace(job, wreck=True, arrives=-(up_for + waited))
    longest = QUEUED if up_for < SETTLED else CLOCKS
    return replace(job, arrives=-(up_for + dice.one_of((-up_for / 2, 0.0, CLOCKS, longest))))


def request(dice: Dice) -> StopRequest:
    return StopRequest(
        timeout=60.0 if dice.coin() else dice.seconds(1, 90),
        on_timeout=dice.mostly(OnTimeout.KILL, lambda: dice.one_of(tuple(OnTimeout))),
        quiesce=dice.mostly(Quiesce.AUTO, lambda: dice.one_of(tuple(Quiesce))),
        poll_interval=dice.one_of((2.0, 0.5, 7.0)),
    )


def service(dice: Dice, ways: tuple[str, ...] = ("drains", "drops", "ignores")) -> Service:
    at_signal = dice.one_of(ways)
    refreshes = dice.coin()
    profile = Profile(
        name=dice.mostly("cinder-volume", lambda: "none"),
        quiesce=dice.coin(),
        heartbeat_while_draining=dice.coin(),
        keeps_work=at_signal != "drops",
        refreshes_workers=refreshes and dice.coin(),
        rows_tell=dice.mostly(True, dice.coin),
        exit_seconds=dice.one_of((15.0, 2.0)),
    )
    supervised = dice.mostly(NEVER, lambda: dice.seconds(0, 12))
    up_for = dice.mostly(NEVER, lambda: dice.one_of((0.0, 60.0, 4e3, SETTLED - 3e3, SETTLED + 1.0, 4e6)))
    work = dice.some(lambda: job(dice), most=3)
    return Service(
        jobs=tuple(dice.mostly(one, lambda one=one: of_before(dice, one, up_for)) for one in work),
        up_for=up_for,
        profile=profile,
        request=request(dice),
        at_signal=at_signal,
        exits_in=dice.mostly(1.0, lambda: dice.seconds(0 if supervised else 1, 20)),
        alarm=dice.mostly(NEVER, lambda: dice.seconds(0 if supervised else 1, 60)),
        accepts=dice.mostly(0.0, lambda: dice.seconds(0, 5)),
        dies_at=dice.mostly(NEVER, lambda: dice.seconds(0, 60)),
        refreshes=refreshes,
        kill_takes=dice.mostly(0.25, lambda: dice.seconds(0.25, 40) if dice.coin() else NEVER),
        status=dice.mostly(
            "running", lambda: dice.one_of(("paused", "restarting", "removing", "exited", "created"))
        ),
        stop_signal=dice.mostly("", lambda: dice.one_of(("SIGTERM", "SIGQUIT"))),
        restarts_in=dice.mostly(NEVER, lambda: dice.seconds(0, 5)),
        supervised=supervised,
        auto_removed=dice.mostly(False, dice.coin),
        by_hand=dice.mostly(NEVER, lambda: dice.seconds(0, 60)),
        paused_at=dice.mostly(NEVER, lambda: dice.seconds(0, 60)),
        evidence_missing=dice.mostly(
            "", lambda: dice.one_of(("", "its configuration is not here (made up)"))
        ),
    )


def unseen_work(dice: Dice) -> Service:
    """A service that drops its work, has some, and is to wait for it."""
    one = service(dice, ways=("drops",))
    return replace(
        one,
        jobs=dice.some(
            lambda: Job(dice.seconds(0, 20), dice.seconds(5, 60), unattributed=dice.mostly(False, dice.coin)),
            most=2,
            least=1,
        ),
        profile=replace(one.profile, name="cinder-volume", quiesce=True, exit_seconds=15.0),
        request=StopRequest(timeout=dice.seconds(60, 90), poll_interval=one.request.poll_interval),
        status="running",
        dies_at=NEVER,
    )


def drops_its_work(dice: Dice) -> Service:
    return unseen_work(dice) if dice.coin() else service(dice, ways=("drops",))


def scene(dice: Dice, draw: Callable[[Dice], Service] = service, most: int = 3, outages: Any = None) -> Scene:
    faults = dice.mostly((), lambda: dice.some(lambda: dice.one_of(FAULTS), most=3))
    return Scene(
        services=dice.some(lambda: draw(dice), most=most, least=1),
        latencies=dice.mostly((0.1,), lambda: dice.some(lambda: dice.seconds(0, 12), most=4, least=1)),
        read_at_the_end=dice.coin(),
        outages=dice.some(lambda: (*dice.gap(90), dice.coin()), most=2) if outages is None else outages,
        engine_gaps=dice.mostly((), lambda: dice.some(lambda: dice.gap(120), most=2)),
        engine_patience=dice.one_of((0.0, 1.0)),
        engine_takes=dice.mostly(0.0, lambda: dice.seconds(0.25, 9)),
        refusals=dice.mostly((), lambda: dice.some(lambda: dice.gap(120), most=2)),
        disk_full=dice.mostly((), lambda: dice.some(lambda: dice.gap(120), most=1)),
        signal_faults=faults,
        kills_lost=dice.mostly(0, lambda: dice.up_to(3)),
        # Where looks are answered meanwhile: less than what the signal of a run that died is looked for.
        slow=dice.seconds(1, 15 if "slow" in faults else 60),
        clock_steps=dice.mostly(
            (), lambda: dice.some(lambda: (dice.seconds(0, 60), dice.one_of(STEPS)), most=2)
        ),
        memory=dice.mostly(NEVER, lambda: dice.seconds(0, 30)),
        turns=dice.some(lambda: dice.up_to(2), most=40),
        knows_of_stops=dice.coin(),
    )


# --- kinds of schedules


def one_run(dice: Dice) -> Schedule:
    return Schedule(scene(dice))


def killed_and_run_again(dice: Dice) -> Schedule:
    """Killed at any step, with or without a reboot of the host in between, and run again."""
    drawn = scene(dice, most=2)
    deaths = dice.some(
        lambda: Call(
            starts_after=dice.seconds(0, 30),
            dies_at_step=dice.up_to(60, least=1),
            then_reboot=dice.mostly(False, dice.coin),
        ),
        most=3,
        least=1,
    )
    return Schedule(drawn, (*deaths, Call()))


def side_by_side(dice: Dice) -> Schedule:
    """Two runs, of which the second asks for something else, or for a part of the containers."""
    drawn = scene(dice, most=2)
    asked = dice.one_of(((), (), (("timeout", 90.0),), (("timeout", 5.0),), (("signal", "SIGUSR2"),)))
    second = Call(starts_after=dice.seconds(0, 10), asks=asked, only=dice.mostly((), lambda: (0,)))
    return Schedule(drawn, (Call(dies_at_step=dice.one_of((0, 0, 0, 3, 10, 20))), second), side_by_side=True)


def database_answers(dice: Dice) -> Schedule:
    drawn = replace(scene(dice, outages=()), latencies=(0.1, 1.0))
    return Schedule(drawn, nothing_stays_open=True)


def database_never_answers(dice: Dice) -> Schedule:
    return Schedule(scene(dice, outages=((0.0, 1e6, dice.coin()),)))


def work_is_dropped(dice: Dice) -> Schedule:
    return Schedule(scene(dice, drops_its_work))


def outage_passes(dice: Dice) -> Schedule:
    """Played twice: with an outage that may pass, and with the same one called lasting."""
    drawn = scene(dice, service if dice.coin() else unseen_work, most=1)
    away = dice.some(lambda: dice.gap(60), most=2, least=1) if dice.coin() else ((0.0, dice.seconds(20, 90)),)
    calm = replace(drawn.services[0], by_hand=NEVER)  # what somebody else cuts is nobody's promise
    outages = tuple((begin, end, True) for begin, end in away)
    # A fault of a signal's call falls on the call of that number, which in the other run may be another one.
    same = replace(drawn, services=(calm,), outages=outages, signal_faults=())
    return Schedule(same, compared_with_lasting=True)


def whole_host(dice: Dice) -> Schedule:
    """Many containers at once, all alike but for what is drawn anew."""
    drawn = scene(dice, most=1)
    kinds = [service(dice) for _ in range(5)]
    return Schedule(replace(drawn, services=tuple(kinds[n % len(kinds)] for n in range(MANY))))


KINDS: tuple[Callable[[Dice], Schedule], ...] = (
    one_run,
    killed_and_run_again,
    side_by_side,
    database_answers,
    database_never_answers,
    work_is_dropped,
    outage_passes,
)


def kind_of(seed: int) -> Callable[[Dice], Schedule]:
    return whole_host if seed % EVERY == 0 else KINDS[seed % len(KINDS)]


def schedule(seed: int) -> Schedule:
    """The schedule of this seed."""
    return kind_of(seed)(Dice(seed))

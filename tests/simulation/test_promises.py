"""The promises, held against arbitrary worlds.

A failing world is printed as a ``Scene``; keep it as an ``@example`` beside the test when it is mended.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, note
from hypothesis import strategies as st

from . import promises
from .world import NEVER, Run, Scene, World
from .worlds import gaps, scenes, seconds, services, unseen_work


def tell(world, *runs):
    """What hypothesis prints beside a failing world."""
    for run in runs:
        for result in run.results:
            note(f"{result.name}: {result.verdict} {result.reason}")
            note("\n".join(f"    {event.at:8.2f}  {event.event}" for event in result.timeline[:12]))
    for container in world.containers.values():
        note(f"{container.name} really: {container.lives}")


@given(scenes())
def test_one_run(scene: Scene) -> None:
    with World(scene) as world:
        run = world.stop(Run())
        tell(world, run)
        promises.hold(world, run)


@given(scenes(most=2), st.lists(st.tuples(st.integers(1, 60), seconds(0, 30)), min_size=1, max_size=3))
def test_killed_at_any_step_and_run_again(scene: Scene, deaths: list[tuple[int, float]]) -> None:
    with World(scene) as world:
        runs = []
        for step, pause in deaths:
            runs.append(Run(starts_at=world.age + pause, dies_at_step=step))
            world.stop(runs[-1])
        runs.append(Run(starts_at=world.age))
        world.stop(runs[-1])
        tell(world, *runs)
        promises.hold(world, *runs)


@given(
    scenes(most=2),
    seconds(0, 10),
    st.sampled_from([0, 0, 0, 3, 10, 20]),
    st.sampled_from([{}, {}, {"timeout": 90.0}, {"timeout": 5.0}, {"signal": "SIGUSR2"}]),
)
def test_side_by_side(scene: Scene, later: float, dies: int, request: dict) -> None:
    with World(scene) as world:
        runs = [Run(dies_at_step=dies), Run(starts_at=later, request=request)]
        world.stop(*runs)
        tell(world, *runs)
        promises.hold(world, *runs)


@given(scenes())
def test_a_database_that_answers_leaves_nothing_open(scene: Scene) -> None:
    scene = replace(scene, outages=(), latencies=(0.1, 1.0))
    with World(scene) as world:
        run = world.stop(Run())
        tell(world, run)
        promises.outcomes_are_known(world, run)


@given(scenes())
def test_a_database_that_never_answers(scene: Scene) -> None:
    for passing in (True, False):
        with World(replace(scene, outages=((0.0, 1e6, passing),))) as world:
            run = world.stop(Run())
            tell(world, run)
            promises.hold(world, run)
            for container in world.containers.values():
                for life in container.lives:
                    assert all(when >= world.deadline(container, life, when) - 1e-6 for when, _ in life.kills)


@given(scenes(st.one_of(services(ways=("drops",)), unseen_work())))
def test_a_service_that_drops_its_work_is_signalled_when_it_has_none(scene: Scene) -> None:
    with World(scene) as world:
        run = world.stop(Run())
        tell(world, run)
        promises.hold(world, run)


@given(
    st.one_of(scenes(most=1), scenes(unseen_work(), most=1)),
    st.one_of(st.lists(gaps(60), min_size=1, max_size=2), seconds(20, 90).map(lambda end: [(0.0, end)])),
)
def test_an_outage_that_passes_costs_no_work_that_a_lasting_one_would_not(scene: Scene, away: list) -> None:
    calm = replace(scene.services[0], by_hand=NEVER)  # what somebody else cuts is nobody's promise
    worlds = []
    for passing in (True, False):
        outages = tuple((begin, end, passing) for begin, end in away)
        with World(replace(scene, services=(calm,), outages=outages)) as world:
            run = world.stop(Run())
            tell(world, run)
            promises.hold(world, run)
            worlds.append(world)
    promises.a_passing_fault_costs_no_more(*worlds)

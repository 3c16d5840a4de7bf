"""Who ended a container, as the engine's events tell after the exit."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kolla_drain.drain.context import Context
from kolla_drain.drain.kill import Kill
from kolla_drain.drain.one_signal import OneSignal
from kolla_drain.drain.plan import plan
from kolla_drain.drain.result import Target
from kolla_drain.drain.settle import Settlement
from kolla_drain.model import NO_PROFILE, Container, ContainerStatus, Sent, StopRequest, Verdict

EXITED = Container("1d", "redis", ContainerStatus.EXITED, started_at="1")


@dataclass
class Engine:
    signals: tuple[str, ...]

    def sent(self, container: Container) -> Sent:
        return Sent(self.signals, 0.0)


class Ledger:
    def read(self, container_id: str) -> None:
        """No stop of it is known."""


def judged(exit_code: int, *signals: str) -> tuple[Verdict, str]:
    container = Container(**{**vars(EXITED), "exit_code": exit_code})
    target = Target(container, StopRequest(), NO_PROFILE, plan(StopRequest(), NO_PROFILE))
    context = Context(target, Engine(signals), Ledger(), lambda: 100.0)  # type: ignore[arg-type]
    settlement = Settlement(context, OneSignal(context), Kill(context))
    settlement.begin()
    return settlement.judge(verified=False)


@pytest.mark.parametrize(
    ("exit_code", "signals", "verdict", "words"),
    [
        (137, ("SIGTERM", "SIGKILL"), Verdict.KILLED, "a SIGKILL that somebody else sent"),
        (137, ("SIGTERM",), Verdict.UNVERIFIED, "as by a SIGKILL that did not come through the engine"),
        (0, ("SIGTERM", "SIGKILL"), Verdict.UNVERIFIED, "exited by itself with exit code 0"),
    ],
    ids=["killed by another", "killed from outside the engine", "exited while SIGKILL was on its way"],
)
def test_who_ended_it(exit_code: int, signals: tuple[str, ...], verdict: Verdict, words: str) -> None:
    judgement, reason = judged(exit_code, *signals)
    assert judgement is verdict
    assert words in reason

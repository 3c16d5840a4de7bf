"""What check mode says that would become of a container that exists."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.actions import exchange
from kolla_drain.actions.options import Options
from kolla_drain.actions.results import ContainerResult
from kolla_drain.container.compare import Difference
from kolla_drain.container.spec import ContainerSpec
from kolla_drain.model import Container, ContainerStatus, StopRequest
from kolla_drain.systemd.install import Change

CONTAINER = Container("1d", "a", ContainerStatus.RUNNING)
OLD = Container("0d", "a.old", ContainerStatus.EXITED)
SUCCESSOR = Container("1d", "a", ContainerStatus.RUNNING, labels={"kolla-drain.replaces": "0d no 0"})
DIFFERS = (Difference("user", "", "x"),)


class Engine:
    def __init__(self, *containers: Container) -> None:
        self.containers = {container.name: container for container in containers}

    def inspect(self, name: str) -> Container | None:
        return self.containers.get(name)

    def maker(self) -> None:
        return None


@pytest.mark.parametrize(
    ("there", "differences", "strategy", "would"),
    [
        ((CONTAINER,), (), "COPY_ALWAYS", "restart"),
        ((CONTAINER,), (), "COPY_ONCE", "recreate"),
        ((CONTAINER,), DIFFERS, "COPY_ALWAYS", "recreate"),
        ((SUCCESSOR, OLD), (), "", "restart, after an interrupted exchange left a.old was put right"),
        (
            (OLD, Container("2d", "a.new", OLD.status, labels=SUCCESSOR.labels)),
            (),
            "",
            "put right first that ",
        ),
    ],
)
def test_what_would_be_done(
    monkeypatch: pytest.MonkeyPatch,
    there: tuple[Container, ...],
    differences: tuple[Difference, ...],
    strategy: str,
    would: str,
) -> None:
    spec = ContainerSpec("a", "x", 180, environment={"KOLLA_CONFIG_STRATEGY": strategy})
    monkeypatch.setattr(exchange, "spec_of", lambda _: spec)
    monkeypatch.setattr(exchange, "differences_of", lambda *_: differences)
    monkeypatch.setattr(exchange, "stop_each", lambda *_: [ContainerResult.of(CONTAINER)])
    for step in ("write_unit", "withdraw_unit"):
        monkeypatch.setattr(exchange, step, lambda options: Change())
    engine: Any = Engine(*there)
    options = Options("recreate_or_restart_container", ("a",), StopRequest(), image="x", check_mode=True)

    result = exchange.recreate_or_restart(options, engine)

    assert result.changed
    assert str(result.containers[0].would).startswith(would)

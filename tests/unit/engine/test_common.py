"""What every engine does alike."""

from __future__ import annotations

import pytest

from kolla_drain.engine.common import CommonEngine, is_called
from kolla_drain.errors import EngineError, EngineUnreachable, NoSuchContainer, NotRunning

ID = "c0ffee" * 10 + "c0de"


class Pausing(CommonEngine):
    """An engine whose call to unpause raises what it is handed."""

    def __init__(self, error: EngineError) -> None:
        super().__init__()
        self.error = error

    def _unpause(self, container_id: str) -> None:
        raise self.error


@pytest.mark.parametrize("kind", [NotRunning, NoSuchContainer])
def test_a_container_that_is_not_paused_or_gone_is_left_alone(kind: type[EngineError]) -> None:
    Pausing(kind("It is not paused.")).unpause(ID)


def test_an_engine_that_does_not_answer_an_unpause_is_an_error() -> None:
    with pytest.raises(EngineUnreachable):
        Pausing(EngineUnreachable("It does not answer.")).unpause(ID)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("cinder_volume", True),
        (ID, True),
        (ID[:12], True),
        (ID[:11], False),
        ("c0ffee", False),
        ("cinder", False),
    ],
)
def test_a_container_is_called_by_its_name_or_a_whole_id(name: str, called: bool) -> None:
    assert is_called(name, ID, "cinder_volume") is called

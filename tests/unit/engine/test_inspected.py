"""What an engine's inspection says, in the core's words."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.engine.inspected import described, status_of
from kolla_drain.model import ContainerStatus


def inspection(**more: Any) -> dict[str, Any]:
    return {"Id": "1d", "Name": "/cinder_volume", "State": {}, "Config": {}, **more}


@pytest.mark.parametrize(
    ("mounts", "folder"),
    [
        (None, ""),
        ([{"Type": "bind", "Source": "/opt/kolla/cinder-volume", "Destination": "/var/lib/kolla/config_files"}],
         "/opt/kolla/cinder-volume"),
        ([{"Type": "bind", "Source": "/x", "Destination": "/y"},
          {"Type": "bind", "Source": "/z", "Destination": "/var/lib/kolla/config_files/"}], "/z"),
        ([{"Type": "volume", "Name": "v", "Source": "/var/lib/docker/volumes/v/_data",
           "Destination": "/var/lib/kolla/config_files"}], ""),
    ],
)  # fmt: skip
def test_the_folder_from_which_the_configuration_is_copied(mounts: Any, folder: str) -> None:
    assert described(inspection(Mounts=mounts), ContainerStatus.RUNNING).config_folder == folder


def test_the_command_is_that_of_the_entrypoint_with_its_arguments() -> None:
    found = described(inspection(Path="dumb-init", Args=["--", "cinder-volume"]), ContainerStatus.RUNNING)
    assert found.command == ("dumb-init", "--", "cinder-volume")
    assert described(inspection(), ContainerStatus.RUNNING).command == ("",)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"Status": "paused", "Pid": 7}, ContainerStatus.PAUSED),
        ({"Status": "checkpointing", "Pid": 7}, ContainerStatus.RUNNING),
        ({"Status": "archived", "Pid": 0}, ContainerStatus.DEAD),
        ({"Status": ""}, ContainerStatus.DEAD),
    ],
)
def test_in_a_status_that_is_not_known_a_process_counts(
    state: dict[str, Any], status: ContainerStatus
) -> None:
    assert status_of(state) is status

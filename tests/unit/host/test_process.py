"""Which processes live, and which run in a container."""

from __future__ import annotations

import io
import os
import subprocess
from typing import Any

import pytest

from kolla_drain.host import process
from kolla_drain.host.ledger import boot_clock

ID = "0123456789abcdef" * 4


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    pid, _, started = process.myself().partition(" ")
    assert int(pid) == os.getpid()
    assert process.lives(process.myself())
    assert not process.lives(f"{pid} {int(started) + 1}")


def test_when_a_process_was_started_by_the_boot_clock() -> None:
    before = boot_clock()
    child = subprocess.Popen(["sleep", "1000"])
    started = process.begun(child.pid)
    assert started is not None
    assert before - 0.05 <= started <= boot_clock()
    child.kill()
    child.wait()
    assert process.begun(child.pid) is None


def test_one_that_has_ended_does_not_live_though_nobody_waited_for_it() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    name = process.named(child.pid)
    assert process.lives(name)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.lives(name)
    child.wait()
    assert process.named(child.pid) == ""


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        (f"0::/system.slice/docker-{ID}.scope", True),
        (f"11:memory:/docker/{ID}", True),
        (f"0::/machine.slice/libpod-{ID}.scope/container", True),
        (f"0::/machine.slice/libpod-conmon-{ID}.scope", False),
        ("0::/system.slice/docker.service", False),
    ],
)
def test_which_processes_run_in_a_container(monkeypatch: pytest.MonkeyPatch, path: str, inside: bool) -> None:
    def opened(name: str, **_: Any) -> io.StringIO:
        if name == "/proc/8/cgroup":
            return io.StringIO(path + "\n")
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(process.os, "listdir", lambda _: ["7", "8", "self"])
    monkeypatch.setattr(process, "open", opened, raising=False)
    assert process.any_in_container(ID) is inside

"""Locks between runs, and files that are written whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kolla_drain.host import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "lock"


@pytest.mark.usefixtures("nobody_waits")
def test_a_lock_is_for_one_and_for_its_owner_alone(path: Path) -> None:
    """Without a bound nobody waits for it."""
    fd = files.lock(str(path))
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    with pytest.raises(files.Busy):
        files.lock(str(path))
    os.close(fd)
    os.close(files.lock(str(path)))


def test_a_lock_is_waited_for_up_to_its_bound(path: Path) -> None:
    fd = files.lock(str(path))
    begun = time.monotonic()
    with pytest.raises(files.Busy):
        files.lock(str(path), 0.3)
    assert time.monotonic() - begun >= 0.3
    threading.Timer(0.2, os.close, (fd,)).start()
    os.close(files.lock(str(path), 30.0))


def test_whoever_waited_for_a_lock_that_was_removed_takes_the_next(path: Path) -> None:
    """Two would hold it otherwise: one the file that was removed, the other a new one."""
    fd = files.lock(str(path))

    def finish() -> None:
        path.unlink()
        os.close(fd)

    threading.Timer(0.2, finish).start()
    second = files.lock(str(path), 30.0)
    assert os.fstat(second).st_ino == path.stat().st_ino
    with pytest.raises(files.Busy):
        files.lock(str(path))
    os.close(second)


def test_a_lock_opened_before_its_removal_is_not_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, removed = files.fcntl.flock, []

    def flock(fd: int, how: int) -> None:
        real(fd, how)
        if not removed:
            removed.append(path.unlink())

    monkeypatch.setattr(files.fcntl, "flock", flock)
    fd = files.lock(str(path))
    assert os.fstat(fd).st_ino == path.stat().st_ino
    os.close(fd)


def test_the_end_of_a_process_frees_its_lock(path: Path) -> None:
    code = (
        "import sys, time; from kolla_drain.host import files; files.lock(sys.argv[1]); print(flush=True); "
        "time.sleep(99)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=env)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"\n"
    with pytest.raises(files.Busy):
        files.lock(str(path))
    holder.kill()
    holder.communicate()
    os.close(files.lock(str(path)))


@pytest.mark.parametrize("umask", [0o077, 0o022, 0])
def test_a_file_is_written_whole_with_its_mode(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.write(str(path), "one", 0o644, 0o755)
        files.write(str(path), "two", 0o644, 0o755)
    finally:
        os.umask(before)
    assert (path.read_text(), mode(path)) == ("two", 0o644)
    assert [file.name for file in path.parent.iterdir()] == ["lock"]


@pytest.mark.parametrize("umask", [0, 0o002])
def test_nobody_else_may_write_to_a_folder_that_was_made(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        os.close(files.lock(str(tmp_path / "run" / "units" / "lock")))
        files.write(str(tmp_path / "system" / "x.d" / "y" / "z.conf"), "text", 0o644, 0o755)
    finally:
        os.umask(before)
    found = {path.name: mode(path) for path in tmp_path.rglob("*") if path.is_dir()}
    assert found == {"run": 0o700, "units": 0o700, "system": 0o755, "x.d": 0o755, "y": 0o755}


@pytest.mark.parametrize("wide", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_locked_in(path: Path, wide: int) -> None:
    path.parent.mkdir()
    path.parent.chmod(wide)
    with pytest.raises(PermissionError, match=f"others can write to {path.parent}"):
        files.lock(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder away")
def test_nor_in_another_s_folder(path: Path) -> None:
    path.parent.mkdir()
    os.chown(path.parent, 65534, 65534)
    with pytest.raises(PermissionError, match=f"others can write to {path.parent}"):
        files.lock(str(path))


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    path.with_name("lock.new").symlink_to(victim)
    files.write(str(path), "one")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("as it was", "one", False)
    other = path.with_name("other")
    other.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="symbolic links"):
        files.lock(str(other))
    assert not (tmp_path / "nowhere").exists()


def test_a_writer_that_dies_leaves_the_old_text(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(str(path), "one")

    def die(*_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            files.write(str(path), "two")
    assert (path.read_text(), mode(path), mode(path.parent)) == ("one", 0o600, 0o700)
    files.remove_with_folder(str(path))
    assert not path.parent.exists()


def test_what_is_not_there_is_removed_already_and_what_is_not_empty_stays(path: Path) -> None:
    files.remove(str(path))
    files.write(str(path), "one")
    files.remove_with_folder(str(path.with_name("none")))
    assert path.exists()

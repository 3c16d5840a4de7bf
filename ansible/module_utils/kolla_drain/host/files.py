"""Locks, and files that are written whole, shared by the runs of one host."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time

_LOOK = 0.05


class Busy(Exception):
    """Another process holds the lock."""


def lock(path: str, bound: float = 0.0) -> int:
    """Lock a file and return its descriptor; to close it, or to end, is to unlock it.

    The file is made 0600 in a folder 0700 where they are missing. Its holder may remove it: whoever has it open by
    then locks the next one. Waits for up to ``bound`` seconds. Raises Busy, OSError; also in a folder that others can
    write to, because what is read there could be theirs.
    """
    deadline = time.monotonic() + bound
    while True:
        folder = os.path.dirname(path)
        make_folder(folder, 0o700)
        there = os.stat(folder)
        if there.st_mode & 0o022 or there.st_uid not in (0, os.geteuid()):
            raise PermissionError(errno.EPERM, f"others can write to {folder}, so it has to be removed")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            if time.monotonic() >= deadline:
                raise Busy from None
            time.sleep(_LOOK)
            continue
        if _is_at(path, fd):
            return fd
        os.close(fd)  # its last holder removed it meanwhile


def write(path: str, text: str, mode: int = 0o600, folder_mode: int = 0o700) -> None:
    """Write a file so that a reader sees the old text or the new one, whole. Raises OSError.

    A folder that is missing is made. Writers of the same file exclude each other by a lock of their own.
    """
    make_folder(os.path.dirname(path), folder_mode)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}.new")
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        os.fchmod(fd, mode)  # whatever the umask of this run
        stream.write(text)
    os.replace(f"{path}.new", path)


def make_folder(path: str, mode: int) -> None:
    """Make a folder and its parents where they are missing, open to nobody whom ``mode`` does not name."""
    if path and not os.path.isdir(path):
        make_folder(os.path.dirname(path), mode)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode)


def remove(path: str) -> None:
    """Remove a file, and what a writer that died left beside it. Raises OSError."""
    for name in (path, f"{path}.new"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def remove_with_folder(path: str) -> None:
    """Remove a file as ``remove`` does, and its folder if that is empty then."""
    remove(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _is_at(path: str, fd: int) -> bool:
    try:
        return os.fstat(fd).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False

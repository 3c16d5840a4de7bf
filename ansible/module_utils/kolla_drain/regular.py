"""Read files that somebody else named: nothing that could hold the reader up, and no more than it can use."""

from __future__ import annotations

import errno
import os
import stat


def read(path: str, most: int) -> bytes:
    """Return the bytes of a regular file; a pipe or a device might never end.

    Raises OSError, also if there are more than ``most`` bytes.
    """
    try:
        _check(os.stat(path))  # before it is opened, which may do something to a device
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "its name holds a NUL character") from None
    with open(fd, "rb") as stream:
        there = os.fstat(fd)
        _check(there)
        found = stream.read(most + 1)
    if not there.st_size and found != b"":  # as /proc/kmsg, where whoever reads on waits
        raise OSError(errno.EINVAL, "it is no file of a disk")
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 10} KiB")
    return found


def _check(there: os.stat_result) -> None:
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")

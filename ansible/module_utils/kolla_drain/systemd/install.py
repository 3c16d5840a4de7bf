"""TODO: say what this is."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnitError
from ..kolla import unit_name
from .unit_file import Definition

DROP_IN_FILE = "kolla-drain.conf"
_OURS = re.compile(unit_name(".+"))


@dataclass(frozen=True)
class Change:
    """What came of writing or removing a unit's file."""

    before: str = ""  # the old file
    after: str = ""
    note: str = ""  # why it was left as it is, or what else there is to know

    @property
    def changed(self) -> bool:
        """Whether the file is another one now."""
        return self.before != self.after


@dataclass(frozen=True)
class _Plan:
    """What becomes of a unit's files, and what is told of it."""

    change: Change
    writes: Mapping[str, str] = field(default_factory=dict)  # texts by path
    new: bool = False  # there was no unit, so it is enabled, too
    stale: str = ""  # a drop-in that goes
    ours: bool = False  # what lies there is ours, so systemd is to know it


def definition(
    container: str, engine: str, options: Mapping[str, Any], timeout: float, window: int
) -> Definition | None:
    """The unit that these options of a container ask for; None where its policy leaves it where it ends."""
    policy = options.get("restart_policy")
    if policy in (None, "no", "oneshot"):
        return None
    retries = options.get("restart_retries")
    program = shutil.which(engine) or f"/usr/bin/{engine}"
    return Definition(
        container,
        engine,
        program,
        str(policy),
        math.ceil(timeout),
        10 if retries is None else int(retries),
        window,
    )


def read_rows(path: str) -> str | None:
    """The text of a regular file; None where there is none, and for the link of a masked unit."""
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def _drop(path: str) -> None:
    """Remove a file; its folder goes with it, unless that is systemd's own or holds an operator's drop-ins."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if os.path.dirname(path).endswith(".d"):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))


def _write(path: str, text: str) -> None:
    """A reader sees the old file or the new one, whole."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(f"{path}.new", 0o644)
        os.replace(f"{path}.new", path)
    except OSError as exc:
        raise unwritten(path, exc) from exc


def unwritten(path: str, exc: OSError) -> UnitError:
    return UnitError(
        f"{path} cannot be written ({exc.strerror}); run with the rights of root (become: true)."
    )

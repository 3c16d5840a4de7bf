"""Tell the release of the service in a container: what an upgrade stops is of the release before."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence

from ..kolla import KOLLA_LABEL
from ..model import Container
from ..profiles import declared

# Kolla's release of a cycle, and what its images hold: 22 of 2026.1 has Nova 33 and Cinder 28.
_AHEAD_OF_KOLLA = {"nova": 11, "cinder": 6}

# Where the names of OpenStack's cycles begin.
_CYCLES = 2000

_PREFIX = re.compile(r"(/[^\s\[\]]+?)/bin/")


def release_of(service: str, container: Container, argv: Sequence[str], proc: str = "/proc") -> int | None:
    """Return the first number of the project's version, such as 33 for Nova 2026.1; None where nothing tells.

    ``argv`` is that of the service's process. The programs in it, and else the container's PATH, lead to the packages,
    seen through /proc. Where they cannot be seen, the image's label tells, which a build from a development branch
    has too low.
    """
    project = service.partition("-")[0]
    # The process may have put a title before its command.
    told = [prefix for word in argv for prefix in _PREFIX.findall(word)]
    path = [
        entry.removesuffix("/bin")
        for entry in container.env.get("PATH", "").split(":")
        if entry.startswith("/")
    ]
    for prefix in dict.fromkeys([*told, *path, "/usr"]) if container.pid else ():
        lib = glob.escape(f"{proc}/{container.pid}/root{prefix}/lib")
        packages = map(os.path.basename, glob.glob(f"{lib}/python3*/*-packages/{project}-[0-9]*-info"))
        versions = [_first_number(name.partition("-")[2]) for name in packages]
        if versions:  # of several, as an interrupted installation leaves them, the oldest is the cautious one
            return min(version for version in versions if version is not None)
    found = declared(service)
    ahead = found.ahead_of_kolla if found else _AHEAD_OF_KOLLA.get(project)
    kolla = _first_number(container.labels.get(KOLLA_LABEL, ""))
    # A label may have been set to the name of a cycle, such as 2024.1.
    return kolla + ahead if kolla is not None and ahead is not None and kolla < _CYCLES else None


def _first_number(version: str) -> int | None:
    digits = re.match(r"\d+", version)
    return int(digits[0]) if digits else None

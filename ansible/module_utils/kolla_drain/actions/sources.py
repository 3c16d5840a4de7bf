"""Where a container's evidence is: the configuration that its service runs with, and the database which that names."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Any

from .. import evidence, kolla
from ..database import connection
from ..database.inside import inside
from ..database.target import DatabaseTarget
from ..database.target import target as make_target
from ..errors import ConfigError
from ..evidence.reader import Source
from ..model import NO_PROFILE, Container
from ..preflight.process import ProcessFacts, read_process
from ..service.config import ServiceConfig, load
from .options import EvidenceOptions


def evidence_for(
    options: EvidenceOptions, container: Container
) -> tuple[ServiceConfig | None, Source | None, str]:
    """Return the service's configuration and the source of its evidence, or why there is none.

    Raises KollaDrainError, ConfigError for an unusable configuration.
    """
    service = options.service_in(container)
    if service == NO_PROFILE.name:
        return None, None, ""
    rows = evidence.evidence_of(service)
    files = options.service_config or tuple(
        kolla.default_files(container.name) or kolla.default_files(service.replace("-", "_"))
    )
    process = read_process(container)
    running = None if options.service_config else _running(service, container, process)
    if not running and not options.service_config and not any(map(os.path.exists, files)):
        where = " or ".join(files)
        why = f"its configuration {where} is not on this host; give service_config, or service=none"
        return None, None, why
    config = running or load(files, service, container.hostname or None)
    database = dict(options.database)
    url = database.pop("url", None)
    inherited = None if url else config.database or _conductors_database(service, files)
    if not (url or inherited or database.get("host") or database.get("unix_socket")):
        return config, None, "its configuration names no [database] connection; give database"
    connection.client()  # a missing library is reported now, not after the signal
    # What the service's own URL names are paths that its process sees.
    root = f"/proc/{container.pid}/root" if inherited and process is not None else ""
    target = make_target(url or inherited, inherited=bool(inherited), root=root, **database)
    if running and inherited:
        target = _renewed(target, service, files, database)
    return config, Source(rows, config, target), ""


def _running(service: str, container: Container, process: ProcessFacts | None) -> ServiceConfig | None:
    """Return the configuration that the service's process has read; None where it cannot be seen.

    Kolla's containers copy their files from the host when they start (KOLLA_CONFIG_STRATEGY). Between a change on the
    host and the restart, which is when an upgrade stops a service, the two differ.
    """
    files = _own_files(service, process.innermost) if process is not None else ()
    try:
        return load(files, service, container.hostname or None) if files else None
    except ConfigError:  # the process has ended, and its root with it
        return None


def _own_files(service: str, process: ProcessFacts) -> tuple[str, ...]:
    """Return where this host sees the configuration files that a service's process has read.

    Empty where they cannot be seen, or where the service's program does not run yet: before that, the files in the
    container may be those of the image.
    """
    # A process may have put a title before its command, and the command in brackets.
    words = [word.strip("()") for arg in process.argv for word in arg.split()]
    if service not in map(os.path.basename, words):
        return ()
    project, option = service.partition("-")[0], "--config-file"
    named = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    named += [value for word, value in zip(words, words[1:]) if word == option]
    root = f"/proc/{process.pid}/root"
    files = tuple(inside(root, path) for path in named or [f"/etc/{project}/{project}.conf"])
    return files if all(map(_is_file, files)) else ()


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _renewed(
    target: DatabaseTarget, service: str, files: Sequence[str], parts: dict[str, Any]
) -> DatabaseTarget:
    """Return how to reach the process's database, as the files on the host have it if they name the same.

    A password is changed in the database first, then on the host, and in the process at its restart: its connections
    live on meanwhile, but a new one needs the new password.
    """
    try:
        url = load(files, service).database or _conductors_database(service, files)
        on_host = make_target(url, inherited=True, root=target.root, **parts) if url else target
    except ConfigError:  # what is wrong on the host harms the next start, not this process
        return target
    return on_host if on_host.where == target.where else target


def _conductors_database(service: str, files: Sequence[str]) -> str | None:
    """Return the database of a nova-conductor on this host: nova-compute's own configuration names none.

    Kolla puts nova-conductor's configuration beside nova-compute's, in whatever folder that is.
    """
    if service != "nova-compute":
        return None
    folder = os.path.dirname(os.path.dirname(files[0]))
    beside = os.path.join(folder, "nova-conductor", "nova.conf")
    for candidate in ([beside], kolla.default_files("nova_conductor")):
        if all(os.access(path, os.R_OK) for path in candidate):
            return load(candidate, "nova-conductor").database
    return None

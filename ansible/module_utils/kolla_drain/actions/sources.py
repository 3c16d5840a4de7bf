"""Where a container's evidence is: the configuration that its service runs with, and the database which that names."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import evidence, kolla, profiles
from ..database import connection
from ..database.inside import inside
from ..database.target import DatabaseTarget
from ..database.target import target as make_target
from ..errors import ConfigError
from ..evidence.reader import Source
from ..evidence.requests import Connections, Requests
from ..host.ledger import Ledger, boot_clock
from ..host.process import begun, runs, words
from ..model import NO_PROFILE, Container
from ..preflight.process import ProcessFacts, read_process
from ..service.config import ServiceConfig, load
from .options import EvidenceOptions

# Options of every OpenStack service that name configuration.
_FILE, _FOLDER = "--config-file", "--config-dir"

# Seconds from the start of a container within which Kolla's start script has copied the configuration into it.
COPIED = 60.0


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
    if isinstance(rows, Requests):
        local = None if container.at_rest else _connections(container, rows)
        return None, Source(rows, None, None, local), ""
    files = options.service_config or _files_of(service, container)
    process = read_process(container)
    running = (
        None if _are_others(options.service_config, container) else _running(service, container, process)
    )
    if not running and not options.service_config and not any(map(os.path.exists, files)):
        where = " or ".join(files)
        why = f"its configuration {where} is not on this host; give service_config, or service=none"
        return None, None, why
    config = running or load(files, service, container.hostname or None, container.env)
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
        target = _renewed(target, service, files, container.env, database)
    declared = profiles.declared(service)
    serves = declared is not None and declared.serves and not container.at_rest
    local = _connections(container, Requests()) if serves else None
    return config, Source(rows, config, target, local), ""


def _connections(container: Container, served: Requests) -> Connections:
    ledger = Ledger()
    return Connections(container.id, served, boot_clock, lambda: ledger.signals(container))


def _files_of(service: str, container: Container) -> tuple[str, ...]:
    """Return the configuration files on the host: those that are copied into the container, else by its name."""
    copied = os.path.join(container.config_folder, kolla.file_of(service))
    if container.config_folder and os.path.exists(copied):
        return (copied,)
    return tuple(kolla.default_files(container.name) or kolla.default_files(service.replace("-", "_")))


def _are_others(files: Sequence[str], container: Container) -> bool:
    """Return whether files that were given are others than those that are copied into the container."""
    folder = os.path.realpath(container.config_folder) if container.config_folder else ""
    return any(os.path.realpath(os.path.dirname(path)) != folder for path in files)


def _running(service: str, container: Container, process: ProcessFacts | None) -> ServiceConfig | None:
    """Return the configuration that the service's process has read; None where it cannot be seen.

    Kolla's containers copy their files from the host when they start (KOLLA_CONFIG_STRATEGY). Between a change on the
    host and the restart, which is when an upgrade stops a service, the two differ.
    """
    if process is None:
        return None
    files, pid = _own_files(service, process.innermost), process.innermost.pid
    try:
        config = load(files, service, container.hostname or None, container.env) if files else None
        return replace(config, own=_unchanged(files, pid)) if config else None
    except (ConfigError, OSError):  # the process has ended, and its root with it
        return None


def _unchanged(files: Sequence[str], pid: int) -> bool:
    """Return whether files are as they were when a process began. Raises OSError."""
    began = begun(pid)
    if began is None:
        return False
    latest = time.time() - boot_clock() + began + COPIED
    return all(os.stat(path).st_ctime <= latest for path in files)


def _own_files(service: str, process: ProcessFacts) -> tuple[str, ...]:
    """Return where this host sees the configuration files that a service's process has read.

    Empty where they cannot be seen, or where the service's program does not run yet: before that, the files in the
    container may be those of the image.
    """
    if not runs(profiles.command(service), process.argv):
        return ()
    root = f"/proc/{process.pid}/root"
    try:
        files = tuple(inside(root, path) for path in _read_by(service, words(process.argv), root))
    except OSError:  # a folder of its command line cannot be listed
        return ()
    return files if all(map(_is_file, files)) else ()


def _read_by(service: str, words: Sequence[str], root: str) -> list[str]:
    """Return the files, in the container, that oslo.config reads for a command, in its order: a later one wins.

    Those that it finds by itself come first. Of a folder it reads the files whose names end with ".conf".
    Raises OSError.
    """
    named, rest = [], iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in (_FILE, _FOLDER):
            named.append((option, value if equals else next(rest, "")))
    given = {option for option, _ in named}
    project = service.partition("-")[0]
    usual = [f"/etc/{project}/{name}.conf" for name in (project, service)]
    found = [(_FILE, path) for path in usual if os.path.exists(inside(root, path))]
    found += [(_FOLDER, f"{path}.d") for path in usual if os.path.exists(inside(root, f"{path}.d"))]
    files: list[str] = []
    for option, path in [*(one for one in found if one[0] not in given), *named]:
        if option == _FILE:
            files.append(path)
        else:
            names = sorted(os.listdir(inside(root, path)))
            files += [f"{path}/{name}" for name in names if name.endswith(".conf") and name[0] != "."]
    return files


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _renewed(
    target: DatabaseTarget,
    service: str,
    files: Sequence[str],
    env: Mapping[str, str],
    parts: dict[str, Any],
) -> DatabaseTarget:
    """Return how to reach the process's database, as the files on the host have it if they name the same.

    A password is changed in the database first, then on the host, and in the process at its restart: its connections
    live on meanwhile, but a new one needs the new password.
    """
    try:
        url = load(files, service, env=env).database or _conductors_database(service, files)
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

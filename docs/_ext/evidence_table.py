"""Write the page of the services with evidence: a table of their containers, and the rights that reading them needs.

Both are made from what the services' profiles declare.
"""

from __future__ import annotations

import runpy
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "services.rst"
VARIABLES = ROOT / "ansible" / "group_vars" / "all.yml"
FILTERS = ROOT / "roles" / "kolla_host" / "filter_plugins" / "kolla_host.py"
sys.path.insert(0, str(ROOT / "ansible" / "module_utils"))

from kolla_drain import kolla  # noqa: E402
from kolla_drain.database.rights import BY_SERVICE  # noqa: E402
from kolla_drain.evidence import profile_for  # noqa: E402
from kolla_drain.model import Profile  # noqa: E402
from kolla_drain.profiles import NAMES, declared  # noqa: E402
from kolla_drain.profiles.others import GROUPS, OTHERS, signal_of  # noqa: E402

INTRODUCTION = """\
======================
Services with evidence
======================

What kolla-drain reads of each container before it sends the signal, while the container drains, and after its exit.

The work of a container is **its own** where its processes report it at SIGUSR2, or where a row names the host or
the process. Where no row does, it is **anybody's**: any container of the service may be the one that works on it,
unless no other has a heartbeat. Such work is waited for during a part of the time only, because on a busy cloud
there is always some. If it is still unfinished in the end, what became of it is unknown.

A service of which some release drops its work at the signal is said to do so.

"""
OTHERS_INTRODUCTION = """\
The other containers of Kolla
=============================

The work of these is in no rows. Of the first three groups it is the connections that the kernel lists for the
container's processes: no database, no port and no right but root's is needed for that, and ``service: requests`` is
the same for a server of any other name. Of the others nothing can be said: their exit is awaited up to the time-out.

The signal is that of the program that runs in the container, whatever its name, unless ``stop_signal`` names another.
The wave is the one in which the container stops where its whole host does (:doc:`whole-host`).

Containers that an agent of Neutron makes for one network or router (``neutron_l3_agent_keepalived_…``) are left
alone: the agent starts and ends them.

"""
RIGHTS = """\
The rights
==========

The columns that an account needs which reads evidence and nothing else (:doc:`database-account`, which has those of
Cinder and Nova). The names of the databases are those that Kolla gives them.

"""
HEADINGS = (
    "container",
    "tables",
    "its work",
    "heartbeat",
    "before the signal",
    "after the signal",
    "not shown",
)
OTHER_HEADINGS = ("container", "stop signal", "wave", "to be known")


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each container, in the order of the names."""
    for container in sorted(kolla.CONTAINERS):
        service = kolla.kolla_service(container)
        assert service is not None
        profile, found = profile_for(service, {}), declared(service)
        tables = sorted({table for tables in BY_SERVICE[service].values() for table in tables})
        keeps = "goes on with its work" if profile.keeps_work else "may drop its work"
        yield (
            f"``{container}``",
            ", ".join(f"``{table}``" for table in tables),
            whose(profile),
            "yes" if found is None or found.beat else "none",
            "waits until there is no work" if profile.quiesce else "does not wait",
            keeps,
            found.unseen if found else "",
        )


def whose(profile: Profile) -> str:
    """Say whose work the evidence of a service shows."""
    if not profile.rows_tell:
        return "its own, by its report" if profile.reports else "not seen"
    found = declared(profile.name)
    shared = [work.shared for work in found.work] if found else [profile.name == "cinder-scheduler", False]
    rows = "anybody's" if all(shared) else "its own, some of it anybody's" if any(shared) else "its own"
    if found and found.serves:
        return f"{rows}; requests by its connections"
    return f"{rows}; requests by its report" if profile.reports else rows


def grants(service: str) -> Iterator[str]:
    """Yield the statements that let an account read a service's evidence."""
    schemas: Mapping[str, Mapping[str, frozenset[str]]] = BY_SERVICE[service]
    for schema, tables in schemas.items():
        for table, columns in tables.items():
            names = ", ".join("`binary`" if name == "binary" else name for name in sorted(columns))
            yield from textwrap.wrap(f"GRANT SELECT ({names})", 110, subsequent_indent="   ")
            yield f"   ON {schema}.{table} TO 'drain'@'%';"


def waves() -> dict[str, str]:
    """Return the wave in which each container of Kolla stops when its whole host does, by the container's name."""
    order = yaml.safe_load(VARIABLES.read_text(encoding="utf-8"))["kolla_drain_host_waves"]
    found = runpy.run_path(str(FILTERS))["waves"](list(OTHERS), order)
    return {name: wave["name"] for wave in found for name in wave["containers"]}


def others(containers: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each of these containers, in the order of the names."""
    wave_of = waves()
    for container, known in sorted(containers.items()):
        yield (f"``{container}``", signal_of(container) or "SIGTERM", wave_of[container], known)


def table(headings: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """Return a table as lines of reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (headings, *body):
        lines += [f"   {'*' if place == 0 else ' '} - {cell}".rstrip() for place, cell in enumerate(row)]
    return [*lines, ""]


def page() -> str:
    """The whole page as reStructuredText."""
    lines = [*table(HEADINGS, rows()), OTHERS_INTRODUCTION.rstrip(), ""]
    for group in GROUPS:
        evidence = f" Service: ``{group.service}``." if group.service else ""
        lines += [group.title, "-" * len(group.title), "", *textwrap.wrap(group.text + evidence, 110), ""]
        lines += table(OTHER_HEADINGS, others(group.containers))
    lines += [RIGHTS + ".. code-block:: sql", ""]
    for service in NAMES:
        lines += [f"   -- {service}", *(f"   {line}" for line in grants(service)), ""]
    return INTRODUCTION + "\n".join(lines)


def generate(_app: object = None) -> None:
    """Write the page, unless it is the same already."""
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page():
        TARGET.write_text(page(), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

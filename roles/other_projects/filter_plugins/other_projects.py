"""The services of projects that have no role of their own. Plain functions over kolla_drain_projects."""

from __future__ import annotations

import re
from typing import Any

Projects = dict[str, list[list[str]]]

# Those that HAProxy sends requests to: heat-api, heat-api-cfn, neutron-server, but not neutron-rpc-server.
_BALANCED = re.compile(r"[a-z]+-(api|api-cfn|server)")


def services(projects: Projects, options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the record of each service, as the role kolla_drain has it, with the options of its container."""
    return {service: _record(service, options) for _, service in _all(projects)}


def _all(projects: Projects) -> list[tuple[str, str]]:
    return [(name, service) for name, turns in projects.items() for turn in turns for service in turn]


def _record(service: str, options: dict[str, dict[str, Any]]) -> dict[str, Any]:
    container = service.replace("-", "_")
    balanced = bool(_BALANCED.fullmatch(service))
    backends = [f"{container}_back", f"{container}_external_back"] if balanced else []
    return {"container_name": container, "haproxy_backends": backends, **options.get(container, {})}


def asked(projects: Projects, tags: list[str]) -> list[str]:
    """Return the services that tags ask for, each a project or a service, in the order in which they stop."""
    return [service for name, service in _all(projects) if name in tags or service in tags]


def turn(projects: Projects, number: int) -> list[str]:
    """Return the services of one turn, of all projects."""
    return [service for turns in projects.values() for turn in turns[number : number + 1] for service in turn]


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Any]:
        return {f"other_projects_{one.__name__}": one for one in (services, asked, turn)}

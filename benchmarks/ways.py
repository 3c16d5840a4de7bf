"""The ways to stop a service that are compared. Each leaves the container stopped, or a new one running."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.subjects import Subject

# The module's own default for graceful_shutdown_timeout, and how much longer its process may take.
BUDGET, SLACK = 180, 120.0
# ``docker stop`` without -t.
DOCKER_GRACE = 10
# kolla-ansible's docker_graceful_timeout (ansible/group_vars/all/common.yml, 22.2 and 23.0).
KOLLA_ANSIBLE_GRACE = 60
# kolla_container looks so often whether the unit is dead (wait_for_unit in kolla_systemd_worker.py).
KOLLA_ANSIBLE_POLL = 5.0
# What kolla_docker is told besides the container and its service.
MODULE_OPTIONS = {"graceful_shutdown_timeout": BUDGET}


def kolla_docker(subject: Subject) -> str:
    """Run the module itself: one SIGTERM at a quiet moment. Return its verdict."""
    from tests.support.module_run import ModuleRun

    arguments = {
        "action": "stop_container",
        "name": subject.container_name,
        "service": subject.service,
        "service_config": [subject.config],
        **MODULE_OPTIONS,
    }
    result = ModuleRun(arguments).result(BUDGET + SLACK)
    if "verdict" not in result:
        raise RuntimeError(f"kolla_docker: {result.get('msg')}")
    return str(result["verdict"])


def docker_stop(subject: Subject) -> str:
    """SIGTERM at any moment, and SIGKILL after 10 s."""
    subject.container.stop(timeout=DOCKER_GRACE)
    return ""


def kolla_ansible(subject: Subject) -> str:
    """Do to the engine what ``kolla_container`` does where a container is to be replaced.

    Its unit's ExecStop is ``docker stop NAME -t 60``; systemd's own limit of 90 s is not reached. The module looks
    every 5 s whether the unit is dead, removes the container by force, creates another and starts it.
    """
    begun = time.monotonic()
    subject.container.stop(timeout=KOLLA_ANSIBLE_GRACE)
    time.sleep(KOLLA_ANSIBLE_POLL - (time.monotonic() - begun) % KOLLA_ANSIBLE_POLL)
    subject.recreate()
    return ""


WAYS: dict[str, Callable[[Subject], str]] = {
    "kolla_docker": kolla_docker,
    "docker-stop": docker_stop,
    "kolla-ansible": kolla_ansible,
}

"""How long an upgrade of the whole of Cinder takes with nothing in flight, beside kolla-ansible's own steps.

All of Cinder runs on one managed host, each container under its unit. Both ways bring it to an image of another id and
back again in turns: ansible/upgrade.yml, and what roles/cinder of kolla-ansible does with its module kolla_container,
its pause included.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.speed_host import KOLLA, OURS, program, timed
from benchmarks.speed_page import PAUSE
from testbed import upgrades
from testbed.errors import TestbedError
from testbed.site import CONTROLLER, TOGETHER, Site

Sample = dict[str, Any]
# In the order of kolla-ansible's handlers.
HANDLERS = ("cinder_api", "cinder_scheduler", "cinder_volume", "cinder_backup")
LIMIT = 1800.0  # seconds that a play may take
COMMON = {
    "container_engine": "docker",
    "graceful_timeout": 60,
    "client_timeout": 120,
    "restart_policy": "unless-stopped",
    "restart_retries": 10,
    "environment": {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS"},
}


def measure(number: int) -> list[Sample]:
    """Make the host, upgrade it in both ways so many times, and remove it."""
    samples: list[Sample] = []
    with Site(f"upgrade{os.getpid()}", spread=TOGETHER) as site, tempfile.TemporaryDirectory() as folder:
        site.up()
        ids = ("next", "")
        for turn in range(2 * number):
            way = (OURS, KOLLA)[(1 + turn + turn // 2) % 2]  # neither is always the first of a round
            image = upgrades.cinder_image(site.client, ids[turn % 2])
            inventory = site.write_inventory(Path(folder) / "site.json", image)
            books = [ROOT / "ansible/upgrade.yml"]
            if way == KOLLA:
                books = [Path(folder) / "kolla.yml"]
                books[0].write_text(json.dumps(steps(site, image)))
                _give_set_configs(site)
            begun = time.monotonic()
            ran = timed([program("ansible-playbook"), "-i", str(inventory), *map(str, books)], LIMIT)
            # Not a part of its time: kolla-ansible does not wait for it.
            site.wait_serving()
            serving = time.monotonic() - begun
            _check(site, image)
            samples.append(
                {
                    "round": turn // 2,
                    "way": way,
                    "seconds": ran.seconds,
                    "serving": serving,
                    "controller": ran.computed,
                }
            )
            print(f"upgrade, {way}: {ran.seconds:.0f} s, everything serves after {serving:.0f} s", flush=True)
    return samples


def _give_set_configs(site: Site) -> None:
    """Put Kolla's command that compares configurations into the containers; it says that nothing has changed."""
    script = (
        "printf '#!/bin/sh\n' > /usr/local/bin/kolla_set_configs; chmod 755 /usr/local/bin/kolla_set_configs"
    )
    for host, service in site.services():
        host.run("docker", "exec", "-u", "root", service.container, "sh", "-c", script)


def _check(site: Site, image: str) -> None:
    """Raise TestbedError unless every service runs with the image."""
    for host, service in site.services():
        with contextlib.closing(host.engine) as engine:
            container = engine.containers.get(service.container)
        found = (container.status, container.attrs["Config"]["Image"])
        if found != ("running", image):
            raise TestbedError(f"{service.container} was not upgraded: {', '.join(found)}")


def steps(site: Site, image: str) -> list[dict[str, Any]]:
    """Return a play with the steps of roles/cinder/tasks/upgrade.yml of kolla-ansible 23, after its configuration."""
    options = {service.container: _options(site, service, image) for _, service in site.services()}
    api = options["cinder_api"]
    checks = [_task("compare_container", options[name]) for name in HANDLERS]
    handlers = [_task("recreate_or_restart_container", options[name]) for name in HANDLERS]
    reload_ = [_task("restart_container", {"name": name}) for name in HANDLERS]
    pause = {"ansible.builtin.pause": {"seconds": PAUSE}}
    return [
        {
            "hosts": site.hosts[CONTROLLER].name,
            "gather_facts": True,
            "tasks": [
                _manage(api, "db sync"),
                *checks,
                *handlers,
                pause,
                *reload_,
                _manage(api, "db online_data_migrations"),
            ],
        }
    ]


def _options(site: Site, service: Any, image: str) -> dict[str, Any]:
    spec = site.spec(service, image)
    return {
        "name": spec.name,
        "image": spec.image,
        "command": " ".join(spec.command),
        "environment": spec.environment,
        "volumes": list(spec.volumes),
        "labels": spec.labels,
        "cap_add": list(spec.cap_add),
        **({"ipc_mode": spec.ipc_mode} if spec.ipc_mode else {}),
    }


def _manage(api: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Return the one-off container in which kolla_start runs cinder-manage."""
    once = {
        "name": "bootstrap_cinder",
        "detach": False,
        "restart_policy": "oneshot",
        "labels": {"BOOTSTRAP": ""},
    }
    return _task("start_container", {**api, **once, "command": f"cinder-manage {command}"})


def _task(action: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"kolla_container": {"action": action, "common_options": COMMON, **options}}

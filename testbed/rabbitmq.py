"""RabbitMQ of the test stack and of the site."""

from __future__ import annotations

import hashlib
from pathlib import Path

from testbed.cinder_config import Endpoints
from testbed.containers import Spec
from testbed.paths import LABEL


def spec(name: str, image: str, folder: Path, ends: Endpoints, label: str) -> Spec:
    """Its container. ``folder`` (which is there, and which root alone may enter) takes its configuration."""
    files = {"rabbitmq.conf": _conf(ends), "enabled_plugins": "[].\n"}
    for file, text in files.items():
        (folder / file).write_text(text)
        (folder / file).chmod(0o644)  # the folder is closed; inside, the broker's user has to read it
    return Spec(
        name=name,
        image=image,
        command=("/usr/lib/rabbitmq/bin/rabbitmq-server",),
        user="rabbitmq",
        environment={
            "HOME": "/var/lib/rabbitmq",
            "RABBITMQ_NODENAME": "kolla_drain@localhost",
            "RABBITMQ_DIST_PORT": str(ends.rabbitmq_dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(ends.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        },
        volumes=tuple(f"{folder}/{file}:/etc/rabbitmq/{file}:ro" for file in files),
        labels={LABEL: label},
        few_files=True,
        fingerprint=hashlib.sha256("".join(files.values()).encode()).hexdigest(),
    )


def _conf(ends: Endpoints) -> str:
    return f"""listeners.tcp.default = {ends.address}:{ends.rabbitmq_port}
default_user = openstack
default_pass = {ends.rabbitmq_password}
log.console = true
log.console.level = warning
log.file = false
"""

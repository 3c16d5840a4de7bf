"""One Cinder service in a container: its description, and the rows and queues that show that it serves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from testbed import cinder_config
from testbed.cinder_config import BACKENDS, Endpoints, Settings
from testbed.containers import Spec
from testbed.paths import CINDER_DIR, DRIVERS, LABEL, MODE_LABEL

# NOTE: cinder-api's command cannot run on native threads; in Kolla it runs under uWSGI.
SWITCHED = ("cinder-scheduler", "cinder-volume", "cinder-backup")
# The capabilities of os-brick's and Cinder's privileged helpers.
CAPABILITIES = ("SYS_ADMIN", "DAC_READ_SEARCH", "NET_ADMIN")


@dataclass(frozen=True)
class Service:
    """A Cinder service of the stack or of a lane."""

    container: str
    binary: str
    settings: Settings
    backends: tuple[str, ...] = BACKENDS
    images_path: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.settings.host or os.uname().nodename

    @property
    def hosts(self) -> list[str]:
        """The ``host`` column of each of its rows in ``services``."""
        if self.binary == "cinder-api":
            return []
        if self.binary == "cinder-volume":
            return [f"{self.host}@{backend}" for backend in self.backends]
        return [self.host]

    def offered_as(self, host: str) -> str:
        """Return the scheduler's name for the backend of such a row, which is one for all members of a cluster."""
        return f"{self.settings.cluster}@{host.partition('@')[2]}" if self.settings.cluster else host

    @property
    def queues(self) -> list[str]:
        """The queues that its work comes from."""
        return [f"{self.binary}.{host}" for host in self.hosts]

    @property
    def mode(self) -> str:
        return self.settings.mode if self.binary in SWITCHED else "eventlet"

    def spec(self, image: str, ends: Endpoints) -> Spec:
        """Describe the container with that image, and write its configuration."""
        text = cinder_config.cinder_conf(self.settings, ends, self.backends, self.images_path)
        privileged = self.binary in ("cinder-volume", "cinder-backup")
        environment = {
            "KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS",
            "KOLLA_SERVICE_NAME": self.binary,
            "PYTHONPATH": "/opt/testbed",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }
        if self.mode == "threads":
            environment["OS_CINDER_DISABLE_EVENTLET_PATCHING"] = "1"
        return Spec(
            name=self.container,
            image=image,
            command=(self.binary, "--config-file", "/etc/cinder/cinder.conf"),
            environment=environment,
            volumes=(
                f"{cinder_config.folder_of(self.container)}/cinder.conf:/etc/cinder/cinder.conf:ro",
                f"{CINDER_DIR}:/var/lib/cinder",
                f"{DRIVERS}:/opt/testbed:ro",
            ),
            labels={LABEL: "cinder", MODE_LABEL: self.mode},
            cap_add=CAPABILITIES if privileged else (),
            ipc_mode="host" if privileged else None,
            fingerprint=cinder_config.write(self.container, "cinder.conf", text),
        )

"""Managed hosts: containers with systemd as the first process and a Docker Engine of their own, reached over SSH.

with Hosts(["c1", "c2", "s1"], prefix="mine").up() as hosts:
    hosts["c1"].run("systemctl", "status")
    hosts["c1"].engine.containers.list()
    subprocess.run(["ansible", "-i", str(hosts.inventory_file), "all", "-m", "ping"])
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from testbed import containers, host_image, image_store
from testbed.console import say, step
from testbed.errors import NotReady, TestbedError
from testbed.locks import locked
from testbed.paths import HOSTS_DIR, LABEL
from testbed.setup_host import ensure_host, ensure_packages
from testbed.state import keep
from testbed.waiting import wait_until

PREFIX_LABEL = f"{LABEL}.hosts"
CONTAINER = "kolla_drain_host_"
NETWORK = "kolla_drain_hosts_"
NETWORKS = IPv4Network("10.215.0.0/16")
FIRST_ADDRESS = 11
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
# Shares of the machine's processors for each host, against the 1024 that others have.
CPU_SHARES = "TESTBED_CPU_SHARES"
# The rights that a host's own engine needs. Some machines do not have CAP_SYS_RESOURCE themselves, and with it
# no container could be started there.
PRIVILEGES: dict[str, Any] = {
    "cap_add": ["ALL"],
    "cap_drop": ["SYS_RESOURCE"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "device_cgroup_rules": ["a *:* rwm"],
    # Everything in a host is below the host's control group, so the host's shares hold and nothing outlives it.
    "cgroupns": "private",
}
# systemd stops all units and exits at this signal.
SHUT_DOWN = "SIGRTMIN+3"
# On the machine's disk: an overlay does not stand on an overlay.
DISKS = ("/var/lib/docker", "/var/lib/containers")


@dataclass(frozen=True)
class Host:
    """One managed host."""

    name: str
    address: str
    container: Container
    folder: Path

    @property
    def engine(self) -> docker.DockerClient:
        """Return a client of the host's own Docker Engine; the caller closes it."""
        return docker.DockerClient(base_url=f"unix://{self.folder}/docker.sock", version="auto", timeout=120)

    def run(self, *command: str, **options: Any) -> str:
        """Run a command as root on the host, and return its output. Raises TestbedError."""
        return containers.run_inside(self.container, list(command), f"'{' '.join(command)}'", **options)

    def put(self, path: str, data: str | bytes, mode: int = 0o600) -> None:
        """Write a file on the host, and make its folder if that is missing."""
        _put(self.container, {path: (data if isinstance(data, bytes) else data.encode(), mode)})

    def load(self, *references: str) -> None:
        """Copy images of this machine's engine into the host's."""
        if not references:
            return
        with step(f"loading {', '.join(references)} into {self.name}"):
            _pipe(
                ["docker", "save", *references],
                ["docker", "exec", "-i", str(self.container.name), "docker", "load", "-q"],
            )

    def wait_ready(self, timeout: float) -> None:
        """Wait until systemd has started what is enabled, and the engine and SSH answer."""
        wait_until(self._ready, timeout, f"the host {self.name}", on_timeout=self._why_not)

    def _ready(self) -> bool:
        self.container.reload()
        if self.container.status != "running":
            raise NotReady(f"{self.name} is {self.container.status}.\n{self._why_not()}")
        said = containers.execute(self.container, ["systemctl", "is-system-running"]).output.decode().strip()
        if said == "degraded":
            raise NotReady(f"On {self.name} not all that is enabled could be started.\n{self._why_not()}")
        if said != "running":
            raise TestbedError(f"systemd says: {said}")
        with contextlib.closing(self.engine) as engine:
            engine.ping()
        with socket.create_connection((self.address, 22), timeout=5) as connection:
            return connection.recv(3) == b"SSH"

    def _why_not(self) -> str:
        try:
            shown = containers.execute(
                self.container, ["sh", "-c", "systemctl --failed --no-legend; journalctl -n 30 -p 5"]
            )
            return shown.output.decode(errors="replace").strip()
        except (APIError, TestbedError):
            return self.container.logs(tail=20).decode(errors="replace")

    def stop(self, timeout: int = 120) -> None:
        """Shut the host down by its systemd, which stops all units; after the time-out it is cut off."""
        self.container.stop(timeout=timeout)

    def start(self, timeout: float = 400) -> None:
        """Switch the host on, and wait until it is ready."""
        self.container.start()
        self.wait_ready(timeout)

    def reboot(self, timeout: float = 400) -> None:
        """``systemctl reboot``, and wait until the host is ready again."""
        self.container.exec_run(["systemctl", "reboot"], detach=True)
        self.container.wait(timeout=timeout)
        self.start(timeout)


class Hosts(Mapping[str, Host]):
    """The hosts of one prefix; every object with that prefix means the same ones.

    Known by their short names here, and as PREFIX-NAME everywhere else: host name, inventory. The mounts are folders of
    this machine (SOURCE:TARGET[:ro]) that new hosts show.
    """

    def __init__(
        self, names: Sequence[str] = (), prefix: str = "hosts", *, mounts: Sequence[str] = ()
    ) -> None:
        for name in (prefix, *names):
            if not NAME.fullmatch(name):
                raise TestbedError(
                    f"'{name}' cannot be (part of) a host name: take lower case letters, digits and '-'."
                )
        self.client: docker.DockerClient = ensure_host(600)
        self.prefix = prefix
        self.names = tuple(names)
        self.mounts = tuple(mounts)
        self.folder = HOSTS_DIR / prefix

    # -- coming and going

    def up(self, images: Sequence[str] = (), timeout: float = 400) -> Hosts:
        """Create and start the hosts that are missing, with these images in their engines."""
        ensure_packages(["openssh-client"])
        image = host_image.ensure(self.client)
        with step(f"hosts {', '.join(self._full(name) for name in self.names)}"):
            store = self._ensure_store(image.reference, images) if images else None
            with locked(f"hosts-{self.prefix}"):
                self._make_keys()
                network = self._ensure_network()
                made = [self._ensure(name, image.reference, network, store) for name in self.names]
                self._write_known_hosts()
            with ThreadPoolExecutor(max(1, len(made))) as pool:
                list(pool.map(lambda host: host.wait_ready(timeout), made))
            for host in made:
                host.load(*(one for one in images if not _has_image(host, one)))
            self._write_inventory()
        return self

    def down(self) -> None:
        """Remove the hosts of this prefix, with all that is in them."""
        for container in self._containers():
            say(f"removing host {container.attrs['Config']['Hostname']}")
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)
        for network in self.client.networks.list(filters={"label": f"{PREFIX_LABEL}={self.prefix}"}):
            with contextlib.suppress(NotFound):
                network.remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            HOSTS_DIR.rmdir()

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # -- what is there

    def __getitem__(self, name: str) -> Host:
        container = containers.find(self.client, self._container_name(name))
        if container is None:
            raise KeyError(name)
        return self._host(container)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._short(container) for container in self._containers()))

    def __len__(self) -> int:
        return len(self._containers())

    @property
    def inventory_file(self) -> Path:
        """An Ansible inventory of the hosts, for ``-i``."""
        return self.folder / "inventory.json"

    def inventory(self) -> dict[str, Any]:
        """The hosts as Ansible reaches them; groups are the caller's to add."""
        return {"all": {"hosts": {host.name: self.variables(host) for host in self.values()}}}

    def variables(self, host: Host) -> dict[str, Any]:
        """Return the variables by which Ansible reaches a host."""
        return {
            "ansible_host": host.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "id_ed25519"),
            "ansible_ssh_common_args": (
                f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=yes"
                " -o IdentitiesOnly=yes"
            ),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_become": False,
        }

    def ssh_command(self, name: str, *command: str) -> list[str]:
        """The ssh command that runs something there."""
        host = self[name]
        found = self.variables(host)
        options = found["ansible_ssh_common_args"].split()
        return [
            "ssh",
            "-i",
            found["ansible_ssh_private_key_file"],
            *options,
            f"root@{host.address}",
            *command,
        ]

    def _containers(self) -> list[Container]:
        return self.client.containers.list(
            all=True, filters={"label": f"{PREFIX_LABEL}={self.prefix}"}, ignore_removed=True
        )

    def _full(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def _container_name(self, name: str) -> str:
        return f"{CONTAINER}{self._full(name)}"

    def _short(self, container: Container) -> str:
        return str(container.name).removeprefix(self._container_name(""))

    def _host(self, container: Container) -> Host:
        network = container.attrs["NetworkSettings"]["Networks"][f"{NETWORK}{self.prefix}"]
        name = self._full(self._short(container))
        return Host(name, network["IPAMConfig"]["IPv4Address"], container, self.folder / name)

    # -- making one

    def _ensure(self, name: str, image: str, network: Network, store: Path | None) -> Host:
        there = containers.find(self.client, self._container_name(name))
        if there is None:
            there = self._create(name, image, network)
            _put(there, self._keys_inside())
            if store is not None:
                image_store.link_into(store, there)
        if there.status != "running":
            there.start()
        there.reload()
        return self._host(there)

    def _ensure_store(self, host_image_reference: str, images: Sequence[str]) -> Path | None:
        """Return the store of the images that new hosts begin with; a temporary host loads them first."""
        name = image_store.name_of(self.client, host_image_reference, images)
        with locked("host-images"):
            if image_store.find(self.client, name) is None and not all(one in self for one in self.names):
                with Hosts(["loader"], prefix=name.rpartition("_")[2]).up() as loader:
                    host = loader["loader"]
                    host.load(*images)
                    host.run("systemctl", "stop", "docker.socket", "docker.service", "containerd.service")
                    image_store.fill(self.client, name, host.container)
            return image_store.find(self.client, name)

    def _create(self, name: str, image: str, network: Network) -> Container:
        # A run that was cut off may have left the folder of a host that is gone.
        sockets = self.folder / self._full(name)
        shutil.rmtree(sockets, ignore_errors=True)
        sockets.mkdir(mode=0o700, parents=True)
        api = self.client.api
        settings = api.create_host_config(
            binds=[f"{sockets}:/run/testbed", *self.mounts],
            tmpfs={"/run": "exec,mode=755", "/tmp": "exec,mode=1777"},  # noqa: S108 - the host's own
            network_mode=network.name,
            cpu_shares=int(os.environ.get(CPU_SHARES) or 0) or None,
            **PRIVILEGES,
        )
        # The docker command calls it systempaths=unconfined.
        settings |= {"MaskedPaths": [], "ReadonlyPaths": []}
        place = api.create_endpoint_config(ipv4_address=self._free_address(network))
        try:
            made = api.create_container(
                image,
                name=self._container_name(name),
                hostname=self._full(name),
                labels={LABEL: "host", PREFIX_LABEL: self.prefix},
                volumes=[*DISKS, "/run/testbed", *(one.split(":")[1] for one in self.mounts)],
                host_config=settings,
                stop_signal=SHUT_DOWN,
                networking_config=api.create_networking_config({network.name: place}),
            )
        except APIError as error:
            raise TestbedError(f"The engine would not create the host {name}: {error.explanation}") from error
        return self.client.containers.get(made["Id"])

    def _ensure_network(self) -> Network:
        name = f"{NETWORK}{self.prefix}"
        with locked("networks"):
            for network in self.client.networks.list(names=[name]):
                if network.name == name:
                    return network
            for subnet in NETWORKS.subnets(new_prefix=24):
                pool = IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
                with contextlib.suppress(APIError):  # somebody has this one
                    return self.client.networks.create(
                        name,
                        ipam=IPAMConfig(pool_configs=[pool]),
                        labels={LABEL: "host", PREFIX_LABEL: self.prefix},
                    )
        raise TestbedError(f"The engine would give no network of {NETWORKS} to the hosts of {self.prefix}.")

    def _free_address(self, network: Network) -> str:
        subnet = IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"])
        taken = {host.address for host in self._placed()}
        return next(str(one) for one in list(subnet)[FIRST_ADDRESS:-1] if str(one) not in taken)

    def _placed(self) -> list[Host]:
        """Return the hosts that have their address."""
        found = []
        for container in self._containers():
            with contextlib.suppress(KeyError, TypeError):
                found.append(self._host(container))
        return found

    # -- keys

    def _make_keys(self) -> None:
        """Make the testbed's own key, and the host key that all hosts share."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("id_ed25519", "host_ed25519"):
            file = self.folder / name
            if not file.exists():
                command = [
                    "ssh-keygen",
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    "kolla-drain-testbed",
                    "-f",
                    str(file),
                ]
                subprocess.run(command, check=True, capture_output=True)

    def _keys_inside(self) -> dict[str, tuple[bytes, int]]:
        return {
            "/root/.ssh/authorized_keys": ((self.folder / "id_ed25519.pub").read_bytes(), 0o600),
            "/etc/ssh/ssh_host_ed25519_key": ((self.folder / "host_ed25519").read_bytes(), 0o600),
        }

    def _write_known_hosts(self) -> None:
        kind, key = (self.folder / "host_ed25519.pub").read_text().split()[:2]
        lines = [f"{host.address} {kind} {key}\n" for host in self.values()]
        (self.folder / "known_hosts").write_text("".join(lines))

    def _write_inventory(self) -> None:
        keep(self.inventory_file, self.inventory())


def remove_everything(client: docker.DockerClient) -> None:
    """Remove all hosts of all prefixes, and the images kept for new hosts."""
    networks = client.networks.list(filters={"label": PREFIX_LABEL})
    for prefix in sorted({network.attrs["Labels"][PREFIX_LABEL] for network in networks}):
        Hosts(prefix=prefix).down()
    image_store.remove_all(client)


def _has_image(host: Host, reference: str) -> bool:
    with contextlib.closing(host.engine) as engine:
        try:
            engine.images.get(reference)
            return True
        except NotFound:
            return False


def _put(container: Container, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Write files of root's into a container, running or not."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, (data, mode) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    container.put_archive("/", packed.getvalue())


def _pipe(first: list[str], second: list[str]) -> None:
    """Run first | second. Raises TestbedError when either fails."""
    with subprocess.Popen(first, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        sink = subprocess.run(second, stdin=source.stdout, capture_output=True, check=False)
        said = (source.stderr.read() if source.stderr else b"") + sink.stderr
    if source.returncode or sink.returncode:
        raise TestbedError(
            f"'{' '.join(first)} | {' '.join(second)}' failed: {said.decode(errors='replace')[-500:]}"
        )

"""One controller of three is drained, rebooted and brought back: real systemd, SSH, RabbitMQ and Galera cluster."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import pytest

from testbed import images
from testbed.containers import execute
from testbed.hosts import Host, Hosts
from testbed.site import own
from testbed.waiting import wait_until

from .playing import Play

# What Kolla would run on c1, in the order in which it should stop, a wave each. c2 and c3 have the database alone.
WAVES = (
    ("mistral_event_engine",),
    ("horizon", "neutron_server"),
    ("our_own",),
    ("memcached",),
    ("rabbitmq",),
    ("mariadb",),
)
NAMES = [name for wave in WAVES for name in wave]
# Owned by systemd units in kolla-ansible's form, so they come with the boot; the others' restart policy lets them be.
OWNED = ("horizon", "rabbitmq", "mariadb")
PORT = 13306
KOLLA = {"kolla_version": "22.2.0"}
# Ends 2 s after SIGTERM, so that containers that stop side by side overlap.
SERVICE = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.2; done"
STATE = "/var/lib/kolla-drain/host.json"
CONFIG = """\
[mysqld]
bind-address={address}
port={port}
datadir=/data
socket=/tmp/mysql.sock
pid-file=/tmp/mysql.pid
binlog_format=ROW
default-storage-engine=innodb
innodb_autoinc_lock_mode=2
innodb_flush_log_at_trx_commit=0
innodb_buffer_pool_size=16M
innodb_log_file_size=8M
wsrep_on=ON
wsrep_provider=/usr/lib/galera/libgalera_smm.so
wsrep_cluster_name="openstack"
wsrep_cluster_address=gcomm://{members}
wsrep_node_address={address}:4567
wsrep_provider_options="gcache.size=1M"
wsrep_sst_method=rsync
wsrep_sst_auth=drain:{password}
"""
# The first start of the first member makes the cluster.
SERVER = """\
chown mysql /data
first=
if [ ! -d /data/mysql ]; then
    mariadb-install-db --no-defaults --user=mysql --skip-test-db --datadir=/data
    first=$BEGIN
fi
install -m 644 /etc/kolla.cnf /etc/mysql/galera.cnf
exec mariadbd --defaults-file=/etc/mysql/galera.cnf --user=mysql --init-file=/etc/init.sql $first
"""


class Rack:
    """Three hosts with all of that on them."""

    def __init__(self, hosts: Hosts, image: str) -> None:
        self.hosts, self.image = hosts, image
        self._password = secrets.token_hex(12)

    def fill(self) -> None:
        """Run it all, as Kolla would: labels of its images, restart policies or units, names."""
        plain = [name for name in NAMES if name not in ("rabbitmq", "mariadb")]
        with ThreadPoolExecutor() as pool:
            started = [
                pool.submit(self._run_cluster),
                pool.submit(self._run_broker),
                *(pool.submit(self._run, "c1", name, ["bash", "-c", SERVICE]) for name in plain),
            ]
        for one in started:
            one.result()
        for name in OWNED:
            own(self.hosts["c1"], name)

    def _run_broker(self) -> None:
        environment = {
            "HOME": "/var/lib/rabbitmq",
            "RABBITMQ_NODENAME": "drain@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        command = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
        self._run("c1", "rabbitmq", command, environment=environment, user="rabbitmq")

    def _run_cluster(self) -> None:
        self._run_member("c1", first=True)
        self.wait_members(1)
        for name in ("c2", "c3"):
            self._run_member(name, first=False)
        self.wait_members(3)

    def _run_member(self, name: str, *, first: bool) -> None:
        host = self.hosts[name]
        members = ",".join(f"{one.address}:4567" for one in self.hosts.values())
        config = CONFIG.format(address=host.address, port=PORT, members=members, password=self._password)
        host.put("/etc/kolla/mariadb/galera.cnf", config)
        user = f"CREATE USER IF NOT EXISTS drain@'%' IDENTIFIED BY '{self._password}';\n"
        host.put("/etc/kolla/mariadb/init.sql", user if first else "DO 0;\n", 0o644)
        self._run(
            name, "mariadb", ["bash", "-c", SERVER],
            environment={"BEGIN": "--wsrep-new-cluster" if first else ""},
            volumes=["/etc/kolla/mariadb/galera.cnf:/etc/kolla.cnf:ro", "/etc/kolla/mariadb/init.sql:/etc/init.sql:ro",
                     "mariadb:/data"],
        )  # fmt: skip

    def _run(self, host: str, name: str, command: list[str], **more: Any) -> None:
        with contextlib.closing(self.hosts[host].engine) as engine:
            engine.containers.run(
                self.image, command, name=name, detach=True, network_mode="host", labels=KOLLA,
                restart_policy={"Name": "no" if host == "c1" and name in OWNED else "unless-stopped"},
                ulimits=[docker.types.Ulimit(name="nofile", soft=16384, hard=16384)], **more,
            )  # fmt: skip

    def wait_members(self, number: int) -> None:
        """Until so many are in the cluster, each of them Synced."""

        def complete() -> bool:
            names = list(self.hosts)[:number]
            sizes = [self.ask(name, "wsrep_cluster_size") for name in names]
            states = [self.ask(name, "wsrep_local_state_comment") for name in names]
            return sizes == [str(number)] * number and states == ["Synced"] * number

        wait_until(complete, 400, f"{number} members in the cluster")

    def ask(self, name: str, status: str) -> str:
        """What the member on this host says; empty where it does not answer."""
        host = self.hosts[name]
        command = ["mariadb", "-h", host.address, "-P", str(PORT), "-N", "-B", "-u", "drain"]
        with contextlib.closing(host.engine) as engine:
            ran = execute(
                engine.containers.get("mariadb"),
                [*command, "-e", f"SHOW STATUS LIKE '{status}'"],
                environment={"MYSQL_PWD": self._password},
            )
        return ran.output.decode().strip().partition("\t")[2] if ran.code == 0 else ""

    def states(self) -> dict[str, str]:
        """Of the containers on c1."""
        with contextlib.closing(self.hosts["c1"].engine) as engine:
            return {one.name: one.status for one in engine.containers.list(all=True)}

    def play(self, name: str, *arguments: str, limit: str = "plays-c1") -> Play:
        found = Play(self.hosts.inventory_file, "--limit", limit, *arguments, play=name).end(900)
        assert self._password not in found.output
        return found


@pytest.fixture(scope="module")
def rack() -> Iterator[Rack]:
    hosts = Hosts(["c1", "c2", "c3"], prefix="plays")
    image = images.ensure(hosts.client, "cinder")["base"].reference
    with hosts.up([image], timeout=600):
        made = Rack(hosts, image)
        made.fill()
        yield made


class Deaths:
    """The ends of containers, by the engine's events, while it is open."""

    def __init__(self, host: Host) -> None:
        self.order: list[str] = []
        # From this moment on, because an engine answers a little before it begins to send events.
        since = f"{time.time():.9f}"
        self._stream = host.engine.api.events(
            since=since, filters={"type": "container", "event": "die"}, decode=True
        )
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        self.order += (one["Actor"]["Attributes"]["name"] for one in self._stream)

    def __enter__(self) -> Deaths:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(1)  # events come a moment after the fact
        self._stream.close()
        self._thread.join(10)


@pytest.mark.timeout(1800)
def test_a_cluster_that_lacks_a_member_keeps_the_whole_host(rack: Rack) -> None:
    rack.hosts["c3"].run("docker", "stop", "mariadb")
    before = rack.states()

    play = rack.play("reboot_prepare.yml")

    assert play.code != 0
    assert f"2 of 3 members serve ({rack.hosts['c3'].address}: " in play.output
    assert rack.states() == before

    rack.hosts["c3"].run("docker", "start", "mariadb")
    rack.wait_members(3)


@pytest.mark.timeout(1800)
def test_the_plan_tells_the_waves_and_what_the_cluster_can_spare(rack: Rack) -> None:
    before = rack.states()

    one = rack.play("reboot_prepare.yml", "--check")
    two = rack.play("reboot_prepare.yml", "--check", limit="plays-c1,plays-c2")

    assert one.code == 0
    assert "infrastructure: memcached" in one.output
    assert "the database: 3 of 3 members serve, and 2 are left" in one.output
    assert two.code != 0
    assert "3 of 3 members serve, 2 must, and 1 would be left" in two.output
    assert rack.states() == before


@pytest.mark.timeout(1800)
def test_a_host_is_drained_rebooted_and_brought_back(rack: Rack) -> None:
    with Deaths(rack.hosts["c1"]) as deaths:
        drained = rack.play("reboot_prepare.yml")

    assert drained.code == 0
    assert rack.states() == dict.fromkeys(NAMES, "exited")
    place = 0
    for wave in WAVES:
        assert set(deaths.order[place : place + len(wave)]) == set(wave), deaths.order
        place += len(wave)
    assert rack.ask("c2", "wsrep_cluster_size") == "2"
    assert rack.ask("c2", "wsrep_cluster_status") == "Primary", "the cluster serves on"
    assert sorted(json.loads(rack.hosts["c1"].run("cat", STATE))["containers"]) == sorted(NAMES)
    assert "lost: nothing that could be seen" in drained.output

    rack.hosts["c1"].reboot()
    back = rack.play("start.yml")

    assert back.code == 0
    assert rack.states() == dict.fromkeys(NAMES, "running")
    rack.wait_members(3)
    rack.hosts["c1"].run("test", "!", "-e", STATE)
    again = rack.play("start.yml")
    assert "nothing is remembered" in again.output

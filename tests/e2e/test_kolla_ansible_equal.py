"""Containers that kolla-ansible's own worker makes are equal, for this module with the same options.

Each release's module is run as it is on a host with systemd, Docker and podman. Its containers are compared when they
run, because an engine fills in some settings at the start; those that cannot be started there, as they are created.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ansible
from testbed import wheels
from testbed.hosts import Hosts
from tests.support.managed_host import PYTHON, ManagedHost
from tests.support.module_run import MODULE, MODULE_UTILS, RUNNER

BATCH = Path(__file__).parents[1] / "support/module_batch.py"
pytestmark = pytest.mark.timeout(1800)

# The first with systemd units, the first with podman, one in between, and the first that gives the host's time zone.
RELEASES = ("16", "18", "20", "23")
NEWEST = RELEASES[-1]
ZONE = "Europe/Berlin"

IMAGE = "localhost/kolla-drain-tests/plain:1"
CHECKED = "localhost/kolla-drain-tests/checked:1"
# A service of Kolla is a program with its libraries, and so is this.
MAKE_IMAGES = f"""
set -e
tar -c --dereference --hard-dereference /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*') /etc/passwd > /tmp/tree.tar
docker import --change 'CMD ["/bin/sleep", "900"]' --change 'ENV BASE=1 LANG=C' --change 'LABEL name=plain' \
    /tmp/tree.tar {IMAGE}
docker import --change 'CMD ["/bin/sleep", "900"]' --change 'HEALTHCHECK --interval=7s CMD true' \
    --change 'VOLUME /cache' --change 'USER 65534' --change 'ENV TZ=Asia/Tokyo' /tmp/tree.tar {CHECKED}
docker save {IMAGE} {CHECKED} | podman load -q
echo {ZONE} > /etc/timezone
mkdir -p /etc/kolla/service /var/lib/nova/mnt
"""

# As its group_vars have it, with strings where they have strings.
COMMON = {
    "auth_email": "",
    "auth_password": "",
    "auth_registry": "",
    "auth_username": "",
    "environment": {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS"},
    "restart_policy": "unless-stopped",
    "restart_retries": "10",
    "graceful_timeout": 60,
    "client_timeout": "120",
}
HEALTHCHECK = {
    "test": ["CMD-SHELL", "healthcheck_port cinder-volume 5672"],
    "interval": "30",
    "retries": "3",
    "start_period": "5",
    "timeout": "30",
}
FILES = {"soft": 1048576, "hard": 1048576}
# What starts inside a host that may not raise limits, as podman would with the second where the first is given alone.
FEW = {"nofile": {"soft": 512, "hard": 1024}, "nproc": {"soft": 1000, "hard": 1000}}
KOLLAS_VOLUMES = [
    "/etc/kolla/service/:/var/lib/kolla/config_files/:ro",
    "/etc/localtime:/etc/localtime:ro",
    "",
    "kolla_logs:/var/log/kolla/",
]


DOCKER, PODMAN = ("docker",), ("podman",)
ENGINES = DOCKER + PODMAN


@dataclasses.dataclass(frozen=True)
class Row:
    """The options of a container, and where they hold."""

    options: Mapping[str, Any]
    engines: Sequence[str] = ENGINES
    releases: Sequence[str] = (NEWEST,)
    starts: Sequence[str] = ENGINES  # on this host, which lacks some rights
    common: bool = True

    def holds(self, engine: str, release: str) -> bool:
        """Whether this release can be asked for it on this engine; that of 16 knows no podman."""
        return engine in self.engines and release in self.releases and (engine, release) != ("podman", "16")


ROWS: dict[str, Row] = {
    # --- the same with each release
    "plain": Row({}, releases=RELEASES, common=False),
    "zoneless": Row({}, releases=()),
    "service": Row(
        {
            "command": "/bin/sleep 900",
            "environment": {"NUMBER": 1, "TEXT": "a=b c"},
            "healthcheck": HEALTHCHECK,
            "dimensions": {"ulimits": FEW, "mem_limit": "512m"},
            "volumes": KOLLAS_VOLUMES,
            "ipc_mode": "host",
            "pid_mode": "host",
            "cgroupns_mode": "host",
            "cap_add": ["DAC_READ_SEARCH", "NET_ADMIN"],
            "labels": {"build": "1", "name": "mine"},
        },
        releases=RELEASES,
    ),
    "privileged": Row(
        {"privileged": True, "cap_add": ["SYS_ADMIN"], "volumes": ["/dev:/dev", "kolla_named:/named:ro"]},
        releases=RELEASES,
        starts=PODMAN,
    ),
    "volumes_shared": Row(
        {"volumes": ["/run:/run:shared", "/var/lib/nova/mnt:/var/lib/nova/mnt:shared"]},
        releases=RELEASES,
        starts=(),
    ),
    # --- images and healthchecks
    "checked_image": Row({"image": CHECKED}),
    "healthcheck_text": Row({"healthcheck": {**HEALTHCHECK, "test": "true", "start_period": 0}}),
    "healthcheck_none": Row({"healthcheck": {**HEALTHCHECK, "test": "NONE"}}, releases=("20", "23")),
    "healthcheck_none_in_a_list": Row({"healthcheck": {**HEALTHCHECK, "test": ["NONE"]}}),
    "healthcheck_image": Row({"image": CHECKED, "healthcheck": HEALTHCHECK}),
    # --- dimensions
    "ulimits": Row({"dimensions": {"ulimits": {**FEW, "core": {"soft": 0, "hard": 0}}}}),
    "ulimits_default": Row({"dimensions": {"ulimits": {"nofile": FILES}}}, DOCKER, starts=()),
    "ulimits_podman": Row(
        {"dimensions": {"ulimits": {"RLIMIT_NOFILE": FILES, "RLIMIT_NPROC": FILES}}},
        PODMAN,
        releases=("18", "20", "23"),
    ),
    "memory": Row({"dimensions": {"mem_limit": 536870912, "mem_reservation": "256m", "memswap_limit": "1g"}}),
    "processors": Row(
        {"dimensions": {"cpu_shares": 512, "cpu_period": 50000, "cpu_quota": 25000, "cpuset_cpus": "0"}}
    ),
    "processors_empty": Row({"dimensions": {"cpuset_cpus": "", "cpuset_mems": ""}}),
    # --- rights; with podman kolla-ansible does not hand over security_opt at all
    "privileged_alone": Row({"privileged": True}, starts=PODMAN),
    "cap_add_audit_write": Row({"cap_add": ["AUDIT_WRITE"]}),
    "security_opt": Row({"security_opt": ["label=disable", "seccomp=unconfined"]}, DOCKER),
    # --- namespaces
    "ipc_host": Row({"ipc_mode": "host"}),
    "ipc_private": Row({"ipc_mode": "private"}),
    "ipc_shareable": Row({"ipc_mode": "shareable"}),
    "modes_empty": Row({"ipc_mode": "", "pid_mode": "", "cgroupns_mode": "private"}),
    "all_host": Row({"ipc_mode": "host", "pid_mode": "host", "privileged": True}, starts=PODMAN),
    # --- volumes; with podman kolla-ansible makes no tmpfs
    "volumes_system": Row(
        {
            "volumes": [
                "/lib/modules:/lib/modules:ro",
                "/run:/run",
                "/proc:/host/proc:ro",
                "kolla_other:/other:rw",
            ]
        }
    ),
    "volumes_cache": Row({"image": CHECKED, "volumes": ["kolla_cache:/cache"]}),
    "volumes_devpts": Row({"volumes": [*KOLLAS_VOLUMES, "devpts:/dev/pts"]}, PODMAN),
    "volumes_from": Row({"volumes_from": ["{plain}"]}),
    "tmpfs": Row({"tmpfs": ["", "/var/lib/cinder/conversion", "/scratch:size=64m,noexec"]}, DOCKER),
    "tmpfs_empty": Row({"tmpfs": [""]}),
    # --- what runs
    "environment": Row({"environment": {"BASE": "2", "NONE": None, "YES": True, "TZ": "Asia/Kolkata"}}),
    "tty": Row({"tty": True}),
    # --- restart policies
    **{
        f"restart_{policy.replace('-', '_')}": Row({"restart_policy": policy})
        for policy in ("no", "on-failure", "oneshot", "always")
    },
}


# --- kolla-ansible


def module_of(release: str) -> tuple[str, str]:
    """Return where the module and its module_utils are on the host."""
    name = "kolla_docker.py" if release == "16" else "kolla_container.py"
    return f"/opt/kolla-ansible/{release}/library/{name}", f"/opt/kolla-ansible/{release}/module_utils"


# --- one host


@dataclasses.dataclass
class Site:
    """The host, and every container on it: its row by engine, release and name."""

    host: ManagedHost

    def prepare(self) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for release in RELEASES:
                archive.add(wheels.kolla_ansible(release), f"opt/kolla-ansible/{release}")
            for script in (BATCH, RUNNER):
                archive.add(script, f"opt/{script.name}")
        self.host.host.container.put_archive("/", packed.getvalue())
        self.host.sh(MAKE_IMAGES)

    def run(self, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Run modules one after another."""
        path = Path(ansible.__file__).parents[1]
        container = str(self.host.host.container.name)
        command = [
            "docker",
            "exec",
            "-i",
            "-e",
            f"PYTHONPATH={path}",
            container,
            PYTHON,
            "/opt/module_batch.py",
        ]
        ran = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        answers: list[dict[str, Any]] = json.loads(ran.stdout)
        return answers


def name_of(row: str, engine: str, release: str) -> str:
    return f"{row}_{engine}_{release}"


def options_of(name: str, row: Row, engine: str, release: str) -> dict[str, Any]:
    """Return the options that both modules get."""
    text = json.dumps(row.options).replace("{plain}", name_of("plain", engine, release))
    common = {"common_options": {**COMMON, **({"container_engine": engine} if release != "16" else {})}}
    own = {} if release == "16" else {"container_engine": engine}
    return {"name": name, "image": IMAGE, **(common if row.common else own), **json.loads(text)}


def cases(engine: str) -> list[tuple[str, str]]:
    """Return all containers of an engine, by release and row."""
    return [(release, row) for release in RELEASES for row, one in ROWS.items() if one.holds(engine, release)]


def created(site: Site, engine: str, names: Sequence[tuple[str, str]]) -> None:
    """Have kolla-ansible's worker create these containers, given by release and row."""
    calls = []
    for release, row in names:
        module, module_utils = module_of(release)
        options = options_of(name_of(row, engine, release), ROWS[row], engine, release)
        args = {"action": "start_container", **options}
        calls.append(
            {"module": module, "module_utils": module_utils, "args": args, "method": "create_container"}
        )
    for (release, row), answer in zip(names, site.run(calls)):
        assert "returned" in answer, (engine, release, row, answer)


def compared(
    site: Site, engine: str, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what this module's compare_container says of them."""
    calls = []
    for release, row in names:
        options = options_of(name_of(row, engine, release), ROWS[row], engine, release)
        args = {"action": "compare_container", **options}
        calls.append({"module": str(MODULE), "module_utils": str(MODULE_UTILS), "args": args})
    return dict(zip(names, site.run(calls)))


Told = dict[tuple[str, str], dict[str, Any]]


def story(site: Site, engine: str) -> Told:
    """Return what was said of one engine's containers."""
    names = cases(engine)
    created(site, engine, names)
    started = [name_of(row, engine, release) for release, row in names if engine in ROWS[row].starts]
    site.host.sh(f"{engine} start {' '.join(started)}")
    return compared(site, engine, names)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Hosts(["h"], prefix=f"equal{os.getpid()}") as hosts:
        hosts.up()
        made = Site(ManagedHost(hosts["h"], IMAGE))
        made.prepare()
        yield made


@pytest.fixture(scope="module")
def stories(site: Site) -> dict[str, Told]:
    """Both engines' stories, told at once."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(ENGINES, pool.map(lambda engine: story(site, engine), ENGINES)))


@pytest.mark.parametrize(
    ("engine", "row"),
    [
        (engine, row)
        for engine in ENGINES
        for row, one in ROWS.items()
        if one.releases and engine in one.engines
    ],
)
def test_what_kolla_ansible_made_is_equal(stories: dict[str, Told], engine: str, row: str) -> None:
    answers = {release: answer for (release, name), answer in stories[engine].items() if name == row}
    assert answers
    for release, answer in answers.items():
        assert "failed" not in answer, (release, answer)
        assert answer["differences"] == [], release


def test_where_the_host_does_not_tell_its_zone(site: Site, stories: dict[str, Told]) -> None:
    """kolla-ansible gives UTC then."""
    assert stories
    site.host.sh("rm -f /etc/timezone /etc/localtime")
    lost = [(NEWEST, "zoneless")]
    created(site, "docker", lost)
    answer = compared(site, "docker", lost)[lost[0]]
    assert "TZ=UTC" in site.host.inspect(name_of("zoneless", "docker", NEWEST))["Config"]["Env"]
    assert answer["differences"] == []

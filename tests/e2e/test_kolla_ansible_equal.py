"""Containers that kolla-ansible's own worker makes are equal, for this module with the same options.

Each release's module is run as it is on a host with systemd, Docker and podman. Its containers are compared as it leaves
them, and those of the newest release once more when they run, because an engine fills in some settings at the start.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ansible
from testbed.hosts import Hosts
from testbed.locks import locked
from testbed.paths import CACHE_DIR
from tests.support.managed_host import PYTHON, ManagedHost
from tests.support.module_run import MODULE, MODULE_UTILS

BATCH = Path(__file__).parents[1] / "support/module_batch.py"
pytestmark = pytest.mark.timeout(900)

# The first with systemd units, the first with podman, one in between, and the first that gives the host's time zone.
RELEASES = ("16", "18", "20", "23")
NEWEST = RELEASES[-1]
ZONE = "Europe/Berlin"

IMAGE = "localhost/kolla-drain-tests/plain:1"
CHECKED = "localhost/kolla-drain-tests/checked:1"
# A service of Kolla is a program with its libraries, and so is this.
MAKE_IMAGES = f"""
set -e
tar -c --dereference --hard-dereference /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*') > /tmp/tree.tar
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
# What starts inside a host that may not raise limits.
FEW_FILES = {"soft": 512, "hard": 1024}
KOLLAS_VOLUMES = [
    "/etc/kolla/service/:/var/lib/kolla/config_files/:ro",
    "/etc/localtime:/etc/localtime:ro",
    "",
    "kolla_logs:/var/log/kolla/",
]


DOCKER, PODMAN = ("docker",), ("podman",)


@dataclasses.dataclass(frozen=True)
class Row:
    """The options of a container, and where they hold."""

    options: Mapping[str, Any]
    engines: Sequence[str] = DOCKER + PODMAN
    releases: Sequence[str] = RELEASES
    starts: bool = True  # here, on a host without some rights
    common: bool = True

    def holds(self, engine: str, release: str) -> bool:
        """Whether this release can be asked for it on this engine."""
        return engine in self.engines and release in self.releases and (engine, release) != ("podman", "16")


ENGINES = DOCKER + PODMAN
ROWS: dict[str, Row] = {
    "plain": Row({}, common=False),
    "common": Row({}),
    "checked_image": Row({"image": CHECKED}),
    # --- healthchecks
    "healthcheck": Row({"healthcheck": HEALTHCHECK}),
    "healthcheck_text": Row({"healthcheck": {**HEALTHCHECK, "test": "true", "start_period": 0}}),
    "healthcheck_none": Row({"healthcheck": {**HEALTHCHECK, "test": "NONE"}}),
    "healthcheck_list_none": Row({"healthcheck": {**HEALTHCHECK, "test": ["NONE"]}}),
    "healthcheck_image": Row({"image": CHECKED, "healthcheck": HEALTHCHECK}),
    # --- dimensions
    "ulimits": Row({"dimensions": {"ulimits": {"nofile": FEW_FILES, "core": {"soft": 0, "hard": 0}}}}),
    "ulimits_default": Row({"dimensions": {"ulimits": {"nofile": FILES}}}, DOCKER, starts=False),
    "ulimits_podman": Row(
        {"dimensions": {"ulimits": {"RLIMIT_NOFILE": FILES, "RLIMIT_NPROC": FILES}}}, PODMAN
    ),
    "memory": Row({"dimensions": {"mem_limit": "512m", "mem_reservation": "256m"}}),
    "memory_number": Row({"dimensions": {"mem_limit": 536870912, "memswap_limit": 1073741824}}),
    "processors": Row(
        {"dimensions": {"cpu_shares": 512, "cpu_period": 50000, "cpu_quota": 25000, "cpuset_cpus": "0"}}
    ),
    "processors_empty": Row({"dimensions": {"cpuset_cpus": "", "cpuset_mems": ""}}),
    "weight": Row({"dimensions": {"blkio_weight": 300}}),
    # --- rights
    "privileged": Row({"privileged": True}, starts=False),
    "privileged_more": Row(
        {"privileged": True, "cap_add": ["SYS_ADMIN"], "security_opt": ["label=disable"]}, starts=False
    ),
    "cap_add": Row({"cap_add": ["DAC_READ_SEARCH", "NET_ADMIN"]}),
    "cap_add_audit_write": Row({"cap_add": ["AUDIT_WRITE"]}),
    "security_opt": Row({"security_opt": ["label=disable"]}),
    "seccomp": Row({"security_opt": ["seccomp=unconfined"]}),
    # --- namespaces
    "ipc_host": Row({"ipc_mode": "host"}),
    "ipc_private": Row({"ipc_mode": "private"}),
    "ipc_shareable": Row({"ipc_mode": "shareable"}),
    "pid_host": Row({"pid_mode": "host"}),
    "modes_empty": Row({"ipc_mode": "", "pid_mode": ""}),
    "cgroupns_host": Row({"cgroupns_mode": "host"}),
    "cgroupns_private": Row({"cgroupns_mode": "private"}),
    "all_host": Row(
        {"ipc_mode": "host", "pid_mode": "host", "cgroupns_mode": "host", "privileged": True}, starts=False
    ),
    # --- volumes
    "volumes": Row({"volumes": KOLLAS_VOLUMES}),
    "volumes_shared": Row({"volumes": ["/run:/run:shared", "/var/lib/nova/mnt:/var/lib/nova/mnt:shared"]}),
    "volumes_system": Row(
        {"volumes": ["/dev:/dev", "/lib/modules:/lib/modules:ro", "/run:/run", "/proc:/host/proc:ro"]}
    ),
    "volumes_named_ro": Row({"volumes": ["kolla_named:/named:ro", "kolla_other:/other:rw"]}),
    "volumes_cache": Row({"image": CHECKED, "volumes": ["kolla_cache:/cache"]}),
    "volumes_devpts": Row({"volumes": [*KOLLAS_VOLUMES, "devpts:/dev/pts"]}, PODMAN),
    "volumes_from": Row({"volumes_from": ["{plain}"]}),
    "tmpfs": Row({"tmpfs": ["", "/var/lib/cinder/conversion"]}, DOCKER),
    "tmpfs_options": Row({"tmpfs": ["/scratch:size=64m,noexec"]}, DOCKER),
    "tmpfs_empty": Row({"tmpfs": [""]}),
    # --- what runs
    "environment": Row(
        {"environment": {"NUMBER": 1, "TEXT": "a=b c", "NONE": None, "BASE": "2", "YES": True}}
    ),
    "environment_zone": Row({"environment": {"TZ": "Asia/Kolkata"}}),
    "labels": Row({"labels": {"build": "1", "name": "mine"}}),
    "command": Row({"command": "/bin/sleep '900' 0"}),
    "tty": Row({"tty": True}),
    # --- restart policies
    **{
        f"restart_{policy.replace('-', '_')}": Row({"restart_policy": policy})
        for policy in ("no", "on-failure", "oneshot", "always", "unless-stopped")
    },
    "restart_retries": Row({"restart_policy": "on-failure", "restart_retries": 3}),
}


# --- kolla-ansible


def unpacked(release: str) -> Path:
    """Return the folder with the modules of a release of kolla-ansible, fetched once."""
    folder = CACHE_DIR / f"kolla-ansible-modules-{release}"
    with locked(f"kolla-ansible-modules-{release}"):
        if not folder.exists():
            CACHE_DIR.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE_DIR) as place:
                pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
                wanted = ["--python-version", "3.12", "-d", place, f"kolla-ansible=={release}.*"]
                subprocess.run([*pip, *wanted], check=True, capture_output=True)
                (wheel,) = Path(place).glob("*.whl")
                _unpack(wheel, Path(place) / "modules")
                (Path(place) / "modules").rename(folder)
    return folder


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            kind, _, file = name.partition("share/kolla-ansible/ansible/")[2].partition("/")
            if kind in ("library", "module_utils") and file.endswith(".py") and "/" not in file:
                (folder / kind).mkdir(parents=True, exist_ok=True)
                (folder / kind / file).write_bytes(archive.read(name))


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
                archive.add(unpacked(release), f"opt/kolla-ansible/{release}")
            archive.add(BATCH, "opt/module_batch.py")
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


@dataclasses.dataclass
class Story:
    """What was said of one engine's containers: as they were created, and of some when they ran."""

    created: Told
    running: Told


def story(site: Site, engine: str) -> Story:
    names = list(cases(engine))
    created(site, engine, names)
    fresh = compared(site, engine, names)
    started = [(release, row) for release, row in names if release == NEWEST and ROWS[row].starts]
    site.host.sh(f"{engine} start {' '.join(name_of(row, engine, release) for release, row in started)}")
    return Story(fresh, compared(site, engine, started))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Hosts(["h"], prefix=f"equal{os.getpid()}") as hosts:
        hosts.up()
        made = Site(ManagedHost(hosts["h"], IMAGE))
        made.prepare()
        yield made


@pytest.fixture(scope="module")
def stories(site: Site) -> dict[str, Story]:
    """Both engines' stories, told at once."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(ENGINES, pool.map(lambda engine: story(site, engine), ENGINES)))


@pytest.mark.parametrize(
    ("engine", "row"),
    [(engine, row) for engine in ENGINES for row, one in ROWS.items() if engine in one.engines],
)
def test_what_kolla_ansible_made_is_equal(stories: dict[str, Story], engine: str, row: str) -> None:
    told = stories[engine]
    for state, answers in (("created", told.created), ("running", told.running)):
        for (release, name), answer in answers.items():
            if name == row:
                assert "failed" not in answer, (state, release, answer)
                assert answer["differences"] == [], (state, release)

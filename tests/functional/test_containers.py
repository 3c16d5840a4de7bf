"""Containers, images and volumes on the real engine: equal means equal, a second run changes nothing."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from kolla_drain.actions import containers as making
from kolla_drain.actions import report
from kolla_drain.actions.options import Options
from kolla_drain.container.given import CONTAINER_OPTIONS, merged
from kolla_drain.container.options import describe
from kolla_drain.engine.port import Engine
from kolla_drain.model import StopRequest
from kolla_drain.signals import normalise
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import is_sentence
from tests.support.registry import PASSWORD, Registry, registry

CHECK = {"test": ["CMD-SHELL", "true"], "interval": 30, "timeout": 30, "start_period": 5, "retries": 3}


# --- what is made here goes again


class Made:
    """Names for the containers, images and volumes of one test."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self._containers: list[str] = []
        self._images: list[str] = []
        self._volumes: list[str] = []

    def container(self) -> str:
        self._containers.append(f"kd_test_{secrets.token_hex(4)}")
        return self._containers[-1]

    def volume(self) -> str:
        self._volumes.append(f"kd_test_{secrets.token_hex(4)}")
        return self._volumes[-1]

    def image(self, *changes: str, reference: str = "") -> str:
        """A tiny image, enough to create containers of and compare them. Dockerfile lines are its configuration."""
        reference = (
            reference or f"{'localhost/' if engines.is_podman() else ''}kd_test/{secrets.token_hex(4)}:1"
        )
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            entry = tarfile.TarInfo(f"made-{secrets.token_hex(4)}")  # so that no two are the same
            tar.addfile(entry, io.BytesIO(b""))
        self._images.append(reference)
        lines = "\n".join([f"FROM {reference}", *changes]).encode() if changes else b""
        (_by_podman if engines.is_podman() else _by_docker)(self.client, reference, data.getvalue(), lines)
        self._images.append(str(self.client.images.get(reference).id))  # its name may move
        return reference

    def forget_image(self, reference: str) -> None:
        """Gone now, or with the test."""
        self._images.append(reference)

    def raw(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.api.inspect_container(name)
        return found

    def exists(self, name: str) -> bool:
        try:
            self.raw(name)
        except NotFound:
            return False
        return True

    def _gone(self, name: str) -> bool:
        with contextlib.suppress(NotFound):  # an engine that is busy refuses now and then, and is asked again
            self.client.api.remove_container(name, force=True, v=True)
        return True

    def remove(self) -> None:
        for name in self._containers:
            for each in (name, f"{name}.new", f"{name}.old", f"{name}.failed"):
                wait_until(lambda each=each: self._gone(each), 180, f"{each} removed")
        for reference in self._images:
            with contextlib.suppress(NotFound):
                self.client.images.remove(reference, force=True)
        for volume in self._volumes:
            with contextlib.suppress(NotFound):
                self.client.api.remove_volume(volume)


def _by_docker(client: docker.DockerClient, reference: str, tree: bytes, lines: bytes) -> None:
    repository, tag = reference.rsplit(":", 1)
    client.api.import_image_from_data(tree, repository=repository, tag=tag, changes=["CMD /x"])
    if lines:
        client.images.build(fileobj=io.BytesIO(lines), tag=reference, rm=True)


def _by_podman(_client: docker.DockerClient, reference: str, tree: bytes, lines: bytes) -> None:
    """Podman's form of Docker's interface imports no tag, and knows healthchecks in Docker's format only."""
    imports = ["podman", "import", "--quiet", "--change", "CMD /x", "-", reference]
    subprocess.run(imports, input=tree, check=True, capture_output=True)
    if lines:
        build = ["podman", "build", "--quiet", "--format", "docker", "--tag", reference, "-"]
        subprocess.run(build, input=lines, check=True, capture_output=True)


@pytest.fixture
def made(engine: docker.DockerClient) -> Iterator[Made]:
    own = Made(engine)
    try:
        yield own
    finally:
        own.remove()


@pytest.fixture(scope="module")
def rich_image(engine: docker.DockerClient) -> Iterator[str]:
    """An image that gives its containers something of everything."""
    own = Made(engine)
    yield own.image(
        "ENV BASE=1 EMPTY=",
        "LABEL vendor=kolla",
        "USER nobody",
        "VOLUME /cache",
        "ENTRYPOINT /init",
        "STOPSIGNAL SIGQUIT",
        "HEALTHCHECK --interval=7s CMD true",
    )
    own.remove()


@pytest.fixture(scope="module")
def bare_image(engine: docker.DockerClient) -> Iterator[str]:
    """An image without labels, environment or anything else."""
    own = Made(engine)
    yield own.image()
    own.remove()


def options_of(name: str, image: str, **given: Any) -> Options:
    """Options as the module makes them."""
    container = {option: given.get(option) for option in CONTAINER_OPTIONS}
    request = StopRequest(given.get("graceful_shutdown_timeout", 180), signal=given.get("stop_signal", ""))
    return Options("compare_container", (name,), request, image=image, container=container)


def compare(driver: Engine, name: str, image: str, **given: Any) -> dict[str, Any]:
    result = making.compare_container(options_of(name, image, **given), driver)
    return {**report.module_result(result), "diff": report.diffs(result)}


def create(driver: Engine, name: str, image: str, **given: Any) -> str:
    """A container that is not started: starting it would prove nothing more."""
    options = options_of(name, image, **given)
    return driver.maker().create(making.spec_of(options), name)


# --- the table: option × value

# An option, spellings of one value, and another value with the old and new that the difference shows.
TABLE: list[tuple[str, list[Any], Any, str, Any, Any]] = [
    ("command", ["sh -c 'a  b'", ["sh", "-c", "a  b"]], "sh -c a", "command", "sh -c 'a  b'", "sh -c a"),
    ("environment", [{"A": 1, "N": None}, {"N": "", "A": "1"}], {"A": 2, "N": ""}, "environment.A", "1", "2"),
    ("environment", [{}, None], {"A": ""}, "environment.A", None, ""),
    (
        "environment",
        [{"DB_PASSWORD": "s3cr3t1"}],
        {"DB_PASSWORD": "s3cr3t2"},
        "environment.DB_PASSWORD",
        "********",
        "******** (another one)",
    ),
    ("labels", [{"a": None, "b": 1}, {"b": "1", "a": ""}], {"b": "1"}, "labels.a", "", None),
    ("labels", [{}, None], {"a": "b"}, "labels.a", None, "b"),
    (
        "volumes",
        [["/tmp:/b:ro", "{volume}:/a"], ["{volume}:/a:rw", "", "/tmp/:/b/:ro"]],
        ["{volume}:/a"],
        "volumes",
        ["/tmp:/b:ro", "{volume}:/a"],
        ["{volume}:/a"],
    ),
    (
        "volumes",
        [["/run:/run:shared"], ["/run:/run:rw,shared"]],
        ["/run:/run"],
        "volumes",
        ["/run:/run:shared"],
        ["/run:/run"],
    ),
    ("volumes", [["/tmp:/x:z"]], ["/tmp:/x:ro,z"], "volumes", ["/tmp:/x:z"], ["/tmp:/x:ro,z"]),
    ("volumes", [["/data"], ["/data/"]], None, "volumes", ["/data"], []),
    (
        "volumes_from",
        [["{other}"], ["{other}:rw"]],
        ["{other}:ro"],
        "volumes_from",
        ["{other}"],
        ["{other}:ro"],
    ),
    ("privileged", [True], False, "privileged", True, False),
    ("privileged", [False, None], True, "privileged", False, True),
    (
        "cap_add",
        [["SYS_ADMIN", "NET_ADMIN"], ["cap_net_admin", "CAP_SYS_ADMIN"]],
        ["ALL"],
        "cap_add",
        ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"],
        ["ALL"],
    ),
    ("cap_add", [["all"], ["ALL"]], [], "cap_add", ["ALL"], []),
    (
        "security_opt",
        [["label=disable", "seccomp=unconfined"], ["seccomp:unconfined", "label:disable"]],
        ["label=disable"],
        "security_opt",
        ["label=disable", "seccomp=unconfined"],
        ["label=disable"],
    ),
    ("ipc_mode", ["host"], "private", "ipc_mode", "host", "private"),
    ("ipc_mode", ["", None], "host", "ipc_mode", "*", "host"),
    ("ipc_mode", ["container:{other}"], "host", "ipc_mode", "container:{other}", "host"),
    ("pid_mode", ["host"], "private", "pid_mode", "host", ""),
    ("pid_mode", ["container:{other}"], "", "pid_mode", "container:{other}", ""),
    ("cgroupns_mode", ["host"], "private", "cgroupns_mode", "host", "private"),
    ("cgroupns_mode", [None], "private", "cgroupns_mode", "host", "private"),
    (
        "dimensions",
        [{"mem_limit": "1g"}, {"mem_limit": 1073741824}, {"mem_limit": "1024M"}],
        {"mem_limit": "2g"},
        "dimensions.mem_limit",
        1 << 30,
        2 << 30,
    ),
    (
        "dimensions",
        [{}, None, {"mem_limit": 0, "cpu_quota": -1, "ulimits": {}}],
        {"cpu_quota": 5000},
        "dimensions.cpu_quota",
        0,
        5000,
    ),
    (
        "dimensions",
        [{"mem_limit": "1g", "mem_reservation": "512m"}],
        {"mem_limit": "1g"},
        "dimensions.mem_reservation",
        512 << 20,
        0,
    ),
    (
        "dimensions",
        [{"mem_limit": "1g", "memswap_limit": "2g"}, {"mem_limit": "1g", "memswap_limit": "2048m"}],
        {"mem_limit": "1g", "memswap_limit": "3g"},
        "dimensions.memswap_limit",
        2 << 30,
        3 << 30,
    ),
    (
        "dimensions",
        [{"mem_limit": "1g", "memswap_limit": -1}],
        {"mem_limit": "1g"},
        "dimensions.memswap_limit",
        -1,
        0,
    ),
    (
        "dimensions",
        [{"mem_limit": "1g", "kernel_memory": "64m"}],
        {"mem_limit": "1g", "kernel_memory": "65m"},
        "dimensions.kernel_memory",
        "*",
        65 << 20,
    ),
    (
        "dimensions",
        [{"cpu_period": 50000, "cpu_quota": "25000"}],
        {"cpu_period": 50000},
        "dimensions.cpu_quota",
        25000,
        0,
    ),
    ("dimensions", [{"cpu_period": 50000}], {"cpu_period": 60000}, "dimensions.cpu_period", 50000, 60000),
    ("dimensions", [{"cpu_shares": 512}], {"cpu_shares": 513}, "dimensions.cpu_shares", 512, 513),
    (
        "dimensions",
        [{"cpuset_cpus": "0"}, {"cpuset_cpus": "0-0"}, {"cpuset_cpus": 0}],
        {},
        "dimensions.cpuset_cpus",
        "0",
        "",
    ),
    ("dimensions", [{"cpuset_mems": "0"}], {}, "dimensions.cpuset_mems", "0", ""),
    ("dimensions", [{"blkio_weight": 300}], {"blkio_weight": 400}, "dimensions.blkio_weight", "*", 400),
    (
        "dimensions",
        [
            {"ulimits": {"nofile": {"soft": 1024, "hard": 2048}, "core": {"hard": 0}}},
            {"ulimits": {"core": {"soft": 0, "hard": "0"}, "nofile": {"soft": "1024", "hard": 2048}}},
        ],
        {"ulimits": {"core": {"hard": 0}}},
        "dimensions.ulimits",
        {"core": {"soft": 0, "hard": 0}, "nofile": {"soft": 1024, "hard": 2048}},
        {"core": {"soft": 0, "hard": 0}},
    ),
    (
        "healthcheck",
        [CHECK, {**CHECK, "test": "true", "interval": "30", "retries": "3"}],
        {**CHECK, "retries": 4},
        "healthcheck",
        "*",
        "*",
    ),
    ("healthcheck", [{"test": "NONE"}, {"test": ["NONE"]}], CHECK, "healthcheck", "NONE", "*"),
    (
        "tmpfs",
        [["/run:size=64m,noexec", "/tmp", ""], ["/tmp/", "/run:noexec,size=64m"]],
        ["/tmp"],
        "tmpfs",
        ["/run:noexec,size=64m", "/tmp"],
        ["/tmp"],
    ),
    ("tty", [True], None, "tty", True, False),
    ("user", ["root"], "0", "user", "root", "0"),
    ("restart_policy", ["no", "oneshot", None], "always", "restart_policy", "no", "always"),
    ("restart_policy", ["unless-stopped"], "on-failure", "restart_policy", "unless-stopped", "on-failure:10"),
    ("stop_signal", ["SIGUSR2", "usr2", "12"], "TERM", "stop_signal", "SIGUSR2", "SIGTERM"),
]


def filled(value: Any, **names: str) -> Any:
    """The value with the names of what was made for the test."""
    if isinstance(value, str):
        return value.format(**names) if "{" in value else value
    if isinstance(value, list):
        return [filled(one, **names) for one in value]
    return value


# No image has a say in a container's limits.
WITH_IMAGES = [
    pytest.param(image, *row, id=f"{row[0]}-{number}-{image}")
    for number, row in enumerate(TABLE)
    for image in (("bare",) if row[0] == "dimensions" else ("rich", "bare"))
]


@pytest.mark.parametrize(("image", "option", "spellings", "another", "setting", "old", "new"), WITH_IMAGES)
def test_a_second_run_changes_nothing(
    driver: Engine,
    made: Made,
    rich_image: str,
    bare_image: str,
    image: str,
    option: str,
    spellings: list[Any],
    another: Any,
    setting: str,
    old: Any,
    new: Any,
) -> None:
    reference = rich_image if image == "rich" else bare_image
    name, names = made.container(), {"volume": made.volume(), "other": ""}
    if "{other}" in str((spellings, another)):
        names["other"] = made.container()
        create(driver, names["other"], bare_image)
    spellings, another, old, new = filled([spellings, another, old, new], **names)

    create(driver, name, reference, **{option: spellings[0]})
    for spelling in spellings:
        again = compare(driver, name, reference, **{option: spelling})
        assert (again["changed"], again["differences"]) == (False, []), spelling

    other = compare(driver, name, reference, **{option: another})
    assert other["changed"]
    (only,) = other["differences"]
    assert only["setting"] == setting
    assert old in ("*", only["old"]), only
    assert new in ("*", only["new"]), only
    (diff,) = other["diff"]
    assert f"{setting}: " in diff["before"]
    assert f"{setting}: " in diff["after"]
    assert diff["before"] != diff["after"]
    assert "s3cr3t" not in str(other)


def test_the_old_image_is_not_held_against_a_container(
    driver: Engine, made: Made, rich_image: str, bare_image: str
) -> None:
    """What it has from there, variables and labels and all, goes with the image: that alone differs."""
    name = made.container()
    create(driver, name, rich_image)
    (only,) = compare(driver, name, bare_image)["differences"]
    assert (only["setting"], only["old"], only["new"]) == ("image", rich_image, bare_image)


def test_a_tag_that_has_moved(driver: Engine, made: Made) -> None:
    name, reference = made.container(), made.image()
    create(driver, name, reference)
    assert not compare(driver, name, reference)["changed"]
    made.image(reference=reference)
    (only,) = compare(driver, name, reference)["differences"]
    assert only["setting"] == "image"
    assert only["old"] != only["new"]


def test_an_image_that_is_not_on_the_host(driver: Engine, made: Made, bare_image: str) -> None:
    name = made.container()
    create(driver, name, bare_image)
    (only,) = compare(driver, name, "nowhere.invalid/x:9")["differences"]
    assert (only["old"], only["new"]) == (bare_image, "nowhere.invalid/x:9 (not on this host)")


def test_a_time_out_alone_is_no_difference(driver: Engine, made: Made, bare_image: str) -> None:
    name = made.container()
    create(driver, name, bare_image, graceful_shutdown_timeout=60.5)
    assert made.raw(name)["Config"]["StopTimeout"] == 61
    result = compare(driver, name, bare_image, graceful_shutdown_timeout=900.0)
    assert (result["changed"], result["differences"]) == (False, [])
    assert [note["code"] for note in result["notes"]] == ["stop_timeout_differs"]


def test_stop_signal(driver: Engine, made: Made, rich_image: str, bare_image: str) -> None:
    for image, given, signal in (
        (rich_image, "", "SIGQUIT"),
        (bare_image, "", "SIGTERM"),
        (rich_image, "USR2", "SIGUSR2"),
    ):
        name = made.container()
        create(driver, name, image, stop_signal=given)
        assert normalise(made.raw(name)["Config"]["StopSignal"]) == signal


def test_another_name_and_labels(driver: Engine, made: Made, bare_image: str) -> None:
    """As a successor is made: beside the old one, and with a note on it that is no difference."""
    name = made.container()
    spec = describe(name, bare_image, merged({"environment": {"A": 1}}, {}), 180)
    made_id = driver.maker().create(spec, f"{name}.new", {"kolla-drain.replaces": "x no 0"})
    raw = made.raw(f"{name}.new")
    assert raw["Id"] == made_id
    assert f"KOLLA_SERVICE_NAME={name.replace('_', '-')}" in raw["Config"]["Env"]
    made.client.api.rename(made_id, name)
    assert not compare(driver, name, bare_image, environment={"A": 1})["changed"]


@engines.docker_only("made by the docker SDK, as kolla-ansible does there")
def test_a_container_that_kolla_ansible_made(driver: Engine, made: Made, rich_image: str) -> None:
    """Taken over as it is: only the time-out is noted, and the policy, which Kolla leaves to systemd, is another."""
    name, volume, api = made.container(), made.volume(), made.client.api
    host = api.create_host_config(
        network_mode="host",
        ipc_mode="host",
        privileged=True,
        cap_add=["SYS_ADMIN"],
        security_opt=["label:disable"],
        tmpfs=["/scratch"],
        mem_limit="1g",
        ulimits=[docker.types.Ulimit(name="nofile", soft=10, hard=20)],
        binds={
            "/etc/kolla/x/": {"bind": "/var/lib/kolla/config_files/", "mode": "ro"},
            "/run": {"bind": "/run", "mode": "shared"},
            volume: {"bind": "/var/log/kolla/", "mode": "rw"},
        },
    )
    seconds = 10**9
    check = {"interval": 30 * seconds, "timeout": 30 * seconds, "start_period": 5 * seconds, "retries": 3}
    api.create_container(
        rich_image,
        "kolla start",
        name=name,
        host_config=host,
        environment={"KOLLA_SERVICE_NAME": name.replace("_", "-"), "A": "1", "N": ""},
        labels={"x": "y"},
        volumes=["/var/lib/kolla/config_files/", "/run", "/var/log/kolla/"],
        healthcheck={"test": ["CMD-SHELL", "true"], **check},
        tty=False,
    )
    given = {
        "command": "kolla start",
        "environment": {"A": 1, "N": None},
        "labels": {"x": "y"},
        "volumes": [
            "/etc/kolla/x/:/var/lib/kolla/config_files/:ro",
            "",
            f"{volume}:/var/log/kolla/",
            "/run:/run:shared",
        ],
        "dimensions": {"mem_limit": "1g", "ulimits": {"nofile": {"soft": 10, "hard": 20}}},
        "privileged": True,
        "ipc_mode": "host",
        "cap_add": ["SYS_ADMIN"],
        "security_opt": ["label:disable"],
        "healthcheck": {**CHECK, "interval": "30", "timeout": "30", "start_period": "5", "retries": "3"},
        "tmpfs": ["/scratch", ""],
    }
    result = compare(driver, name, rich_image, **given)
    assert result["differences"] == []
    assert [note["code"] for note in result["notes"]] == ["stop_timeout_differs"]
    (only,) = compare(driver, name, rich_image, **given, restart_policy="always")["differences"]
    assert (only["setting"], only["old"], only["new"]) == ("restart_policy", "no", "always")


@pytest.mark.parametrize(("code", "settings"), [(0, []), (1, ["config"]), (2, []), (None, [])])
def test_configuration_that_changed(
    driver: Engine,
    made: Made,
    base_image: str,
    tmp_path: Path,
    code: int | None,
    settings: list[str],
) -> None:
    """Kolla's own check in the container tells; one that is missing or fails is no reason to touch anything."""
    name, check = made.container(), tmp_path / "kolla_set_configs"
    check.write_text(f"#!/bin/sh\nexit {code}\n")
    check.chmod(0o755)
    given = {
        "environment": {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS"},
        "volumes": [f"{check}:/usr/local/bin/{check.name}"] if code is not None else [],
    }
    create(driver, name, base_image, **given)
    assert compare(driver, name, base_image, **given)["differences"] == [], "it does not run"
    made.client.api.start(name)
    assert [one["setting"] for one in compare(driver, name, base_image, **given)["differences"]] == settings


# --- through the module


FULL: dict[str, Any] = {
    "command": ["sh", "-c", "echo up; trap 'exit 0' TERM; while :; do sleep 0.1; done"],
    "environment": {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS", "DB_PASSWORD": "s3cr3t1", "EMPTY": None},
    "labels": {"kolla_version": 22, "empty": None},
    "volumes": ["/tmp:/host:ro", "/run:/run:rprivate", "", "{volume}:/var/lib/cinder"],
    "tmpfs": ["/scratch:size=1m"],
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined"],
    "ipc_mode": "host",
    "cgroupns_mode": "host",
    "dimensions": {
        "mem_limit": "1g",
        # nproc: podman's own limit is more than a machine without CAP_SYS_RESOURCE may give.
        "ulimits": {"nofile": {"soft": 512, "hard": 1024}, "nproc": {"soft": 1024, "hard": 1024}},
    },
    "healthcheck": {"test": "NONE"} if engines.is_podman() else {**CHECK, "interval": 1},  # run by systemd
    "user": "root",
    "restart_policy": "on-failure",
    "restart_retries": 3,
    "graceful_shutdown_timeout": 77,
}


def test_created_with_everything_and_started(run_module: Any, made: Made, base_image: str) -> None:
    name, volume = made.container(), made.volume()
    args = {"action": "start_container", "name": name, "image": base_image, **FULL}
    args["volumes"] = filled(FULL["volumes"], volume=volume)

    planned = run_module(args, check=True, diff=True)
    assert planned["changed"]
    assert "mem_limit" in planned["diff"][0]["after"]
    assert "s3cr3t" not in str({**planned, "invocation": ""})
    assert not made.exists(name)
    assert run_module({**args, "action": "compare_container"})["status"] == "absent"

    result = run_module(args)
    assert not result.get("failed"), result["msg"]
    assert (result["changed"], result["created"]) == (True, True)
    raw = made.raw(name)
    assert raw["State"]["Status"] == "running"
    assert (normalise(raw["Config"]["StopSignal"]), raw["Config"]["StopTimeout"]) == ("SIGTERM", 77)
    assert raw["HostConfig"]["NetworkMode"] == "host"
    assert made.client.api.inspect_volume(volume)["Labels"] == {"kolla_managed": "true"}

    for again in (args, {**args, "action": "compare_container"}):
        for check in (True, False):
            result = run_module(again, check=check, diff=True)
            assert (result["changed"], result.get("diff")) == (False, None), result
    assert made.raw(name)["State"]["StartedAt"] == raw["State"]["StartedAt"]

    other = {**args, "action": "compare_container", "environment": {"DB_PASSWORD": "s3cr3t2"}}
    result = run_module(other, diff=True)
    assert [one["setting"] for one in result["differences"]] == [
        "environment.DB_PASSWORD",
        "environment.EMPTY",
        "environment.KOLLA_CONFIG_STRATEGY",
    ]
    assert "s3cr3t" not in str({**result, "invocation": ""})


def test_a_plain_stop_of_the_engine_is_graceful(run_module: Any, made: Made, base_image: str) -> None:
    """docker stop takes the container's own time-out, which is what the module was given."""
    name = made.container()
    ends = "signal.signal(15, lambda *_: (time.sleep(2), exit(7)))"
    command = ["python3", "-c", f"import signal, time\n{ends}\nprint('up', flush=True)\ntime.sleep(600)"]
    args = {"action": "start_container", "name": name, "image": base_image, "command": command}
    run_module({**args, "graceful_shutdown_timeout": 60})
    wait_until(lambda: b"up" in made.client.api.logs(name), 180, "it to be up")
    made.client.api.post(made.client.api._url("/containers/{0}/stop", name), timeout=90)
    assert made.raw(name)["State"]["ExitCode"] == 7


def test_common_options(run_module: Any, made: Made, base_image: str) -> None:
    name = made.container()
    common = {
        "environment": {"A": "common", "B": "common", "DB_PASSWORD": "s3cr3t1"},
        "restart_policy": "unless-stopped",
        "restart_retries": "10",
        "graceful_timeout": "61",
        "client_timeout": "100",
        "container_engine": engines.name(),
        "auth_username": "u",
        "auth_password": "s3cr3t2",
        "tls_verify": False,
    }
    args = {"name": name, "image": base_image, "environment": {"B": "own"}, "common_options": common}
    result = run_module({"action": "start_container", **args})
    assert result["changed"], result["msg"]
    raw = made.raw(name)
    env = dict(item.partition("=")[::2] for item in raw["Config"]["Env"])
    assert (env["A"], env["B"]) == ("common", "own")
    assert raw["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert raw["Config"]["StopTimeout"] == 61
    result = run_module({"action": "compare_container", **args}, diff=True)
    assert not result["changed"]
    assert "s3cr3t" not in str(result), "not even among the arguments that are returned"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"common_options": {"envirnment": {}}}, ("common_options", "envirnment")),
        ({"common_options": {"client_timeout": "soon"}}, ("common_options", "soon")),
        ({"dimensions": {"memory": 1}}, ("dimensions", "memory")),
        ({"auth_username": "u"}, ("auth_username", "auth_password")),
        ({"ready_timeout": 0}, ("ready_timeout",)),
        ({"image": ""}, ("image",)),
        ({"detach": False, "restart_policy": "always"}, ("restart_policy", "oneshot")),
    ],
)
def test_bad_options(run_module: Any, made: Made, options: dict[str, Any], words: tuple[str, ...]) -> None:
    name = made.container()
    action = "compare_container" if options.get("image") == "" else "start_container"
    result = run_module({"action": action, "name": name, "image": "x:1", **options})
    assert result["failed"]
    assert [word for word in words if word not in result["msg"]] == [], result["msg"]
    is_sentence(result["msg"])
    assert not made.exists(name)


REFUSED_BY_ENGINE: dict[str, dict[str, Any]] = {
    **({} if engines.is_podman() else {"too little memory": {"dimensions": {"mem_limit": "1k"}}}),
    "no such cpu": {"dimensions": {"cpuset_cpus": "4095"}},
    "no such capability": {"cap_add": ["NONE_SUCH"]},
    "no such container": {"volumes_from": ["kd_test_nobody"]},
    "a target that is taken": {"volumes": ["/tmp:/x"], "tmpfs": ["/x"]},
}


@pytest.mark.parametrize("options", REFUSED_BY_ENGINE.values(), ids=REFUSED_BY_ENGINE.keys())
def test_what_the_engine_refuses(
    run_module: Any, made: Made, bare_image: str, options: dict[str, Any]
) -> None:
    name = made.container()
    result = run_module({"action": "start_container", "name": name, "image": bare_image, **options})
    assert result["failed"]
    assert f"The container {name} cannot be created" in result["msg"]
    is_sentence(result["msg"])
    assert not made.exists(name)


def test_an_id_is_no_name_for_what_is_described(
    run_module: Any, made: Made, driver: Engine, bare_image: str
) -> None:
    name = made.container()
    made_id = create(driver, name, bare_image)
    args = {"action": "compare_container", "image": bare_image, "restart_policy": False}
    result = run_module({**args, "name": made_id[:12]})
    assert result["failed"]
    assert f"give {name}." in result["msg"]
    is_sentence(result["msg"])
    assert not run_module({**args, "name": name})["changed"], "YAML reads no as false"


def test_start_needs_an_image_or_a_container(run_module: Any, made: Made) -> None:
    result = run_module({"action": "start_container", "name": made.container()})
    assert result["failed"]
    assert "give image" in result["msg"]
    is_sentence(result["msg"])


# --- containers that are run once


def once(name: str, image: str, command: str, **more: Any) -> dict[str, Any]:
    return {
        "action": "start_container",
        "name": name,
        "image": image,
        "command": command,
        "detach": False,
        **more,
    }


def test_run_once(run_module: Any, made: Made, base_image: str) -> None:
    name = made.container()
    words = "sh -c 'echo amqp://u:s3c$(echo r3t)@h; echo err >&2'"
    args = once(name, base_image, words, restart_policy="oneshot")
    planned = run_module(args, check=True)
    assert (planned["changed"], made.exists(name)) == (True, False)
    result = run_module(args)
    assert not result.get("failed"), result["msg"]
    assert (result["rc"], result["stdout"], result["stderr"]) == (0, "amqp://u:********@h\n", "err\n")
    assert not made.exists(name)


def test_run_once_and_fail(run_module: Any, made: Made, base_image: str) -> None:
    name = made.container()
    command = "sh -c 'echo $DB_PASSWORD; echo no such table >&2; exit 2'"
    args = once(name, base_image, command, environment={"DB_PASSWORD": "s3cr3t"})
    result = run_module({**args, "remove_on_exit": False})
    assert (result["failed"], result["changed"], result["rc"]) == (True, True, 2)
    assert "exit code 2: no such table" in result["msg"]
    is_sentence(result["msg"])
    assert "s3cr3t" not in str(result)
    assert made.raw(name)["State"]["ExitCode"] == 2

    assert run_module(args)["rc"] == 2, "what was left of the first run is no obstacle"
    assert not made.exists(name)


def test_run_once_what_is_no_program(run_module: Any, made: Made, bare_image: str) -> None:
    name = made.container()
    result = run_module(once(name, bare_image, "/nothing"))
    assert result["failed"]
    assert "/nothing" in result["msg"]
    is_sentence(result["msg"])
    assert not made.exists(name)


def test_an_interrupted_run_blocks_no_name(
    run_module: Any, start_module: Callable[..., Any], made: Made, base_image: str, tmp_path: Path
) -> None:
    name, end = made.container(), tmp_path / "end"
    until_told = "sh -c 'until test -e /told/end; do sleep 0.2; done'"
    args = once(name, base_image, until_told, volumes=[f"{tmp_path}:/told"])
    run = start_module(args)
    wait_until(lambda: made.raw(name)["State"]["Running"], 180, "it to run")
    run.kill()
    refused = run_module(args)
    assert refused["failed"]
    assert f"{engines.name()} wait {name}" in refused["msg"]
    is_sentence(refused["msg"])
    end.touch()
    wait_until(lambda: not made.raw(name)["State"]["Running"], 180, "its end")
    assert run_module({**args, "command": "true"})["rc"] == 0
    assert not made.exists(name)


def test_a_container_that_is_no_one_off_is_left(
    driver: Engine, run_module: Any, made: Made, base_image: str
) -> None:
    name = made.container()
    made_id = create(driver, name, base_image)
    result = run_module(once(name, base_image, "true"))
    assert result["failed"]
    assert "not made to be run once" in result["msg"]
    assert made.raw(name)["Id"] == made_id


# --- volumes


def test_volume(run_module: Any, made: Made, driver: Engine, bare_image: str) -> None:
    name, user = made.volume(), made.container()
    create_it, remove_it = ({"action": action, "name": name} for action in ("create_volume", "remove_volume"))
    assert run_module(create_it, check=True)["changed"]
    assert [run_module(create_it)["changed"] for _ in range(2)] == [True, False]
    create(driver, user, bare_image, volumes=[f"{name}:/x"])
    for check in (True, False):
        result = run_module(remove_it, check=check)
        assert result["failed"]
        assert name in result["msg"]
        assert user in result["msg"]
        is_sentence(result["msg"])
    made.client.api.remove_container(user)
    assert run_module(remove_it, check=True)["changed"]
    assert [run_module(remove_it)["changed"] for _ in range(2)] == [True, False]


# --- images


@pytest.fixture(scope="module")
def images(engine: docker.DockerClient) -> Iterator[Registry]:
    with registry(getattr(engine, "registry_port", 0)) as found:
        yield found


def push(made: Made, at: Registry, reference: str) -> str:
    """A new image of this name in the registry and not on the host; returns its id."""
    made.image(reference=reference)
    image_id = str(made.client.images.get(reference).id)
    login = {"username": at.login["auth_username"], "password": PASSWORD}
    for line in made.client.api.push(reference, stream=True, decode=True, auth_config=login):
        assert "error" not in line, line
    made.client.images.remove(reference)
    return image_id


def tag(made: Made, image_id: str, reference: str) -> None:
    if engines.is_podman():  # its form of Docker's interface takes no registry with a port
        subprocess.run(["podman", "tag", image_id, reference], check=True)
    else:
        made.client.images.get(image_id).tag(reference)


def test_images(run_module: Any, made: Made, images: Registry) -> None:
    reference = f"{images.address}/kd_test/{secrets.token_hex(4)}:1"
    image_id = push(made, images, reference)
    ensure, pull, remove = (
        {"action": action, "image": reference, **images.login}
        for action in ("ensure_image", "pull_image", "remove_image")
    )
    assert run_module(ensure, check=True)["changed"]
    found = [run_module(args) for args in (ensure, ensure, pull)]
    assert [one["changed"] for one in found] == [True, False, False], found
    assert {one["image_id"] for one in found} == {image_id}

    tag(made, image_id, f"{reference}-kept")
    made.forget_image(f"{reference}-kept")
    newer = push(made, images, reference)
    tag(made, image_id, reference)
    found = [run_module(args) for args in (ensure, pull, pull)]
    assert [one["changed"] for one in found] == [False, True, False], found
    assert found[-1]["image_id"] == newer

    name = made.container()
    made.client.api.create_container(reference, name=name)
    refused = run_module(remove)
    assert refused["failed"]
    assert name in refused["msg"]
    is_sentence(refused["msg"])
    made.client.api.remove_container(name)
    assert run_module(remove, check=True)["changed"]
    assert [run_module(remove)["changed"] for _ in range(2)] == [True, False]


def test_start_pulls_what_is_missing(run_module: Any, made: Made, images: Registry) -> None:
    reference, name = f"{images.address}/kd_test/{secrets.token_hex(4)}:1", made.container()
    push(made, images, reference)
    args = {"action": "start_container", "name": name, "image": reference, **images.login}
    assert run_module(args, check=True)["image_pulled"]
    result = run_module(args)
    assert "could not be started" in result["msg"], "its image holds no program"
    assert made.client.images.get(reference)
    assert not run_module({**args, "action": "compare_image"})["changed"]


def test_pulls_that_fail(run_module: Any, made: Made, images: Registry) -> None:
    there = f"{images.address}/kd_test/{secrets.token_hex(4)}:1"
    push(made, images, there)
    wrong = {**images.login, "auth_password": "wr0ng-s3cr3t"}
    for reference, login, words in (
        (there, {}, ("wants a login",)),
        (there, wrong, ("not accepted", "puller")),
        (there, {**images.login, "auth_registry": "other.invalid"}, ("other.invalid", "not used")),
        (f"{images.address}/kd_test/none:1", images.login, ("does not exist",)),
        ("127.0.0.1:1/x:1", images.login, ("cannot be pulled", "127.0.0.1:1/x:1")),
    ):
        result = run_module({"action": "pull_image", "image": reference, **login})
        assert result["failed"]
        assert [word for word in (reference, *words) if word not in result["msg"]] == [], result["msg"]
        assert "s3cr3t" not in str(result)
        is_sentence(result["msg"])


def test_a_password_is_in_no_process_list(start_module: Callable[..., Any]) -> None:
    run = start_module({"action": "pull_image", "image": "192.0.2.1:9/x:1", "client_timeout": 5, **_login()})
    time.sleep(0.5)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as shown:
            assert b"pr0c-s3cr3t" not in shown.read()
    run.kill()


def _login() -> dict[str, str]:
    return {"auth_registry": "192.0.2.1:9", "auth_username": "u", "auth_password": "pr0c-s3cr3t"}

"""Bad input: a clear sentence for each, and nothing touched."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from testbed.locks import locked
from tests.support import engines, fuzz, module_run
from tests.support.checks import is_sentence, untouched
from tests.support.workloads import Workload, Workloads
from tests.support.workloads import workloads as workloads_on

# Options beside name, and words that the sentence must hold.
OPTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no time": ({"graceful_shutdown_timeout": 0}, ("graceful_shutdown_timeout", "at least 1")),
    "negative time": ({"graceful_shutdown_timeout": -5}, ("graceful_shutdown_timeout", "-5")),
    "negative time by its alias": ({"graceful_timeout": -5}, ("graceful_shutdown_timeout", "-5")),
    "time that is no number": ({"graceful_shutdown_timeout": "soon"}, ("graceful_shutdown_timeout", "soon")),
    "no poll interval": ({"poll_interval": 0}, ("poll_interval",)),
    "no number as a poll interval": ({"poll_interval": "nan"}, ("poll_interval",)),
    "endless poll interval": ({"poll_interval": "inf"}, ("poll_interval",)),
    "no signal": ({"stop_signal": "SIGNONE"}, ("SIGNONE", "stop_signal", "no signal")),
    "signal 0": ({"stop_signal": "0"}, ("no signal",)),
    "SIGKILL": ({"stop_signal": "KILL"}, ("SIGKILL",)),
    "unknown service": ({"service": "cinder-volumes"}, ("cinder-volumes", "cinder-volume")),
    "unknown action": ({"action": "stop_containers"}, ("stop_containers",)),
    "unknown on_timeout": ({"on_timeout": "wait"}, ("on_timeout", "wait")),
    "unknown option": ({"graceful_stop": True}, ("graceful_stop",)),
    "no such configuration": (
        {"service": "cinder-volume", "service_config": ["/nowhere/cinder.conf"]},
        ("/nowhere/cinder.conf",),
    ),
    "a configuration for no service": (
        {"service_config": ["/etc/x.conf"]},
        ("service_config", "cinder-volume"),
    ),
    "a database for no service": ({"database": {"host": "db"}}, ("database", "give service")),
    "leave with the plain stop": (
        {"graceful_shutdown": False, "on_timeout": "leave"},
        ("on_timeout=leave", "graceful_shutdown=false"),
    ),
    "a signal with the plain stop": ({"graceful_shutdown": False, "stop_signal": "HUP"}, ("stop_signal",)),
    "quiesce with the plain stop": ({"graceful_shutdown": False, "quiesce": "always"}, ("quiesce=always",)),
    "no client time": ({"client_timeout": 0}, ("client_timeout",)),
}

NAMES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no names": ([], ("name",)),
    "an empty name": ([""], ("''",)),
    "a blank name": ([" "], ("' '",)),
    "a path": (["../etc"], ("../etc",)),
    "a path within": (["a/b"], ("a/b",)),
    "shell": (["x;reboot"], ("x;reboot",)),
    "a substitution": (["$(reboot)"], ("$(reboot)",)),
    "a newline": (["x\n"], ("x",)),
    "an option": (["-x"], ("-x",)),
    "other letters": (["größe"], ("größe",)),
}


def bad(result: dict[str, Any], words: tuple[str, ...]) -> None:
    assert result["failed"]
    assert not result.get("changed")
    assert [word for word in words if word not in result["msg"]] == [], result["msg"]
    if "value of " not in result["msg"] and "argument " not in result["msg"]:  # Ansible's own words
        is_sentence(result["msg"])


@pytest.fixture(scope="module")
def made(engine: docker.DockerClient, base_image: str) -> Iterator[Workloads]:
    with workloads_on(engine, base_image) as workloads:
        yield workloads


@pytest.fixture
def workload(made: Workloads) -> Workload:
    """The same container for every test, until one touches it."""
    if not made.made or made.made[-1].status != "running" or made.made[-1].sent:
        return made.start()
    return made.made[-1]


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS.keys())
def test_options(
    run_module: Any, workload: Workload, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    with untouched(workload):
        result = run_module({"action": "stop_container", "name": workload.name, **options})
    if "Unsupported" not in result["msg"]:
        bad(result, words)
    assert result["failed"]


@pytest.mark.parametrize(("names", "words"), NAMES.values(), ids=NAMES.keys())
def test_names(run_module: Any, workload: Workload, names: list[str], words: tuple[str, ...]) -> None:
    """Beside a good name, which must not be stopped either."""
    with untouched(workload):
        bad(run_module({"action": "stop_container", "name": names}), words)
        if names:
            bad(run_module({"action": "stop_container", "name": [workload.name, *names]}), words)


def test_a_name_twice(run_module: Any, workload: Workload) -> None:
    with untouched(workload):
        bad(
            run_module({"action": "stop_container", "name": [workload.name, workload.name]}),
            (workload.name, "twice"),
        )


@pytest.mark.parametrize(
    "action", ["restart_container", "remove_container", "get_container_env", "get_container_state"]
)
def test_several_names_for_an_action_that_takes_one(run_module: Any, workload: Workload, action: str) -> None:
    with untouched(workload):
        bad(run_module({"action": action, "name": [workload.name, "kd_test_nobody"]}), (action,))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"service": "cinder-volume"}, ("cinder_backup", "cinder-volume", "cinder-backup")),
        ({"database": {"host": "db"}}, ("cinder and nova", "database")),
        ({"service_config": ["/etc/x.conf"]}, ("cinder and nova", "service_config")),
    ],
)
def test_options_that_cannot_be_meant_for_all(
    run_module: Any, made: Workloads, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    """Under names that Kolla gives; they are taken when the test stack is up, and then nothing of it is made here."""
    names = ("cinder_backup", "nova_compute")
    with locked("kolla-names"):
        own = [made.create(name=name) for name in names if not made.exists(name)]
        try:
            bad(run_module({"action": "stop_container", "name": list(names), **options}), words)
        finally:
            made.remove(own)


@pytest.mark.parametrize(
    "action",
    ["restart_container", "start_container", "get_container_state", "get_container_env", "drain_status"],
)
def test_no_such_container(run_module: Any, action: str) -> None:
    bad(run_module({"action": action, "name": "kd_test_nobody"}), ("kd_test_nobody",))


def test_any_value_of_any_option(run_module: Any, workload: Workload) -> None:
    """In check mode, for what only the engine judges; tests/unit/test_module_fuzz.py has many more."""
    options = yaml.safe_load(module_run.MODULE.read_text().split('r"""')[1].split('"""')[0])["options"]

    def attempt(random: random.Random) -> None:
        args = {"name": workload.name, **fuzz.arguments(random, options)}
        if random.random() < 0.5:
            args["image"] = random.choice([text for text in fuzz.TEXTS if len(text) < 5000])
        result = run_module(args, check=True)
        if result.get("failed"):
            fuzz.is_clear(result["msg"])
        # Far below the limit of a run, and far above what one takes that waits for nothing, on a busy machine, too.
        assert result["seconds"] < 100, result

    with untouched(workload):
        fuzz.tries(8, attempt)


# --- the service's configuration and its database

CONFIG = "[DEFAULT]\nhost = one\nenabled_backends = lvm\n[lvm]\n[database]\nconnection = {}\n"

CONFIGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "broken syntax": ("[DEFAULT]\nhost = one\nthis is no option\n", ("cinder.conf", "line 3")),
    "a value of another kind": (
        CONFIG.format("") + "[DEFAULT]\nservice_down_time = soon\n",
        ("service_down_time",),
    ),
    "not UTF-8": ("\udcff\udcfe", ("cinder.conf", "UTF-8")),
    "a database URL that is none": (CONFIG.format("s3cr3t-no-url"), ("URL",)),
    "a database of another kind": (CONFIG.format("postgresql://u:s3cr3t@db/x"), ("postgresql",)),
    "a database URL without a port number": (CONFIG.format("mysql://u:s3cr3t@db:x/y"), ("port",)),
}


@pytest.mark.parametrize(("text", "words"), CONFIGS.values(), ids=CONFIGS.keys())
def test_service_configuration(
    run_module: Any, workload: Workload, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "cinder.conf"
    path.write_text(text, errors="surrogateescape")
    options = {"service": "cinder-volume", "service_config": [str(path)]}
    with untouched(workload):
        result = run_module({"action": "stop_container", "name": workload.name, **options})
    bad(result, (workload.name, *words))
    assert "s3cr3t" not in str(result)


@pytest.mark.parametrize(
    "url", ["s3cr3t", "mysql//u:s3cr3t@h/x", "mysql://u:s3cr3t@h:99999/x", "mysql://:s3cr3t@h/x"]
)
def test_a_database_url_that_is_none(run_module: Any, workload: Workload, tmp_path: Path, url: str) -> None:
    path = tmp_path / "cinder.conf"
    path.write_text(CONFIG.format("mysql+pymysql://u:p@127.0.0.1/cinder"))
    options = {"service": "cinder-volume", "service_config": [str(path)], "database": {"url": url}}
    with untouched(workload):
        result = run_module({"action": "stop_container", "name": workload.name, **options})
    bad(result, (workload.name, "database"))
    assert "s3cr3t" not in str(result)


# --- what is missing on the managed host


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
def test_no_engine(run_module: Any, host: str) -> None:
    result = run_module({"action": "stop_container", "name": "x"}, env=engines.at(host))
    bad(result, ("Podman" if engines.is_podman() else "Docker Engine", "does not answer"))


@pytest.mark.parametrize("action", ["stop_container", "drain_status"])
@pytest.mark.parametrize(
    ("library", "words"),
    [
        (engines.name(), (engines.name(), f"python3-{engines.name()}")),
        ("pymysql", ("PyMySQL", "python3-pymysql")),
        ("oslo_config", ("oslo.config", "python3-oslo.config")),
    ],
)
def test_a_library_is_missing(
    run_module: Any, workload: Workload, tmp_path: Path, action: str, library: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "cinder.conf"
    path.write_text(CONFIG.format("mysql+pymysql://u:p@127.0.0.1/cinder"))
    options = {"service": "cinder-volume", "service_config": [str(path)]}
    with untouched(workload):
        result = run_module({"action": action, "name": workload.name, **options}, hide=[library])
    bad(result, (*words, "install"))


def test_no_library_is_missed_that_is_not_needed(run_module: Any, workload: Workload) -> None:
    result = run_module({"action": "stop_container", "name": workload.name}, hide=["pymysql", "oslo_config"])
    assert result["verdict"] == "unverified"


def test_without_the_rights_of_root(run_module: Any, workload: Workload) -> None:
    """Where the record of signals cannot be kept, a second signal could not be ruled out: nothing is sent."""
    if os.geteuid() != 0:
        pytest.skip("tries on a read-only /run, for which it takes root")
    with untouched(workload):
        result = run_module(
            {"action": "stop_container", "name": workload.name},
            wrap=[
                "unshare",
                "--mount",
                "sh",
                "-c",
                'mkdir -p -m 700 /run/kolla-drain && mount -t tmpfs -o ro,mode=0700 none /run/kolla-drain && exec "$@"',
                "sh",
            ],
        )
    bad(result, ("root",))

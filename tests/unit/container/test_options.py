"""Options in every spelling become one description, and bad ones a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.container.given import merged
from kolla_drain.container.options import describe, without_podmans_own
from kolla_drain.container.spec import Bind, ContainerSpec, Healthcheck, one_off
from kolla_drain.errors import Refused


def spec(stop_timeout: float = 180, **options: Any) -> ContainerSpec:
    return describe("cinder_volume", "registry/cinder:1", options, stop_timeout)


def second(number: float) -> int:
    return round(number * 10**9)


# Options, the field of the spec, and what it is.
SPELLINGS: list[tuple[dict[str, Any], str, Any]] = [
    ({"command": "sh -c 'a  b'"}, "command", ("sh", "-c", "a  b")),
    ({"command": ["sh", 1]}, "command", ("sh", "1")),
    ({"command": " "}, "command", None),
    ({"command": []}, "command", None),
    ({"labels": {"a": None, "b": 1}}, "labels", {"a": "", "b": "1"}),
    ({"cap_add": ["sys_admin", "CAP_SYS_ADMIN", "SYS_ADMIN", ""]}, "cap_add", {"CAP_SYS_ADMIN"}),
    ({"cap_add": ["all"]}, "cap_add", {"ALL"}),
    ({"cap_add": None}, "cap_add", set()),
    ({"security_opt": ["label:disable", "label=disable"]}, "security_opt", {"label=disable"}),
    ({"security_opt": ["no-new-privileges:true"]}, "security_opt", {"no-new-privileges"}),
    ({"volumes": ["", None]}, "binds", set()),
    ({"volumes": ["vol:/x", "vol:/x:rw"]}, "binds", {Bind("vol", "/x")}),
    ({"volumes": ["/a/:/x/:ro"]}, "binds", {Bind("/a", "/x", frozenset(["ro"]))}),
    ({"volumes": ["/a:/x:rprivate,rw"]}, "binds", {Bind("/a", "/x")}),
    ({"volumes": ["/a:/x:z,shared"]}, "binds", {Bind("/a", "/x", frozenset(["z", "shared"]))}),
    ({"volumes": ["/data/"]}, "anonymous", {"/data"}),
    ({"volumes_from": ["a:rw", "b:ro", ""]}, "volumes_from", {"a", "b:ro"}),
    ({"tmpfs": ["/run/:size=1m,noexec"]}, "tmpfs", {"/run": frozenset(["size=1m", "noexec"])}),
    ({"tmpfs": [""]}, "tmpfs", {}),
    ({"dimensions": {"mem_limit": "1g"}}, "dimensions", {"mem_limit": 1 << 30}),
    ({"dimensions": {"mem_limit": "1GB"}}, "dimensions", {"mem_limit": 1 << 30}),
    ({"dimensions": {"mem_limit": 1 << 30}}, "dimensions", {"mem_limit": 1 << 30}),
    ({"dimensions": {"mem_limit": "0.5g"}}, "dimensions", {"mem_limit": 1 << 29}),
    ({"dimensions": {"mem_limit": 0, "cpu_shares": None, "cpuset_cpus": ""}}, "dimensions", {}),
    ({"dimensions": {"memswap_limit": "-1"}}, "dimensions", {"memswap_limit": -1}),
    ({"dimensions": {"cpu_quota": -1}}, "dimensions", {}),
    ({"dimensions": {"cpu_shares": "512"}}, "dimensions", {"cpu_shares": 512}),
    ({"dimensions": {"cpuset_cpus": "1, 0"}}, "dimensions", {"cpuset_cpus": "0,1"}),
    ({"dimensions": {"cpuset_cpus": "0-1"}}, "dimensions", {"cpuset_cpus": "0,1"}),
    ({"dimensions": {"ulimits": {"nofile": {"soft": 1, "hard": "2"}}}}, "ulimits", {"nofile": (1, 2)}),
    ({"dimensions": {"ulimits": {"nofile": {"hard": 5}}}}, "ulimits", {"nofile": (5, 5)}),
    ({"dimensions": {"ulimits": {"core": {"soft": "unlimited"}}}}, "ulimits", {"core": (-1, -1)}),
    ({"dimensions": {"ulimits": {"RLIMIT_NOFILE": {"hard": 5}}}}, "ulimits", {"nofile": (5, 5)}),
    ({"ipc_mode": ""}, "ipc_mode", ""),
    ({"pid_mode": "private"}, "pid_mode", ""),
    ({"pid_mode": "container:x"}, "pid_mode", "container:x"),
    ({"user": ""}, "user", None),
    ({"restart_policy": "oneshot"}, "restart_policy", "no"),
    ({"restart_policy": "on-failure"}, "restart_retries", 10),
    ({"restart_policy": "on-failure", "restart_retries": 0}, "restart_retries", 0),
    ({"healthcheck": {}}, "healthcheck", None),
    ({"healthcheck": {"test": "NONE"}}, "healthcheck", Healthcheck(("NONE",))),
    ({"healthcheck": {"test": ["NONE"]}}, "healthcheck", Healthcheck(("NONE",))),
    ({"healthcheck": {"test": "true"}}, "healthcheck", Healthcheck(("CMD-SHELL", "true"))),
    (
        {
            "healthcheck": {
                "test": ["CMD", "x"],
                "interval": "30",
                "timeout": 1.5,
                "start_period": None,
                "retries": "3",
            }
        },
        "healthcheck",
        Healthcheck(("CMD", "x"), second(30), second(1.5), 0, 3),
    ),
]


def shown(value: Any) -> str:
    """The same in each process of a test run, where the order of a set is not."""
    if isinstance(value, dict):
        value = {key: shown(one) for key, one in value.items()}
    return str(sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)[:50]


@pytest.mark.parametrize(("options", "field", "value"), SPELLINGS, ids=shown)
def test_spellings(options: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(spec(**options), field) == value


BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown dimension": ({"dimensions": {"memory": 1}}, ("dimensions", "memory", "mem_limit")),
    "bad size": ({"dimensions": {"mem_limit": "lots"}}, ("dimensions.mem_limit", "lots", "512m")),
    "negative size": ({"dimensions": {"mem_limit": "-1"}}, ("dimensions.mem_limit", "-1")),
    "bad number": ({"dimensions": {"cpu_shares": "many"}}, ("dimensions.cpu_shares", "many")),
    "yes as a number": ({"dimensions": {"cpu_shares": True}}, ("dimensions.cpu_shares",)),
    "bad cpus": ({"dimensions": {"cpuset_cpus": "a-b"}}, ("dimensions.cpuset_cpus", "a-b")),
    "cpus that end before they begin": ({"dimensions": {"cpuset_cpus": "3-0"}}, ("cpuset_cpus", "3-0")),
    "one empty range of several": ({"dimensions": {"cpuset_mems": "0-1,3-2"}}, ("cpuset_mems", "3-2")),
    "ulimit without numbers": ({"dimensions": {"ulimits": {"nofile": 5}}}, ("ulimits.nofile", "soft")),
    "ulimit of another kind": (
        {"dimensions": {"ulimits": {"nofile": {"max": 5}}}},
        ("ulimits.nofile", "soft and hard"),
    ),
    "unknown ulimit": ({"dimensions": {"ulimits": {"files": {"soft": 5}}}}, ("ulimits", "files", "nofile")),
    "ulimits as a list": ({"dimensions": {"ulimits": ["nofile=5"]}}, ("ulimits", "dictionary")),
    "soft above hard": (
        {"dimensions": {"ulimits": {"nofile": {"soft": 5, "hard": 4}}}},
        ("ulimits.nofile", "5", "4"),
    ),
    "healthcheck of another kind": (
        {"healthcheck": {"tests": "x"}},
        ("healthcheck", "tests", "start_period"),
    ),
    "healthcheck without test": ({"healthcheck": {"retries": 1}}, ("healthcheck", "test")),
    "healthcheck list without kind": ({"healthcheck": {"test": ["curl", "x"]}}, ("CMD-SHELL", "curl")),
    "healthcheck with half a list": ({"healthcheck": {"test": ["CMD"]}}, ("CMD",)),
    "healthcheck time": ({"healthcheck": {"test": "x", "interval": "soon"}}, ("interval", "soon")),
    "negative healthcheck time": ({"healthcheck": {"test": "x", "timeout": -1}}, ("timeout", "-1")),
    "healthcheck retries": ({"healthcheck": {"test": "x", "retries": "few"}}, ("retries", "few")),
    "bad volume mode": ({"volumes": ["v:/x:rwx"]}, ("v:/x:rwx", "'rwx'", "ro")),
    "modes that exclude each other": ({"volumes": ["v:/x:ro,rw"]}, ("ro and rw",)),
    "propagation of a named volume": ({"volumes": ["v:/x:shared"]}, ("shared", "named volume")),
    "nocopy of a folder": ({"volumes": ["/v:/x:nocopy"]}, ("nocopy",)),
    "relative target": ({"volumes": ["v:x"]}, ("v:x",)),
    "relative source": ({"volumes": ["a/b:/x"]}, ("a/b", "begins with '/'")),
    "bad volume name": ({"volumes": ["-v:/x"]}, ("'-v'", "volume")),
    "a name alone": ({"volumes": ["v"]}, ("'v'", "NAME:PATH")),
    "two in one place": ({"volumes": ["vol:/x", "/w:/x/"]}, ("/x", "more than one")),
    "relative tmpfs": ({"tmpfs": ["run"]}, ("tmpfs", "run")),
    "bad capability": ({"cap_add": ["SYS ADMIN"]}, ("cap_add", "SYS ADMIN")),
    "bad mode": ({"ipc_mode": "shared"}, ("ipc_mode", "shared", "host")),
    "bad cgroup mode": ({"cgroupns_mode": "container:x"}, ("cgroupns_mode",)),
    "bad policy": ({"restart_policy": "never"}, ("restart_policy", "never", "oneshot")),
    "retries without on-failure": (
        {"restart_policy": "always", "restart_retries": 3},
        ("restart_retries", "always", "on-failure"),
    ),
    "negative retries": ({"restart_policy": "on-failure", "restart_retries": -1}, ("restart_retries", "-1")),
    "command of another kind": ({"command": {"a": 1}}, ("command", "list of words")),
    "open quote": ({"command": "sh -c 'x"}, ("command", "quotes")),
    "variable with =": ({"environment": {"A=B": 1}}, ("environment", "A=B")),
    "our own labels": ({"labels": {"kolla-drain.replaces": "x"}}, ("labels", "kolla-drain.")),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD.keys())
def test_bad_options(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as caught:
        spec(**options)
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said
    assert said.endswith(".")
    assert "\n" not in said


def test_environment_is_text_and_names_the_service() -> None:
    found = spec(environment={"A": 1, "B": None, "C": True, "KOLLA_SERVICE_NAME": "x"}).environment
    assert found == {"A": "1", "B": "", "C": "True", "KOLLA_SERVICE_NAME": "cinder-volume"}


@pytest.mark.parametrize(("timeout", "seconds"), [(180.0, 180), (0.2, 1), (59.5, 60)])
def test_stop_timeout_is_the_engines_whole_seconds(timeout: float, seconds: int) -> None:
    assert spec(timeout).stop_timeout == seconds


def test_no_secret_in_its_text() -> None:
    assert "s3cr3t" not in repr(spec(environment={"PASSWORD": "s3cr3t"}, labels={"token": "s3cr3t"}))


# --- common options


def test_what_the_task_gives_wins() -> None:
    common = {"environment": {"A": 1, "B": 1}, "labels": {"l": 1}, "user": "root", "client_timeout": 5}
    own = {"environment": {"B": 2}, "labels": None, "user": "cinder", "client_timeout": None, "tty": None}
    assert merged(own, common) == {
        "environment": {"A": 1, "B": 2},
        "labels": {"l": 1},
        "user": "cinder",
        "client_timeout": 5,
        "tty": None,
        "restart_retries": None,
    }


def test_dimensions_are_merged_and_lists_are_not() -> None:
    common = {"dimensions": {"mem_limit": "1g", "cpu_shares": 5}, "volumes": ["a:/a"]}
    own = {"dimensions": {"mem_limit": "2g"}, "volumes": ["b:/b"]}
    found = merged(own, common)
    assert found["dimensions"] == {"mem_limit": "2g", "cpu_shares": 5}
    assert found["volumes"] == ["b:/b"]


def test_common_retries_are_for_on_failure_only() -> None:
    common = {"restart_policy": "unless-stopped", "restart_retries": 10}
    assert spec(**merged({}, common)).restart_policy == "unless-stopped"
    with pytest.raises(Refused):
        spec(**merged({"restart_retries": 3}, common))
    assert spec(**merged({"restart_policy": "on-failure"}, common)).restart_retries == 10


def test_a_container_that_is_run_once_is_never_started_again() -> None:
    common = {"restart_policy": "unless-stopped"}
    found = merged({"detach": False, "restart_policy": None}, common)
    assert one_off(spec(**found), found["restart_policy"]).restart_policy == "no"
    with pytest.raises(Refused, match="always"):
        one_off(spec(restart_policy="always"), "always")


def test_what_kolla_ansible_leaves_to_podman() -> None:
    """Its roles give both of these to every container there, and its module hands neither over."""
    limit = {"soft": 1048576, "hard": 1048576}
    given = {
        "ulimits": {"RLIMIT_NOFILE": limit, "RLIMIT_NPROC": limit, "RLIMIT_CORE": limit},
        "cpu_shares": 2,
    }
    left = without_podmans_own({"dimensions": given, "tty": True})
    assert left == {"dimensions": {"ulimits": {"RLIMIT_CORE": limit}, "cpu_shares": 2}, "tty": True}
    assert len(given["ulimits"]) == 3
    for nothing in ({}, {"dimensions": None}, {"dimensions": {"ulimits": "x"}}):
        assert without_podmans_own(nothing) == nothing

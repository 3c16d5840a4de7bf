"""Equal means equal, and what differs is named with old and new."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from kolla_drain.container.compare import differences
from kolla_drain.container.options import describe
from kolla_drain.container.show import as_text, notes, settings
from kolla_drain.container.spec import ContainerSpec, Found, Image
from kolla_drain.engine.create_body import create_body

IMAGE: dict[str, Any] = {
    "Entrypoint": ["dumb-init", "--"],
    "Cmd": ["kolla_start"],
    "Env": ["PATH=/bin", "BASE=1"],
    "Labels": {"vendor": "kolla"},
    "User": "cinder",
    "Volumes": {"/cache": {}},
    "StopSignal": "SIGTERM",
}
PLAIN: dict[str, Any] = {"Labels": None, "Env": None, "Cmd": None, "Volumes": None}
CHECK = {"test": ["CMD-SHELL", "curl x"], "interval": 30, "timeout": 30, "start_period": 5, "retries": 3}


def spec(**options: Any) -> ContainerSpec:
    signal = options.pop("stop_signal", "")
    timeout = options.pop("graceful_shutdown_timeout", 180)
    image = options.pop("image", "registry/cinder:1")
    return describe("cinder_volume", image, options, timeout, stop_signal=signal)


def made(wanted: ContainerSpec, image: Image, **changes: Any) -> dict[str, Any]:
    """What the engine shows of a container that was made of this spec, as it fills in what is left open."""
    body = copy.deepcopy(create_body(wanted, image, {}))
    host = body.pop("HostConfig")
    config = {**image.config, **body}
    given = dict(item.partition("=")[::2] for item in body["Env"])
    inherited = dict(item.partition("=")[::2] for item in image.config.get("Env") or ())
    config["Env"] = [f"{key}={value}" for key, value in {**inherited, **given}.items()]
    config["Labels"] = {**(image.config.get("Labels") or {}), **body["Labels"]}
    config["Volumes"] = {**(image.config.get("Volumes") or {}), **body["Volumes"]} or None
    host = {
        key: value or None if key in ("Binds", "Ulimits", "CapAdd") else value for key, value in host.items()
    }
    config.update(changes.pop("config", {}))
    host.update(changes.pop("host", {}))
    return {"Id": "c1", "Image": image.id, "Config": config, "HostConfig": host, **changes}


def compared(
    before: dict[str, Any], after: dict[str, Any], image_config: dict[str, Any] = IMAGE, **changes: Any
) -> dict[str, tuple[Any, Any]]:
    """The differences between a container made of ``before`` and one of ``after`` is wanted."""
    image = Image("sha256:1", image_config)
    found = Found(made(spec(**before), image, **changes), image)
    return {one.setting: (one.old, one.new) for one in differences(spec(**after), image, found)}


EQUAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "environment as text": ({"environment": {"A": 1}}, {"environment": {"A": "1"}}),
    "null and empty variable": ({"environment": {"A": None}}, {"environment": {"A": ""}}),
    "no environment": ({"environment": None}, {"environment": {}}),
    "a variable as the image has it": ({"environment": {"BASE": "1"}}, {}),
    "null and empty label": ({"labels": {"a": None}}, {"labels": {"a": ""}}),
    "a label as the image has it": ({"labels": {"vendor": "kolla"}}, {}),
    "order of volumes": ({"volumes": ["aa:/a", "bb:/b"]}, {"volumes": ["bb:/b", "", "aa:/a:rw"]}),
    "modes": ({"volumes": ["/a:/a:shared,z"]}, {"volumes": ["/a/:/a/:z,shared,rw"]}),
    "anonymous": ({"volumes": ["/data"]}, {"volumes": ["/data/"]}),
    "order of volumes_from": ({"volumes_from": ["a", "b"]}, {"volumes_from": ["b:rw", "a"]}),
    "order of tmpfs": ({"tmpfs": ["/a", "/b:size=1m,noexec"]}, {"tmpfs": ["/b:noexec,size=1m", "/a/"]}),
    "writable tmpfs": ({"tmpfs": ["/a:rw,size=1m"]}, {"tmpfs": ["/a:size=1m"]}),
    "capabilities": ({"cap_add": ["SYS_ADMIN", "net_admin"]}, {"cap_add": ["CAP_NET_ADMIN", "sys_admin"]}),
    "all capabilities": ({"cap_add": ["ALL"]}, {"cap_add": ["all"]}),
    "security": ({"security_opt": ["label:disable"]}, {"security_opt": ["label=disable"]}),
    "sizes": ({"dimensions": {"mem_limit": "1g"}}, {"dimensions": {"mem_limit": 1073741824}}),
    "defaults": (
        {},
        {
            "dimensions": {
                "mem_limit": 0,
                "cpu_quota": -1,
                "cpuset_cpus": "",
                "ulimits": {},
                "cpu_shares": None,
            }
        },
    ),
    "cpus": ({"dimensions": {"cpuset_cpus": "0-1"}}, {"dimensions": {"cpuset_cpus": "1,0"}}),
    "order of ulimits": (
        {"dimensions": {"ulimits": {"nofile": {"soft": 1, "hard": 2}, "core": {"hard": 0}}}},
        {"dimensions": {"ulimits": {"core": {"soft": 0}, "nofile": {"soft": "1", "hard": "2"}}}},
    ),
    "healthcheck": (
        {"healthcheck": CHECK},
        {"healthcheck": {**CHECK, "interval": "30", "retries": "3", "test": "curl x"}},
    ),
    "no healthcheck": ({}, {"healthcheck": {"test": "NONE"}}),
    "no healthcheck, said": ({"healthcheck": {"test": ["NONE"]}}, {"healthcheck": {"test": "NONE"}}),
    "command": ({"command": "sh -c 'a b'"}, {"command": ["sh", "-c", "a b"]}),
    "oneshot": ({"restart_policy": "no"}, {"restart_policy": "oneshot"}),
    "retries": ({"restart_policy": "on-failure"}, {"restart_policy": "on-failure", "restart_retries": 10}),
    "pid mode": ({"pid_mode": ""}, {"pid_mode": "private"}),
    "user": ({"user": ""}, {"user": None}),
    "a time-out alone": ({"graceful_shutdown_timeout": 60}, {"graceful_shutdown_timeout": 900}),
    "the signal it has": ({}, {"stop_signal": "TERM"}),
    "another name of the image": ({"image": "registry/cinder:1"}, {"image": "registry/cinder:2"}),
}


@pytest.mark.parametrize(("before", "after"), EQUAL.values(), ids=EQUAL.keys())
@pytest.mark.parametrize("config", [IMAGE, PLAIN, {}], ids=["image", "image without labels", "bare image"])
def test_equal(before: dict[str, Any], after: dict[str, Any], config: dict[str, Any]) -> None:
    needs_image = "as the image has it" in str(
        [key for key, pair in EQUAL.items() if pair == (before, after)]
    )
    if config is IMAGE or not needs_image:
        assert compared(before, after, config) == {}
        assert compared(after, after, config) == {}


def test_the_kernels_own_period_is_no_difference() -> None:
    quota = {"dimensions": {"cpu_quota": 50000}}
    assert compared(quota, quota, host={"CpuPeriod": 100000}) == {}
    assert compared(quota, quota, host={"CpuPeriod": 50000}) == {"dimensions.cpu_period": (50000, 0)}


# What the container was made of, what is wanted, the setting, and its old and new value.
OTHER: list[tuple[dict[str, Any], dict[str, Any], str, Any, Any]] = [
    ({}, {"environment": {"A": 1}}, "environment.A", None, "1"),
    ({"environment": {"A": 1}}, {}, "environment.A", "1", None),
    ({"environment": {"BASE": 2}}, {}, "environment.BASE", "2", "1"),
    ({"environment": {"A": 1}}, {"environment": {"A": 2}}, "environment.A", "1", "2"),
    ({}, {"labels": {"a": "b"}}, "labels.a", None, "b"),
    ({"labels": {"vendor": "x"}}, {}, "labels.vendor", "x", "kolla"),
    ({}, {"volumes": ["vol:/x"]}, "volumes", [], ["vol:/x"]),
    ({"volumes": ["vol:/x"]}, {"volumes": ["vol:/x:ro"]}, "volumes", ["vol:/x"], ["vol:/x:ro"]),
    ({"volumes": ["/a:/x:shared"]}, {"volumes": ["/a:/x"]}, "volumes", ["/a:/x:shared"], ["/a:/x"]),
    ({"volumes": ["/data"]}, {}, "volumes", ["/data"], []),
    ({}, {"volumes": ["/data"]}, "volumes", [], ["/data"]),
    ({"volumes_from": ["a"]}, {"volumes_from": ["a:ro"]}, "volumes_from", ["a"], ["a:ro"]),
    ({"tmpfs": ["/a:size=1m"]}, {"tmpfs": ["/a:size=2m"]}, "tmpfs", ["/a:size=1m"], ["/a:size=2m"]),
    ({"cap_add": ["SYS_ADMIN"]}, {}, "cap_add", ["CAP_SYS_ADMIN"], []),
    ({}, {"security_opt": ["label=disable"]}, "security_opt", [], ["label=disable"]),
    (
        {"dimensions": {"mem_limit": "1g"}},
        {"dimensions": {"mem_limit": "2g"}},
        "dimensions.mem_limit",
        1 << 30,
        1 << 31,
    ),
    ({"dimensions": {"cpu_quota": 5000}}, {}, "dimensions.cpu_quota", 5000, 0),
    (
        {"dimensions": {"memswap_limit": -1, "mem_limit": "1g"}},
        {"dimensions": {"mem_limit": "1g"}},
        "dimensions.memswap_limit",
        -1,
        0,
    ),
    ({}, {"dimensions": {"cpuset_cpus": "0"}}, "dimensions.cpuset_cpus", "", "0"),
    (
        {},
        {"dimensions": {"ulimits": {"core": {"hard": 1}}}},
        "dimensions.ulimits",
        {},
        {"core": {"soft": 1, "hard": 1}},
    ),
    ({}, {"healthcheck": {"test": "x"}}, "healthcheck", "NONE", {"test": ["CMD-SHELL", "x"]}),
    ({"healthcheck": {"test": "x"}}, {}, "healthcheck", {"test": ["CMD-SHELL", "x"]}, "NONE"),
    (
        {"healthcheck": {"test": "x"}},
        {"healthcheck": {"test": "NONE"}},
        "healthcheck",
        {"test": ["CMD-SHELL", "x"]},
        "NONE",
    ),
    ({"command": "a b"}, {"command": "b a"}, "command", "a b", "b a"),
    ({"command": "a"}, {}, "command", "a", "kolla_start"),
    ({}, {"command": "a"}, "command", "kolla_start", "a"),
    ({"user": "root"}, {}, "user", "root", "cinder"),
    ({}, {"user": "root"}, "user", "cinder", "root"),
    ({}, {"tty": True}, "tty", False, True),
    ({"privileged": True}, {}, "privileged", True, False),
    ({"ipc_mode": "host"}, {}, "ipc_mode", "host", ""),
    ({}, {"ipc_mode": "host"}, "ipc_mode", "", "host"),
    ({"pid_mode": "host"}, {}, "pid_mode", "host", ""),
    ({"cgroupns_mode": "host"}, {"cgroupns_mode": "private"}, "cgroupns_mode", "host", "private"),
    ({"cgroupns_mode": "private"}, {}, "cgroupns_mode", "private", ""),
    ({}, {"restart_policy": "always"}, "restart_policy", "no", "always"),
    (
        {"restart_policy": "on-failure"},
        {"restart_policy": "on-failure", "restart_retries": 3},
        "restart_policy",
        "on-failure:10",
        "on-failure:3",
    ),
    ({}, {"stop_signal": "SIGQUIT"}, "stop_signal", "SIGTERM", "SIGQUIT"),
]


@pytest.mark.parametrize(
    ("before", "after", "setting", "old", "new"), OTHER, ids=lambda value: str(value)[:40]
)
def test_different(before: dict[str, Any], after: dict[str, Any], setting: str, old: Any, new: Any) -> None:
    assert compared(before, after) == {setting: (old, new)}


# --- what the engine makes of it


def test_swap_that_the_engine_made_up() -> None:
    limit = {"dimensions": {"mem_limit": "1g"}}
    assert compared(limit, limit, host={"MemorySwap": 2 << 30}) == {}
    assert compared(limit, limit, host={"MemorySwap": -1}) == {}
    swap = {"dimensions": {"mem_limit": "1g", "memswap_limit": "2g"}}
    assert compared(swap, swap) == {}
    assert compared(swap, limit) == {"dimensions.memswap_limit": (2 << 30, 0)}


def test_what_the_engine_dropped_is_no_difference() -> None:
    weight = {"dimensions": {"blkio_weight": 300, "kernel_memory": "64m"}}
    dropped = {"BlkioWeight": 0, "KernelMemory": None}
    assert compared(weight, weight, host=dropped) == {}
    assert compared(weight, {"dimensions": {"blkio_weight": 400}}, host=dropped) == {
        "dimensions.blkio_weight": (0, 400)
    }


@pytest.mark.parametrize("options", [{"privileged": True}, {"ipc_mode": "host"}, {"pid_mode": "host"}])
def test_label_disable_of_the_engine(options: dict[str, Any]) -> None:
    """It adds that by itself to what shares the host's namespaces."""
    assert compared(options, options, host={"SecurityOpt": ["label=disable"]}) == {}


@pytest.mark.parametrize("mode", ["private", "shareable"])
def test_ipc_mode_is_the_engines_unless_said(mode: str) -> None:
    assert compared({}, {}, host={"IpcMode": mode}) == {}


def test_an_ipc_mode_that_the_engine_does_not_tell() -> None:
    """Podman before 4.4 tells host alone from the others."""
    for mode in ("private", "shareable"):
        assert compared({}, {"ipc_mode": mode}, host={"IpcMode": ""}) == {}
    assert compared({}, {"ipc_mode": "host"}, host={"IpcMode": ""}) == {"ipc_mode": ("", "host")}


def test_capabilities_that_a_privileged_container_has_anyway() -> None:
    both = {"privileged": True, "cap_add": ["SYS_ADMIN"]}
    assert compared(both, both, host={"CapAdd": []}) == {}
    assert compared({"privileged": True}, {"cap_add": ["SYS_ADMIN"]}) == {
        "privileged": (True, False),
        "cap_add": ([], ["CAP_SYS_ADMIN"]),
    }


def test_a_container_whose_namespace_is_shared_by_name() -> None:
    options = {"ipc_mode": "container:db", "pid_mode": "container:db"}
    image = Image("sha256:1", IMAGE)
    inspected = made(spec(**options), image, host={"IpcMode": "container:99", "PidMode": "container:99"})
    assert differences(spec(**options), image, Found(inspected, image, {"99": "db"})) == ()
    assert len(differences(spec(**options), image, Found(inspected, image, {"99": "other"}))) == 2


def test_limits_of_the_engines_own_configuration() -> None:
    limits = [{"Name": "nofile", "Soft": 1024, "Hard": 4096}]
    assert compared({}, {}, host={"Ulimits": limits}) == {}
    wanted = {"dimensions": {"ulimits": {"nofile": {"soft": 1024, "hard": 4096}}}}
    assert compared({}, wanted, host={"Ulimits": limits}) == {}
    assert list(compared(wanted, {})) == ["dimensions.ulimits"], (
        "it was asked for, and is not wanted any more"
    )
    other = {"dimensions": {"ulimits": {"core": {"hard": 0}}}}
    assert list(compared(other, other, host={"Ulimits": limits})) == ["dimensions.ulimits"]


def test_the_hosts_time_zone() -> None:
    image = Image("sha256:1", IMAGE)
    zoned = made(spec(environment={"TZ": "Europe/Berlin"}), image)
    found = Found(zoned, image, given={"environment": frozenset({"TZ"})})
    assert differences(spec(), image, found) == ()
    assert [one.setting for one in differences(spec(), image, Found(zoned, image))] == ["environment.TZ"]
    (other,) = differences(spec(environment={"TZ": "UTC"}), image, found)
    assert (other.setting, other.old, other.new) == ("environment.TZ", "Europe/Berlin", "UTC")


@pytest.mark.parametrize(
    ("environment", "image", "expected"),
    [
        ({}, IMAGE, "Europe/Berlin"),
        ({"TZ": "UTC"}, IMAGE, "UTC"),
        ({}, {**IMAGE, "Env": ["TZ=Asia/Tokyo"]}, None),
    ],
    ids=["the host's", "asked for", "of the image"],
)
def test_a_new_one_has_the_hosts_time_zone(
    environment: dict[str, str], image: dict[str, Any], expected: str | None
) -> None:
    body = create_body(spec(environment=environment), Image("sha256:1", image), {}, "Europe/Berlin")
    assert dict(item.partition("=")[::2] for item in body["Env"]).get("TZ") == expected


def test_the_services_name_is_ours_to_give() -> None:
    assert compared({}, {}, config={"Env": ["PATH=/bin", "BASE=1"]}) == {}
    other = {"Env": ["PATH=/bin", "BASE=1", "KOLLA_SERVICE_NAME=other"]}
    assert list(compared({}, {}, config=other)) == ["environment.KOLLA_SERVICE_NAME"]


def test_mounts_of_another_maker() -> None:
    mounts = [
        {"Type": "bind", "Source": "/a", "Target": "/x", "ReadOnly": True},
        {"Type": "volume", "Source": "vol", "Target": "/y"},
        {"Type": "bind", "Source": "/c", "Target": "/z", "BindOptions": {"Propagation": "rshared"}},
    ]
    wanted = {"volumes": ["/a:/x:ro", "vol:/y", "/c:/z:rshared"]}
    assert compared({}, wanted, host={"Mounts": mounts}) == {}


def test_kolla_lists_targets_among_the_volumes() -> None:
    wanted = {"volumes": ["vol:/y"]}
    assert compared(wanted, wanted, config={"Volumes": {"/y": {}, "/cache": {}}}) == {}


# --- images


def test_another_image_of_the_name() -> None:
    old, new = Image("sha256:" + "1" * 64, IMAGE), Image("sha256:" + "2" * 64, PLAIN)
    (only,) = differences(spec(), new, Found(made(spec(), old), old))
    assert (only.setting, only.old, only.new) == (
        "image",
        "registry/cinder:1 (111111111111)",
        "registry/cinder:1 (222222222222)",
    )


def test_an_image_that_is_not_on_the_host() -> None:
    old = Image("sha256:1", IMAGE)
    (only,) = differences(spec(image="registry/cinder:2"), None, Found(made(spec(), old), old))
    assert (only.setting, only.old) == ("image", "registry/cinder:1")
    assert only.new == "registry/cinder:2 (not on this host)"


def test_inherited_from_an_old_image_that_is_gone() -> None:
    """What it may have from there is not held against it; the image itself is."""
    old, new = Image("sha256:1", IMAGE), Image("sha256:2", {"Env": ["PATH=/usr/bin"]})
    found = Found(made(spec(), old), None)
    assert [one.setting for one in differences(spec(), new, found)] == ["image"]
    wanted = spec(environment={"A": "1"})
    assert [one.setting for one in differences(wanted, new, found)] == ["image", "environment.A"]


def test_a_check_of_the_image() -> None:
    checks = {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 5 * 10**9}}
    assert compared({}, {}, {**IMAGE, **checks}) == {}
    assert list(compared({}, {"healthcheck": {"test": "NONE"}}, {**IMAGE, **checks})) == ["healthcheck"]
    own = {"healthcheck": {"test": "y"}}  # the engine fills in the image's interval
    filled = {"Healthcheck": {"Test": ["CMD-SHELL", "y"], "Interval": 5 * 10**9}}
    assert compared(own, own, {**IMAGE, **checks}, config=filled) == {}


# --- what is never shown, never a difference


def test_our_own_labels() -> None:
    image = Image("sha256:1", IMAGE)
    inspected = made(spec(), image)
    inspected["Config"]["Labels"]["kolla-drain.replaces"] = "c0 always 0"
    assert differences(spec(), image, Found(inspected, image)) == ()


def test_secrets_are_masked() -> None:
    before = {
        "environment": {"DB_PASSWORD": "s3cr3t1", "URL": "amqp://u:s3cr3t1@h/", "MYSQL_PWD": "s3cr3t1"},
        "labels": {"token": "s3cr3t1"},
        "command": "x --password s3cr3t1",
        "healthcheck": {"test": "curl http://u:s3cr3t1@h"},
    }
    after = json.loads(json.dumps(before).replace("s3cr3t1", "s3cr3t2"))
    found = compared(before, after)
    assert sorted(found) == [
        "command",
        "environment.DB_PASSWORD",
        "environment.MYSQL_PWD",
        "environment.URL",
        "healthcheck",
        "labels.token",
    ]
    assert "s3cr3t" not in str(found)
    assert found["environment.DB_PASSWORD"][0] != found["environment.DB_PASSWORD"][1]
    assert "s3cr3t" not in as_text(settings(spec(**after)))


@pytest.mark.parametrize(
    "words",
    [
        ["x", "--password", "s3cr3t"],
        ["x", "--password=s3cr3t"],
        ["x", "--password", "s3cr3t with s3cr3t"],
        ["env", "DB_PASSWORD=s3cr3t with s3cr3t", "x"],
        ["sh", "-c", "DB_PASSWORD='s3cr3t s3cr3t' x"],
        ["curl", "-u", "user:s3cr3t", "http://h"],
        ["sh", "-c", "curl -sf -u user:s3cr3t http://h || exit 1"],
        ["curl", "--user=user:s3cr3t", "http://h"],
        ["curl", "-H", "X-Auth-Token: s3cr3t", "http://h"],
        ["curl", "-H", "Authorization: Bearer s3cr3t", "http://h"],
        ["mysqladmin", "-uroot", "-ps3cr3t", "ping"],
        ["redis-cli", "-a", "s3cr3t", "ping"],
        ["x", "--json", '{"password": "s3cr3t", "y": 1}'],
        ["x", "amqp://u:s3cr3t@h"],
    ],
    ids=" ".join,
)
def test_secrets_in_words(words: list[str]) -> None:
    shown = settings(spec(command=words, healthcheck={"test": ["CMD", *words]}))
    assert "s3cr3t" not in as_text(shown)
    assert words[0] in as_text(shown)


@pytest.mark.parametrize(
    "value", ["x --password s3cr3t", "env 'DB_PASSWORD=s3cr3t s3cr3t' x", '{"db": {"password": "s3cr3t"}}']
)
def test_secrets_in_a_variable(value: str) -> None:
    shown = settings(spec(environment={"RUN": value}))["environment"]["RUN"]
    assert "s3cr3t" not in shown
    assert value[:3] == shown[:3]


@pytest.mark.parametrize(
    "word", ["-p8080", "-u cinder:cinder", "--user nova", "/etc/keys/x:ro", "/opt/keys:/usr/bin", "monkey=1"]
)
def test_what_is_no_secret_is_shown(word: str) -> None:
    assert settings(spec(command=f"x {word}"))["command"] == f"x {word}"
    assert settings(spec(environment={"PWD": word}))["environment"]["PWD"] == word


def test_a_time_out_is_noted() -> None:
    image = Image("sha256:1", IMAGE)
    found = Found(made(spec(graceful_shutdown_timeout=60), image), image)
    (note,) = notes(spec(graceful_shutdown_timeout=900), found)
    assert (note.code, "60 s" in note.text, "900 s" in note.text) == ("stop_timeout_differs", True, True)
    assert notes(spec(graceful_shutdown_timeout=60), found) == ()


# --- what a new container is asked for


def test_a_plain_stop_is_graceful_too() -> None:
    wanted = spec(graceful_shutdown_timeout=900)
    for given, image, signal in (
        (wanted, {}, "SIGTERM"),
        (wanted, {"StopSignal": "SIGQUIT"}, "SIGQUIT"),
        (spec(stop_signal="USR2"), {"StopSignal": "SIGQUIT"}, "SIGUSR2"),
    ):
        assert create_body(given, Image("sha256:1", image), {})["StopSignal"] == signal
    assert create_body(wanted, Image("sha256:1", {}), {})["StopTimeout"] == 900


def test_labels_of_the_caller() -> None:
    labels = create_body(spec(labels={"a": 1}), Image("sha256:1"), {"kolla-drain.replaces": "x"})["Labels"]
    assert (labels["a"], labels["kolla-drain.replaces"]) == ("1", "x")

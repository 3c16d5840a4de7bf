"""Decisions and messages of the plays: the filters of the role kolla_drain."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.support.documented import load_file

pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "roles" / "kolla_drain" / "filter_plugins" / "kolla_drain.py"

_LINE = "{:<16} {:<36} {:<16} {:<10} {:<5} {:<20} {:<12} {:<15} {:<36}"
_ROWS = (
    "Binary Host Zone Status State Updated_At RPC_Version Object_Version Cluster",
    "cinder-backup one nova enabled :-) 2026-11-21_17:50:19 2.4 1.39 _",
    "cinder-volume one@ceph nova enabled :-) 2026-11-21_17:50:24 3.20 1.39 pool@ceph",
    "cinder-volume two@ceph nova enabled :-) 2026-11-21_17:50:24 3.9 1.39 _",
    "cinder-volume gone@ceph nova disabled XXX 2026-11-01_17:50:23 3.17 1.38 _",
    "cinder-scheduler two nova enabled XXX 2026-11-21_17:40:23 3.12 1.39 _",
    "cinder-scheduler never a_zone enabled XXX None None None _",
)
# In the columns of ``cinder-manage service list``; a _ stands for a space.
LISTED = "".join(_LINE.format(*row.split(" ")).replace("_", " ") + "\n" for row in _ROWS)
NOW = datetime(2026, 11, 21, 17, 51, tzinfo=timezone.utc)

CHECKED = """\
+--------------------------------------------------------------------+
| Upgrade Check Results                                              |
+--------------------------------------------------------------------+
| Check: Backup Driver Path                                          |
| Result: Success                                                    |
| Details: None                                                      |
+--------------------------------------------------------------------+
| Check: Service UUIDs                                               |
| Result: Failure                                                    |
| Details: Services and volumes must have a service UUID. Please fix |
|   this issue by running Queens online data migrations.             |
+--------------------------------------------------------------------+
| Check: Use of Policy File                                          |
| Result: Warning                                                    |
| Details: Better not.                                               |
+--------------------------------------------------------------------+
"""


@pytest.fixture(scope="module")
def filters() -> ModuleType:
    return load_file(PLUGIN)


def test_every_row_of_the_list_is_read(filters: ModuleType) -> None:
    found = filters.rows("Deprecated: something\n" + LISTED)
    assert [(row["binary"], row["host"], row["up"]) for row in found] == [
        ("cinder-backup", "one", True),
        ("cinder-volume", "one@ceph", True),
        ("cinder-volume", "two@ceph", True),
        ("cinder-volume", "gone@ceph", False),
        ("cinder-scheduler", "two", False),
        ("cinder-scheduler", "never", False),
    ]
    assert [row["cluster"] for row in found][:3] == ["", "pool@ceph", ""]


def test_orphans_are_those_that_are_silent_for_long(filters: ModuleType) -> None:
    found = filters.orphans(filters.rows(LISTED), 1, ["one.example.org", "two"], NOW)
    assert [row["text"] for row in found] == [
        "cinder-volume on gone@ceph was last heard of at 2026-11-01 17:50:23 UTC, and its host is not in the inventory",
        "cinder-scheduler on never has never reported, and its host is not in the inventory",
    ]


def test_versions_count_of_services_that_are_up_and_are_no_decimals(filters: ModuleType) -> None:
    found = filters.rows(LISTED)
    assert filters.versions(found) == {
        "cinder-backup": ["2.4/1.39"],
        "cinder-volume": ["3.9/1.39", "3.20/1.39"],
    }
    assert filters.mixed(found) == ["cinder-volume: 3.9/1.39 on two@ceph, 3.20/1.39 elsewhere"]
    assert filters.versions_line(found) == "cinder-backup 2.4/1.39, cinder-volume 3.9/1.39 and 3.20/1.39"


def test_failed_checks_carry_their_details(filters: ModuleType) -> None:
    assert filters.failed_checks(CHECKED) == [
        {
            "name": "Service UUIDs",
            "details": "Services and volumes must have a service UUID. Please fix this issue by running Queens online "
            "data migrations.",
        }
    ]
    assert filters.failed_checks("Traceback ...") == []


SERVICES = {
    "cinder-volume": {"container_name": "cinder_volume", "disable": True},
    "cinder-api": {"container_name": "cinder_api"},
}


def answer(**more: Any) -> dict[str, Any]:
    """What drain_status says of cinder-volume, in short."""
    rows = [{"service": "cinder-volume", "host": f"one@{backend}"} for backend in ("a", "b")]
    return {
        "item": "cinder-volume",
        "status": "running",
        "evidence": "ok",
        "operations": [],
        "heartbeat": {"rows": rows},
        **more,
    }


DIFFERENCES = [
    {"setting": "image", "old": "a:1", "new": "a:2"},
    {"setting": "volumes", "old": [], "new": ["x"]},
]
CREATE = {"kind": "volume_create", "id": "7d0c", "status": "creating", "since": "2026-11-21T10:00:00Z"}


@pytest.mark.parametrize(
    ("intent", "now", "compared", "times", "expected"),
    [
        ("upgrade", answer(), {}, {}, ["equal, stays untouched", "  in flight: nothing"]),
        (
            "upgrade",
            answer(passed_over=[{**CREATE, "why": "ignored"}]),
            {},
            {},
            [
                "equal, stays untouched",
                "  in flight: nothing",
                "  passed over: volume_create 7d0c (creating): ignored",
            ],
        ),
        ("upgrade", answer(), {"changed": True, "differences": []}, {},
         ["equal but for its systemd unit, which is written anew; it runs on", "  in flight: nothing"]),
        ("upgrade", answer(), {"differences": DIFFERENCES}, {},
         ["to be replaced, because it differs in image (a:1 -> a:2), volumes", "  in flight: nothing"]),
        ("upgrade", answer(operations=[CREATE]), {}, {"newer": True},
         ["to be restarted, its configuration is newer than its process",
          "  in flight: volume_create 7d0c (creating, since 2026-11-21T10:00:00Z)"]),
        ("upgrade", answer(operations=[{**CREATE, "unattributed": "any member may"}]), {}, {},
         ["equal, stays untouched",
          "  in flight: volume_create 7d0c (creating, since 2026-11-21T10:00:00Z): any member may"]),
        ("upgrade", answer(status="exited"), {}, {}, ["to be started, it is exited", "  in flight: nothing"]),
        ("upgrade", {"item": "cinder-volume", "verdict": "absent"}, {}, {}, ["to be made, it is not there"]),
        ("stop", answer(evidence="unavailable", evidence_why="no database"), {}, {},
         ["to be stopped", "  in flight: cannot be seen: no database"]),
        ("reload", answer(status="exited"), {}, {}, ["is exited", "  in flight: nothing"]),
        ("upgrade", answer(preflight=[{"code": "pid1", "text": "PID 1 is deaf."}]), {}, {"findings": ["Short."]},
         ["equal, stays untouched", "  in flight: nothing", "  preflight: PID 1 is deaf.", "  time-outs: Short."]),
        ("upgrade", answer(preflight=[{"code": "service_timeout_not_below", "text": "Long."}]), {},
         {"findings": ["Long, too."]}, ["equal, stays untouched", "  in flight: nothing", "  preflight: Long."]),
    ],
)  # fmt: skip
def test_the_plan(
    filters: ModuleType, intent: str, now: dict, compared: dict, times: dict, expected: list[str]
) -> None:
    item = {"item": "cinder-volume"}
    lines = filters.plan(
        ["cinder-volume"], SERVICES, intent, [now], [{**item, **compared}], [{**item, **times}]
    )
    assert lines == [f"cinder-volume (cinder_volume): {expected[0]}", *expected[1:]]


def test_a_host_without_services_is_said(filters: ModuleType) -> None:
    assert filters.plan([], SERVICES, "upgrade", [], [], []) == ["nothing of it runs here"]


def test_targets_are_the_hosts_of_the_heartbeats(filters: ModuleType) -> None:
    api = {"item": "cinder-api", "heartbeat": {}}
    assert filters.targets(["cinder-volume", "cinder-api"], SERVICES, [answer(), api]) == [
        {"service": "cinder-volume", "host": "one", "name": "cinder-volume"}
    ]
    assert filters.targets(["cinder-api"], SERVICES, [answer(), api]) == []


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"msg": "It broke."}, "It broke."),
        ({"msg": "Some failed", "results": [{"msg": "fine"}, {"failed": True, "msg": "It broke."}]}, "It broke."),
        ({}, "it failed, see above"),
    ],
)  # fmt: skip
def test_why_are_the_words_of_what_failed(filters: ModuleType, result: dict, expected: str) -> None:
    assert filters.why(result) == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"changed": True, "created": True}, "made"),
        ({"changed": True, "reloaded": True, "signal": "SIGHUP"}, "reloaded by SIGHUP"),
        ({"changed": True, "restarted": True, "verdict": "drained", "reason": "exit code 0"},
         "restarted, drained (exit code 0)"),
        ({"changed": True, "differences": DIFFERENCES, "verdict": "drained", "reason": "exit code 0", "gap": 0.2,
          "operations": [{"outcome": "finished"}]},
         "replaced, drained (exit code 0), gap 0.2 s"),
        ({"changed": False}, "nothing to do"),
        ({"changed": False, "verdict": "already_stopped", "reason": "it is exited"}, "already_stopped (it is exited)"),
    ],
)  # fmt: skip
def test_what_became_of_it(filters: ModuleType, result: dict, expected: str) -> None:
    assert filters.became(result) == expected


def test_what_is_left_disabled_and_how_to_undo_it(filters: ModuleType) -> None:
    target = {"service": "cinder-volume", "host": "one", "name": "cinder-volume"}
    ours = {
        "item": target,
        "services": [{"disabled_by_us": True}],
        "undo": ["openstack volume service set --enable one"],
    }
    other = {"item": target, "services": [{"disabled_by_us": False}], "undo": []}
    assert filters.left([ours, other]) == [target]
    assert filters.undo({"results": [ours, other]}) == "openstack volume service set --enable one"


def test_a_record_by_the_old_name_of_its_key_is_disabled(filters: ModuleType) -> None:
    services = {"cinder-volume": {"container_name": "cinder_volume", "fence": True}}
    assert filters.targets(["cinder-volume"], services, [answer()])


def test_evidence_is_read_as_the_record_says(filters: ModuleType) -> None:
    files = ["/etc/kolla/a/a.conf"]
    record = {"profile": "none", "service_config": files, "database": {}, "image": "i"}
    assert filters.evidence_options(record) == {"service": "none", "service_config": files}
    assert filters.evidence_options({"service": "nova-compute"}) == {"service": "nova-compute"}


def test_what_a_container_is_goes_to_the_module_without_what_is_empty(filters: ModuleType) -> None:
    record = {
        "image": "a:1", "command": "", "healthcheck": {}, "user": None, "privileged": "yes", "ipc_mode": "host",
        "volumes": None, "group": "cinder-volume",
    }  # fmt: skip
    assert filters.definition(record) == {
        "image": "a:1", "privileged": True, "ipc_mode": "host", "environment": {}, "volumes": [], "tmpfs": [],
        "labels": {}, "cap_add": [], "security_opt": [], "dimensions": {},
    }  # fmt: skip


def test_how_an_api_is_reached_goes_to_the_module_as_far_as_it_is_known(filters: ModuleType) -> None:
    api = {
        "cloud": "kolla", "validate_certs": False, "second_way": "database", "mistyped": 1,
        "endpoint_overrides": {"volume": "no", "cinder": "http://192.0.2.1:8776/v3"},
    }  # fmt: skip
    reached = {"cloud": "kolla", "validate_certs": False, "fallback": "database"}
    assert filters.api_options(api, "cinder-volume") == {
        **reached,
        "endpoint_override": "http://192.0.2.1:8776/v3",
    }
    del reached["fallback"]
    assert filters.api_options(api, "nova-compute") == reached, "the module would refuse the others"
    both = {"fallback": "none", "second_way": "database"}
    assert filters.api_options(both, "cinder-volume") == {"fallback": "none"}


def test_variables_of_a_container_s_name_give_its_times(filters: ModuleType) -> None:
    values = {
        "manila_share_graceful_shutdown_timeout": 900,
        "manila_share_ready_timeout": 5,
        "a_b_graceful_shutdown_timeout": 1,
        "graceful_shutdown_timeout": 180,
        "kolla_drain_ready_timeout": 120,
        "kolla_drain_mariadb_ready_timeout": 900,
    }
    assert filters.times(values) == {
        "manila_share": {"graceful_shutdown_timeout": 900, "ready_timeout": 5},
        "a_b": {"graceful_shutdown_timeout": 1},
    }


def beat(backend: str, up: bool) -> dict[str, Any]:
    return {"service": "cinder-volume", "host": f"one@{backend}", "up": up}


@pytest.mark.parametrize(
    ("before", "now", "silent"),
    [
        pytest.param("ab", "ab", [], id="as before"),
        pytest.param("ab", "a", ["cinder-volume on one@b"], id="one is missing"),
        pytest.param("a", "a", [], id="the other was down before"),
        pytest.param("a", "b", ["cinder-volume on one@a"], id="the one that reported is missing"),
        pytest.param("", "a", [], id="none reported before, and one does now"),
        pytest.param("", "", ["cinder-volume on one@a", "cinder-volume on one@b"], id="none, and none"),
    ],
)
def test_those_have_to_report_that_did_before(
    filters: ModuleType, before: str, now: str, silent: list[str]
) -> None:
    def reading(up: str) -> dict[str, Any]:
        return answer(heartbeat={"rows": [beat(backend, backend in up) for backend in "ab"]})

    assert filters.silent(reading(now), filters.reporting([reading(before)])) == silent
    assert filters.mute(reading("a")) == ["cinder-volume on one@b"]


CONF = """\
host = one
[database]
#connection = mysql://commented@out/x
[api_database]
connection = mysql+pymysql://nova_api:a%40b@192.0.2.1:3307/nova_api?charset=utf8
connection_trace: true
[late]
connection = first
connection = "mysql://second/x"
flag
[more]
connection = mysql://u:a?b@h/x
connection_parameters = ssl_ca=/ca.pem
[more still]
connection = mysql://h/x?charset=utf8
connection_parameters = ssl_ca=/ca.pem
"""


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("database", ""),
        ("api_database", "mysql+pymysql://nova_api:a%40b@192.0.2.1:3307/nova_api?charset=utf8"),
        ("late", "mysql://second/x"),
        ("more", "mysql://u:a?b@h/x?ssl_ca=/ca.pem"),
        ("more still", "mysql://h/x?charset=utf8&ssl_ca=/ca.pem"),
        ("none", ""),
    ],
)
def test_a_connection_is_that_of_its_own_section(filters: ModuleType, section: str, expected: str) -> None:
    assert filters.connection(CONF, section) == expected


def test_a_file_that_is_none_has_no_connection(filters: ModuleType) -> None:
    assert filters.connection("[database\nconnection = x") == ""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "mysql+pymysql://a%3Ab:p%40%22%5C@h/n?charset=utf8",
            {"host": "h", "port": 3306, "user": "a:b", "password": 'p@"\\', "database": "n"},
        ),
        (
            "mysql://u@[2001:db8::1]:3307/n",
            {"host": "2001:db8::1", "port": 3307, "user": "u", "password": "", "database": "n"},
        ),
        (
            "mysql://u:a/b?c#d:e+f@h/n",
            {"host": "h", "port": 3306, "user": "u", "password": "a/b?c#d:e+f", "database": "n"},
        ),
        ("mysql://h/n", {"host": "h", "port": 3306, "user": "", "password": "", "database": "n"}),
        ("", {"error": "the option connection is not there."}),
        (
            "geheim",
            {"error": "the option connection is no URL such as mysql+pymysql://user:password@host/name."},
        ),
        (
            "mysql://u:geheim@h:port/n",
            {"error": "the option connection is no URL such as mysql+pymysql://user:password@host/name."},
        ),
    ],
)
def test_a_url_is_taken_apart(filters: ModuleType, url: str, expected: dict[str, Any]) -> None:
    assert filters.account(url) == expected


def test_an_option_file_keeps_a_password_as_it_is(filters: ModuleType) -> None:
    account = {"host": "h", "port": 3306, "user": "u", "password": 'a"b\\c#d', "database": "n"}
    assert filters.option_file(account) == (
        '[client]\nport=3306\nhost="h"\nuser="u"\npassword="a\\"b\\\\c#d"\n'
    )


SSL, VERIFY = "loose-ssl", "loose-ssl-verify-server-cert"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("ssl_ca=/c%23a", ['ssl_ca="/c#a"', SSL, VERIFY]),
        ("ssl_ca=/a&ssl_cert=/b&ssl_key=/c", ['ssl_ca="/a"', 'ssl_cert="/b"', 'ssl_key="/c"', SSL, VERIFY]),
        ("ssl_ca=/a&ssl_check_hostname=false", ['ssl_ca="/a"', SSL]),
        ("ssl_verify_cert=true&ssl_verify_identity=false", [SSL]),
        ("ssl_mode=VERIFY_IDENTITY", [SSL, VERIFY]),
        ("ssl_mode=required", [SSL]),
        ("ssl=true", [SSL]),
        ("charset=utf8&ssl=false", []),
        ("ssl_mode=PREFERRED", []),
    ],
)
def test_an_option_file_keeps_what_the_url_asks_of_tls(
    filters: ModuleType, options: str, lines: list[str]
) -> None:
    found = filters.option_file(filters.account(f"mysql://u:p@h/n?{options}")).splitlines()
    assert found == ["[client]", "port=3306", 'host="h"', 'user="u"', 'password="p"', *lines]


def test_old_names_are_warned_of(filters: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(filters.Display, "warning", lambda _, text: warnings.append(text))

    assert filters.deprecated(["fence", "exit"], {"fence": "kolla_drain_disable", "exit": ""}) == ["fence"]
    assert warnings == [
        "Deprecated: fence is set, and the variable is named kolla_drain_disable now; rename it.",
        "Deprecated: exit is set, and the variable has no effect any more; remove it.",
    ]


def test_a_variable_by_a_new_name_has_its_default() -> None:
    renamed = yaml.safe_load((ROOT / "roles/kolla_drain/vars/main.yml").read_text())["kolla_drain_renamed"]
    parameters = yaml.safe_load((ROOT / "ansible/group_vars/all.yml").read_text())
    assert {new for new in renamed.values() if new} <= set(parameters)
    assert not set(renamed) & set(parameters)


def test_a_balancer_that_is_away_is_told_from_one_that_refuses(filters: ModuleType) -> None:
    results = [
        {"item": "a", "servers": []},
        {"item": "b", "msg": "no route", "unreachable": True},
        {"item": "c", "msg": "no socket", "answered": False, "failed": False},
        {"item": "d", "msg": "refused", "answered": True, "failed": False},
        {"item": "e", "msg": "no Python"},
        {"item": "f", "skipped": True},
    ]

    assert filters.unasked(results) == [
        "HAProxy on b was not asked: no route", "HAProxy on c was not asked: no socket",
    ]  # fmt: skip
    assert filters.refusing(results) == ["HAProxy on d: refused", "HAProxy on e: no Python"]

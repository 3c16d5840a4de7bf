"""Services that keep Cinder's rows in a real MariaDB: what the verdict rests on."""

from __future__ import annotations

import dataclasses
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pymysql
import pytest

from kolla_drain.drain.policy import KILL_BOUND
from testbed.mariadb import MariaDB
from testbed.waiting import wait_until
from tests.support.checks import LEDGER, operations_of, signalled_once, untouched
from tests.support.cinder_services import DOWN_TIME, LONGER, PASSWORD, Service, Services
from tests.support.module_run import ModuleRun
from tests.support.workloads import Workload
from tests.support.workloads import workloads as workloads_on


def position(workload: Workload, start: str) -> int:
    """Which of its lines is the first to begin so."""
    return next(i for i, line in enumerate(workload.lines) if line.startswith(start))


pytestmark = pytest.mark.timeout(900)  # the first test waits for all of them

# --- the ways in which a stop ends: all of them at once, since each is mostly waiting


@dataclasses.dataclass
class Case:
    """A service, how it is stopped, and what that comes to."""

    operations: tuple[str, ...]
    verdict: str
    outcomes: dict[str, list[str]]
    exit_code: int = 0
    behaviour: tuple[str, ...] = ()
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    binary: str = "cinder-volume"
    url: Callable[[str], str] = str  # makes its database URL of the right one
    sent: tuple[str, ...] = ("SIGTERM",)
    unread: bool = False  # nobody gets in to read its rows


# On a busy machine twenty runs side by side take a minute to begin, and the budget is not what these are about.
AMPLE = {"graceful_shutdown_timeout": 150}
# That is to be used up; it is long enough on a busy machine for a reading before the signal, and for the signal.
SHORT = 20


def finished(kind: str, binary: str) -> Case:
    return Case((f"{kind}:{LONGER}",), "drained", {"finished": [kind]}, binary=binary)


AT_ONCE = {"quiesce": "never"}
CASES = {
    **{
        kind: finished(kind, "cinder-volume")
        for kind in ("volume_create", "volume_delete", "volume_extend", "snapshot_create", "snapshot_delete")
    },
    **{
        kind: finished(kind, "cinder-backup") for kind in ("backup_create", "backup_restore", "backup_delete")
    },
    "idle": Case((), "drained", {}),
    "two operations": Case(
        (f"volume_create:{LONGER - 2}", f"snapshot_create:{LONGER + 2}"),
        "drained",
        {"finished": ["snapshot_create", "volume_create"]},
    ),
    "work goes on in the drain": Case(
        (f"volume_create:{LONGER}",),
        "drained",
        {"finished": ["volume_create"]},
        behaviour=("--heartbeat-stops",),
        options=AT_ONCE,
    ),
    "deadline": Case(
        ("volume_create:600",),
        "killed",
        {"interrupted": ["volume_create"]},
        exit_code=137,
        options={"graceful_shutdown_timeout": SHORT},
        sent=("SIGTERM", "SIGKILL"),
    ),
    "exit code 0, work lost": Case(
        ("volume_create:600",),
        "cut",
        {"interrupted": ["volume_create"]},
        behaviour=("--drop-work",),
        options=AT_ONCE,
    ),
    "exit code 142, work done": Case(
        (f"volume_create:{LONGER}",),
        "drained",
        {"finished": ["volume_create"]},
        exit_code=142,
        behaviour=("--exit-code", "142"),
        options=AT_ONCE,
    ),
    "gives up by itself": Case(
        ("volume_create:600",),
        "cut",
        {"interrupted": ["volume_create"]},
        exit_code=142,
        behaviour=("--give-up", "3"),
        options=AT_ONCE,
    ),
    "error by itself": Case((f"volume_create:{LONGER}:error",), "drained", {"finished": ["volume_create"]}),
    "dead": Case(
        ("volume_create:600",),
        "cut",
        {"interrupted": ["volume_create"]},
        # On a busy machine it may be some 12 s until it was seen to move twice.
        behaviour=("--worker-heartbeat", "0.3", "--stall", "20"),
    ),
    "refreshed": Case(
        (f"volume_create:{LONGER}",),
        "drained",
        {"finished": ["volume_create"]},
        behaviour=("--worker-heartbeat", "0.5"),
    ),
    "wrong password": Case(
        ("volume_create:4",),
        "unverified",
        {},
        url=lambda url: url.replace(PASSWORD, "not-" + PASSWORD),
        unread=True,
    ),
    "server down": Case(
        (),
        "unverified",
        {},
        options={"graceful_shutdown_timeout": SHORT},
        url=lambda _: f"mysql+pymysql://drain:{PASSWORD}@127.0.0.1:1/cinder",
        unread=True,
    ),
}


@dataclasses.dataclass
class Ended:
    service: Service
    result: dict[str, Any]


@pytest.fixture(scope="module")
def ended(
    engine: docker.DockerClient,
    base_image: str,
    cinder_database: MariaDB,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Ended]]:
    """Every case, run side by side."""
    with workloads_on(engine, base_image) as workloads:
        services = Services(
            workloads, cinder_database, f"cases-{time.time_ns()}", tmp_path_factory.mktemp("cases")
        )
        under_way: dict[str, tuple[Service, ModuleRun]] = {}
        waiting: set[str] = set()
        try:
            for name, case in CASES.items():
                service = services.start(
                    *case.operations, behaviour=case.behaviour, binary=case.binary, url=case.url
                )
                under_way[name] = service, ModuleRun(service.args(**{**AMPLE, **case.options}))
                waiting.add(name)
                _let_them_work(under_way, waiting)
            while waiting:
                _let_them_work(under_way, waiting)
                time.sleep(0.05)
            yield {name: Ended(service, run.result()) for name, (service, run) in under_way.items()}
        finally:
            for _, run in under_way.values():
                if run.running:
                    run.kill()


def _let_them_work(under_way: dict[str, tuple[Service, ModuleRun]], waiting: set[str]) -> None:
    """Let those that wait begin whose run has seen their rows, and those that no run can read."""
    for name in sorted(waiting):
        service, run = under_way[name]
        if CASES[name].unread or service.is_connected or not run.running:
            service.go()
            waiting.remove(name)


@pytest.mark.parametrize("name", CASES)
def test_verdict(ended: dict[str, Ended], name: str) -> None:
    case, service, result = CASES[name], ended[name].service, ended[name].result
    assert (result["verdict"], result["exit_code"]) == (case.verdict, case.exit_code), (
        service.workload.report()
    )
    outcomes = operations_of(result)
    assert {outcome: sorted(kinds) for outcome, kinds in outcomes.items()} == case.outcomes
    signalled_once(service.workload, *case.sent)
    assert PASSWORD not in str(result)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case == finished(name, case.binary)]
)
def test_the_signal_waits_for_the_work(ended: dict[str, Ended], name: str) -> None:
    """Longer than service_down_time: in stock Cinder a worker row's age means nothing."""
    service, result = ended[name].service, ended[name].result
    assert position(service.workload, "done") < position(service.workload, "signal")
    assert result["quiesced"] > result["drained"]
    assert result["evidence"] == "ok"
    assert result["heartbeat"]["rows"][0]["service"] == CASES[name].binary


def test_signalled_at_once_the_work_goes_on_in_the_drain(ended: dict[str, Ended]) -> None:
    service = ended["work goes on in the drain"].service
    assert position(service.workload, "signal") < position(service.workload, "done")
    assert service.volume_status() == ["available"]


def test_the_deadline_cuts_it_and_the_result_says_so(ended: dict[str, Ended]) -> None:
    service, result = ended["deadline"].service, ended["deadline"].result
    assert "error" in result["operations"][0]["fate"], "what its next start makes of it"
    assert any("volume_create" in text for text in result["warnings"])
    assert service.volume_status() == ["creating"]
    assert SHORT - 1 < result["quiesced"] + result["drained"] < SHORT + KILL_BOUND


def test_work_that_was_lost_warns(ended: dict[str, Ended]) -> None:
    for name in ("exit code 0, work lost", "gives up by itself", "dead"):
        assert any("volume_create" in text for text in ended[name].result["warnings"]), name


def test_an_operation_that_ended_in_error_is_told_so(ended: dict[str, Ended]) -> None:
    assert [one["last_status"] for one in ended["error by itself"].result["operations"]] == ["error"]


def test_a_dead_operation_is_told_by_its_row_and_not_waited_for(ended: dict[str, Ended]) -> None:
    """Rows that are seen to be refreshed stand still: their worker died, and nothing will end them."""
    result = ended["dead"].result
    assert [one["dead"] for one in result["operations"]] == [True]
    assert DOWN_TIME < result["quiesced"] < 120, "long before the deadline"
    assert [one["dead"] for one in ended["refreshed"].result["operations"]] == [False]


def test_a_wrong_password_does_not_hold_the_stop_up(ended: dict[str, Ended]) -> None:
    result = ended["wrong password"].result
    assert result["evidence"] == "unavailable"
    assert "access denied" in result["evidence_why"]
    assert result["quiesced"] < 75, "half of the budget"
    assert any("unverified" in text for text in result["warnings"])


def test_a_server_that_is_down_is_waited_for_but_not_without_end(ended: dict[str, Ended]) -> None:
    result = ended["server down"].result
    assert result["evidence"] == "unavailable"
    assert "127.0.0.1:1" in result["evidence_why"]
    assert result["quiesced"] < SHORT


# --- stops that need more than one run


def test_left_running_with_work_then_joined(run_module: Any, start_module: Any, services: Services) -> None:
    service = services.start("volume_create:4")
    left = run_module(service.args(graceful_shutdown_timeout=12, on_timeout="leave"))
    assert (left["failed"], left["verdict"]) == (True, "left_running")
    assert operations_of(left) == {"unknown": ["volume_create"]}
    second = start_module(service.args())
    service.wait_read()
    joined = second.result()
    assert joined["verdict"] == "drained", joined["reason"]
    assert joined["joined"]
    assert operations_of(joined) == {"finished": ["volume_create"]}
    signalled_once(service.workload)


# --- a database that goes away


@pytest.fixture
def interrupted(cinder_database: MariaDB) -> Iterator[MariaDB]:
    """The database; it runs again when the test ends, whatever the test did."""
    yield cinder_database
    cinder_database.go_on()


def test_the_database_goes_away_and_comes_back(
    start_module: Any, services: Services, interrupted: MariaDB
) -> None:
    """Once while a service quiesces, and beside it while another drains."""
    quiesces, drains = services.start("volume_create:6"), services.start("volume_create:6")
    runs = [start_module(quiesces.args()), start_module(drains.args(quiesce="never"))]
    for service in (quiesces, drains):
        service.wait_asked("ROLLBACK", 3)
    drains.workload.wait_line("signal SIGTERM")
    interrupted.stop()
    for service in (quiesces, drains):
        service.go()  # not before: what has ended by then leaves nothing to wait for
    time.sleep(3)  # not a wait for something: this is how long the outage lasts
    interrupted.start()
    for service, run in zip((quiesces, drains), runs):
        result = run.result()
        assert result["verdict"] == "drained", result["reason"]
        assert operations_of(result) == {"finished": ["volume_create"]}
        assert result["evidence"] == "ok"
        assert f"127.0.0.1:{interrupted.port}" in result["evidence_why"], "it says what happened"
        events = [event["event"] for event in result["timeline"]]
        assert any("cannot be read" in event for event in events)
        assert any("can be read again" in event for event in events)
        signalled_once(service.workload)


@pytest.fixture
def proxied(cinder_database: MariaDB) -> Iterator[Callable[[str, int, str], None]]:
    """The database ``front`` shows what ``cinder`` has, or answers a user with an error; 0 for none."""
    server = cinder_database
    server.execute("CREATE DATABASE front")
    try:
        server.execute(
            "CREATE TABLE front.fault (user VARCHAR(80) PRIMARY KEY, number INT, text VARCHAR(80))"
        )
        server.execute(
            "CREATE FUNCTION front.answers() RETURNS INT READS SQL DATA BEGIN DECLARE n INT; DECLARE t VARCHAR(80);"
            " SELECT number, text INTO n, t FROM front.fault WHERE user = SUBSTRING_INDEX(USER(), '@', 1);"
            " IF n > 0 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = n, MESSAGE_TEXT = t; END IF; RETURN 1; END"
        )
        for (table,) in server.execute("SHOW TABLES FROM cinder"):
            only = " WHERE front.answers() = 1" if table == "services" else ""
            server.execute(f"CREATE VIEW front.`{table}` AS SELECT * FROM cinder.`{table}`{only}")
        yield lambda *fault: server.execute("REPLACE front.fault VALUES (%s, %s, %s)", fault) and None
    finally:
        server.execute("DROP DATABASE front")


def refused(database: MariaDB) -> int:
    """How many connections the server has refused."""
    return int(database.execute("SHOW GLOBAL STATUS LIKE 'Aborted_connects'")[0][1])


def test_a_fault_that_may_pass_is_waited_for(
    start_module: Any, services: Services, proxied: Callable[[str, int, str], None]
) -> None:
    """A proxy without a server, and a node of Galera that has not caught up; the third has no connection left."""
    faults = {
        9001: ("Max connect timeout reached", "error 9001"),
        1047: ("WSREP has not yet prepared node for application use", "WSREP has not yet prepared it"),
    }
    under_way = []
    for number, (text, said) in faults.items():
        service = services.start(
            "volume_create:3", url=lambda right: f"{right.removesuffix('/cinder')}/front"
        )
        service.database.execute(f"GRANT SELECT ON front.* TO `{service.user}`@`%`")
        proxied(service.user, number, text)
        under_way.append((service, start_module(service.args()), said))
    without = services.start("volume_create:3")
    without.database.execute(f"ALTER USER `{without.user}`@`%` WITH MAX_USER_CONNECTIONS 1")
    with pymysql.connect(host="127.0.0.1", port=without.database.port, user=without.user, password=PASSWORD):
        under_way.append(
            (without, start_module(without.args()), f"does not allow user {without.user} more connections")
        )
        for service, _, _ in under_way[:2]:
            service.wait_asked("START TRANSACTION%", 3)
            proxied(service.user, 0, "")
            service.wait_read()
        wait_until(lambda: (LEDGER / f"{without.workload.id}.json").exists(), 180, "the stop having begun")
        before = refused(without.database)
        wait_until(lambda: refused(without.database) >= before + 2, 180, "readings that got no connection")
    without.wait_read()
    for service, run, said in under_way:
        result = run.result()
        assert result["verdict"] == "drained", result["reason"]
        assert said in result["evidence_why"]
        assert position(service.workload, "done") < position(service.workload, "signal")
        assert operations_of(result) == {"finished": ["volume_create"]}
        signalled_once(service.workload)


@pytest.fixture
def takes_no_writes(cinder_database: MariaDB) -> Iterator[MariaDB]:
    """The database, but for root, who keeps the rows."""
    cinder_database.execute("SET GLOBAL read_only = 1")
    yield cinder_database
    cinder_database.execute("SET GLOBAL read_only = 0")


def test_a_password_that_is_changed_in_the_middle(
    start_module: Any, run_module: Any, services: Services, takes_no_writes: MariaDB
) -> None:
    """What became of the work is not known then; beside it another stop goes well, because it only reads."""
    service, other = services.start("volume_create:2"), services.start()
    run, beside = start_module(service.args(quiesce="never")), start_module(other.args())
    service.wait_asked("ROLLBACK", 3)
    service.workload.wait_line("signal SIGTERM")
    takes_no_writes.execute(f"ALTER USER `{service.user}`@`%` IDENTIFIED BY 'another'")
    takes_no_writes.execute(f"KILL USER `{service.user}`")
    service.go()
    result = run.result()
    assert (result["verdict"], result["exit_code"], result["evidence"]) == ("unverified", 0, "unavailable")
    assert "access denied" in result["evidence_why"]
    assert operations_of(result) == {"unknown": ["volume_create"]}
    signalled_once(service.workload)
    assert run_module(service.args())["verdict"] == "already_stopped"
    assert beside.result()["verdict"] == "drained"


@pytest.mark.parametrize("how", ["stopped", "hangs"])
def test_the_database_stays_away(
    start_module: Any, services: Services, interrupted: MariaDB, how: str
) -> None:
    """The deadline holds, and the verdict does not pretend to know. Hanging, it takes connections and never answers."""
    service = services.start("volume_create:600", behaviour=("--give-up", "600"))
    run = start_module(service.args(graceful_shutdown_timeout=30))
    service.wait_read()
    interrupted.stop() if how == "stopped" else interrupted.hang()
    result = run.result()
    assert (result["verdict"], result["evidence"]) == ("killed", "unavailable")
    assert operations_of(result) == {"unknown": ["volume_create"]}
    assert 29 < result["quiesced"] + result["drained"] < 30 + KILL_BOUND
    signalled_once(service.workload, "SIGTERM", "SIGKILL")


# --- the plan


@pytest.mark.parametrize("how", ["drain_status", "check mode"])
def test_what_is_in_flight_is_told_and_nothing_changed(run_module: Any, services: Services, how: str) -> None:
    service = services.start("volume_create:600")
    parts = {"host": "127.0.0.1", "port": services.database.port, "user": service.user, "password": PASSWORD}
    args = service.args(database={**parts, "name": "cinder"}, graceful_shutdown_timeout=60)
    with untouched(service.workload):
        if how == "drain_status":
            result = run_module({**args, "action": "drain_status"})
        else:
            result = run_module(args, check=True)
    assert [(one["kind"], one["status"]) for one in result["operations"]] == [("volume_create", "creating")]
    assert result["heartbeat"]["up"]
    assert (result["evidence"], result["service"]) == ("ok", "cinder-volume")
    assert result["plan"]["quiesce"] + result["plan"]["drain"] == result["plan"]["timeout"] == 60
    assert PASSWORD not in str(result)


def test_its_database_and_its_host_are_looked_up_as_its_process_sees_them(
    run_module: Any, services: Services
) -> None:
    """The certificate of the site's own authority is in the container alone, and so is the host's old name."""
    authority, bundle = services.database.ca_file, "/etc/ssl/certs/ca-certificates.crt"
    service = services.start(
        "volume_create:600",
        url=lambda right: f"{right}?ssl_ca={bundle}",
        named=False,
        volumes=[f"{authority}:{bundle}:ro"],
    )
    result = run_module(service.args(action="drain_status"))
    assert result["evidence"] == "ok", result["evidence_why"]
    assert [one["kind"] for one in result["operations"]] == ["volume_create"]


def test_the_configuration_is_what_its_process_has_read(run_module: Any, services: Services) -> None:
    """On the host there is none for it, or that of its next start."""
    result = run_module(services.start("volume_create:600", has_own=True).args(action="drain_status"))
    assert result["evidence"] == "ok", result["evidence_why"]
    assert [one["kind"] for one in result["operations"]] == ["volume_create"]


def test_the_services_own_timeout_not_below_ours_is_found(run_module: Any, services: Services) -> None:
    service = services.start()
    with untouched(service.workload):
        result = run_module(service.args(graceful_shutdown_timeout=60), check=True)
    assert [finding["code"] for finding in result["preflight"]] == ["service_timeout_not_below"], (
        "60 by default"
    )


def test_strict_refuses_a_stop_that_nobody_could_judge(run_module: Any, services: Services) -> None:
    service = services.start(url=lambda right: right.replace(PASSWORD, "wrong"))
    with untouched(service.workload):
        result = run_module(service.args(graceful_shutdown_timeout=61, preflight="strict"))
    assert result["failed"]
    assert "its evidence cannot be read" in result["msg"]
    assert service.user in result["msg"]


def test_what_a_stopped_one_left_behind_is_told(run_module: Any, services: Services) -> None:
    service = services.start("volume_create:600")
    run_module(service.args(graceful_shutdown_timeout=1))
    result = run_module({**service.args(), "action": "drain_status"})
    assert result["status"] == "exited"
    assert [one["kind"] for one in result["operations"]] == ["volume_create"]


# --- rows that were left behind

DAYS = 86400
THREADS = {"OS_CINDER_DISABLE_EVENTLET_PATCHING": "true"}


def notes_of(result: dict[str, Any]) -> dict[str, str]:
    """The notes' texts by their codes, without that of an engine that has had much to do, as beside other tests."""
    return {note["code"]: note["text"] for note in result["notes"] if note["code"] != "signals_forgotten"}


def left_behind(service: Service, seconds_ago: int, table: str = "volumes", status: str = "extending") -> str:
    """Insert a row of this host that was last written then; return its id."""
    key = str(uuid.uuid4())
    more = {"volumes": ("volume_type_id", "@lvm#p"), "backups": ("volume_id", "")}
    needed, backend = more[table]
    service.database.execute(
        f"INSERT INTO {table} (id, {needed}, host, status, deleted, created_at, updated_at)"
        " SELECT %s, 'x', %s, %s, 0, at, at FROM (SELECT UTC_TIMESTAMP() - INTERVAL %s SECOND AS at) AS moment",
        (key, service.host + backend, status, seconds_ago),
        "cinder",
    )
    return key


@pytest.mark.parametrize("environment", [{}, THREADS], ids=["eventlet", "native threads"])
@pytest.mark.parametrize(
    ("binary", "table", "status"),
    [("cinder-volume", "volumes", "extending"), ("cinder-backup", "backups", "creating")],
)
def test_a_row_of_last_year_holds_nothing_up(
    run_module: Any, services: Services, binary: str, table: str, status: str, environment: dict[str, str]
) -> None:
    service = services.start(binary=binary, environment=environment)
    wreck = left_behind(service, 400 * DAYS, table, status)
    result = run_module(service.args(on_timeout="leave"))
    assert result["verdict"] == "drained", result["reason"]
    assert result["operations"] == []
    assert not any(wreck in text for text in result["warnings"])
    assert [(one["id"], one["status"]) for one in result["passed_over"]] == [(wreck, status)]
    why = r"unchanged since \S+Z, older than the process, which began \S+Z"
    assert re.fullmatch(why, result["passed_over"][0]["why"])
    assert result["quiesced"] + result["drained"] < 100, "long before the deadline"
    signalled_once(service.workload)


def test_a_row_that_may_have_waited_is_waited_for_unless_it_is_named(
    run_module: Any, services: Services
) -> None:
    """On native threads the signal would drop the work, and the row is never written again."""
    service = services.start(environment=THREADS)
    waits = left_behind(service, 600)
    left = run_module(service.args(graceful_shutdown_timeout=10, on_timeout="leave"))
    assert (left["verdict"], left["passed_over"], notes_of(left)) == ("left_running", [], {})
    assert operations_of(left) == {"unknown": ["volume_extend"]}
    # No longer than the service itself takes at most, of which there would be a note.
    options = {"graceful_shutdown_timeout": 60, "ignore_operations": [waits, "no-such-id"]}
    result = run_module(service.args(on_timeout="leave", **options))
    assert result["verdict"] == "drained", result["reason"]
    assert [(one["id"], one["why"]) for one in result["passed_over"]] == [
        (waits, "ignored, as ignore_operations asks")
    ]
    assert list(notes_of(result)) == ["ignored_unseen"]
    assert "names no-such-id, and" in notes_of(result)["ignored_unseen"]
    signalled_once(service.workload)


@pytest.mark.parametrize("how", ["drain_status", "check mode"])
def test_the_plan_tells_what_blocks_and_what_is_passed_over(
    run_module: Any, services: Services, how: str
) -> None:
    service = services.start("volume_create:600")
    wreck, named = left_behind(service, 400 * DAYS), left_behind(service, 5)
    args = service.args(ignore_operations=[named])
    with untouched(service.workload):
        if how == "drain_status":
            result = run_module({**args, "action": "drain_status"})
        else:
            result = run_module(args, check=True)
    assert [one["kind"] for one in result["operations"]] == ["volume_create"]
    told = {one["id"]: one["why"].split()[0] for one in result["passed_over"]}
    assert told == {wreck: "unchanged", named: "ignored,"}


def test_a_site_with_wrecks_a_dead_backend_and_a_sick_healthcheck_reads_well_and_blocks_nothing(
    run_module: Any, services: Services
) -> None:
    second = 10**9
    sick = {"test": ["CMD-SHELL", "exit 1"], "interval": second, "timeout": second, "retries": 1}
    service = services.start(healthcheck=sick)
    config = Path(service.options["service_config"][0])
    config.write_text(config.read_text().replace("enabled_backends = lvm", "enabled_backends = lvm,array-2"))
    service.database.execute(
        "INSERT INTO services (host, `binary`, topic, report_count, created_at, updated_at, deleted, disabled)"
        " SELECT %s, 'cinder-volume', 'cinder-volume', 7, at, at, 0, 0"
        " FROM (SELECT UTC_TIMESTAMP() - INTERVAL 9 DAY AS at) AS moment",
        (f"{service.host}@array-2",),
        "cinder",
    )
    wrecks = {left_behind(service, 400 * DAYS), left_behind(service, 90 * DAYS, status="deleting")}
    wait_until(
        lambda: service.workload.state["Health"]["Status"] == "unhealthy",
        180,
        "its healthcheck says unhealthy",
    )

    told = run_module(service.args(action="drain_status", graceful_shutdown_timeout=90))
    assert (told["evidence"], told["operations"], told["preflight"]) == ("ok", [], [])
    assert {one["id"] for one in told["passed_over"]} == wrecks
    rows = {row["host"]: row["up"] for row in told["heartbeat"]["rows"]}
    assert rows == {f"{service.host}@lvm": True, f"{service.host}@array-2": False}
    notes = notes_of(told)
    assert "its healthcheck says unhealthy now" in notes["unhealthy"]
    assert f"the heartbeat of {service.host}@array-2 has been silent for 9 days now" in notes["silent"]

    result = run_module(service.args(graceful_shutdown_timeout=90, on_timeout="leave"))
    assert (result["verdict"], result["passed_over"] != []) == ("drained", True), result["reason"]
    signalled_once(service.workload)

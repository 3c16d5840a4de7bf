"""The connection to a real server: what it cannot do, and what it says when something is wrong."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from kolla_drain.database import target
from kolla_drain.database.connection import Database
from kolla_drain.database.target import DatabaseTarget
from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence import evidence_of
from kolla_drain.evidence.reader import EvidenceReader, Source
from kolla_drain.model import EvidenceState


def ask(where: DatabaseTarget, sql: str = "SELECT 1 AS one", params=()):
    """One question in a connection of its own."""
    connection = Database(where)
    try:
        with connection.snapshot() as query:
            return query(sql, params)
    finally:
        connection.close()


@pytest.fixture
def connection(cinder):
    made = Database(cinder.target())
    yield made
    made.close()


@pytest.fixture
def root(cinder):
    """A target with all the rights there are."""
    return cinder.target(user="root", password=cinder.server.root_password)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO workers (resource_type, resource_id, status, race_preventer) VALUES ('a', 'b', 'c', 0)",
        "UPDATE services SET disabled = 1",
        "DELETE FROM volumes",
        "CREATE TABLE kolla_drain (id INT)",
        "DROP TABLE workers",
        "TRUNCATE TABLE workers",
        "ALTER TABLE workers ADD COLUMN x INT",
    ],
)
def test_even_root_cannot_write(cinder, root, statement):
    cinder.service("ctl@a")
    with pytest.raises(EvidenceUnavailable, match="read-only") as caught:
        ask(root, statement)
    assert not caught.value.passing
    assert cinder.server.execute("SELECT COUNT(*), SUM(disabled) FROM services", (), "cinder") == [(1, 0)]


def test_a_new_transaction_is_read_only_too(root):
    """Ending our transaction does not lift it: the session itself is read-only."""
    made = Database(root)
    with made.snapshot() as query:
        query("ROLLBACK")
        with pytest.raises(EvidenceUnavailable, match="read-only"):
            query("UPDATE services SET disabled = 1")
    made.close()


def test_a_snapshot_shows_one_moment_and_the_next_another(cinder, connection):
    count = "SELECT COUNT(*) AS n FROM services"
    with connection.snapshot() as query:
        cinder.service("ctl@a")
        assert query(count) == [{"n": 0}]
    with connection.snapshot() as query:
        assert query(count) == [{"n": 1}]


def test_one_connection_serves_all_snapshots(connection):
    def number():
        with connection.snapshot() as query:
            return query("SELECT CONNECTION_ID() AS n")[0]["n"]

    assert number() == number()


def test_what_an_error_leaves_behind_does_no_harm(connection):
    with connection.snapshot() as query:
        with pytest.raises(EvidenceUnavailable):
            query("SELECT * FROM no_such_table")
        assert query("SELECT 1 AS one") == [{"one": 1}]


def test_values_are_never_read_as_sql(connection):
    text = "'; DROP TABLE volumes; -- %s %% \\ \" é 😀"
    with connection.snapshot() as query:
        assert query("SELECT %s AS said", [text]) == [{"said": text}]


@pytest.mark.parametrize(
    ("parts", "words", "passing"),
    [
        ({"password": "n0t-the-right-0ne"}, "access denied: user reader", False),
        ({"user": "nobody_at_all"}, "access denied: user nobody_at_all", False),
        ({"name": "no_such_database"}, "no_such_database", False),
        ({"host": "no.such.host.invalid"}, "cannot be reached", True),
        ({"unix_socket": "/nonexistent/mysqld.sock"}, "cannot be reached", True),
        ({"port": 1}, "cannot be reached: Connection refused", True),
    ],
)
def test_no_way_in(cinder, parts, words, passing):
    where = cinder.target(**parts)
    with pytest.raises(EvidenceUnavailable) as caught:
        ask(where)
    assert words in str(caught.value)
    assert caught.value.passing is passing
    assert where.password not in str(caught.value)


@pytest.fixture
def poor(cinder):
    """A user with hardly a right."""
    cinder.server.create_user("poor", "poor", "SELECT (id, host)", "cinder.services")
    yield cinder.target(user="poor", password="poor")
    cinder.server.execute("DROP USER `poor`@`%`")


def test_a_right_that_is_missing_is_named(cinder, poor):
    with pytest.raises(EvidenceUnavailable, match=r"user poor may not read.*workers") as caught:
        ask(poor, "SELECT id FROM workers")
    assert not caught.value.passing
    with pytest.raises(EvidenceUnavailable, match=r"user poor may not read.*disabled"):
        ask(poor, "SELECT disabled FROM services")
    with pytest.raises(EvidenceUnavailable, match="access denied"):
        ask(replace(poor, name="nova"))


@contextlib.contextmanager
def renamed(cinder, there, back):
    """Change the schema for a while."""
    cinder.server.execute(there, (), "cinder")
    try:
        yield
    finally:
        cinder.server.execute(back, (), "cinder")


def test_a_missing_table_and_a_missing_column(cinder, volume_config):
    cinder.service("ctl@a")
    with (
        renamed(cinder, "RENAME TABLE workers TO w", "RENAME TABLE w TO workers"),
        pytest.raises(EvidenceUnavailable, match=r"lacks a table.*another release.*workers"),
    ):
        cinder.read(volume_config)
    with (
        renamed(
            cinder,
            "ALTER TABLE services RENAME COLUMN report_count TO beats",
            "ALTER TABLE services RENAME COLUMN beats TO report_count",
        ),
        pytest.raises(EvidenceUnavailable, match=r"lacks a column.*another release.*report_count"),
    ):
        cinder.read(volume_config)


def test_a_broken_schema_spoils_only_the_service_that_needs_it(cinder, volume_config):
    cinder.service("ctl@a")
    cinder.service("ctl", "cinder-backup")
    backup = replace(volume_config, service="cinder-backup", backends=())
    where = cinder.target()
    reader = EvidenceReader(
        {
            "v": Source(evidence_of("cinder-volume"), volume_config, where),
            "b": Source(evidence_of("cinder-backup"), backup, where),
        }
    )
    with renamed(cinder, "RENAME TABLE workers TO w", "RENAME TABLE w TO workers"):
        readings = reader.readings_once(["v", "b"])
    reader.close()
    assert readings["b"].state is EvidenceState.OK
    assert readings["v"].state is EvidenceState.UNAVAILABLE
    assert not readings["v"].passing


# --- TLS


def cipher(where: DatabaseTarget) -> str:
    (row,) = ask(where, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    return str(row["Value"])


def test_tls_with_the_right_ca(cinder):
    assert cipher(cinder.target(ssl_ca=str(cinder.server.ca_file)))


def test_tls_without_verification(cinder):
    assert cipher(cinder.target(ssl_verify=False))


def test_tls_wanted_by_the_system_s_cas_alone(cinder):
    with pytest.raises(EvidenceUnavailable, match="certificate is not trusted"):
        ask(cinder.target(ssl_verify=True))


def test_tls_with_the_wrong_ca(cinder, tmp_path):
    wrong = tmp_path / "wrong.pem"
    _make_ca(wrong)
    with pytest.raises(EvidenceUnavailable, match="certificate is not trusted") as caught:
        ask(cinder.target(ssl_ca=str(wrong)))
    assert not caught.value.passing


def _make_ca(path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=another CA", "-days", "2",
         "-keyout", str(path.with_suffix(".key")), "-out", str(path)],
        check=True, capture_output=True,
    )  # fmt: skip


def test_tls_to_a_name_that_is_not_in_the_certificate(cinder):
    ca = str(cinder.server.ca_file)
    with pytest.raises(EvidenceUnavailable, match="certificate is not trusted"), another_name(cinder) as host:
        ask(cinder.target(ssl_ca=ca, host=host))


@contextlib.contextmanager
def another_name(cinder):
    """127.0.0.2 forwards to the server, whose certificate is for 127.0.0.1 and localhost."""
    with forwarder(cinder.server.port, "127.0.0.2", cinder.server.port):
        yield "127.0.0.2"


def test_a_user_who_must_use_tls(cinder):
    cinder.server.create_user("strict", "strict", "SELECT", "cinder.*")
    cinder.server.execute("ALTER USER `strict`@`%` REQUIRE SSL")
    assert cipher(cinder.target(user="strict", password="strict", ssl_ca=str(cinder.server.ca_file)))
    cinder.server.execute("DROP USER `strict`@`%`")


def test_a_ca_named_by_the_services_own_configuration(cinder):
    url = f"mysql+pymysql://u:p@127.0.0.1:{cinder.server.port}/cinder"
    inside = target.target(f"{url}?ssl_ca=/in/the/container/ca.pem", inherited=True)
    with pytest.raises(EvidenceUnavailable, match="inside its container"):
        ask(inside)
    here = cinder.target(ssl_ca=str(cinder.server.ca_file))
    assert cipher(
        target.target(f"{url}?ssl_ca={here.ssl_ca}", inherited=True, user=here.user, password=here.password)
    )


# --- time


@contextlib.contextmanager
def forwarder(port, host="127.0.0.1", listen=0, mute=None):
    """A way to the server that can be cut or go mute. Yields its port."""
    listener = socket.create_server((host, listen))
    ends: list[socket.socket] = []

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if mute is None or not mute.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                ends.extend((client, server))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=pump, args=(one, other), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def timed(where: DatabaseTarget, sql: str = "SELECT 1 AS one") -> tuple[str, float, bool]:
    begun = time.monotonic()
    with pytest.raises(EvidenceUnavailable) as caught:
        ask(where, sql)
    return str(caught.value), time.monotonic() - begun, caught.value.passing


def test_a_server_that_accepts_and_says_nothing(cinder):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        said, took, passing = timed(cinder.target(port=mute.getsockname()[1], read_timeout=0.3))
    assert "timed out" in said
    assert passing
    assert took < 60


def test_an_address_that_drops_all(cinder):
    # A listener whose backlog is full answers no connection at all.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        said, took, passing = timed(
            cinder.target(port=full.getsockname()[1], connect_timeout=0.3, read_timeout=0.3)
        )
        for filler in fillers:
            filler.close()
    assert "timed out" in said
    assert passing
    assert took < 60


def test_a_question_that_takes_too_long(cinder):
    said, took, passing = timed(cinder.target(read_timeout=0.5), "SELECT SLEEP(100)")
    assert "timed out" in said or "interrupted" in said
    assert passing
    assert took < 60


def test_a_table_that_is_locked(cinder):
    with cinder.server.connect("cinder") as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES services WRITE")
        said, took, passing = timed(cinder.target(read_timeout=0.5), "SELECT COUNT(*) FROM services")
        cursor.execute("UNLOCK TABLES")
    assert "timed out" in said
    assert passing
    assert took < 60
    assert ask(cinder.target(), "SELECT COUNT(*) AS n FROM services") == [{"n": 0}]


def test_the_server_does_not_go_on_with_what_nobody_waits_for(cinder):
    (row,) = ask(cinder.target(read_timeout=20.5), "SELECT @@max_statement_time AS seconds")
    assert float(row["seconds"]) == 20.5


def test_a_connection_that_went_stale_while_idle_is_replaced_at_once(cinder, connection):
    with connection.snapshot() as query:
        number = query("SELECT CONNECTION_ID() AS n")[0]["n"]
    cinder.server.execute(f"KILL {int(number)}")
    with connection.snapshot() as query:
        assert query("SELECT CONNECTION_ID() AS n")[0]["n"] != number


def test_a_connection_that_is_lost_within_a_snapshot_is_not(cinder, connection):
    with connection.snapshot() as query:
        number = query("SELECT CONNECTION_ID() AS n")[0]["n"]
        cinder.server.execute(f"KILL {int(number)}")
        with pytest.raises(EvidenceUnavailable) as first:
            query("SELECT 1 AS one")
        with pytest.raises(EvidenceUnavailable, match="was lost") as second:
            query("SELECT 1 AS one")
        assert first.value.passing
        assert second.value.passing
    with connection.snapshot() as query:
        assert query("SELECT 1 AS one") == [{"one": 1}]


def test_too_many_connections(cinder):
    held = []
    with cinder.server.connect() as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL max_connections = 10")
        try:
            said = _fill(cinder, held)
        finally:
            cursor.execute("SET GLOBAL max_connections = 500")
            for one in held:
                one.close()
    assert "too many connections" in str(said)
    assert said.passing


def _fill(cinder, held):
    """Open connections until the server has had enough, and return what it said."""
    for _ in range(20):
        held.append(Database(cinder.target()))
        try:
            with held[-1].snapshot():
                pass
        except EvidenceUnavailable as exc:
            return exc
    raise AssertionError("the server never had enough")


# --- a server that goes away and comes back


def test_the_server_stops_and_comes_back(cinder, volume_config):
    cinder.service("ctl@a")
    woken = threading.Semaphore(0)
    reader = EvidenceReader(
        {"v": Source(evidence_of("cinder-volume"), volume_config, cinder.target())}, woken.release
    )
    try:
        assert _reading(reader, woken).state is EvidenceState.OK
        cinder.server.stop()
        away = _reading(reader, woken)
        assert (away.state, away.passing) == (EvidenceState.UNAVAILABLE, True)
        assert away.why
        again = _reading(reader, woken)
        assert "cannot be reached" in again.why
        cinder.server.start()
        back = _reading(reader, woken)
        assert back.state is EvidenceState.OK
        assert [beat.host for beat in back.heartbeats] == ["ctl@a"]
    finally:
        reader.close()


def test_the_server_crashes_and_comes_back(cinder, volume_config):
    cinder.service("ctl@a")
    woken = threading.Semaphore(0)
    reader = EvidenceReader(
        {"v": Source(evidence_of("cinder-volume"), volume_config, cinder.target())}, woken.release
    )
    try:
        assert _reading(reader, woken).state is EvidenceState.OK
        cinder.server.kill()
        assert _reading(reader, woken).passing
        cinder.server.start()
        assert _reading(reader, woken).state is EvidenceState.OK
    finally:
        reader.close()


def _reading(reader, woken):
    number = reader.ask({"v": ()})
    while True:
        assert woken.acquire(timeout=120)
        for answer in reader.answers():
            if answer.number >= number:
                return answer.reading


def test_a_network_that_goes_mute_and_speaks_again(cinder, volume_config):
    cinder.service("ctl@a")
    mute = threading.Event()
    with forwarder(cinder.server.port, mute=mute) as port:
        where = cinder.target(port=port, read_timeout=5, connect_timeout=5)
        woken = threading.Semaphore(0)
        reader = EvidenceReader(
            {"v": Source(evidence_of("cinder-volume"), volume_config, where)}, woken.release
        )
        assert _reading(reader, woken).state is EvidenceState.OK
        mute.set()
        away = _reading(reader, woken)
        assert (away.state, away.passing) == (EvidenceState.UNAVAILABLE, True)
        assert "timed out" in away.why
        mute.clear()
        assert _reading(reader, woken).state is EvidenceState.OK
        reader.close()

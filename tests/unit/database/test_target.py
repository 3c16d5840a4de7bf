"""Where a database is: URLs, parts, and the sentences for what goes wrong on the way."""

from __future__ import annotations

import ssl
import sys

import certifi
import pymysql
import pytest

from kolla_drain.database import connection, faults
from kolla_drain.database.connection import Database
from kolla_drain.database.target import DatabaseTarget, target
from kolla_drain.errors import ConfigError, EvidenceUnavailable

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql+pymysql://u:p@h/d", {"host": "h", "port": 3306, "user": "u", "password": "p", "name": "d"}),
        ("mysql://u:p@h:3307/d", {"port": 3307}),
        ("mariadb+pymysql://u:p@h/d", {"host": "h"}),
        ("mysql+mysqldb://u:p@h/d", {"host": "h"}),
        ("mysql+pymysql://u:p%40s%2Fs%25@h/d", {"password": "p@s/s%"}),
        ("mysql+pymysql://u:a/b?c#d:e+f@h/d", {"password": "a/b?c#d:e+f", "host": "h", "name": "d"}),
        ("mysql+pymysql://u%3A1:p@h/d", {"user": "u:1"}),
        ("mysql+pymysql://u:pä@h/d", {"password": "pä"}),
        ("mysql+pymysql://u:p@[::1]:3310/d", {"host": "::1", "port": 3310}),
        ("mysql+pymysql://u:p@[fe80::1%25eth0]/d", {"host": "fe80::1%25eth0"}),
        ("mysql+pymysql://u@h/d", {"user": "u", "password": ""}),
        ("mysql+pymysql://u:p@/d?unix_socket=/run/s.sock", {"unix_socket": "/run/s.sock"}),
        ("mysql+pymysql://u:p@h/d?charset=utf8", {"name": "d", "ssl_ca": "", "ssl_verify": None}),
        ("mysql+pymysql://u:p@h/d?ssl_ca=/ca.pem&charset=utf8", {"ssl_ca": "/ca.pem"}),
        (
            "mysql+pymysql://u:p@h/d?ssl_ca=/a&ssl_cert=/b&ssl_key=/c&ssl_check_hostname=false",
            {"ssl_ca": "/a", "ssl_cert": "/b", "ssl_key": "/c", "ssl_check_hostname": False},
        ),
        ("mysql+pymysql://u:p@h/d?ssl_capath=/dir", {"ssl_ca": "/dir"}),
        ("mysql+pymysql://u:p@h/d?ssl_ca=/file&ssl_capath=/dir", {"ssl_ca": "/file"}),
        ("mysql+pymysql://u:p@h/d?ssl_verify_cert=true", {"ssl_verify": True}),
        (
            "mysql+pymysql://u:p@h/d?connect_timeout=2&read_timeout=1.5",
            {"connect_timeout": 2.0, "read_timeout": 1.5},
        ),
        ("  mysql+pymysql://u:p@h/d\n", {"name": "d"}),
    ],
)
def test_urls(url, expected):
    made = target(url)
    assert {name: getattr(made, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"{SECRET}", "URL is invalid"),
        (f"mysql+pymysql:/u:{SECRET}@h/d", "URL is invalid"),
        (f"postgresql://u:{SECRET}@h/d", "postgresql"),
        (f"sqlite:///{SECRET}", "sqlite"),
        (f"mysql+pymysql://u:{SECRET}@h:x/d", "port"),
        (f"mysql+pymysql://u:{SECRET}@h:0/d", "port"),
        (f"mysql+pymysql://u:{SECRET}@h:70000/d", "port"),
        (f"mysql+pymysql://u:{SECRET}@h", "no name"),
        (f"mysql+pymysql://:{SECRET}@h/d", "no user"),
        (f"mysql+pymysql://u:{SECRET}@h/d?ssl_verify=perhaps", "ssl_verify"),
        (f"mysql+pymysql://u:{SECRET}@h/d?ssl=perhaps", "ssl is neither"),
        (f"mysql+pymysql://u:{SECRET}@h/d?ssl_mode=SOME", "ssl_mode"),
        (f"mysql+pymysql://u:{SECRET}@h/d?ssl_key_password={SECRET}", "ssl_key_password"),
        (f"mysql+pymysql://u:{SECRET}@h/d?read_timeout=0", "read_timeout"),
        (f"mysql+pymysql://u:{SECRET}@h/d?connect_timeout=soon", "connect_timeout"),
    ],
)
def test_bad_urls_are_named_without_the_secret(url, words):
    with pytest.raises(ConfigError) as caught:
        target(url)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_parts_alone():
    made = target(host="h", port="3307", user="u", password=SECRET, name="d", ssl_verify="no", read_timeout=2)
    assert (made.host, made.port, made.user, made.password, made.name) == ("h", 3307, "u", SECRET, "d")
    assert (made.ssl_verify, made.read_timeout) == (False, 2.0)


def test_a_part_wins_over_the_url_and_none_is_not_given():
    made = target("mysql+pymysql://u:p@h:3306/d", host="other", port=None, user="reader", password="x")
    assert (made.host, made.port, made.user, made.password, made.name) == ("other", 3306, "reader", "x", "d")


def test_a_part_that_does_not_exist():
    with pytest.raises(ConfigError, match="no option charset"):
        target("mysql+pymysql://u:p@h/d", charset="utf8")


def test_secrets_are_not_in_the_repr():
    made = target("mysql+pymysql://u:p@h/d", password=SECRET, ssl_key="/etc/" + SECRET)
    assert SECRET not in repr(made)
    assert SECRET not in made.where


def test_targets_are_equal_by_value():
    url = "mysql+pymysql://u:p@h/d"
    assert target(url) == target(url)
    assert len({target(url), target(url)}) == 1


def test_a_ca_inside_the_container_is_said_to_be_there(tmp_path):
    url = f"mysql+pymysql://u:{SECRET}@127.0.0.1:1/d?ssl_ca={tmp_path}/ca.pem"
    with pytest.raises(EvidenceUnavailable, match=r"inside its container.*TLS options") as caught:
        _open(target(url, inherited=True))
    assert not caught.value.passing


@pytest.mark.parametrize(("user", "told"), [(0, False), (1000, True)])
def test_who_may_not_look_into_a_container_is_told_so(monkeypatch, user, told):
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(EvidenceUnavailable) as caught:
        _open(target("mysql+pymysql://u:p@h/d?ssl_ca=/ca.pem", inherited=True, root="/proc/0/root"))
    assert ("run with the rights of root" in str(caught.value)) is told


def test_a_ca_given_for_this_host_takes_the_place_of_the_containers(tmp_path):
    made = target(
        "mysql+pymysql://u:p@h/d?ssl_ca=/in/container.pem", inherited=True, ssl_ca=str(tmp_path / "here.pem")
    )
    assert not made.inherited
    with pytest.raises(EvidenceUnavailable, match="cannot be read on this host"):
        _open(made)


def test_files_are_found_as_the_container_sees_them(tmp_path):
    (tmp_path / "etc" / "pki").mkdir(parents=True)
    (tmp_path / "etc" / "pki" / "bundle.pem").write_text("of the container")
    (tmp_path / "etc" / "ca.pem").symlink_to("/etc/../../etc/pki/bundle.pem")
    made = target(
        "mysql+pymysql://u:p@h/d?ssl_ca=/etc/ca.pem&ssl_key=/etc/key.pem",
        inherited=True, root=str(tmp_path), ssl_key="/here/key.pem",
    )  # fmt: skip
    assert made.ssl_ca == f"{tmp_path}/etc/pki/bundle.pem"
    assert made.ssl_key == "/here/key.pem"
    assert made.inherited == {"ssl_ca"}


def test_a_socket_of_the_container_is_named_as_its_configuration_names_it(tmp_path):
    made = target("mysql+pymysql://u:p@/d?unix_socket=/run/db.sock", inherited=True, root=str(tmp_path))
    assert made.unix_socket == f"{tmp_path}/run/db.sock"
    assert made.where == "d on /run/db.sock"


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    made = target("mysql+pymysql://u:p@h/d?ssl_ca=/a", inherited=True, root=str(tmp_path))
    with pytest.raises(EvidenceUnavailable, match=r"ssl_ca /[ab], which is a path inside its container"):
        _open(made)


def test_a_broken_ca_file(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    with pytest.raises(EvidenceUnavailable, match="TLS files"):
        _open(target("mysql+pymysql://u:p@h/d", ssl_ca=str(ca)))


@pytest.mark.parametrize(
    ("options", "checks"),
    [
        ("ssl_ca={ca}", (ssl.CERT_REQUIRED, True)),
        ("ssl_ca={ca}&ssl_check_hostname=false", (ssl.CERT_REQUIRED, False)),
        ("ssl_ca={ca}&ssl_check_hostname=true", (ssl.CERT_REQUIRED, True)),
        ("ssl_ca={ca}&ssl_verify_cert=false", (ssl.CERT_NONE, False)),
        ("ssl_check_hostname=true", (ssl.CERT_NONE, False)),
        ("ssl_check_hostname=false", (ssl.CERT_NONE, False)),
        ("ssl_cert={pair}&ssl_key={pair}", (ssl.CERT_NONE, False)),
        ("ssl_verify_cert=true", (ssl.CERT_REQUIRED, True)),
    ],
)
def test_a_certificate_is_checked_as_the_services_own_client_does(tmp_path, monkeypatch, options, checks):
    def strict(*args, make=ssl.create_default_context, **more):  # as in Python 3.13
        context = make(*args, **more)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda *_: None)
    (tmp_path / "pair.pem").write_text("")
    url = f"mysql+pymysql://u:p@h/d?{options.format(ca=certifi.where(), pair=tmp_path / 'pair.pem')}"
    context = connection._tls(target(url))
    assert checks == (context and (context.verify_mode, context.check_hostname))
    assert context is None or not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_the_cas_of_a_folder_are_found_as_the_container_sees_them(tmp_path):
    bundle = certifi.contents()
    one, two, *_ = bundle.split("-----END CERTIFICATE-----\n")
    (tmp_path / "etc/certs/more").mkdir(parents=True)
    (tmp_path / "ours.crt").write_text("# Vermögen\n" + one + "-----END CERTIFICATE-----\n")
    (tmp_path / "etc/certs/1a2b3c4d.0").symlink_to("/ours.crt")
    (tmp_path / "etc/certs/again.pem").symlink_to("1a2b3c4d.0")
    (tmp_path / "etc/certs/two.pem").write_text(two + "-----END CERTIFICATE-----\n")
    (tmp_path / "etc/certs/gone.pem").symlink_to("/nowhere")
    (tmp_path / "etc/certs/README").write_text("no certificate")
    url = "mysql+pymysql://u:p@h/d?ssl_capath=/etc/certs"
    context = connection._tls(target(url, inherited=True, root=str(tmp_path)))
    assert context.cert_store_stats()["x509_ca"] == 2

    (tmp_path / "etc/certs/two.pem").unlink()
    (tmp_path / "ours.crt").unlink()
    with pytest.raises(EvidenceUnavailable, match="TLS files"):
        connection._tls(target(url, inherited=True, root=str(tmp_path)))


def test_pymysql_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(EvidenceUnavailable) as caught:
        _open(target("mysql+pymysql://u:p@h/d"))
    assert "PyMySQL is missing" in str(caught.value)
    assert sys.executable in str(caught.value)
    assert not caught.value.passing


def _open(where: DatabaseTarget) -> None:
    with Database(where).snapshot():
        pass


WHERE = DatabaseTarget(host="h", user="u", password=SECRET, name="d")


@pytest.mark.parametrize(
    ("exc", "words", "passing"),
    [
        (pymysql.err.OperationalError(1040, "Too many connections"), "too many connections", True),
        (
            pymysql.err.OperationalError(1045, "Access denied for user 'u'@'x'"),
            "access denied: user u",
            False,
        ),
        (pymysql.err.OperationalError(1049, "Unknown database 'd'"), "there is no database d", False),
        (pymysql.err.OperationalError(1053, "Server shutdown in progress"), "shutting down", True),
        (
            pymysql.err.OperationalError(1047, "WSREP has not yet prepared node"),
            "WSREP has not yet prepared",
            True,
        ),
        (pymysql.err.OperationalError(2013, "Lost connection"), "was lost", True),
        (
            pymysql.err.OperationalError(2013, "Lost connection (timed out)"),
            "timed out",
            True,
        ),
        (pymysql.err.OperationalError(2006, "MySQL server has gone away"), "was lost", True),
        (pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"), "timed out", True),
        (pymysql.err.OperationalError(1969, "Query execution was interrupted"), "timed out", True),
        (pymysql.err.OperationalError(3024, "Query execution was interrupted"), "timed out", True),
        (pymysql.err.ProgrammingError(1146, "Table 'd.workers' doesn't exist"), "lacks a table", False),
        (pymysql.err.OperationalError(1054, "Unknown column 'x' in 'SELECT'"), "lacks a column", False),
        (
            pymysql.err.OperationalError(1142, "SELECT command denied to user for table `d`.`workers`"),
            "workers",
            False,
        ),
        (pymysql.err.OperationalError(1143, "SELECT command denied for column 'host'"), "host", False),
        (pymysql.err.OperationalError(2003, "Can't connect to MySQL server"), "cannot be reached", True),
        (pymysql.err.OperationalError(3159, "Connections using insecure transport"), "TLS only", False),
        (pymysql.err.OperationalError(9999, f"something with {SECRET}"), "error 9999", True),
        (
            # ProxySQL, while the cluster's writer changes.
            pymysql.err.OperationalError(9001, "Max connect timeout reached while reaching hostgroup 10"),
            "error 9001: Max connect timeout reached",
            True,
        ),
        (pymysql.err.OperationalError(9006, "ProxySQL Error: connection is locked"), "error 9006", True),
        (pymysql.err.OperationalError(1129, "Host 'h' is blocked"), "blocked this host", True),
        (pymysql.err.OperationalError(2059, "Authentication plugin 'parsec' not configured"), "2059", True),
        (pymysql.err.OperationalError(4031, "The client was disconnected by the server"), "error 4031", True),
        (RuntimeError("'cryptography' package is required"), "'cryptography' package is required", True),
        (pymysql.err.OperationalError(1290, "running with the --read-only option"), "error 1290", True),
        (pymysql.err.OperationalError(1193, "Unknown system variable 'x'"), "error 1193", False),
        (pymysql.err.OperationalError(2026, "SSL connection error"), "no TLS connection", True),
        (ssl.SSLError("EOF occurred in violation of protocol"), "no TLS connection", True),
        (
            pymysql.err.OperationalError(2026, "the server doesn't support it"),
            "does not offer TLS",
            False,
        ),
        (pymysql.err.InterfaceError(0, ""), "cannot be read", True),
        (pymysql.err.InternalError("Packet sequence number wrong"), "cannot be read", True),
        (TimeoutError("timed out"), "timed out", True),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused", True),
        (ssl.SSLCertVerificationError("bad"), "not trusted", False),
    ],
)
def test_every_error_is_one_sentence_without_the_secret(exc, words, passing):
    problem = faults.unavailable(exc, WHERE)
    assert words in str(problem)
    assert problem.passing is passing
    assert SECRET not in str(problem)
    assert "\n" not in str(problem)


def test_a_server_s_message_says_nothing_to_a_terminal():
    problem = faults.unavailable(pymysql.err.OperationalError(9999, "a\x1b[2Jb\r\nc"), WHERE)
    assert "a?[2Jb c" in str(problem)

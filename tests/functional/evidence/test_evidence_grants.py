"""The account that the role drain_database_user makes on a real server: it reads all evidence, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
import yaml

from kolla_drain.database.connection import Database, Query
from kolla_drain.database.rights import BY_SERVICE, rights
from kolla_drain.database.target import target
from kolla_drain.errors import EvidenceUnavailable
from testbed.mariadb import MariaDB
from tests.support.evidence_queries import statements

pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = ROOT / "ansible" / "database_user.yml"
ACCOUNT = "as_documented"
OLD, PASSWORD = "s3cr3t-old'@", 's3cr3t-new"%'
TASKS = {"The account in ProxySQL": "[drain_database_user : Write the account for ProxySQL]"}
SCHEMAS = ("cinder", "nova", "nova_cell0")
CASES = [
    (service, schema) for service, schemas in BY_SERVICE.items() for schema in schemas if schema in SCHEMAS
]
# What is worth most of all that a service's own account can read.
TREASURES = (
    ("cinder", "volumes", "provider_auth"),
    ("cinder", "volume_attachment", "connection_info"),
    ("nova", "instances", "user_data"),
    ("nova", "block_device_mapping", "connection_info"),
)


def play(name: str, check_mode: bool = False, user: str = ACCOUNT, **variables: object) -> dict[str, object]:
    """A play of the role, with variables that go before those of group_vars."""
    return {
        "name": name,
        "hosts": "localhost",
        "gather_facts": False,
        "check_mode": check_mode,
        "ignore_errors": True,
        "vars_files": str(ROOT / "ansible" / "group_vars" / "all.yml"),
        "vars": {"ansible_python_interpreter": sys.executable},
        "roles": [{"role": "drain_database_user", "kolla_drain_database_user": user, **variables}],
    }


def run(folder: Path, server: MariaDB, playbook: Path, *arguments: str) -> dict[str, str]:
    """Run a playbook; return what Ansible prints of each play. No password is in any of it."""
    # As Kolla has it on the host of MariaDB.
    (folder / "galera.cnf").write_text(
        f"[mysqld]\nbind-address=127.0.0.1\nport={server.port}\nwsrep_sst_auth=root:{server.root_password}\n"
    )
    given = {"kolla_drain_mariadb_config_file": str(folder / "galera.cnf"), "ansible_become": False}
    program = Path(sys.executable).with_name("ansible-playbook")
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(folder / "home")}
    done = subprocess.run(
        [program, playbook, "--diff", "-vvv", "-e", json.dumps(given), *arguments],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    output = done.stdout + done.stderr
    assert "s3cr3t" not in output
    assert server.root_password not in output
    assert done.returncode == 0, output
    parts = re.split(r"^PLAY (?:\[(.*)\]|RECAP) \*+$", done.stdout, flags=re.MULTILINE)
    return {name: text for name, text in zip(parts[1::2], parts[2::2]) if name}


@pytest.fixture(scope="module")
def played(_server: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The role, run in all the ways that lead to an account for all services, and at last by its playbook."""
    _server.execute("CREATE USER somebodys@`%` IDENTIFIED BY 'x'")
    _server.execute("GRANT SELECT, UPDATE ON nova.* TO somebodys@`%`")
    first = {
        "kolla_drain_database_password": OLD,
        "kolla_drain_database_services": ["nova-compute"],
        # What is read of cell0 is less than of a cell.
        "kolla_drain_database_names": {"cinder": [], "nova": ["nova", "nova_cell0"], "nova_cell0": []},
    }
    then = {"kolla_drain_database_password": PASSWORD}
    plays = [
        play("would be made", check_mode=True, **first),
        play("made", **first),
        play("would be changed", check_mode=True, **then),
        play("changed", **then),
        play("refused", user="somebodys", **then),
    ]
    folder = tmp_path_factory.mktemp("played")
    (folder / "play.yml").write_text(json.dumps(plays))
    (folder / "kolla" / "proxysql" / "users").mkdir(parents=True)
    (folder / "inventory").write_text(
        "[mariadb]\nlocalhost ansible_connection=local\n[loadbalancer]\nlocalhost\n"
        f"[all:vars]\nansible_python_interpreter={sys.executable}\n"
    )
    given = {**then, "kolla_drain_database_user": ACCOUNT, "node_config_directory": str(folder / "kolla")}
    yield {
        **run(folder, _server, folder / "play.yml"),
        **run(folder, _server, PLAYBOOK, "-i", "inventory", "-e", json.dumps(given)),
        "for ProxySQL": (folder / "kolla" / "proxysql" / "users" / "kolla-drain.yaml").read_text(),
    }
    for user in (ACCOUNT, "somebodys"):
        _server.execute(f"DROP USER IF EXISTS `{user}`@`%`")


@pytest.fixture
def account(server: MariaDB, played: dict[str, str]) -> MariaDB:
    """The server, with the account."""
    return server


@pytest.mark.parametrize(
    ("name", "begins", "says"),
    [
        ("would be made", "changed:", f"CREATE USER `{ACCOUNT}`@`%` IDENTIFIED BY PASSWORD '********'"),
        ("made", "changed:", f"CREATE USER `{ACCOUNT}`@`%` IDENTIFIED BY PASSWORD '********'"),
        (
            "would be changed",
            "changed:",
            "REVOKE SELECT (`deleted`, `id`, `instance_uuid`, `updated_at`) ON `nova_cell0`.",
        ),
        ("changed", "changed:", f"ALTER USER `{ACCOUNT}`@`%` IDENTIFIED BY PASSWORD '********'"),
        ("The account in MariaDB", "ok:", '"statements": []'),
        ("The account in ProxySQL", "changed:", "kolla-ansible reconfigure --tags loadbalancer"),
        (
            "refused",
            "fatal:",
            "has a right that is not to read single columns (GRANT SELECT, UPDATE ON `nova`.*)",
        ),
    ],
)
def test_the_role_says_what_it_does(played: dict[str, str], name: str, begins: str, says: str) -> None:
    _, _, told = played[name].partition(TASKS.get(name, "[drain_database_user : The account and its rights]"))
    result = re.search(r"^(changed|ok|fatal): ", told, flags=re.MULTILINE)
    assert result is not None, played[name]
    assert result[0].strip() == begins
    assert says in told


def test_proxysql_is_given_the_account(played: dict[str, str]) -> None:
    (user,) = yaml.safe_load(played["for ProxySQL"])["mysql_users"]
    assert (user["username"], user["password"]) == (ACCOUNT, PASSWORD)


def test_what_is_not_ours_stays_as_it_is(account: MariaDB) -> None:
    assert len(account.execute("SHOW GRANTS FOR somebodys@`%`")) == 2
    with pymysql.connect(host="127.0.0.1", port=account.port, user="somebodys", password="x"):
        pass


def test_the_old_password_is_of_no_use(account: MariaDB) -> None:
    with pytest.raises(pymysql.err.OperationalError) as caught:
        pymysql.connect(host="127.0.0.1", port=account.port, user=ACCOUNT, password=OLD)
    assert caught.value.args[0] == 1045


@pytest.fixture
def connection(account: MariaDB, schema: str) -> Iterator[Database]:
    parts = {"host": "127.0.0.1", "port": account.port, "user": ACCOUNT, "password": PASSWORD}
    made = Database(target(name=schema, **parts))
    yield made
    made.close()


@pytest.mark.parametrize(("service", "schema"), CASES)
def test_it_reads_all_evidence(connection: Database, service: str, schema: str) -> None:
    with connection.snapshot() as query:
        for sql, params in statements(service):
            query(sql, params)


def readable(query: Query, table: str, column: str) -> bool:
    try:
        query(f"SELECT `{column}` FROM `{table}` LIMIT 1")
    except EvidenceUnavailable as exc:
        if "may not read" not in str(exc):
            raise
        return False
    return True


@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_reads_no_other_column(account: MariaDB, connection: Database, schema: str) -> None:
    columns = account.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s", (schema,)
    )
    assert {(of, table, column) for of, table, column in TREASURES if of == schema} <= {
        (schema, table, column) for table, column in columns
    }
    with connection.snapshot() as query:
        read = {(table, column) for table, column in columns if readable(query, table, column)}
    allowed = rights(BY_SERVICE, {schema: [schema]})
    assert read == {(table, column) for (_, table), columns in allowed.items() for column in columns}


def test_it_sees_no_other_database(account: MariaDB) -> None:
    with (
        pymysql.connect(host="127.0.0.1", port=account.port, user=ACCOUNT, password=PASSWORD) as plain,
        plain.cursor() as cursor,
    ):
        cursor.execute("SHOW DATABASES")
        assert {name for (name,) in cursor.fetchall()} == {"information_schema", *SCHEMAS}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE services SET disabled = 1",
        "INSERT INTO services (host) VALUES ('x')",
        "DELETE FROM services",
        "CREATE TABLE x (id INT)",
        "DROP TABLE services",
        "LOCK TABLES services READ",
    ],
)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_writes_nothing(account: MariaDB, schema: str, statement: str) -> None:
    """By its rights alone: without the guard that makes a session read-only."""
    plain = pymysql.connect(
        host="127.0.0.1", port=account.port, user=ACCOUNT, password=PASSWORD, database=schema, autocommit=True
    )
    with plain, plain.cursor() as cursor, pytest.raises(pymysql.err.OperationalError) as caught:
        cursor.execute(statement)
    assert caught.value.args[0] in (1044, 1142, 1143)

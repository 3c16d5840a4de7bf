"""A MariaDB in a container, alone or as a part of the stack.

    db = mariadb.start("mytest", tls=True)
    db.load_schema("cinder")
    with db.connect("cinder") as connection: ...
    db.stop(); db.start(); db.remove()

Schemas are made by the projects' own ``*-manage`` commands and kept as dumps.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER
from pymysql.cursors import Cursor

from testbed import containers, images
from testbed.console import step
from testbed.containers import Spec
from testbed.errors import NotReady, TestbedError
from testbed.locks import locked
from testbed.paths import CACHE_DIR, LABEL, STATE_DIR
from testbed.setup_host import ensure_host
from testbed.waiting import wait_until

# The project and the command that make each schema.
SCHEMAS = {
    "cinder": ("cinder", ("cinder-manage", "db", "sync")),
    "nova_api": ("nova", ("nova-manage", "api_db", "sync")),
    "nova": ("nova", ("nova-manage", "db", "sync", "--local_cell")),
    "nova_cell0": ("nova", ("nova-manage", "db", "sync", "--local_cell")),
    "manila": ("manila", ("manila-manage", "db", "sync")),
    "ironic": ("ironic", ("ironic-dbsync", "upgrade")),
    "heat": ("heat", ("heat-manage", "db_sync")),
    "barbican": ("barbican", ("barbican-manage", "db", "upgrade")),
    "blazar": ("blazar", ("blazar-db-manage", "--config-file", "/etc/blazar/blazar.conf", "upgrade", "head")),
    "cyborg": ("cyborg", ("cyborg-dbsync", "upgrade")),
    "designate": ("designate", ("designate-manage", "database", "sync")),
    "glance": ("glance", ("glance-manage", "db_sync")),
    "magnum": ("magnum", ("magnum-db-manage", "upgrade")),
    "masakari": ("masakari", ("masakari-manage", "db", "sync")),
    "mistral": ("mistral", ("mistral-db-manage", "upgrade", "head")),
    "neutron": ("neutron", ("neutron-db-manage", "upgrade", "heads")),
    "octavia": ("octavia", ("octavia-db-manage", "upgrade", "head")),
    "tacker": ("tacker", ("tacker-db-manage", "--config-file", "/etc/tacker/tacker.conf", "upgrade", "head")),
    "trove": ("trove", ("trove-manage", "db_sync")),
    "watcher": ("watcher", ("watcher-db-manage", "upgrade")),
}
# Where projects have the URL of a database.
_SECTIONS = ("database", "api_database", "storage:sqlalchemy", "taskflow")
DEADLOCKS = 20  # one after the other, before a statement is given up
SOCKET = "/var/lib/mysql/mysqld.sock"
# Nothing needs to survive a crash of the machine, so nothing has to reach the disk. But commits must survive the
# server, which tests kill: 2 hands them to the kernel at once, 0 would keep them for up to a second.
SPEED = (
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=128M",
    "--innodb-doublewrite=0",
    "--performance-schema=OFF",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--max-connections=500",
)
TLS_SCRIPT = """set -e; cd /tls
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=kolla-drain testbed CA' \
    -keyout ca-key.pem -out ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server-key.pem -out server.csr 2>/dev/null
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > san
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 3650 -extfile san \
    -out server.pem 2>/dev/null
chmod 0644 *.pem
"""


def run(cursor: Cursor, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
    """Run one statement that is a transaction of its own, and return all rows.

    Services write beside the tests, so the server ends one of two writers that wait for each other, by chance
    the tests' own (1213, "try restarting transaction"); that does what it says.
    """
    for attempt in range(DEADLOCKS, -1, -1):
        try:
            cursor.execute(statement, parameters or None)
        except pymysql.err.OperationalError as error:
            if error.args[0] != ER.LOCK_DEADLOCK or not attempt:
                raise
        else:
            break
    return list(cursor.fetchall())


@dataclass
class MariaDB:
    """One server, running or stopped."""

    client: docker.DockerClient
    name: str
    port: int
    root_password: str
    folder: Path
    tls: bool = False
    host: str = "127.0.0.1"
    label: str = "mariadb"

    @property
    def ca_file(self) -> Path | None:
        """The certificate of the authority that signed the server's, with TLS."""
        return self.folder / "tls" / "ca.pem" if self.tls else None

    def spec(self, image: str) -> Spec:
        """The server's container."""
        tls = ("--ssl-ca=/tls/ca.pem", "--ssl-cert=/tls/server.pem", "--ssl-key=/tls/server-key.pem")
        return Spec(
            name=self.name,
            image=image,
            command=(
                "mariadbd",
                "--user=mysql",
                f"--port={self.port}",
                f"--bind-address={self.host}",
                f"--socket={SOCKET}",
                "--pid-file=/var/lib/mysql/mysqld.pid",
                "--init-file=/init.sql",
                *SPEED,
                *(tls if self.tls else ()),
            ),
            environment={"LD_PRELOAD": "libeatmydata.so"},
            volumes=(
                f"{self.folder / 'init.sql'}:/init.sql:ro",
                f"{CACHE_DIR}:{CACHE_DIR}:ro",
                *((f"{self.folder / 'tls'}:/tls:ro",) if self.tls else ()),
            ),
            labels={LABEL: self.label},
            few_files=True,
        )

    def up(self, image: str) -> str:
        """Create or start the container, and wait until the server answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        CACHE_DIR.mkdir(parents=True, exist_ok=True)
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '{self.root_password}';\n"
            f"ALTER USER root@'%' IDENTIFIED BY '{self.root_password}';\n"
            "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;\n"
        )
        if self.tls and not (self.folder / "tls" / "server.pem").exists():
            self._make_certificates(image)
        done = containers.ensure(self.client, self.spec(image))
        self.wait()
        return done

    def _make_certificates(self, image: str) -> None:
        (self.folder / "tls").mkdir(exist_ok=True)
        self.client.containers.run(
            image,
            ["sh", "-c", TLS_SCRIPT],
            remove=True,
            network_mode="none",
            labels={LABEL: self.label},
            volumes=[f"{self.folder / 'tls'}:/tls"],
        )

    def wait(self, timeout: float = 300) -> None:
        """Wait until the server accepts a connection."""

        def answers() -> bool:
            self._still_running()
            with self.connect():
                return True

        wait_until(
            answers,
            timeout,
            f"MariaDB on port {self.port}",
            on_timeout=lambda: containers.log_tail(self.client, self.name),
        )

    def _still_running(self) -> None:
        container = containers.find(self.client, self.name)
        if container is None or container.status in ("exited", "dead"):
            raise NotReady(f"MariaDB ended.\n{containers.log_tail(self.client, self.name)}")

    @contextlib.contextmanager
    def connect(self, database: str | None = None, **options: Any) -> Iterator[Connection]:
        """A connection as root that commits each statement and is closed at the end."""
        connection = self.open(database, **options)
        try:
            yield connection
        finally:
            connection.close()

    def open(self, database: str | None = None, **options: Any) -> Connection:
        """A connection as root that the caller closes."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            password=self.root_password,
            database=database,
            autocommit=True,
            connect_timeout=5,
            **options,
        )

    def execute(
        self, statement: str, parameters: tuple[Any, ...] = (), database: str | None = None
    ) -> list[Any]:
        """Run one statement, and return all rows."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            return run(cursor, statement, parameters)

    def create_user(self, user: str, password: str, grants: str = "ALL", on: str = "*.*") -> None:
        """Create a user who may connect from anywhere, with these rights."""
        self.execute(f"CREATE OR REPLACE USER `{user}`@`%%` IDENTIFIED BY %s", (password,))
        self.execute(f"GRANT {grants} ON {on} TO `{user}`@`%`")

    def rename(self, old: str, new: str) -> None:
        """Move all tables of a database into another one: what is there under its name is whole."""
        self.execute(f"CREATE DATABASE IF NOT EXISTS `{new}` CHARACTER SET utf8mb3")
        tables = self.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (old,)
        )
        moves = ", ".join(f"`{old}`.`{table}` TO `{new}`.`{table}`" for (table,) in tables)
        self.execute(f"RENAME TABLE {moves}")
        self.execute(f"DROP DATABASE `{old}`")

    def url(self, database: str) -> str:
        """An SQLAlchemy URL as root."""
        return f"mysql+pymysql://root:{self.root_password}@127.0.0.1:{self.port}/{database}"

    def stop(self, timeout: int = 10) -> None:
        """Stop the server, and keep its data."""
        self.client.containers.get(self.name).stop(timeout=timeout)

    def kill(self) -> None:
        """Kill the server, and keep its data."""
        self.client.containers.get(self.name).kill()

    def hang(self) -> None:
        """Make the server hang: it takes connections and never answers."""
        self._tell("kill -STOP $(cat /var/lib/mysql/mysqld.pid)")

    def go_on(self) -> None:
        """Let the server answer again, whether it was stopped or hangs."""
        self.start(wait=False)
        self._tell("kill -CONT $(cat /var/lib/mysql/mysqld.pid) || true")  # one that starts has none yet
        self.wait()

    def _tell(self, script: str) -> None:
        container = self.client.containers.get(self.name)
        containers.run_inside(container, ["sh", "-c", script], "sending MariaDB a signal")

    def start(self, wait: bool = True) -> None:
        """Start the server again after stop() or kill()."""
        self.client.containers.get(self.name).start()
        if wait:
            self.wait()

    def remove(self) -> None:
        """Remove the container, its data and its folder."""
        containers.remove(self.client, self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> MariaDB:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def load_schema(self, schema: str, database: str | None = None, image: str | None = None) -> str:
        """Make ``database`` (by default called as the schema) afresh, empty but for what a db sync leaves in it.

        ``image`` is the name of an image of an older release of the project, whose schema it then is.
        """
        database = database or schema
        dump = ensure_dump(self, schema, image)
        self.execute(f"DROP DATABASE IF EXISTS `{database}`")
        self.execute(f"CREATE DATABASE `{database}` CHARACTER SET utf8mb3")
        container = self.client.containers.get(self.name)
        containers.run_inside(
            container,
            ["sh", "-c", f"mariadb -S {SOCKET} {database} < {dump}"],
            f"loading the schema of {schema}",
        )
        return database


def start(
    name: str,
    port: int | None = None,
    *,
    tls: bool = False,
    host: str = "127.0.0.1",
    root_password: str | None = None,
) -> MariaDB:
    """A MariaDB of its own in the container ``kolla_drain_mariadb_<name>``.

    remove() it afterwards, or use it as a context manager.
    """
    client = ensure_host()
    image = images.ensure(client)["base"].reference
    with locked("ports"):
        return _start(client, image, name, port, tls, host, root_password)


def _start(
    client: docker.DockerClient,
    image: str,
    name: str,
    port: int | None,
    tls: bool,
    host: str,
    root_password: str | None,
) -> MariaDB:
    full_name = f"kolla_drain_mariadb_{name}"
    containers.refuse_strangers(client, full_name)
    containers.remove(client, full_name)
    server = MariaDB(
        client=client,
        name=full_name,
        port=port or next(containers.free_ports()),
        root_password=root_password or secrets.token_hex(12),
        folder=STATE_DIR / full_name,
        tls=tls,
        host=host,
        label=f"mariadb-{name}",
    )
    server.up(image)
    return server


def ensure_cinder(server: MariaDB, password: str, image: str = "cinder") -> None:
    """The database of Cinder and its user, made where it is missing; it has its name only when it is whole."""
    if server.execute("SHOW DATABASES LIKE 'cinder'"):
        return
    server.load_schema("cinder", "cinder_half", image)
    server.execute("UPDATE cinder_half.quota_classes SET hard_limit = -1")
    server.rename("cinder_half", "cinder")
    server.create_user("cinder", password, on="cinder.*")


def ensure_dump(server: MariaDB, schema: str, name: str | None = None) -> Path:
    """The dump of a schema, made by the project's own command when it is not there yet."""
    project, command = SCHEMAS[schema]
    name = name or images.image_of(project)
    dump = CACHE_DIR / f"schema-{schema}-{images.image_named(name).tag}.sql"
    if dump.exists():
        return dump
    image = images.ensure(server.client, name)[name].reference
    scratch = f"sync_{schema}"
    with step(f"making the schema of {schema} ({' '.join(command)})"):
        server.execute(f"DROP DATABASE IF EXISTS `{scratch}`")
        server.execute(f"CREATE DATABASE `{scratch}` CHARACTER SET utf8mb3")
        _sync(server, project, command, image, scratch)
        _dump(server, scratch, dump)
        server.execute(f"DROP DATABASE `{scratch}`")
    return dump


def _sync(server: MariaDB, project: str, command: tuple[str, ...], image: str, database: str) -> None:
    folder = server.folder / f"sync-{database}"
    folder.mkdir(exist_ok=True)
    (folder / f"{project}.conf").write_text(
        "".join(f"[{section}]\nconnection = {server.url(database)}\n" for section in _SECTIONS)
        + "[oslo_concurrency]\nlock_path = /tmp\n"
    )
    try:
        server.client.containers.run(
            image,
            list(command),
            remove=True,
            network_mode="host",
            labels={LABEL: server.label},
            volumes=[f"{folder}/{project}.conf:/etc/{project}/{project}.conf:ro"],
            stderr=True,
        )
    except docker.errors.ContainerError as error:
        stderr = error.stderr or b""
        text = stderr if isinstance(stderr, str) else stderr.decode(errors="replace")
        raise TestbedError(
            f"'{' '.join(command)}' failed: {containers.without_secrets(text)[-1500:]}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _dump(server: MariaDB, database: str, dump: Path) -> None:
    command = ["mariadb-dump", "-S", SOCKET, "--single-transaction", "--skip-comments", database]
    ran = containers.execute(server.client.containers.get(server.name), command)
    if ran.code or not ran.stdout:
        raise TestbedError(
            f"mariadb-dump of {database} failed: {ran.output.decode(errors='replace')[-1200:]}"
        )
    half = dump.with_suffix(f".half-{os.getpid()}")
    half.write_bytes(ran.stdout)
    half.rename(dump)


def leftovers() -> list[Path]:
    """Folders of standalone servers."""
    return sorted(STATE_DIR.glob("kolla_drain_mariadb_*"))

"""Configuration files, command lines and rows at random: a right answer or a clear sentence, and soon."""

from __future__ import annotations

import json
import random
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType

import pytest

from kolla_drain import evidence, masking
from kolla_drain.actions import report
from kolla_drain.database.connection import Database
from kolla_drain.database.target import DatabaseTarget, target
from kolla_drain.errors import ConfigError
from kolla_drain.evidence.base import understood
from kolla_drain.evidence.reader import Source, _Question, _read
from kolla_drain.model import EvidenceState, Operation
from kolla_drain.service import config, timeouts
from kolla_drain.service.config import Backend, ServiceConfig
from tests.support import fuzz

# --- configuration files

OPTIONS = (
    *(
        "host",
        "enabled_backends",
        "service_down_time",
        "report_interval",
        "graceful_shutdown_timeout",
        "state_path",
    ),
    *("manager_shutdown_timeout", "connection", "connection_parameters", "backend_host", "my_ip", "other"),
)
VALUES = (
    *(
        "",
        "a",
        "-1",
        "0",
        "1",
        fuzz.NINES,
        "9" * 5000,
        "1e5",
        "nan",
        "True",
        "a,a,,",
        "lvm,DEFAULT",
        "database",
        "'a",
    ),
    *(
        "$host",
        "${host}",
        "$other",
        "${",
        "$$",
        "${}",
        "${database.connection}",
        "$config_dir",
        "$__class__",
        "$a.b.c",
    ),
    *(
        "x\0",
        "\x1b[31m",
        "ü",
        "%(host)s",
        "{{ x }}",
        "[x]",
        "\\$host",
        "$host" * 2000,
        "'a'," * 2000,
        "x" * 20_000,
    ),
    *(
        "mysql+pymysql://u:p@h/x",
        "mysql://u:p@h:99999/x",
        "mysql://u:p@[::1]/x?ssl_ca=%00&read_timeout=nan",
        "://:@",
    ),
)


def file(random: random.Random) -> bytes:
    """Return a configuration file, most of them with a syntax that can be read."""
    lines, is_broken = ["[DEFAULT]"], random.random() < 0.15
    for _ in range(random.randrange(1, 14)):
        kind = random.random()
        if is_broken and kind < 0.3:
            lines.append(random.choice(VALUES))
        elif kind < 0.2:
            lines.append(f"[{random.choice(('DEFAULT', 'database', 'lvm', 'a', '', ' x', ']'))}]")
        elif kind < 0.9:
            lines.append(f"{random.choice(OPTIONS)} = {random.choice(VALUES)}")
        else:  # of one another, and twice
            one = random.choice(OPTIONS)
            lines.append(f"{random.choice(OPTIONS)} = ${one}${{{one}}}")
    text = random.choice(("\n", "\r\n")).join(lines).encode()
    if is_broken and random.random() < 0.3:
        at = random.randrange(len(text))
        text = text[:at] + bytes([random.randrange(256)]) + text[at:]
    return text


def test_any_configuration(tmp_path: Path) -> None:
    def attempt(random: random.Random) -> None:
        paths = [str(tmp_path / name) for name in ("one.conf", "two.conf")[: random.choice((1, 1, 2))]]
        for path in paths:
            Path(path).write_bytes(file(random))
        env = {f"OS_DEFAULT__{random.choice(OPTIONS).upper()}": random.choice(VALUES)}
        service = random.choice(("cinder-volume", "cinder-backup", "nova-compute"))
        try:
            found = config.load(paths, service, "h", random.choice(({}, {}, env)))
            timeouts.findings(found, 180, 5)
            if found.database:
                target(found.database, inherited=True, root="/proc/1/root")
        except ConfigError as exc:
            text = masking._one_line(exc)
        else:
            return
        fuzz.is_clear(text)
        assert "u:p@" not in text

    fuzz.tries(600, attempt)


# --- command lines and variables


def test_any_command_is_masked_soon() -> None:
    words = (
        "curl ",
        "-u ",
        "mysql",
        "redis-cli ",
        "-p",
        "://",
        "u:",
        "@",
        "=",
        "--password",
        " ",
        "'",
        '"',
        "a",
        "-",
        ":",
    )

    def attempt(random: random.Random) -> None:
        some = random.sample(words, random.choice((1, 2, 3, 5)))
        text = "".join(random.choice(some) for _ in range(random.choice((100, 30_000))))
        masking.masked("X", text)
        masking.masked_words(text.split(" "))
        masking.secrets({"environment": text})

    fuzz.tries(25, attempt)


# --- rows

ODD = (
    *(
        None,
        "",
        "x",
        b"",
        b"\0",
        b"creating",
        b"\xff",
        0,
        -1,
        2**63,
        1.5,
        float("nan"),
        Decimal(12),
        Decimal("NaN"),
    ),
    *(
        Decimal("1.5"),
        datetime(2026, 11, 1),
        datetime.min,
        datetime.max,
        date(2026, 1, 1),
        timedelta(-5),
        time(1),
    ),
    *(
        "0000-00-00 00:00:00",
        "2026-13-45",
        "creating",
        "error",
        "target:",
        "\x1b[2J",
        "a\nb",
        "\0",
        "x" * 70_000,
    ),
    *("h@a#pool", "{{ x }}", {"a"}, "compute_x", "live-migration", "image_"),
)
WHEN = datetime(2026, 11, 1)
USUAL = {
    **dict.fromkeys(("id", "uuid", "resource_id", "instance_uuid"), ("v1", "v2")),
    **dict.fromkeys(("age", "report_count", "service_id"), (1, 100)),
    **dict.fromkeys(("deleted", "disabled", "forced_down", "settled", "old", "under_way"), (0, 1)),
    **dict.fromkeys(("created_at", "updated_at", "written", "start_time", "launched_at"), (None, WHEN)),
    **dict.fromkeys(("source_compute", "dest_compute"), ("h",)),
    "host": ("h", "h@a", "h@a#p"),
    "status": ("creating", "deleting", "available", "extending", "error", "running"),
    "migration_status": (None, "migrating", "target:v1"),
    "task_state": (None, "spawning", "migrating"),
    "event": ("compute_x",),
    "resource_type": ("Volume", "Snapshot"),
}


def columns(sql: str) -> list[str]:
    """Return the names of what a statement selects."""
    names, depth, name = [], 0, ""
    for part in re.findall(r"[()]|,| FROM |(?:(?! FROM )[^(),])+", sql.removeprefix("SELECT ")):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if not depth and part in (",", " FROM "):
            names.append(name.split()[-1].rpartition(".")[2].strip("`"))
            name = ""
            if part == " FROM ":
                return names
        else:
            name += part
    raise AssertionError(sql)


class Rows:
    """PyMySQL's connection and its cursor."""

    def __init__(self, random: random.Random) -> None:
        self.random, self.odd, self.sql = random, random.choice((0.02, 0.1)), ""

    def cursor(self) -> Rows:
        return self

    def __enter__(self) -> Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def close(self) -> None:
        pass

    def execute(self, sql: str, params: object) -> None:
        self.sql = sql

    def fetchall(self) -> list[dict[str, object]]:
        if not self.sql.startswith("SELECT"):
            return []
        names = columns(self.sql)
        return [
            {name: self._value(name) for name in names} for _ in range(self.random.choice((0, 1, 1, 2, 3)))
        ]

    def _value(self, name: str) -> object:
        if self.random.random() < self.odd:
            return self.random.choice(ODD)
        return self.random.choice(USUAL.get(name, (None, "x")))


def plain(told: object) -> None:
    """Hold that Ansible can return it, and that a terminal can show it."""
    if isinstance(told, dict):
        plain([*told, *told.values()])
    elif isinstance(told, list):
        for part in told:
            plain(part)
    else:
        assert told is None or isinstance(told, (str, int, float)), repr(told)
        assert not isinstance(told, str) or told.isprintable(), repr(told)


def test_any_row() -> None:
    states = set()

    def attempt(random: random.Random) -> None:
        service = random.choice(sorted(evidence.SERVICES))
        backends = (Backend("a", "h"),) if service == "cinder-volume" and random.random() < 0.8 else ()
        database = Database(DatabaseTarget(user="u", name="n"))
        database._connection = Rows(random)
        source = Source(
            evidence.evidence_of(service), ServiceConfig(service, "h", backends=backends), database._target
        )
        operations: dict[tuple[str, str], Operation] = {}
        for _ in range(3):
            with database.snapshot() as query:
                question = _Question(1, tuple(operations.values()))
                answer = _read(understood(query), None, "key", source, question)
            states.add(answer.reading.state)
            told = report.reading(answer.reading)
            plain([told, [report._ending(ending, False) for ending in answer.endings]])
            json.dumps(told, allow_nan=False)
            operations.update((operation.key, operation) for operation in answer.reading.operations)

    fuzz.tries(800, attempt)
    assert states == {EvidenceState.OK, EvidenceState.UNAVAILABLE} or fuzz.is_replay()


@pytest.mark.parametrize("sql", ["SELECT a, COALESCE(b, c) AS d, x.`e` FROM f WHERE g IN (SELECT 1 FROM h)"])
def test_columns(sql: str) -> None:
    assert columns(sql) == ["a", "d", "e"]

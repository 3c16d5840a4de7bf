"""Tries at random, each from a seed of its own, which a failure prints with the command that repeats it.

Every commit takes new seeds. KOLLA_DRAIN_FUZZ_SEED names the first one, KOLLA_DRAIN_FUZZ_TRIES how many there are.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from . import checkout

# Seconds of processor that no single try may take, whatever it is given: one, on a machine that is three times as slow
# as usual because others compute beside it.
BOUND = 3.0


def tries(number: int, attempt: Callable[[random.Random], object]) -> None:
    """Call ``attempt`` so many times. Raises AssertionError, with the seed, for an exception and for a slow one."""
    first = int(os.environ.get("KOLLA_DRAIN_FUZZ_SEED") or checkout.seed())
    number = int(os.environ.get("KOLLA_DRAIN_FUZZ_TRIES") or number)
    for seed in range(first, first + number):
        begun = time.process_time()
        try:
            attempt(random.Random(seed))
            took = time.process_time() - begun
            assert took < BOUND, f"it took {took:.1f} s"
        except Exception as exc:
            test = os.environ.get("PYTEST_CURRENT_TEST", "TEST").split(" ")[0]
            raise AssertionError(
                f"{type(exc).__name__}: {exc}\nto repeat it: KOLLA_DRAIN_FUZZ_SEED={seed} KOLLA_DRAIN_FUZZ_TRIES=1 "
                f".venv/bin/python -m pytest {test}"
            ) from exc


def is_replay() -> bool:
    """Return whether one seed is named, whose try need not show everything."""
    return bool(os.environ.get("KOLLA_DRAIN_FUZZ_SEED"))


def is_clear(text: object) -> None:
    """Hold that it is a message for a person: one line that a terminal shows, and no traceback."""
    assert isinstance(text, str)
    assert text
    assert text.isprintable(), text
    # Ansible masks what has been cut to its length: of a secret of one letter each becomes eight stars.
    letters = len(text.replace("*" * 8, "*"))
    assert letters < 11_000, f"{letters} letters: {text[:200]}"
    assert "Traceback" not in text, text


NINES = "9" * 400
TEXTS = (
    *(
        "",
        " ",
        "\t\n",
        "x",
        "x" * 20_000,
        "-1",
        "0",
        "1.5",
        NINES,
        NINES + "g",
        "1e400",
        "nan",
        "inf",
        "0x10",
        "٣",
    ),
    *(
        "ü",
        "\ud800",
        "a\0b",
        "\x1b[31mx",
        "\u202e",
        "{{ x }}",
        "'",
        '"a',
        "a=b",
        "$HOME",
        "~/x",
        "../x",
        "/nowhere",
    ),
    *(
        "a:b",
        "a:/b",
        "/a:/b:ro,zz",
        ":::",
        "a,b",
        "[1]",
        "{'a': 1}",
        "true",
        "None",
        "0-99999999999",
        "7,1-0",
    ),
    *(
        "1g",
        "SIGTERM",
        "SIGRTMIN+99",
        "container:",
        "NONE",
        "x@y:z@w",
        "sha256:",
        "cinder-volume",
        "https://u:p@h/",
    ),
)
NUMBERS = (
    0,
    -1,
    1,
    2**31,
    2**63,
    10**30,
    10**400,
    0.1,
    1e300,
    float("inf"),
    float("-inf"),
    float("nan"),
    True,
)


def value(random: random.Random, depth: int = 0) -> object:
    """Return something that an option may be given by mistake or by malice."""
    kind = random.random()
    if kind < 0.55 or depth > 2:
        return random.choice(TEXTS)
    if kind < 0.8:
        return random.choice(NUMBERS)
    if kind < 0.85:
        return None
    if kind < 0.93:
        return [value(random, depth + 1) for _ in range(random.randrange(4))]
    names = (*TEXTS, "soft", "hard", "test", "nofile", "mem_limit")
    return {random.choice(names): value(random, depth + 1) for _ in range(random.randrange(4))}


# What has options of its own.
PARTS = {
    "dimensions": (
        "mem_limit",
        "memswap_limit",
        "cpu_quota",
        "cpuset_cpus",
        "cpuset_mems",
        "ulimits",
        "blkio_weight",
    ),
    "healthcheck": ("test", "interval", "timeout", "retries"),
    "database": (
        "url",
        "host",
        "port",
        "unix_socket",
        "user",
        "name",
        "ssl_ca",
        "ssl_verify",
        "read_timeout",
    ),
    "common_options": (
        "dimensions",
        "database",
        "environment",
        "client_timeout",
        "restart_retries",
        "healthcheck",
    ),
}


def arguments(random: random.Random, options: dict[str, dict[str, object]]) -> dict[str, object]:
    """Return arguments of the module, some of them odd, for an argument spec."""
    given: dict[str, object] = {"action": random.choice(options["action"]["choices"])}  # type: ignore[call-overload]
    others = sorted(set(options) - {"action", "name", "container_engine"})
    for name in random.sample(others, random.choice((1, 1, 2, 3))):
        parts = PARTS.get(name, ())
        if parts and random.random() < 0.9:
            given[name] = {part: value(random) for part in random.sample(parts, random.choice((1, 2)))}
            if name == "healthcheck":
                given[name].setdefault("test", "x")  # type: ignore[attr-defined]
        else:
            given[name] = value(random)
    if random.random() < 0.8:
        given["image"] = "kolla/x:1"
    return given

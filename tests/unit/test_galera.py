"""Whether a Galera cluster can spare a member, from what its members say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kolla_drain import galera
from kolla_drain.database.target import DatabaseTarget
from kolla_drain.errors import ConfigError
from kolla_drain.galera import Member
from tests.support.documented import load

ONE = Member("10.0.0.1", 3, "Primary", "Synced", "c1")
TWO, THREE = replace(ONE, address="10.0.0.2"), replace(ONE, address="10.0.0.3")
GONE = Member("10.0.0.3", why="it cannot be reached")
JOINS = replace(THREE, state="Joining: receiving State Transfer")

# own, others, members, leaving; can it be spared; words of why.
CASES: dict[str, tuple[Member, tuple[Member, ...], int, int, bool, str]] = {
    "all three serve": (ONE, (TWO, THREE), 3, 1, True, "3 of 3 members serve, and 2 are left"),
    "two at once": (ONE, (TWO, THREE), 3, 2, False, "2 must, and 1 would be left"),
    "all at once": (ONE, (TWO, THREE), 3, 3, False, "and 0 would be left"),
    "one is away": (ONE, (TWO, GONE), 3, 1, False, "10.0.0.3: it cannot be reached"),
    "one joins": (ONE, (TWO, JOINS), 3, 1, False, "10.0.0.3: Primary, Joining"),
    "one is of another cluster": (ONE, (TWO, replace(THREE, cluster="c2")), 3, 1, False, "2 of 3"),
    "one of two": (ONE, (TWO,), 2, 1, False, "2 of 2 members serve, 2 must, and 1 would be left"),
    "one of five": (ONE, (TWO, THREE, GONE), 5, 1, False, "3 must, and 2 would be left"),
    "alone": (replace(ONE, size=1), (), 1, 1, False, "1 of 1 members serve, 1 must, and 0 would be left"),
    "cannot be asked": (GONE, (), 3, 1, False, "its status cannot be read: it cannot be reached"),
    "not clustered": (Member("x", 0, "Disconnected", ""), (), 0, 1, False, "in no Galera cluster"),
    "joins": (Member("x", 0, "non-Primary", "Joining"), (TWO, THREE), 3, 1, False, "is non-Primary"),
    "split off": (replace(ONE, status="non-Primary"), (TWO, THREE), 3, 1, False, "is non-Primary"),
    "donor": (replace(ONE, state="Donor/Desynced"), (TWO, THREE), 3, 1, False, "it is Donor/Desynced"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_spared_only_if_most_of_all_serve_on(case: str) -> None:
    own, others, members, leaving, spared, words = CASES[case]

    answer = galera.judge(own, others, members, leaving)

    assert answer.can_spare is spared
    assert words in answer.why


KOLLA = """\
[client]
port=1
[mysqld]
bind-address=10.0.0.1
port=3307
wsrep_cluster_address=gcomm://10.0.0.1:4567,10.0.0.2:4567,[fd00::3]:4567
wsrep_node_address=10.0.0.1:4567
wsrep_cluster_name="openstack"
wsrep_sst_auth=root:se:cr=et
[sst]
;sockopt=",pf=ip6"
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "galera.cnf").write_text(KOLLA)
    return str(tmp_path / "galera.cnf")


def test_kollas_own_file_says_who_and_how(path: str) -> None:
    found = galera.load(path)

    assert found == galera.Config("10.0.0.1", 3307, "root", "se:cr=et", ("10.0.0.1", "10.0.0.2", "fd00::3"))
    assert "se:cr=et" not in repr(found)


def test_without_a_file_it_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"galera\.cnf cannot be read: No such file"):
        galera.load(str(tmp_path / "galera.cnf"))


def asked(monkeypatch: pytest.MonkeyPatch, into: ModuleType = galera, **answers: Any) -> list[DatabaseTarget]:
    found: list[DatabaseTarget] = []

    def ask(where: DatabaseTarget) -> Member:
        found.append(where)
        return replace(ONE, address=where.host, **answers)

    monkeypatch.setattr(into, "ask", ask)
    return found


def test_every_member_is_asked_with_the_same_account(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch)

    answer = galera.look(path, {"user": "drain", "password": "p", "unix_socket": None}, 1)

    assert [(one.host, one.port, one.user) for one in found] == [
        ("10.0.0.1", 3307, "drain"),
        ("10.0.0.2", 3307, "drain"),
        ("fd00::3", 3307, "drain"),
    ]
    assert answer.can_spare


def test_the_others_are_not_asked_where_it_is_not_well_itself(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(monkeypatch, state="Joined")

    answer = galera.look(path, {}, 1)

    assert [one.host for one in found] == ["10.0.0.1"]
    assert not answer.can_spare


@pytest.mark.parametrize(
    ("members", "answer", "synced"),
    [
        (3, {}, True),
        (3, {"state": "Joined"}, False),
        (3, {"size": 0, "status": "Disconnected", "state": ""}, False),
        (1, {"size": 0, "status": "Disconnected", "state": ""}, True),
        (1, {"size": 0, "status": "", "state": "", "why": "no answer"}, False),
    ],
)
def test_it_is_waited_for_until_it_is_synced_or_is_known_to_be_alone(
    path: str, monkeypatch: pytest.MonkeyPatch, members: int, answer: dict[str, Any], synced: bool
) -> None:
    pytest.importorskip("ansible.release", reason="no ansible-core for this Python")
    module = load("kolla_galera")
    asked(monkeypatch, module.galera, **answer)
    if members == 1:
        Path(path).write_text(re.sub("wsrep_cluster_address=.*", "wsrep_cluster_address=gcomm://", KOLLA))

    found = module.look({"config_file": path, "database": None, "leaving": 1})

    assert found["synced"] is synced

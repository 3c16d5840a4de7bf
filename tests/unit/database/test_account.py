"""The account that reads evidence: what is looked at on the server, and the statements that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kolla_drain.database.account import Account, compare, listed, shown
from kolla_drain.errors import Refused

RIGHTS = {("cinder", "groups"): frozenset(("id", "host")), ("nova", "services"): frozenset(("binary",))}
WANTED = Account("drain", "pass", RIGHTS)
# What MariaDB says to SELECT PASSWORD('pass').
PROOF = "*196BDEDE2AE4F84CA44C47D54D78478C7E2BD7B7"
USAGE = f"GRANT USAGE ON *.* TO `drain`@`%` IDENTIFIED BY PASSWORD '{PROOF}'"
GROUPS = "GRANT SELECT (`host`, `id`) ON `cinder`.`groups` TO `drain`@`%`"
SERVICES = "GRANT SELECT (`binary`) ON `nova`.`services` TO `drain`@`%`"


class Server:
    """Answers as MariaDB does; without an account if ``grants`` is empty."""

    def __init__(self, *grants: str, proof: str = PROOF, plugin: str = "mysql_native_password") -> None:
        self.grants = grants
        self.login = {"plugin": plugin, "proof": proof}
        self.columns = [
            ("cinder", "groups", "id"), ("cinder", "groups", "host"), ("nova", "services", "binary"),
        ]  # fmt: skip

    def __call__(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        if "information_schema.columns" in sql:
            return [dict(zip(("of", "table", "name"), row)) for row in self.columns if row[0] in params]
        if "mysql.user" in sql:
            assert params == ("drain", "%")
            return [self.login] if self.grants else []
        assert sql == "SHOW GRANTS FOR `drain`@`%`"
        return [{"Grants for drain@%": grant} for grant in self.grants]


def changes(server: Server) -> list[str]:
    return list(compare(server, WANTED).statements)


def test_a_new_one() -> None:
    assert changes(Server()) == [
        f"CREATE USER `drain`@`%` IDENTIFIED BY PASSWORD '{PROOF}'",
        "GRANT SELECT (`host`, `id`) ON `cinder`.`groups` TO `drain`@`%`",
        "GRANT SELECT (`binary`) ON `nova`.`services` TO `drain`@`%`",
    ]


def test_one_that_is_as_wanted() -> None:
    found = compare(Server(USAGE, GROUPS, SERVICES), WANTED)
    assert found.statements == ()
    assert found.held == RIGHTS


def test_the_columns_without_quotes_of_an_older_server() -> None:
    assert changes(Server(USAGE, GROUPS.replace("`host`, `id`", "host, id"), SERVICES)) == []


@pytest.mark.parametrize("other", [{"proof": "*00"}, {"plugin": "unix_socket"}])
def test_another_password(other: dict[str, str]) -> None:
    (only,) = changes(Server(USAGE, GROUPS, SERVICES, **other))
    assert only == f"ALTER USER `drain`@`%` IDENTIFIED BY PASSWORD '{PROOF}'"
    assert PROOF not in shown(only)
    assert "pass" not in repr(WANTED)


def test_rights_come_before_others_go() -> None:
    more = GROUPS.replace("`host`", "`name`")
    gone = "GRANT SELECT (`a`) ON `old``one`.`t` TO `drain`@`%`"
    assert changes(Server(USAGE, more, gone, SERVICES)) == [
        "GRANT SELECT (`host`) ON `cinder`.`groups` TO `drain`@`%`",
        "REVOKE SELECT (`name`) ON `cinder`.`groups` FROM `drain`@`%`",
        "REVOKE SELECT (`a`) ON `old``one`.`t` FROM `drain`@`%`",
    ]


@pytest.mark.parametrize(
    "right",
    [
        "GRANT ALL PRIVILEGES ON *.* TO `drain`@`%` IDENTIFIED BY PASSWORD '*HASH'",
        "GRANT USAGE ON *.* TO `drain`@`%` IDENTIFIED BY PASSWORD '*HASH' WITH GRANT OPTION",
        "GRANT ALL PRIVILEGES ON `drain`.* TO `drain`@`%`",
        "GRANT SELECT ON `nova`.`services` TO `drain`@`%`",
        "GRANT SELECT (`id`), UPDATE (`disabled`) ON `cinder`.`services` TO `drain`@`%`",
        "GRANT SELECT (`id`) ON `cinder`.`services` TO `drain`@`%` WITH GRANT OPTION",
        "GRANT EXECUTE ON PROCEDURE `a`.`b` TO `drain`@`%`",
        "GRANT `role` TO `drain`@`%`",
        "GRANT PROXY ON ''@'%' TO 'drain'@'%' WITH GRANT OPTION",
    ],
)
def test_an_account_that_may_do_anything_else_is_somebodys(right: str) -> None:
    with pytest.raises(
        Refused, match=r"not to read single columns \(GRANT .*\), and was not changed"
    ) as caught:
        changes(Server(USAGE, right))
    assert "HASH" not in str(caught.value)


def test_a_column_that_is_not_there() -> None:
    server = Server()
    server.columns.pop(0)
    with pytest.raises(Refused, match=r"evidence reads cinder\.groups\.id, which the server does not have"):
        changes(server)


def test_a_database_that_is_not_there() -> None:
    server = Server()
    server.columns = server.columns[:2]
    with pytest.raises(Refused, match="there is no database nova with tables on the server"):
        changes(server)


def test_no_database_at_all() -> None:
    with pytest.raises(Refused, match="the account would have no rights"):
        compare(Server(), Account("drain", "pass", {}))


@pytest.mark.parametrize("name", ["", "a`b", "a b", "a@b", "ü", "x" * 81])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(Refused, match="cannot be the account's name"):
        compare(Server(), Account(name, "pass", RIGHTS))


def test_rights_as_text() -> None:
    assert listed(RIGHTS) == "cinder.groups: host, id\nnova.services: binary\n"

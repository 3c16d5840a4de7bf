"""What kolla_database_user makes of its options: the services and the databases whose columns are granted."""

from __future__ import annotations

import contextlib
from types import ModuleType
from typing import Any

import pytest

from kolla_drain.database.rights import BY_SERVICE, Rights, rights
from tests.support.documented import load

THERE = {"cinder": ["cinder"], "nova": ["nova", "nova_cell1"], "nova_cell0": ["nova_cell0"]}
COLUMNS = [
    {"of": database, "table": table, "name": column}
    for (database, table), columns in rights(BY_SERVICE, THERE).items()
    for column in columns
]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load("kolla_database_user")


@pytest.fixture
def granted(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``granted(**options)`` is the databases of which the account would read columns."""
    wanted: list[Rights] = []
    more: list[dict[str, str]] = []

    class Server:
        def __init__(self, _: object) -> None:
            pass

        def snapshot(self) -> Any:
            return contextlib.nullcontext(
                lambda sql, params=(): [row for row in [*COLUMNS, *more] if row["of"] in params]
            )

        def close(self) -> None:
            pass

    def compare(_: object, account: Any) -> Any:
        wanted.append(account.rights)
        return module.account.Difference({}, ())

    monkeypatch.setattr(module, "Database", Server)
    monkeypatch.setattr(module.account, "compare", compare)

    def run(*rows: dict[str, str], **options: Any) -> set[str]:
        more[:] = rows
        given = {"name": "drain", "password": "x", "services": [], "databases": {}, "config_file": ""}
        options = {**given, "database": {"host": "h", "user": "root"}, **options}
        run.warnings = []  # type: ignore[attr-defined]
        module.ensure(options, check_mode=True, warn=run.warnings.append)  # type: ignore[attr-defined]
        return {database for database, _ in wanted[-1]}

    return run


def test_by_default_the_services_whose_databases_are_there(granted: Any) -> None:
    assert granted() == {"cinder", "nova", "nova_cell0"}
    assert granted.warnings == []


def test_a_database_of_another_kind_takes_nothing_from_the_others(granted: Any) -> None:
    foreign = {"of": "heat", "table": "users", "name": "id"}

    assert granted(foreign) == {"cinder", "nova", "nova_cell0"}

    (warning,) = granted.warnings
    assert warning.startswith(
        "The account has no right for heat-engine, because the database lacks heat.resource."
    )


def test_a_schema_has_the_databases_that_are_named(granted: Any) -> None:
    """One that is named and not there is left for the comparison to refuse."""
    assert granted(databases={"cinder": [], "nova": ["nova", "nova_cell1"]}) == {
        "nova",
        "nova_cell0",
        "nova_cell1",
    }
    assert granted(databases={"cinder": ["typo"]}) == {"typo", "nova", "nova_cell0"}


def test_a_service_that_is_named_has_to_be_there(granted: Any) -> None:
    assert granted(services=["nova-compute"]) == {"nova"}
    assert granted(services=["nova-compute"], databases={"nova": ["typo"]}) == {"typo"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"services": ["nova-api"]}, "services has nova-api, which is unknown: use .*nova-compute"),
        ({"databases": {"novas": []}}, "databases has novas, which is unknown: use .*cinder, .*nova"),
        ({"databases": {"nova": "nova"}}, r"databases has no list of names for nova: write it as \[nova\]"),
        ({"databases": {"nova": [1]}}, "databases has no list of names for nova"),
    ],
)
def test_what_is_not_known_is_refused(
    module: ModuleType, granted: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(module.Refused, match=message):
        granted(**options)

"""What is fenced, what is not and why, and what becomes of somebody else's reason; no API is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kolla_drain.disable import database as fence_database
from kolla_drain.disable import disabling as fence
from kolla_drain.disable import model
from kolla_drain.disable.disabling import Run
from kolla_drain.disable.model import FenceError, NoAnswer, NoSuchService, Outcome, Row, Wish
from kolla_drain.errors import ConfigError

NOON = "2026-11-21T12:00:00Z"
OURS = f"kolla-drain: fenced {NOON} for a stop of cinder-volume"


def volume(host: str, **more: Any) -> Row:
    return Row(
        **{"binary": "cinder-volume", "host": host, "enabled": True, "up": True, "zone": "nova", **more}
    )


def backup(host: str, **more: Any) -> Row:
    return replace(volume(host), binary="cinder-backup", **more)


def compute(host: str, **more: Any) -> Row:
    return replace(volume(host), binary="nova-compute", id=f"id-{host}", **more)


class FakeApi:
    """An API whose faults are switched on one by one; ``asked`` is what was told to change."""

    name = "Cinder's API"

    def __init__(self, *rows: Row, pools: dict[str, set[str]] | None = None) -> None:
        self.services = {row.host: row for row in rows}
        self.offered = pools
        self.asked: list[tuple[str, str]] = []
        self.broken: set[str] = set()  # taken, and nothing changed
        self.deaf: set[str] = set()  # done, and never answered
        self.refused: set[str] = set()
        self.meanwhile: list[Row] = []  # what others write right after our first change
        self.sticky_pools = False

    def rows(self, binary: str) -> list[Row]:
        return list(self.services.values())

    def pools(self) -> model.Pools | None:
        if self.offered is None:
            return None
        return {
            host: frozenset(names)
            for host, names in self.offered.items()
            if self.sticky_pools or host not in self.services or self.services[host].enabled
        }

    def disable(self, row: Row, reason: str) -> None:
        self._do("disable", row, enabled=False, reason=reason)

    def disable_plainly(self, row: Row) -> None:
        self._do("disable_plainly", row, enabled=False)

    def enable(self, row: Row) -> None:
        self._do("enable", row, enabled=True, reason="")

    def freeze_and_thaw(self, row: Row) -> None:
        self._do("thaw", row, enabled=True, reason="")

    def _do(self, what: str, row: Row, **change: Any) -> None:
        self.asked.append((what, row.host))
        if what in self.refused:
            raise FenceError(f"{what} is not allowed")
        if what not in self.broken:
            self.services[row.host] = replace(self.services[row.host], **change)
        while self.meanwhile:
            other = self.meanwhile.pop()
            self.services[other.host] = other
        if what in self.deaf:
            raise NoAnswer(f"no answer to {what}")

    @property
    def done(self) -> list[str]:
        return [what for what, _ in self.asked]


class Cinder29(FakeApi):
    """enable and disable answer well and change nothing; disable with a reason works."""

    def __init__(self, *rows: Row, **more: Any) -> None:
        super().__init__(*rows, **more)
        self.broken = {"enable", "disable_plainly"}


class FakeDatabase:
    def __init__(self, api: FakeApi, fault: str = "") -> None:
        self.api = api
        self.fault = fault
        self.enabled: list[str] = []

    def check(self, rows: Any) -> None:
        if self.fault:
            raise FenceError(self.fault)

    def enable(self, row: Row) -> bool:
        self.check([row])
        there = self.api.services[row.host]
        if there.enabled or there.reason != row.reason:
            return False
        self.enabled.append(row.host)
        self.api.services[row.host] = replace(there, enabled=True, reason="")
        return True


class FakeTime:
    def __init__(self) -> None:
        self.seconds = 0.0

    @property
    def clock(self) -> model.Clock:
        return model.Clock(lambda: self.seconds, self.sleep, lambda: NOON)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def time() -> Iterator[FakeTime]:
    fake = FakeTime()
    yield fake
    assert fake.seconds <= 30 + fence.POOLS_WAIT, "it ends"


def run(
    api: FakeApi,
    time: FakeTime,
    service: str = "cinder-volume",
    host: str = "a",
    state: str = "fenced",
    database: FakeDatabase | None = None,
    **more: Any,
) -> Outcome:
    wish = Wish(service=service, host=host, state=state, **more)
    return Run(api, wish, time.clock, database, fence_database.by_hand).go()


def held(reason: str = OURS) -> dict[str, Any]:
    return {"enabled": False, "reason": reason}


# -- which rows


def test_a_bare_host_means_all_of_its_backends_and_nobody_elses() -> None:
    rows = [volume("a@x"), volume("a@y"), volume("ab@x"), volume("a.b@x"), volume("a")]

    assert [row.host for row in model.rows_of(rows, "a")] == ["a@x", "a@y", "a"]
    assert [row.host for row in model.rows_of(rows, "a@x")] == ["a@x"]
    assert model.rows_of(rows, "A") == ()


def test_a_host_that_the_api_does_not_list(time: FakeTime) -> None:
    with pytest.raises(
        NoSuchService, match=r"no cinder-volume on zz: .* which are a@x, or set ignore_missing"
    ):
        run(FakeApi(volume("a@x")), time, host="zz")
    assert run(FakeApi(volume("a@x")), time, host="zz", ignore_missing=True).changed is False


# -- the mark


@pytest.mark.parametrize("text", ["plain", "two\nlines", "x" * 400, "snow ☃ and a face 😀", "", "   "])
def test_a_marker_fits_everywhere_and_is_known_again(text: str) -> None:
    reason = model.marker(NOON, text)

    assert len(reason) <= 255
    assert reason == reason.strip()
    assert "\n" not in reason
    assert all(ord(char) < 0x10000 for char in reason)
    assert volume("a", enabled=False, reason=reason).ours


@pytest.mark.parametrize("reason", ["", "frozen", "disk swap, see kolla-drain: docs", "Kolla-Drain: x"])
def test_another_reason_is_somebody_elses(reason: str) -> None:
    assert not volume("a", enabled=False, reason=reason).ours


def test_an_enabled_service_is_nobodys() -> None:
    assert not volume("a", reason=OURS).ours


# -- auto


@pytest.mark.parametrize(
    ("other", "pools", "fenced"),
    [
        (volume("b@x"), {"a@x": {"X"}, "b@x": {"X"}}, True),
        (volume("b@y"), {"a@x": {"X"}, "b@y": {"X"}}, True),  # the name counts, not the section
        (volume("b@x"), {"a@x": {"X"}, "b@x": {"Y"}}, False),
        (volume("b@x"), {"a@x": {"x"}}, False),  # not in the scheduler's choice
        (volume("b@x"), None, True),  # the scheduler cannot be asked
        (volume("b@y"), None, False),
        (volume("b@x", enabled=False), None, False),
        (volume("b@x", up=False), None, False),
        (volume("b@x", frozen=True), None, False),
        (volume("b@x", zone="other"), None, False),
        (volume("a@y"), {"a@x": {"X"}, "a@y": {"X"}}, False),  # of the same host, which is stopped too
        (volume("b@x", cluster="c@x"), {"a@x": {"X"}, "c@x": {"X"}}, True),
    ],
)
def test_auto_needs_another_that_can_take_the_work(
    time: FakeTime, other: Row, pools: dict[str, set[str]] | None, fenced: bool
) -> None:
    api = FakeApi(volume("a@x"), other, pools=pools)

    outcome = run(api, time)

    assert outcome.changed is fenced
    assert (not api.services["a@x"].enabled) is fenced
    assert ("a@x is fenced" in outcome.reason) is fenced
    assert ("cinder-volume on a@x is not fenced: no other" in outcome.reason) is not fenced


def test_auto_fences_the_backends_that_have_another_place_and_no_others(time: FakeTime) -> None:
    api = FakeApi(
        volume("a@x"),
        volume("a@y"),
        volume("b@x"),
        pools={"a@x": {"X"}, "a@y": {"Y"}, "b@x": {"X"}},
    )

    outcome = run(api, time)

    assert api.asked == [("disable", "a@x")]
    assert outcome.fenced is False, "one of them still takes work"
    assert "has its backend name Y" in outcome.reason


@pytest.mark.parametrize(
    ("make", "service", "others", "fenced"),
    [
        (backup, "cinder-backup", [{}], True),
        (backup, "cinder-backup", [], False),
        (compute, "nova-compute", [{}], True),
        (compute, "nova-compute", [{"forced_down": True}], False),
        (compute, "nova-compute", [{"up": False}, {"enabled": False}], False),
    ],
)
def test_auto_of_services_without_backends(
    time: FakeTime, make: Any, service: str, others: list[dict[str, Any]], fenced: bool
) -> None:
    api = FakeApi(make("a"), *(make(f"b{number}", **more) for number, more in enumerate(others)))

    assert run(api, time, service).fenced is fenced


def test_two_runs_that_counted_on_each_other_leave_no_one_fenced(time: FakeTime) -> None:
    api = FakeApi(backup("a"), backup("b"))
    api.meanwhile = [backup("b", **held())]

    outcome = run(api, time, "cinder-backup")

    assert api.services["a"].enabled
    assert outcome.changed is False
    assert "disabled meanwhile" in outcome.reason


def test_a_scheduler_that_has_just_started_is_waited_for(time: FakeTime) -> None:
    class Late(FakeApi):
        def pools(self) -> model.Pools | None:
            return super().pools() if time.seconds >= 3 else {}

    api = Late(volume("a@x"), volume("b@x"), pools={"a@x": {"X"}, "b@x": {"X"}})

    assert run(api, time).fenced


def test_a_member_of_a_cluster_cannot_be_fenced(time: FakeTime) -> None:
    api = FakeApi(volume("a@x", cluster="c@x"), volume("b@x"))

    assert "cluster's flag alone" in run(api, time).reason
    with pytest.raises(FenceError, match="cluster's flag alone"):
        run(api, time, fence="always")
    assert api.asked == []


@pytest.mark.parametrize("service", ["cinder-scheduler", "nova-conductor", "nova-scheduler"])
def test_what_nobody_reads_is_not_set(time: FakeTime, service: str) -> None:
    api = FakeApi(replace(volume("a"), binary=service), replace(volume("b"), binary=service))

    assert "nothing reads its flag" in run(api, time, service).reason
    with pytest.raises(FenceError, match="nothing reads its flag"):
        run(api, time, service, fence="always")
    assert api.asked == []


# -- always, never, and again


def test_always_and_a_second_time(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"))

    first = run(api, time, fence="always", reason="upgrade")
    second = run(api, time, fence="always", reason="another")

    assert (first.changed, first.fenced, first.method) == (True, True, "api")
    assert api.services["a@x"].reason == f"kolla-drain: fenced {NOON} upgrade"
    assert (second.changed, second.fenced, second.method) == (False, True, "")
    assert "a@x is fenced already" in second.reason


def test_never_leaves_everything(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"), volume("a@y", **held()))

    outcome = run(api, time, fence="never")

    assert (outcome.changed, api.asked) == (False, [])
    assert "fence is never" in outcome.reason


@pytest.mark.parametrize("state", ["fenced", "unfenced"])
@pytest.mark.parametrize("mode", ["auto", "always"])
def test_what_somebody_else_disabled_stays_as_it_is(time: FakeTime, state: str, mode: str) -> None:
    api = FakeApi(volume("a@x", **held("disk swap")), volume("b@x"))

    outcome = run(api, time, state=state, fence=mode, database=FakeDatabase(api))

    assert (outcome.changed, outcome.fenced, api.asked) == (False, True, [])
    assert "disabled by somebody else, with the reason 'disk swap', and stays so" in outcome.reason
    assert outcome.undo == ()


@pytest.mark.parametrize("state", ["fenced", "unfenced", "status"])
def test_check_mode_and_status_change_nothing(time: FakeTime, state: str) -> None:
    api = Cinder29(volume("a@x"), volume("a@y", **held()), volume("b@x"), volume("b@y"))

    outcome = run(api, time, state=state, check_mode=True)

    assert api.asked == []
    assert outcome.changed is (state != "status")
    assert [row.enabled for row in outcome.before] == [True, False]
    if state != "status":
        assert [row.enabled for row in outcome.rows] == [state == "unfenced"] * 2
        assert "would be" in outcome.reason


def test_check_mode_does_not_try_whether_the_api_can_enable(time: FakeTime) -> None:
    api = Cinder29(backup("a"), backup("b"))

    outcome = run(api, time, "cinder-backup", check_mode=True)

    assert api.asked == []
    assert "is known only once it is tried" in outcome.warnings[0]


# -- reading back


def test_a_disable_that_changes_nothing_is_told(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"))
    api.broken = {"disable"}

    with pytest.raises(
        FenceError, match="took the request to disable cinder-volume on a@x and lists it as enabled"
    ):
        run(api, time, fence="always")


def test_a_fault_half_way_names_what_may_be_fenced(time: FakeTime) -> None:
    class Half(FakeApi):
        def disable(self, row: Row, reason: str) -> None:
            if row.host == "a@y":
                raise FenceError("the API broke down")
            super().disable(row, reason)

    with pytest.raises(FenceError, match="broke down; cinder-volume on a@x, a@y may be fenced by now"):
        run(Half(volume("a@x"), volume("a@y"), volume("a@z")), time, fence="always")


def test_an_answer_that_never_came_is_judged_by_what_is_so(time: FakeTime) -> None:
    api = FakeApi(compute("a"))
    api.deaf = {"disable", "enable"}

    fenced = run(api, time, "nova-compute", fence="always")
    unfenced = run(api, time, "nova-compute", state="unfenced")

    assert (fenced.changed, fenced.fenced) == (True, True)
    assert "no answer to disable" in fenced.warnings[0]
    assert (unfenced.changed, unfenced.fenced, unfenced.method) == (True, False, "api")


def test_pools_that_stay_are_told(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"), pools={"a@x": {"X"}})
    api.sticky_pools = True

    outcome = run(api, time, fence="always")

    assert outcome.fenced
    assert "still offers a@x after 30 s" in outcome.warnings[0]


# -- cinder 29


@pytest.mark.parametrize(
    ("second_way", "with_database", "row", "method"),
    [
        ("auto", True, volume("a@x", **held()), "database"),
        ("auto", False, volume("a@x", **held()), "thaw"),
        ("thaw", True, volume("a@x", **held()), "thaw"),
        ("database", True, volume("a@x", **held()), "database"),
        ("auto", True, backup("a", **held()), "database"),
        ("auto", True, volume("a@x", up=False, **held()), "database"),
    ],
)
def test_unfence_by_the_second_way(
    time: FakeTime, second_way: str, with_database: bool, row: Row, method: str
) -> None:
    api = Cinder29(row)
    database = FakeDatabase(api) if with_database else None

    outcome = run(api, time, row.binary, state="unfenced", second_way=second_way, database=database)

    assert (outcome.changed, outcome.fenced, outcome.method) == (True, False, method)
    assert api.done[0] == "enable", "the first way comes first"


@pytest.mark.parametrize(
    ("row", "second_way"),
    [
        (backup("a", **held()), "auto"),
        (volume("a@x", up=False, **held()), "auto"),
        (volume("a@x", **held()), "none"),
        (volume("a@x", **held()), "database"),
    ],
)
def test_no_second_way_is_an_error_with_what_a_person_can_do(
    time: FakeTime, row: Row, second_way: str
) -> None:
    with pytest.raises(FenceError, match="changed nothing; do it by hand: UPDATE services SET disabled = 0"):
        run(Cinder29(row), time, row.binary, state="unfenced", second_way=second_way)


def test_a_working_api_needs_no_second_way(time: FakeTime) -> None:
    api = FakeApi(volume("a@x", **held()))

    outcome = run(api, time, state="unfenced", database=FakeDatabase(api, "must not be asked"))

    assert (outcome.method, api.done) == ("api", ["enable"])


def test_one_that_cannot_be_unfenced_does_not_keep_the_others_fenced(time: FakeTime) -> None:
    api = Cinder29(volume("a@x", up=False, **held()), volume("a@y", **held()))

    with pytest.raises(FenceError, match="on a@x could not be unfenced"):
        run(api, time, state="unfenced")

    assert api.services["a@y"].enabled


def test_an_api_that_was_seen_to_fail_is_not_tried_again(time: FakeTime) -> None:
    api = Cinder29(volume("a@x", **held()), volume("a@y", **held()))

    run(api, time, state="unfenced")

    assert api.done == ["enable", "thaw", "thaw"]


def test_a_way_that_worked_and_answered_with_a_fault(time: FakeTime) -> None:
    class Odd(Cinder29):
        def freeze_and_thaw(self, row: Row) -> None:
            super().freeze_and_thaw(row)
            raise FenceError("500")

    assert run(Odd(volume("a@x", **held())), time, state="unfenced").method == "thaw"


def test_a_thaw_that_did_not_follow_is_told(time: FakeTime) -> None:
    class Half(Cinder29):
        def freeze_and_thaw(self, row: Row) -> None:
            self.services[row.host] = replace(self.services[row.host], reason="frozen", frozen=True)
            raise FenceError("thaw: 500")

    with pytest.raises(FenceError, match="thaw: 500; do it by hand: cinder thaw-host a@x"):
        run(Half(volume("a@x", **held())), time, state="unfenced")


def test_a_reason_that_changed_meanwhile_is_left(time: FakeTime) -> None:
    api = Cinder29(volume("a@x", **held()))
    api.meanwhile = [volume("a@x", **held("mine now"))]

    outcome = run(api, time, state="unfenced", database=FakeDatabase(api))

    assert api.services["a@x"].reason == "mine now"
    assert (outcome.changed, outcome.fenced) == (False, True)
    assert "disabled by somebody else, with the reason 'mine now'" in outcome.reason
    assert api.done == ["enable"]


def test_auto_fences_nothing_that_could_not_be_unfenced(time: FakeTime) -> None:
    api = Cinder29(backup("a"), backup("b"))

    outcome = run(api, time, "cinder-backup")

    assert (outcome.changed, api.services["a"].enabled) == (False, True)
    assert "ignores a request to enable a service, so it could not be unfenced" in outcome.reason


def test_always_warns_of_what_will_be_needed(time: FakeTime) -> None:
    outcome = run(Cinder29(backup("a")), time, "cinder-backup", fence="always")

    assert outcome.fenced
    assert "UPDATE services" in outcome.warnings[0]


def test_the_try_is_not_made_where_a_second_way_is_there(time: FakeTime) -> None:
    api = Cinder29(backup("a"), backup("b"))

    assert run(api, time, "cinder-backup", database=FakeDatabase(api)).fenced
    assert api.done == ["disable"]


def test_a_database_that_does_not_work_is_told_before(time: FakeTime) -> None:
    api = Cinder29(backup("a"), backup("b"))

    outcome = run(api, time, "cinder-backup", database=FakeDatabase(api, "access denied"))

    assert not outcome.changed
    assert "access denied; it may be needed to unfence" in outcome.warnings[0]


# -- what a person is given


@pytest.mark.parametrize(
    ("row", "command"),
    [
        (compute("a", **held()), "openstack compute service set --enable a nova-compute"),
        (
            volume("a@x", **held()),
            "openstack volume service set --enable a@x cinder-volume (where that changes nothing",
        ),
    ],
)
def test_undo(time: FakeTime, row: Row, command: str) -> None:
    (undo,) = run(FakeApi(row), time, row.binary, state="status").undo

    assert undo.startswith(command)


def test_the_statement_for_a_person_is_safe_to_paste() -> None:
    from kolla_drain.disable import database as fencing

    said = fencing.by_hand(Row("cinder-volume", "o'brien@x", enabled=True, up=True))

    assert "host = 'o''brien@x'" in said
    assert said.endswith("disabled_reason LIKE 'kolla-drain:%';")


def test_the_database_is_not_for_nova() -> None:
    with pytest.raises(ConfigError, match="for Cinder's services"):
        fence_database.database_way("nova-compute", {"name": "nova"}, ())
    assert fence_database.database_way("nova-compute", {}, ()) is None

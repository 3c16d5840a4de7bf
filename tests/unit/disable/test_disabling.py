"""Which services are disabled, why the others are not, and that nobody else's reason is touched; no API is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kolla_drain.disable import disabling, model
from kolla_drain.disable.database import services_table, statement
from kolla_drain.disable.disabling import POOLS_WAIT, Run
from kolla_drain.disable.model import DisableError, NoAnswer, Outcome, Request, Service
from kolla_drain.errors import ConfigError

NOON = "2026-11-21T12:00:00Z"
NOON_OF_THAT_DAY = time.strptime(NOON, "%Y-%m-%dT%H:%M:%SZ")
OURS = f"kolla-drain: disabled {NOON} for a stop of cinder-volume"


def volume(host: str, **more: Any) -> Service:
    return Service(
        **{"binary": "cinder-volume", "host": host, "enabled": True, "up": True, "zone": "nova", **more}
    )


def backup(host: str, **more: Any) -> Service:
    return replace(volume(host), binary="cinder-backup", **more)


def share(host: str, **more: Any) -> Service:
    return replace(volume(host), binary="manila-share", **more)


def compute(host: str, **more: Any) -> Service:
    return replace(volume(host), binary="nova-compute", id=f"id-{host}", **more)


class FakeApi:
    """An API whose faults are switched on one by one; ``asked`` is what was told to change."""

    name = "Cinder's API"

    def __init__(self, *services: Service, pools: dict[str, set[str]] | None = None) -> None:
        self.listed = {service.host: service for service in services}
        self.offered = pools
        self.asked: list[tuple[str, str]] = []
        self.broken: set[str] = set()  # taken, and nothing changed
        self.deaf: set[str] = set()  # done, and never answered
        self.refused: set[str] = set()
        self.meanwhile: list[Service] = []  # what others write right after our first change
        self.sticky_pools = False

    def services(self, binary: str) -> list[Service]:
        return list(self.listed.values())

    def pools(self) -> model.Pools | None:
        if self.offered is None:
            return None
        return {
            host: frozenset(names)
            for host, names in self.offered.items()
            if self.sticky_pools or host not in self.listed or self.listed[host].enabled
        }

    def disable(self, service: Service, reason: str = "") -> None:
        self._do("disable" if reason else "disable_without_reason", service, enabled=False, reason=reason)

    def enable(self, service: Service) -> None:
        self._do("enable", service, enabled=True, reason="")

    def _do(self, what: str, service: Service, **change: Any) -> None:
        self.asked.append((what, service.host))
        if what in self.refused:
            raise DisableError(f"{what} is not allowed")
        if what not in self.broken:
            self.listed[service.host] = replace(self.listed[service.host], **change)
        while self.meanwhile:
            other = self.meanwhile.pop()
            self.listed[other.host] = other
        if what in self.deaf:
            raise NoAnswer(f"no answer to {what}")

    @property
    def done(self) -> list[str]:
        return [what for what, _ in self.asked]


class Cinder29(FakeApi):
    """enable and disable answer well and change nothing; disable with a reason works."""

    def __init__(self, *services: Service, **more: Any) -> None:
        super().__init__(*services, **more)
        self.broken = {"enable", "disable_without_reason"}


class FakeDatabase:
    def __init__(self, api: FakeApi, fault: str = "", hosts: Sequence[str] = ()) -> None:
        self.api = api
        self.fault = fault
        self.hosts = hosts  # which have the fault; by default all
        self.enabled: list[str] = []

    def check(self, services: Any) -> None:
        if self.fault and (not self.hosts or {service.host for service in services} & set(self.hosts)):
            raise DisableError(self.fault)

    def enable(self, service: Service) -> None:
        self.check([service])
        there = self.api.listed[service.host]
        if not there.enabled and there.reason == service.reason:
            self.enabled.append(service.host)
            self.api.listed[service.host] = replace(there, enabled=True, reason="")


class FakeTime:
    """Stands in for the module time."""

    gmtime = staticmethod(time.gmtime)

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def strftime(self, form: str, moment: Any) -> str:
        return time.strftime(form, NOON_OF_THAT_DAY)


@pytest.fixture(name="time")
def fake_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTime]:
    fake = FakeTime()
    monkeypatch.setattr(disabling, "time", fake)
    yield fake
    assert fake.seconds <= 30 + POOLS_WAIT, "it ends"


def run(
    api: FakeApi,
    time: FakeTime,
    service: str = "cinder-volume",
    host: str = "a",
    state: str = "disabled",
    database: FakeDatabase | None = None,
    **more: Any,
) -> Outcome:
    request = Request(service=service, host=host, state=state, **more)
    return Run(api, request, database).execute()  # type: ignore[arg-type]


def held(reason: str = OURS) -> dict[str, Any]:
    return {"enabled": False, "reason": reason}


# -- which rows


def test_a_bare_host_means_all_of_its_backends_and_nobody_elses() -> None:
    rows = [volume("a@x"), volume("a@y"), volume("ab@x"), volume("a.b@x"), volume("a")]

    assert [service.host for service in model.services_of(rows, "a")] == ["a@x", "a@y", "a"]
    assert [service.host for service in model.services_of(rows, "a@x")] == ["a@x"]
    assert model.services_of(rows, "A") == ()


def test_a_host_that_the_api_does_not_list(time: FakeTime) -> None:
    with pytest.raises(DisableError, match=r"no cinder-volume on zz: .* \(a@x\), or set ignore_missing"):
        run(FakeApi(volume("a@x")), time, host="zz")
    assert run(FakeApi(volume("a@x")), time, host="zz", ignore_missing=True).changed is False


# -- the mark


@pytest.mark.parametrize("text", ["plain", "two\nlines", "x" * 400, "snow ☃ and a face 😀", "", "   "])
def test_a_marker_fits_everywhere_and_is_known_again(text: str) -> None:
    reason = model.disabled_reason(NOON, text)

    assert len(reason) <= 255
    assert reason == reason.strip()
    assert "\n" not in reason
    assert all(ord(char) < 0x10000 for char in reason)
    assert volume("a", enabled=False, reason=reason).disabled_by_us


@pytest.mark.parametrize("reason", ["", "frozen", "disk swap, see kolla-drain: docs", "Kolla-Drain: x"])
def test_another_reason_is_somebody_elses(reason: str) -> None:
    assert not volume("a", enabled=False, reason=reason).disabled_by_us


def test_an_enabled_service_is_nobodys() -> None:
    assert not volume("a", reason=OURS).disabled_by_us


# -- auto


@pytest.mark.parametrize(
    ("other", "pools", "disabled"),
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
    time: FakeTime, other: Service, pools: dict[str, set[str]] | None, disabled: bool
) -> None:
    api = FakeApi(volume("a@x"), other, pools=pools)

    outcome = run(api, time)

    assert outcome.changed is disabled
    assert (not api.listed["a@x"].enabled) is disabled
    assert ("a@x has been disabled" in outcome.reason) is disabled
    assert ("cinder-volume on a@x stays enabled: no other" in outcome.reason) is not disabled


def test_auto_disables_the_backends_that_another_host_has_and_no_others(time: FakeTime) -> None:
    api = FakeApi(
        volume("a@x"),
        volume("a@y"),
        volume("b@x"),
        pools={"a@x": {"X"}, "a@y": {"Y"}, "b@x": {"X"}},
    )

    outcome = run(api, time, database=FakeDatabase(api))

    assert api.asked == [("disable", "a@x")]
    assert outcome.disabled is False, "one of them still takes work"
    assert "has its backend name Y" in outcome.reason


@pytest.mark.parametrize(("other", "disabled"), [("b@x", True), ("b@y", False)])
def test_pools_of_manila_that_are_not_listed_yet_are_named_by_their_section(
    time: FakeTime, other: str, disabled: bool
) -> None:
    api = FakeApi(share("a@x"), share(other), pools={"a@x": {"X"}})

    assert run(api, time, "manila-share").disabled is disabled
    assert time.seconds == 0


def test_auto_disables_a_share_backend_that_another_host_has(time: FakeTime) -> None:
    api = FakeApi(share("a@x"), share("a@y"), share("b@x"), pools={"a@x": {"X"}, "a@y": {"Y"}, "b@x": {"X"}})
    api.sticky_pools = True

    outcome = run(api, time, "manila-share")

    assert api.asked == [("disable", "a@x")], "its API enables what it has disabled, which is not tried"
    assert "has its backend name Y" in outcome.reason
    assert outcome.warnings == (), "Manila lists pools as they were at the last request"
    assert time.seconds == 0


@pytest.mark.parametrize(
    ("make", "service", "others", "disabled"),
    [
        (backup, "cinder-backup", [{}], True),
        (backup, "cinder-backup", [], False),
        (compute, "nova-compute", [{}], True),
        (compute, "nova-compute", [{"forced_down": True}], False),
        (compute, "nova-compute", [{"up": False}, {"enabled": False}], False),
    ],
)
def test_auto_of_services_without_backends(
    time: FakeTime, make: Any, service: str, others: list[dict[str, Any]], disabled: bool
) -> None:
    api = FakeApi(make("a"), *(make(f"b{number}", **more) for number, more in enumerate(others)))

    assert run(api, time, service).disabled is disabled


def test_two_runs_that_counted_on_each_other_leave_nothing_disabled(time: FakeTime) -> None:
    api = FakeApi(backup("a"), backup("b"))
    api.meanwhile = [backup("b", **held())]

    outcome = run(api, time, "cinder-backup")

    assert api.listed["a"].enabled
    assert outcome.changed is False
    assert "disabled meanwhile" in outcome.reason


def test_a_scheduler_that_has_just_started_is_waited_for(time: FakeTime) -> None:
    class Late(FakeApi):
        def pools(self) -> model.Pools | None:
            return super().pools() if time.seconds >= 3 else {}

    api = Late(volume("a@x"), volume("b@x"), pools={"a@x": {"X"}, "b@x": {"X"}})

    assert run(api, time).disabled


def test_a_member_of_a_cluster_cannot_be_disabled(time: FakeTime) -> None:
    api = FakeApi(volume("a@x", cluster="c@x"), volume("b@x"))

    assert "cluster's flag alone" in run(api, time).reason
    with pytest.raises(DisableError, match="cluster's flag alone"):
        run(api, time, disable="always")
    assert api.asked == []


@pytest.mark.parametrize("service", ["cinder-scheduler", "nova-conductor", "nova-scheduler"])
def test_what_nobody_reads_is_not_set(time: FakeTime, service: str) -> None:
    api = FakeApi(replace(volume("a"), binary=service), replace(volume("b"), binary=service))

    assert "nothing reads its flag" in run(api, time, service).reason
    with pytest.raises(DisableError, match="nothing reads its flag"):
        run(api, time, service, disable="always")
    assert api.asked == []


# -- always, never, and again


def test_always_and_a_second_time(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"))

    first = run(api, time, disable="always", reason="upgrade")
    second = run(api, time, disable="always", reason="another")

    assert (first.changed, first.disabled, first.method) == (True, True, "api")
    assert api.listed["a@x"].reason == f"kolla-drain: disabled {NOON} upgrade"
    assert (second.changed, second.disabled, second.method) == (False, True, "")
    assert "a@x is disabled already" in second.reason


def test_never_leaves_everything(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"), volume("a@y", **held()))

    outcome = run(api, time, disable="never")

    assert (outcome.changed, api.asked) == (False, [])
    assert "disable is never" in outcome.reason


@pytest.mark.parametrize("state", ["disabled", "enabled"])
@pytest.mark.parametrize("mode", ["auto", "always"])
def test_what_somebody_else_disabled_stays_as_it_is(time: FakeTime, state: str, mode: str) -> None:
    api = FakeApi(volume("a@x", **held("disk swap")), volume("b@x"))

    outcome = run(api, time, state=state, disable=mode, database=FakeDatabase(api))

    assert (outcome.changed, outcome.disabled, api.asked) == (False, True, [])
    assert "disabled by somebody else, with the reason 'disk swap', and stays disabled" in outcome.reason
    assert outcome.undo == ()


@pytest.mark.parametrize("state", ["disabled", "enabled", "status"])
def test_check_mode_and_status_change_nothing(time: FakeTime, state: str) -> None:
    api = Cinder29(volume("a@x"), volume("a@y", **held()), volume("b@x"), volume("b@y"))

    outcome = run(api, time, state=state, check_mode=True)

    assert api.asked == []
    assert outcome.changed is (state != "status")
    assert [service.enabled for service in outcome.before] == [True, False]
    if state != "status":
        assert [service.enabled for service in outcome.services] == [state == "enabled"] * 2
        assert "would be" in outcome.reason


def test_check_mode_does_not_try_whether_the_api_can_enable(time: FakeTime) -> None:
    api = Cinder29(backup("a"), backup("b"))

    outcome = run(api, time, "cinder-backup", check_mode=True)

    assert api.asked == []
    assert "check mode cannot see whether" in outcome.warnings[0]


# -- reading back


def test_a_disable_that_changes_nothing_is_told(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"))
    api.broken = {"disable"}

    with pytest.raises(
        DisableError, match="took the request to disable cinder-volume on a@x and lists it as enabled"
    ):
        run(api, time, disable="always", database=FakeDatabase(api))


def test_a_fault_half_way_names_what_may_be_disabled(time: FakeTime) -> None:
    class Half(FakeApi):
        def disable(self, service: Service, reason: str = "") -> None:
            if service.host == "a@y":
                raise DisableError("the API broke down")
            super().disable(service, reason)

    with pytest.raises(DisableError, match="broke down; cinder-volume on a@x, a@y may be disabled by now"):
        run(Half(volume("a@x"), volume("a@y"), volume("a@z")), time, disable="always")


def test_an_answer_that_never_came_is_judged_by_what_is_so(time: FakeTime) -> None:
    api = FakeApi(compute("a"))
    api.deaf = {"disable", "enable"}

    disabled = run(api, time, "nova-compute", disable="always")
    enabled = run(api, time, "nova-compute", state="enabled")

    assert (disabled.changed, disabled.disabled) == (True, True)
    assert "no answer to disable" in disabled.warnings[0]
    assert (enabled.changed, enabled.disabled, enabled.method) == (True, False, "api")


def test_pools_that_stay_are_told(time: FakeTime) -> None:
    api = FakeApi(volume("a@x"), pools={"a@x": {"X"}})
    api.sticky_pools = True

    outcome = run(api, time, disable="always")

    assert outcome.disabled
    assert "still offers a@x after 30 s" in outcome.warnings[0]


# -- cinder 29


@pytest.mark.parametrize(
    "service",
    [volume("a@x", **held()), volume("a@x", up=False, **held()), backup("a", **held())],
    ids=lambda service: f"{service.name}, {'up' if service.up else 'down'}",
)
def test_the_database_enables_what_the_api_does_not(time: FakeTime, service: Service) -> None:
    api = Cinder29(service)

    outcome = run(api, time, service.binary, state="enabled", database=FakeDatabase(api))

    assert (outcome.changed, outcome.disabled, outcome.method) == (True, False, "database")
    assert api.done == ["enable"], "the API is tried first"


def test_without_a_database_the_error_holds_the_statement(time: FakeTime) -> None:
    with pytest.raises(
        DisableError, match="changed nothing; enable it by hand: UPDATE services SET disabled = 0"
    ):
        run(Cinder29(volume("a@x", **held())), time, state="enabled")


def test_a_working_api_needs_no_database(time: FakeTime) -> None:
    api = FakeApi(volume("a@x", **held()))

    outcome = run(api, time, state="enabled", database=FakeDatabase(api, "must not be asked"))

    assert (outcome.method, api.done) == ("api", ["enable"])


def test_one_that_cannot_be_enabled_does_not_keep_the_others_disabled(time: FakeTime) -> None:
    api = Cinder29(volume("a@x", **held()), volume("a@y", **held()))

    with pytest.raises(DisableError, match=r"on a@x could not be enabled: .*changed nothing, lock timeout"):
        run(api, time, state="enabled", database=FakeDatabase(api, "lock timeout", ["a@x"]))

    assert api.listed["a@y"].enabled


def test_an_api_that_was_seen_to_fail_is_not_tried_again(time: FakeTime) -> None:
    api = Cinder29(volume("a@x", **held()), volume("a@y", **held()))
    database = FakeDatabase(api)

    run(api, time, state="enabled", database=database)

    assert (api.done, database.enabled) == (["enable"], ["a@x", "a@y"])


def test_a_statement_that_took_effect_before_it_failed(time: FakeTime) -> None:
    class Lost(FakeDatabase):
        def enable(self, service: Service) -> None:
            super().enable(service)
            raise DisableError("the connection was lost")

    api = Cinder29(volume("a@x", **held()))

    assert run(api, time, state="enabled", database=Lost(api)).method == "database"


def test_a_reason_that_changed_meanwhile_is_left(time: FakeTime) -> None:
    api = Cinder29(volume("a@x", **held()))
    api.meanwhile = [volume("a@x", **held("mine now"))]

    outcome = run(api, time, state="enabled", database=FakeDatabase(api))

    assert api.listed["a@x"].reason == "mine now"
    assert (outcome.changed, outcome.disabled) == (False, True)
    assert "disabled by somebody else, with the reason 'mine now'" in outcome.reason
    assert api.done == ["enable"]


@pytest.mark.parametrize("make", [backup, volume])
def test_auto_disables_nothing_that_could_not_be_enabled_again(time: FakeTime, make: Any) -> None:
    api = Cinder29(make("a"), make("b"))

    outcome = run(api, time, api.listed["a"].binary)

    assert (outcome.changed, api.listed["a"].enabled) == (False, True)
    assert "ignores a request to enable a service, so it would stay disabled" in outcome.reason


def test_always_warns_of_what_will_be_needed(time: FakeTime) -> None:
    outcome = run(Cinder29(backup("a")), time, "cinder-backup", disable="always")

    assert outcome.disabled
    assert "UPDATE services" in outcome.warnings[0]


def test_the_api_is_not_tried_where_the_database_works(time: FakeTime) -> None:
    api = Cinder29(backup("a"), backup("b"))

    assert run(api, time, "cinder-backup", database=FakeDatabase(api)).disabled
    assert api.done == ["disable"]


def test_a_database_that_does_not_work_is_told_before(time: FakeTime) -> None:
    api = Cinder29(backup("a"), backup("b"))

    outcome = run(api, time, "cinder-backup", database=FakeDatabase(api, "access denied"))

    assert not outcome.changed
    assert "access denied; the database may be needed to enable" in outcome.warnings[0]


# -- what a person is given


@pytest.mark.parametrize(
    ("service", "command"),
    [
        (compute("a", **held()), "openstack compute service set --enable a nova-compute"),
        (share("a@x", **held()), "openstack share service set --enable a@x manila-share"),
        (
            volume("a@x", **held()),
            "openstack volume service set --enable a@x cinder-volume (if that changes nothing",
        ),
    ],
)
def test_undo(time: FakeTime, service: Service, command: str) -> None:
    (undo,) = run(FakeApi(service), time, service.binary, state="status").undo

    assert undo.startswith(command)


def test_the_statement_for_a_person_is_safe_to_paste() -> None:
    sql = statement(Service("cinder-volume", "o'brien@x", enabled=True, up=True))

    assert "host = 'o''brien@x'" in sql
    assert sql.endswith("disabled_reason LIKE 'kolla-drain:%';")


@pytest.mark.parametrize("service", ["manila-share", "nova-compute"])
def test_the_database_is_for_cinder_alone(service: str) -> None:
    with pytest.raises(ConfigError, match="for Cinder's services"):
        services_table(service, {"name": "nova"}, ())
    assert services_table(service, {}, ()) is None

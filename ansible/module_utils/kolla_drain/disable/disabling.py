"""Fencing: taking a service out of the scheduler's choice and back, and never what somebody else took out.

Pure logic: the API, the second way, clock and sleep come in from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from .choice import choose, refusal_of
from .model import (
    Api,
    Choice,
    Clock,
    FenceError,
    NoAnswer,
    NoSuchService,
    Outcome,
    Pools,
    Row,
    SecondWay,
    Wish,
    marker,
    rows_of,
)

# How long the scheduler may take to know the pools of backends again after a start of its own: it asks for
# them when it starts (cinder/scheduler/manager.py), and the answers are casts.
POOLS_WAIT = 10.0
POLL = 0.5
SERVICES = (
    "cinder-backup",
    "cinder-scheduler",
    "cinder-volume",
    "nova-compute",
    "nova-conductor",
    "nova-scheduler",
)


@dataclass
class Run:
    """One run of the module."""

    api: Api
    wish: Wish
    clock: Clock
    database: SecondWay | None = None
    by_hand: Callable[[Row], str] = lambda row: ""  # the database's statement for a person
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._deadline = self.clock.now() + self.wish.timeout
        self._enable_is_known_to_fail = False

    # -- the three states

    def go(self) -> Outcome:
        """Do what is wished. Raises FenceError."""
        everywhere = self.api.rows(self.wish.service)
        wanted = rows_of(everywhere, self.wish.host)
        if not wanted:
            return self._missing(everywhere)
        if self.wish.state == "fenced":
            return self._fence(wanted, everywhere)
        if self.wish.state == "unfenced":
            return self._unfence(wanted)
        return self._outcome(False, wanted, wanted, "; ".join(_told(row) for row in wanted))

    def _missing(self, everywhere: Sequence[Row]) -> Outcome:
        said = f"{self.api.name} lists no {self.wish.service} on {self.wish.host}"
        if self.wish.ignore_missing:
            return self._outcome(False, (), (), said)
        hosts = ", ".join(sorted(row.host for row in everywhere)) or "none at all"
        raise NoSuchService(f"{said}: name one of those it lists, which are {hosts}, or set ignore_missing")

    def _fence(self, wanted: tuple[Row, ...], everywhere: Sequence[Row]) -> Outcome:
        if self.wish.fence == "always":
            self._must_make_sense(wanted)
        pools = self._settled_pools(wanted, everywhere) if self._looks_at_pools else None
        choice = choose(self.wish.fence, wanted, everywhere, pools)
        already = [_told(row) for row in wanted if not row.enabled]
        if self.wish.check_mode:
            self._foresee(choice.rows)
            return self._would_fence(wanted, choice, already)
        choice = self._with_a_way_back(choice)
        reason = marker(self.clock.utc(), self.wish.reason or f"for a stop of {self.wish.service}")
        after = self._disable(wanted, choice.rows, reason)
        if choice.rows and self.wish.fence == "auto":
            refusals = self._second_thoughts(choice, pools)
            if refusals:
                return self._taken_back(wanted, [row for row in after if row.ours], refusals)
        self._await_scheduler(choice.rows)
        done = [f"{row.binary} on {row.host} is fenced" for row in choice.rows]
        said = "; ".join([*done, *already, *choice.refusals])
        return self._outcome(bool(choice.rows), wanted, after, said, "api" if choice.rows else "")

    def _would_fence(self, wanted: tuple[Row, ...], choice: Choice, already: Sequence[str]) -> Outcome:
        hosts = {row.host for row in choice.rows}
        reason = marker(self.clock.utc(), self.wish.reason or f"for a stop of {self.wish.service}")
        after = tuple(
            replace(row, enabled=False, reason=reason) if row.host in hosts else row for row in wanted
        )
        would = [f"{row.binary} on {row.host} would be fenced" for row in choice.rows]
        return self._outcome(bool(hosts), wanted, after, "; ".join([*would, *already, *choice.refusals]))

    def _unfence(self, wanted: tuple[Row, ...]) -> Outcome:
        ours = [row for row in wanted if row.ours]
        rest = [_told(row) for row in wanted if not row.ours]
        if self.wish.check_mode:
            would = [f"{row.binary} on {row.host} would be unfenced" for row in ours]
            after = tuple(replace(row, enabled=True, reason="") if row.ours else row for row in wanted)
            return self._outcome(bool(ours), wanted, after, "; ".join([*would, *rest]))
        method = self._enable_all(ours)
        after = self._look(wanted)
        hosts = {row.host for row in ours}
        done = [row for row in after if row.host in hosts and row.enabled]
        meanwhile = [_told(row) for row in after if row.host in hosts and not row.enabled]
        said = [f"{row.binary} on {row.host} is unfenced" for row in done]
        return self._outcome(bool(done), wanted, after, "; ".join([*said, *meanwhile, *rest]), method)

    # -- fencing

    def _disable(self, wanted: tuple[Row, ...], rows: Sequence[Row], reason: str) -> tuple[Row, ...]:
        """Disable the rows and read back; a fault half way says what may be fenced by then."""
        told: list[str] = []
        try:
            for row in rows:
                told.append(row.host)
                try:
                    self.api.disable(row, reason)
                except NoAnswer as exc:
                    # Nova saves the flag first, and then waits for a nova-compute that may be dead.
                    self.warnings.append(f"{exc}; what it lists decides")
            return self._await(wanted, rows)
        except FenceError as exc:
            raise FenceError(
                f"{exc}; {self.wish.service} on {', '.join(told)} may be fenced by now, which state unfenced undoes"
            ) from None

    def _must_make_sense(self, wanted: Sequence[Row]) -> None:
        for row in wanted:
            refusal = refusal_of("always", row, (), None) if row.enabled else ""
            if refusal:
                raise FenceError(f"{refusal}: leave it out, or set fence to auto or never")

    @property
    def _looks_at_pools(self) -> bool:
        return self.wish.service == "cinder-volume" and self.wish.fence == "auto"

    def _settled_pools(self, wanted: Sequence[Row], everywhere: Sequence[Row]) -> Pools | None:
        """A scheduler that has just started learns of the backends one by one."""
        living = {row.seat for row in everywhere if row.living}
        if not living & {row.seat for row in wanted}:
            return self.api.pools()
        until = min(self._deadline, self.clock.now() + POOLS_WAIT)
        while True:
            pools = self.api.pools()
            if pools is None:
                self.warnings.append(
                    "the scheduler's pools could not be read, so backends are compared by the names in host@backend"
                )
            if pools is None or living <= set(pools) or self.clock.now() >= until:
                return pools
            self.clock.sleep(POLL)

    def _with_a_way_back(self, choice: Choice) -> Choice:
        """Leave out what could not be enabled again; with ``always`` only warn."""
        if not choice.rows or not self.wish.service.startswith("cinder-"):
            return choice
        if self._database_works(choice.rows):
            return choice
        stuck = [row for row in choice.rows if not self._can_thaw(row)]
        if not stuck or self._plain_disable_works(stuck[0]):
            return choice
        if self.wish.fence == "always":
            self.warnings.append(
                f"{self.api.name} ignores a request to enable a service, and no second way is given: "
                f"this will be needed to unfence: {' '.join(self.by_hand(row) for row in stuck)}"
            )
            return choice
        refusals = tuple(
            f"{row.binary} on {row.host} is not fenced: {self.api.name} ignores a request to enable a service, so "
            "it could not be unfenced: give database or service_config"
            for row in stuck
        )
        return Choice(tuple(row for row in choice.rows if row not in stuck), (*choice.refusals, *refusals))

    def _foresee(self, rows: Sequence[Row]) -> None:
        cinder = [row for row in rows if row.binary.startswith("cinder-") and not self._can_thaw(row)]
        if cinder and not self._database_works(cinder):
            self.warnings.append(
                f"whether {self.api.name} can enable what it disabled is known only once it is tried: if it cannot, "
                f"{', '.join(row.host for row in cinder)} will not be fenced unless fence is always"
            )

    def _database_works(self, rows: Sequence[Row]) -> bool:
        if self.database is None or self.wish.second_way not in ("auto", "database"):
            return False
        try:
            self.database.check(rows)
        except FenceError as exc:
            self.warnings.append(f"{exc}; it may be needed to unfence")
            return False
        return True

    def _plain_disable_works(self, row: Row) -> bool:
        """cinder 29.0.0's plain disable is broken as its enable is, and can be tried without harm.

        Where it works the row is to be disabled in the next moment anyway, with our reason.
        """
        self.api.disable_plainly(row)
        return not any(now.enabled for now in self._look((row,)))

    def _second_thoughts(self, choice: Choice, pools: Pools | None) -> list[str]:
        """Two runs side by side may each have counted on the other's service."""
        everywhere = self.api.rows(self.wish.service)
        as_if = tuple(replace(row, enabled=True) for row in choice.rows)
        return list(choose("auto", as_if, [*everywhere, *as_if], pools).refusals)

    def _taken_back(self, wanted: tuple[Row, ...], ours: list[Row], refusals: Sequence[str]) -> Outcome:
        mine = [row for row in ours if row.host in {one.host for one in wanted if one.enabled}]
        self._enable_all(mine)
        said = "; ".join(f"{refusal} (it was disabled meanwhile)" for refusal in refusals)
        return self._outcome(False, wanted, self._look(wanted), said)

    def _await_scheduler(self, rows: Sequence[Row]) -> None:
        """Cinder's scheduler reads the flags whenever it chooses and whenever it is asked for its pools."""
        if not rows or self.wish.service != "cinder-volume":
            return
        hosts = {row.host for row in rows}
        while True:
            offered = sorted(hosts & set(self.api.pools() or ()))
            if not offered:
                return
            if self.clock.now() >= self._deadline:
                self.warnings.append(
                    f"the scheduler still offers {', '.join(offered)} after {self.wish.timeout:g} s: new volumes may "
                    "come there, look at its log"
                )
                return
            self.clock.sleep(POLL)

    # -- unfencing

    def _enable_all(self, rows: Sequence[Row]) -> str:
        """Enable each row by the first way that works; one that fails does not keep the others disabled."""
        methods: list[str] = []
        failures: list[str] = []
        for row in rows:
            try:
                methods.append(self._enable(row))
            except FenceError as exc:
                failures.append(str(exc))
        if failures:
            raise FenceError("; ".join(failures))
        return ", ".join(method for method in dict.fromkeys(methods) if method)

    def _enable(self, row: Row) -> str:
        (row,) = self._look((row,))
        if not row.ours:
            return ""  # somebody else decided meanwhile
        tried: list[str] = []
        for name, way in self._ways(row):
            said = f"{self.api.name} took the request and changed nothing"
            if name == "database":
                said = f"the database took the statement and {self.api.name} shows no change"
            try:
                way(row)
            except FenceError as exc:
                said = str(exc)  # also of what took effect all the same
            else:
                self._enable_is_known_to_fail |= name == "api"
            (now,) = self._look((row,))
            if now.enabled or not (now.ours or now.half_thawed):
                # Enabled, or disabled by somebody else meanwhile, and that stays.
                self._enable_is_known_to_fail &= name != "api"
                return name
            tried.append(said)
            row = now
        raise FenceError(
            f"{row.binary} on {row.host} could not be unfenced: {', '.join(tried)}; do it by hand: "
            f"{self._hand(row, broken=True)}"
        )

    def _ways(self, row: Row) -> list[tuple[str, Callable[[Row], object]]]:
        ways: list[tuple[str, Callable[[Row], object]]] = []
        if not self._enable_is_known_to_fail:
            ways.append(("api", self.api.enable))
        wanted = self.wish.second_way
        if self.database is not None and wanted in ("auto", "database"):
            ways.append(("database", self.database.enable))
        if self._can_thaw(row):
            ways.append(("thaw", self.api.freeze_and_thaw))
        return ways

    def _can_thaw(self, row: Row) -> bool:
        """It is cinder-volume itself that enables its row: it must be alive and hold no other state."""
        return (
            self.wish.second_way in ("auto", "thaw")
            and row.binary == "cinder-volume"
            and row.up
            and not row.frozen
            and not row.cluster
        )

    # -- looking

    def _look(self, wanted: Sequence[Row]) -> tuple[Row, ...]:
        now = {row.host: row for row in self.api.rows(self.wish.service)}
        return tuple(now.get(row.host, row) for row in wanted)

    def _await(self, wanted: tuple[Row, ...], disabled: Sequence[Row]) -> tuple[Row, ...]:
        """Read back until it took effect: an answer of 200 proves nothing."""
        if not disabled:
            return wanted
        hosts = {row.host for row in disabled}
        while True:
            after = self._look(wanted)
            late = ", ".join(row.host for row in after if row.host in hosts and row.enabled)
            if not late:
                return after
            if self.clock.now() >= self._deadline:
                raise FenceError(
                    f"{self.api.name} took the request to disable {self.wish.service} on {late} and lists it as "
                    f"enabled after {self.wish.timeout:g} s: disable it by hand, or set fence to never"
                )
            self.clock.sleep(POLL)

    def _outcome(
        self, changed: bool, before: tuple[Row, ...], after: tuple[Row, ...], reason: str, method: str = ""
    ) -> Outcome:
        undo = tuple(self._hand(row, broken=self._enable_is_known_to_fail) for row in after if row.ours)
        return Outcome(changed, before, after, reason, method, undo, tuple(self.warnings))

    def _hand(self, row: Row, *, broken: bool) -> str:
        if row.binary.startswith("nova-"):
            return f"openstack compute service set --enable {row.host} {row.binary}"
        if row.half_thawed:
            return f"cinder thaw-host {row.host}"
        if broken:
            return self.by_hand(row)
        command = f"openstack volume service set --enable {row.host} {row.binary}"
        return f"{command} (where that changes nothing, in the database: {self.by_hand(row)})"


def _told(row: Row) -> str:
    if row.enabled:
        return f"{row.binary} on {row.host} is enabled"
    if row.ours:
        return f"{row.binary} on {row.host} is fenced already, with the reason '{row.reason}'"
    why = f"with the reason '{row.reason}'" if row.reason else "without a reason"
    return f"{row.binary} on {row.host} was disabled by somebody else, {why}, and stays so"

"""One run of kolla_service: disable services where that is safe, enable them again, and never override anybody else.

Pure logic: the API, the database and the clock are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from .choice import choose, refusal_of
from .model import (
    Api,
    Choice,
    Clock,
    DisableError,
    Fallback,
    NoAnswer,
    NoSuchService,
    Outcome,
    Pools,
    Request,
    Service,
    disabled_reason,
    services_of,
)

# Seconds that a scheduler may take after its own start to learn the pools of all backends: it requests
# them when it starts (cinder/scheduler/manager.py), and the backends answer by cast.
POOLS_WAIT = 10.0
POLL = 0.5  # seconds
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
    """One request, carried out."""

    api: Api
    request: Request
    clock: Clock
    database: Fallback | None = None
    statement: Callable[[Service], str] = lambda service: ""  # the SQL that enables a service by hand
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._deadline = self.clock.now() + self.request.timeout
        self._api_ignores_enable = False  # as far as this run has seen

    # -- the three states

    def execute(self) -> Outcome:
        """Bring the services into the requested state. Raises DisableError."""
        everywhere = self.api.services(self.request.service)
        wanted = services_of(everywhere, self.request.host)
        if not wanted:
            return self._missing(everywhere)
        if self.request.state == "disabled":
            return self._disable(wanted, everywhere)
        if self.request.state == "enabled":
            return self._enable(wanted)
        return self._outcome(False, wanted, wanted, [_described(service) for service in wanted])

    def _missing(self, everywhere: Sequence[Service]) -> Outcome:
        problem = f"{self.api.name} lists no {self.request.service} on {self.request.host}"
        if self.request.ignore_missing:
            return self._outcome(False, (), (), [problem])
        hosts = ", ".join(sorted(service.host for service in everywhere)) or "none at all"
        raise NoSuchService(f"{problem}: name one of the hosts it lists ({hosts}), or set ignore_missing")

    def _disable(self, wanted: tuple[Service, ...], everywhere: Sequence[Service]) -> Outcome:
        if self.request.disable == "always":
            self._refuse_the_pointless(wanted)
        pools = self._settled_pools(wanted, everywhere)
        choice = choose(self.request.disable, wanted, everywhere, pools)
        unchanged = [_described(service) for service in wanted if not service.enabled]
        reason = disabled_reason(
            self.clock.utc(), self.request.reason or f"for a stop of {self.request.service}"
        )
        if self.request.check_mode:
            self._warn_if_enabling_is_uncertain(choice.services)
            return self._would_disable(wanted, choice, reason, unchanged)
        choice = self._reversible(choice)
        after = self._disable_chosen(wanted, choice.services, reason)
        if choice.services and self.request.disable == "auto":
            refusals = self._refusals_by_now(choice, pools)
            if refusals:
                return self._reverted(wanted, choice, refusals)
        self._await_scheduler(choice.services)
        done = [f"{service.name} has been disabled" for service in choice.services]
        return self._outcome(
            bool(done), wanted, after, [*done, *unchanged, *choice.refusals], "api" if done else ""
        )

    def _would_disable(
        self, wanted: tuple[Service, ...], choice: Choice, reason: str, unchanged: Sequence[str]
    ) -> Outcome:
        after = tuple(
            replace(service, enabled=False, reason=reason) if service in choice.services else service
            for service in wanted
        )
        would = [f"{service.name} would be disabled" for service in choice.services]
        return self._outcome(bool(would), wanted, after, [*would, *unchanged, *choice.refusals])

    def _enable(self, wanted: tuple[Service, ...]) -> Outcome:
        ours = [service for service in wanted if service.disabled_by_us]
        if self.request.check_mode:
            method, verb = "", "would be enabled"
            after = tuple(
                replace(service, enabled=True, reason="") if service in ours else service
                for service in wanted
            )
        else:
            method, verb = self._enable_each(ours), "has been enabled"
            after = self._look(wanted)
        hosts = {service.host for service in ours}
        done = [service for service in after if service.host in hosts and service.enabled]
        sentences = [f"{service.name} {verb}" for service in done]
        rest = [_described(service) for service in after if service not in done]
        return self._outcome(bool(done), wanted, after, [*sentences, *rest], method)

    # -- disabling

    def _disable_chosen(
        self, wanted: tuple[Service, ...], chosen: Sequence[Service], reason: str
    ) -> tuple[Service, ...]:
        """Disable the services and read back. An error half way names those that may be disabled by then."""
        requested: list[str] = []
        try:
            for service in chosen:
                requested.append(service.host)
                try:
                    self.api.disable(service, reason)
                except NoAnswer as exc:
                    # Nova saves the flag first, and then waits for a nova-compute that may be dead.
                    self.warnings.append(f"{exc}; the state that it lists is used instead")
            return self._await_disabled(wanted, chosen)
        except DisableError as exc:
            raise DisableError(
                f"{exc}; {self.request.service} on {', '.join(requested)} may be disabled by now, which state "
                "enabled undoes"
            ) from None

    def _refuse_the_pointless(self, wanted: Sequence[Service]) -> None:
        for service in wanted:
            refusal = refusal_of("always", service, (), None) if service.enabled else ""
            if refusal:
                raise DisableError(f"{refusal}: leave it out, or set disable to auto or never")

    def _settled_pools(self, wanted: Sequence[Service], everywhere: Sequence[Service]) -> Pools | None:
        """Return the pools that ``auto`` compares.

        Wait for a scheduler that has just started, because it learns of the pools one by one.
        """
        if self.request.service != "cinder-volume" or self.request.disable != "auto":
            return None
        available = {service.backend for service in everywhere if service.available}
        if not available & {service.backend for service in wanted}:
            return self.api.pools()
        until = min(self._deadline, self.clock.now() + POOLS_WAIT)
        while True:
            pools = self.api.pools()
            if pools is None:
                self.warnings.append(
                    "the scheduler's pools could not be read, so backends are compared by the names in host@backend"
                )
            if pools is None or available <= set(pools) or self.clock.now() >= until:
                return pools
            self.clock.sleep(POLL)

    def _reversible(self, choice: Choice) -> Choice:
        """Leave out services that could not be enabled again; with ``always`` only warn."""
        services = choice.services
        if not services or not self.request.service.startswith("cinder-"):
            return choice
        if self._database_works(services) or self._api_can_enable(services[0]):
            return choice
        ignores = f"{self.api.name} ignores a request to enable a service"
        if self.request.disable == "always":
            statements = " ".join(self.statement(service) for service in services)
            self.warnings.append(
                f"{ignores}, and no working database is given; to enable will take: {statements}"
            )
            return choice
        refusals = (
            f"{service.name} stays enabled: {ignores}, so it would stay disabled; give database or service_config"
            for service in services
        )
        return Choice((), (*choice.refusals, *refusals))

    def _warn_if_enabling_is_uncertain(self, services: Sequence[Service]) -> None:
        cinder = [service for service in services if service.binary.startswith("cinder-")]
        if cinder and not self._database_works(cinder):
            self.warnings.append(
                f"check mode cannot see whether {self.api.name} enables what it has disabled: if it does not, "
                f"{', '.join(service.host for service in cinder)} will stay enabled unless disable is always"
            )

    def _database_works(self, services: Sequence[Service]) -> bool:
        if self.database is None:
            return False
        try:
            self.database.check(services)
        except DisableError as exc:
            self.warnings.append(f"{exc}; the database may be needed to enable the service again")
            return False
        return True

    def _api_can_enable(self, service: Service) -> bool:
        """Try cinder 29.0.0's fault on a request that does no harm.

        There, enable and the disable without a reason save the service without setting the flag. Where the
        disable works it does no harm, because the service is to be disabled in the next moment anyway.
        """
        self.api.disable_without_reason(service)
        return not any(now.enabled for now in self._look((service,)))

    def _refusals_by_now(self, choice: Choice, pools: Pools | None) -> tuple[str, ...]:
        """Choose again, because two runs side by side may each have counted on the other's service."""
        everywhere = self.api.services(self.request.service)
        as_before = [replace(service, enabled=True) for service in choice.services]
        return choose("auto", as_before, [*everywhere, *as_before], pools).refusals

    def _reverted(self, wanted: tuple[Service, ...], choice: Choice, refusals: Sequence[str]) -> Outcome:
        self._enable_each(choice.services)
        sentences = [f"{refusal} (it was disabled meanwhile)" for refusal in refusals]
        return self._outcome(False, wanted, self._look(wanted), sentences)

    def _await_disabled(
        self, wanted: tuple[Service, ...], disabled: Sequence[Service]
    ) -> tuple[Service, ...]:
        """Read back until the change shows, because an answer of 200 proves nothing."""
        if not disabled:
            return wanted
        hosts = {service.host for service in disabled}
        while True:
            after = self._look(wanted)
            late = ", ".join(service.host for service in after if service.host in hosts and service.enabled)
            if not late:
                return after
            if self.clock.now() >= self._deadline:
                raise DisableError(
                    f"{self.api.name} took the request to disable {self.request.service} on {late} and lists it as "
                    f"enabled after {self.request.timeout:g} s: disable it by hand, or set disable to never"
                )
            self.clock.sleep(POLL)

    def _await_scheduler(self, disabled: Sequence[Service]) -> None:
        """Wait until Cinder's scheduler, which reads the flags whenever it answers, offers none of the pools."""
        if not disabled or self.request.service != "cinder-volume":
            return
        hosts = {service.host for service in disabled}
        while True:
            offered = sorted(hosts & set(self.api.pools() or ()))
            if not offered:
                return
            if self.clock.now() >= self._deadline:
                self.warnings.append(
                    f"the scheduler still offers {', '.join(offered)} after {self.request.timeout:g} s and may place "
                    "new volumes there: look at its log"
                )
                return
            self.clock.sleep(POLL)

    # -- enabling

    def _enable_each(self, services: Sequence[Service]) -> str:
        """Enable each service, also after one has failed; return the methods that worked."""
        methods: dict[str, None] = {}
        failures: list[str] = []
        for service in services:
            try:
                methods[self._enable_one(service)] = None
            except DisableError as exc:
                failures.append(str(exc))
        if failures:
            raise DisableError("; ".join(failures))
        return ", ".join(method for method in methods if method)

    def _enable_one(self, service: Service) -> str:
        """Enable a service by the API, else in the database; return the method that worked."""
        (service,) = self._look((service,))
        if not service.disabled_by_us:
            return ""  # changed meanwhile, by somebody else
        failures: list[str] = []
        for method, enable in self._methods():
            failure = ""
            try:
                enable(service)
            except DisableError as exc:
                failure = str(exc)
            # Also after a failure: a request without an answer may have taken effect.
            (service,) = self._look((service,))
            if not service.disabled_by_us:
                return method
            if method == "api" and not failure:
                self._api_ignores_enable = True
                failure = f"{self.api.name} took the request and changed nothing"
            failures.append(failure or f"the database took the statement and {self.api.name} shows no change")
        raise DisableError(
            f"{service.name} could not be enabled: {', '.join(failures)}; enable it by hand: "
            f"{self._command(service, api_ignores_enable=True)}"
        )

    def _methods(self) -> list[tuple[str, Callable[[Service], object]]]:
        methods: list[tuple[str, Callable[[Service], object]]] = []
        if not self._api_ignores_enable:
            methods.append(("api", self.api.enable))
        if self.database is not None:
            methods.append(("database", self.database.enable))
        return methods

    # -- results

    def _look(self, wanted: Sequence[Service]) -> tuple[Service, ...]:
        now = {service.host: service for service in self.api.services(self.request.service)}
        return tuple(now.get(service.host, service) for service in wanted)

    def _outcome(
        self,
        changed: bool,
        before: tuple[Service, ...],
        after: tuple[Service, ...],
        sentences: Sequence[str],
        method: str = "",
    ) -> Outcome:
        undo = tuple(
            self._command(service, api_ignores_enable=self._api_ignores_enable)
            for service in after
            if service.disabled_by_us
        )
        return Outcome(changed, before, after, "; ".join(sentences), method, undo, tuple(self.warnings))

    def _command(self, service: Service, *, api_ignores_enable: bool) -> str:
        """Return the command with which a person enables the service."""
        if service.binary.startswith("nova-"):
            return f"openstack compute service set --enable {service.host} {service.binary}"
        statement = self.statement(service)
        if api_ignores_enable:
            return statement
        command = f"openstack volume service set --enable {service.host} {service.binary}"
        return f"{command} (if that changes nothing, in the database: {statement})"


def _described(service: Service) -> str:
    """Say of an unchanged service how it is, and by whose hand."""
    if service.enabled:
        return f"{service.name} is enabled"
    if service.disabled_by_us:
        return f"{service.name} is disabled already, with the reason '{service.reason}'"
    why = f"with the reason '{service.reason}'" if service.reason else "without a reason"
    return f"{service.name} was disabled by somebody else, {why}, and stays disabled"

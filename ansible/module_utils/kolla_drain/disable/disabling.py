"""One run of kolla_service: disable services where that is safe, enable them again, and never override anybody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .apis import Api
from .choice import HAS_BACKENDS, choose
from .database import ServicesTable, statement
from .model import DisableError, NoAnswer, Outcome, Pools, Request, Service, disabled_reason, services_of

# Seconds that a scheduler may take after its own start to learn the pools of all backends: it requests
# them when it starts (cinder/scheduler/manager.py), and the backends answer by cast.
POOLS_WAIT = 10.0
POLL = 0.5  # seconds


@dataclass
class Run:
    """One request, carried out."""

    api: Api
    request: Request
    database: ServicesTable | None = None

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self._deadline = time.monotonic() + self.request.timeout
        self._api_ignores_enable = False  # as far as this run has seen

    def execute(self) -> Outcome:
        """Bring the services into the requested state. Raises DisableError."""
        everywhere = self.api.services(self.request.service)
        wanted = services_of(everywhere, self.request.host)
        if not wanted:
            problem = f"{self.api.name} lists no {self.request.service} on {self.request.host}"
            if self.request.ignore_missing:
                return self._outcome((), (), [], [problem])
            hosts = ", ".join(sorted(service.host for service in everywhere)) or "none at all"
            raise DisableError(f"{problem}: name one of the hosts it lists ({hosts}), or set ignore_missing")
        if self.request.state == "disabled":
            return self._disable(wanted, everywhere)
        if self.request.state == "enabled":
            return self._enable(wanted)
        return self._outcome(wanted, wanted, [], map(str, wanted))

    # -- disabling

    def _disable(self, wanted: tuple[Service, ...], everywhere: Sequence[Service]) -> Outcome:
        mode = self.request.disable
        pools = self._settled_pools(everywhere)
        chosen, refusals = choose(mode, wanted, everywhere, pools)
        if mode == "always" and refusals:
            raise DisableError(f"{refusals[0]}: leave it out, or set disable to auto or never")
        irreversible = self._refusals_if_irreversible(chosen)
        if irreversible:
            chosen, refusals = [], [*refusals, *irreversible]
        rest = [*(str(service) for service in wanted if not service.enabled), *refusals]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        reason = disabled_reason(moment, self.request.reason or f"for a stop of {self.request.service}")
        if self.request.check_mode:
            after = [
                replace(service, enabled=False, reason=reason) if service in chosen else service
                for service in wanted
            ]
            return self._outcome(
                wanted, after, [f"{service.name} would be disabled" for service in chosen], rest
            )
        self._disable_each(chosen, reason)
        if chosen and mode == "auto":
            # Choose again, because two runs side by side may each have counted on the other's service.
            _, refusals = choose(mode, chosen, self.api.services(self.request.service), pools)
            if refusals:
                self._enable_each(chosen)
                rest = [f"{refusal} (it was disabled meanwhile)" for refusal in refusals]
                return self._outcome(wanted, self._look(wanted), [], rest)
        self._await_scheduler(chosen)
        done = [f"{service.name} has been disabled" for service in chosen]
        return self._outcome(wanted, self._look(wanted), done, rest, "api" if done else "")

    def _settled_pools(self, everywhere: Sequence[Service]) -> Pools | None:
        """Return the pools that ``auto`` compares, once a scheduler that has just started knows them all."""
        if self.request.service not in HAS_BACKENDS or self.request.disable != "auto":
            return None
        available = {service.backend for service in everywhere if service.available}
        until = min(self._deadline, time.monotonic() + POOLS_WAIT)
        pools = self.api.pools()
        # Manila's scheduler lists them as they were at its last request, however long one waits.
        waits = self.request.service == "cinder-volume"
        while waits and pools is not None and not available <= set(pools) and time.monotonic() < until:
            time.sleep(POLL)
            pools = self.api.pools()
        if pools is None:
            self.warnings.append(
                "the scheduler's pools could not be read, so backends are compared by the names in host@backend"
            )
        return pools

    def _refusals_if_irreversible(self, services: Sequence[Service]) -> list[str]:
        """Return refusals if the services could not be enabled again; in check mode and with ``always`` only warn."""
        if not services or not self.request.service.startswith("cinder-"):
            return []
        if self.database is not None:
            try:
                self.database.check(services)
            except DisableError as exc:
                self.warnings.append(f"{exc}; the database may be needed to enable the service again")
            else:
                return []
        if self.request.check_mode:
            self.warnings.append(
                f"check mode cannot see whether {self.api.name} enables what it has disabled: if it does not, "
                f"{', '.join(service.host for service in services)} will stay enabled unless disable is always"
            )
            return []
        # Try cinder 29.0.0's fault on a request that does no harm: there, enable and the disable without a reason save
        # the service without setting the flag. Where this works, the service would be disabled in the next moment.
        self.api.disable(services[0])
        if not self._look(services[:1])[0].enabled:
            return []
        ignores = f"{self.api.name} ignores a request to enable a service"
        if self.request.disable == "always":
            statements = " ".join(map(statement, services))
            self.warnings.append(
                f"{ignores}, and no working database is given; to enable will take: {statements}"
            )
            return []
        return [
            f"{service.name} stays enabled: {ignores}, so it would stay disabled; give database or service_config"
            for service in services
        ]

    def _disable_each(self, chosen: Sequence[Service], reason: str) -> None:
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
            # An answer of 200 proves nothing.
            late = self._poll(lambda: [service.host for service in self._look(chosen) if service.enabled])
            if late:
                raise DisableError(
                    f"{self.api.name} took the request to disable {self.request.service} on {', '.join(late)} and "
                    f"lists it as enabled after {self.request.timeout:g} s: disable it by hand, or set disable to never"
                )
        except DisableError as exc:
            raise DisableError(
                f"{exc}; {self.request.service} on {', '.join(requested)} may be disabled by now, which state "
                "enabled undoes"
            ) from None

    def _await_scheduler(self, disabled: Sequence[Service]) -> None:
        """Wait until Cinder's scheduler, which reads the flags whenever it answers, offers none of the pools.

        Manila's reads them for each request, and lists its pools as they were at the last one.
        """
        if not disabled or self.request.service != "cinder-volume":
            return
        hosts = {service.host for service in disabled}
        offered = self._poll(lambda: sorted(hosts & set(self.api.pools() or ())))
        if offered:
            self.warnings.append(
                f"the scheduler still offers {', '.join(offered)} after {self.request.timeout:g} s and may place "
                "new volumes there: look at its log"
            )

    def _poll(self, look: Callable[[], list[str]]) -> list[str]:
        """Look until nothing is left or the time is over, and return what is left."""
        while True:
            left = look()
            if not left or time.monotonic() >= self._deadline:
                return left
            time.sleep(POLL)

    # -- enabling

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
        done = [now for before, now in zip(wanted, after) if before in ours and now.enabled]
        rest = [str(service) for service in after if service not in done]
        return self._outcome(wanted, after, [f"{service.name} {verb}" for service in done], rest, method)

    def _enable_each(self, services: Sequence[Service]) -> str:
        """Enable each service, also after one has failed; return the methods that worked."""
        methods, failures = [], []
        for service in services:
            try:
                methods.append(self._enable_one(service))
            except DisableError as exc:
                failures.append(str(exc))
        if failures:
            raise DisableError("; ".join(failures))
        return ", ".join(filter(None, dict.fromkeys(methods)))

    def _enable_one(self, service: Service) -> str:
        """Enable a service by the API, else in the database; return the method that worked."""
        (service,) = self._look((service,))
        if not service.disabled_by_us:
            return ""  # changed meanwhile, by somebody else
        failures = [f"{self.api.name} ignores the request"] if self._api_ignores_enable else []
        methods = [] if self._api_ignores_enable else [("api", self.api.name, self.api.enable)]
        if self.database is not None:
            methods.append(("database", "the database", self.database.enable))
        for method, place, enable in methods:
            failure = ""
            try:
                enable(service)
            except DisableError as exc:
                failure = str(exc)
            # Also after a failure: a request without an answer may have taken effect.
            (service,) = self._look((service,))
            if not service.disabled_by_us:
                return method
            self._api_ignores_enable |= method == "api" and not failure
            failures.append(failure or f"{place} took the request and changed nothing")
        raise DisableError(
            f"{service.name} could not be enabled: {', '.join(failures)}; enable it by hand: {self._undo(service)}"
        )

    # -- results

    def _look(self, wanted: Sequence[Service]) -> tuple[Service, ...]:
        now = {service.host: service for service in self.api.services(self.request.service)}
        return tuple(now.get(service.host, service) for service in wanted)

    def _outcome(
        self,
        before: tuple[Service, ...],
        after: Sequence[Service],
        done: Sequence[str],
        rest: Iterable[str],
        method: str = "",
    ) -> Outcome:
        undo = tuple(self._undo(service) for service in after if service.disabled_by_us)
        reason = "; ".join([*done, *rest])
        return Outcome(bool(done), before, tuple(after), reason, method, undo, tuple(self.warnings))

    def _undo(self, service: Service) -> str:
        """Return the command with which a person enables the service."""
        if not service.binary.startswith("cinder-"):
            kind = "compute" if service.binary.startswith("nova-") else "share"
            return f"openstack {kind} service set --enable {service.host} {service.binary}"
        if self._api_ignores_enable:
            return statement(service)
        command = f"openstack volume service set --enable {service.host} {service.binary}"
        return f"{command} (if that changes nothing, in the database: {statement(service)})"

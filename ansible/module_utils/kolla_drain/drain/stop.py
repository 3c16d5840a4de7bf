"""Take one container from the first look to the verdict.

The phases, in their order:

    1. open      enter the stop into the ledger, or join one that is under way
    2. quiesce   wait with the service alive until its evidence shows no operation, as long as the plan allows
    3. signal    send the stop signal with the engine's kill, once for a process life (one_signal.py)
    4. drain     watch the exit and the evidence up to the deadline
    5. escalate  send SIGKILL at the deadline, or leave the container running (kill.py)
    6. verdict   look every operation up again, and judge (settle.py, verdict.py)

``policy.decide`` says at each look how far the stop is: it knows when to wait and when to go on. What is observed
decides, never an error: an engine or a ledger that fails is asked again at the next look, within its bound.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import replace

from ..engine.port import Engine
from ..errors import KollaDrainError, LedgerBusy, LedgerError
from ..model import Answer, Container, Entry, EvidenceState, Reading, Verdict
from . import policy
from .context import Context
from .freshness import heartbeat_note
from .history import Moment
from .kill import Kill
from .one_signal import OneSignal
from .pace import interval
from .policy import Action, Observation
from .ports import Ledger, Stories
from .result import StopResult, Target
from .settle import Settlement
from .story import Story

# Seconds after which a lock counts as held by a run that hangs: a run holds it for one call to the engine at the most.
LOCK_BOUND = 30.0


class ContainerStop:
    """One container on its way to the verdict, which is in ``result`` at the end."""

    def __init__(
        self, target: Target, engine: Engine, ledger: Ledger, stories: Stories, clock: Callable[[], float]
    ) -> None:
        self.result: StopResult | None = None
        self.key = target.container.id  # by which readings are asked for
        self.reads = target.reads  # whether there is evidence to ask for
        self._context = Context(target, engine, ledger, clock)
        self.history = self._context.history  # what has been read of it so far
        self._signal = OneSignal(self._context)
        self._kill = Kill(self._context)
        self._settlement = Settlement(self._context, self._signal, self._kill)
        self.story = Story(self._context, stories, self._signal, self._kill, self._settlement)
        self._acts: dict[Action, Callable[[str], None]] = {
            Action.WAIT: lambda reason: None,  # 2. quiesce, 4. drain
            Action.UNPAUSE: self._unpause,
            Action.CANCEL_RESTART: self._signal.cancel_restart,
            Action.SIGNAL: self._signal.send,  # 3. signal
            Action.KILL: self._escalate,  # 5. escalate
            Action.LEAVE: self._leave,
            Action.DONE: self._exited,  # 6. verdict
        }
        missing = target.evidence_missing
        self._missing = Reading(EvidenceState.UNAVAILABLE, missing) if missing else None
        self._joined = False
        self._trouble = ""  # why the last look came to nothing
        self._locked_out_since: float | None = None

    def step(self) -> None:
        """Look at the container and do what the policy says."""
        if self.result is not None:
            return
        try:
            self._step()
        except LedgerBusy as exc:
            self._locked_out(exc)
        except LedgerError as exc:
            if self._is_under_way:
                self._try_on(exc)
            else:
                self._finish(None, str(exc), failed=True)
        except Exception as exc:  # noqa: BLE001 - a process that was signalled is watched whatever happens here
            self._try_on(exc)
        else:
            self._locked_out_since = None
            if self._trouble:
                self._recover()

    @property
    def _is_under_way(self) -> bool:
        """Whether the container may have been sent anything for this stop."""
        entry = self._context.entry
        intended = entry is not None and entry.intent is not None
        return intended or self._signal.at is not None or self._signal.ours or self._kill.was_sent

    def _step(self) -> None:
        context, now = self._context, self._context.clock()
        # 6. After the exit only the evidence is waited for, within its bound.
        if self._settlement.exited_at is not None:
            if now >= self._settlement.waits_until:
                self._finish(*self._settlement.judge(verified=False))
            return
        # 1. Nothing is done that the ledger does not know of.
        if context.entry is None:
            self._look_again()
            if not self._open():
                return
        # 2. to 5. Look, decide, act.
        found = context.engine.inspect(context.container.id)
        if found is not None:
            self._notice_new_life(found)
            context.container = found
            if self._kill.at is not None and not found.at_rest:
                self._see_kill_through(found)
                return
        decision = self._decide(found, now)
        self.story.waits_for = decision.reason
        self._acts[decision.action](decision.reason)

    # --- what the loop asks

    @property
    def wants_reading(self) -> bool:
        """Whether a reading is wanted now, not only when the interval is over."""
        return self._context.wants_reading

    def interval(self, rest: float) -> float:
        """Return the seconds from one reading to the next, before which the database is to ``rest`` for so many."""
        exited, signalled = self._settlement.exited_at is not None, self._signal.at is not None
        return interval(self._context, rest, exited=exited, signalled=signalled)

    @property
    def turns(self) -> tuple[float, ...]:
        """When quiesce ends, the deadline is, and a kill and the last look are over, in seconds on the loop's clock."""
        begun, deadline = self._context.begun, self._context.deadline
        quiesced = begun + self._context.plan.quiesce
        return (quiesced, deadline, deadline + policy.KILL_BOUND, self._settlement.waits_until)

    def asked(self, number: int) -> None:
        """Take in that the loop asked for a reading."""
        self._context.wants_reading = False
        self._settlement.asked(number)

    def hear(self, answer: Answer) -> None:
        """Take in a reading and what became of the operations asked about."""
        try:
            self._hear(answer)
        except Exception as exc:  # noqa: BLE001 - as in step
            fault = f"a reading could not be taken in: {_said(exc)}"
            if fault not in [event.event for event in self._context.timeline]:
                self._context.note(fault)

    def _hear(self, answer: Answer) -> None:
        exited = self._settlement.exited_at is not None
        final = self._settlement.is_final(answer)
        if exited and not final:
            self.history.overhear(answer.reading, self._context.clock())
            return
        self.history.hear(answer, self._context.clock(), self._moment())
        verdict = self._settlement.hear(answer) if final else None
        if verdict is not None:
            self._finish(*verdict)

    def _moment(self) -> Moment:
        if self._settlement.exited_at is not None:
            return Moment.EXITED
        context = self._context
        entry: Entry | None = context.entry
        with contextlib.suppress(KollaDrainError):  # the next look reports it
            # A run beside this one may have sent the signal.
            entry = context.ledger.read(context.container.id) or entry
        signalled = (
            self._signal.name or self._kill.was_sent or (entry is not None and entry.intent is not None)
        )
        return Moment.SIGNALLED if signalled else Moment.BEFORE_SIGNAL

    # --- 1. open

    def _look_again(self) -> None:
        """Look at the container anew where another run's call took time: it may be in a later life by now."""
        if self._locked_out_since is None:
            return
        with contextlib.suppress(KollaDrainError):  # the next look reports it
            found = self._context.engine.inspect(self._context.container.id)
            if found is not None and found.alive:
                self._context.container = found

    def _open(self) -> bool:
        """Open the stop in the ledger, or join the one under way; false for a container at rest, which is done."""
        context = self._context
        if context.container.at_rest:
            self._settlement.forget()
            state, before = f"the container is {context.container.status.value}", self.story.look_back()
            self._finish(Verdict.ALREADY_STOPPED, f"{state}; {before}" if before else state)
            return False
        context.entry, self._joined = context.ledger.begin(
            context.container, context.plan.timeout, context.plan.signal, context.started
        )
        context.begun, context.deadline = context.entry.begun, context.entry.deadline
        self._adopt_budget(context.entry)
        if self._joined:
            self.story.join()
            left = context.deadline - context.clock()
            context.note(f"joined the stop under way, {left:.0f} s before its deadline")
        else:
            context.note(f"begun, with {context.plan.timeout:g} s until the deadline")
        if context.target.evidence_missing:
            context.note(f"no evidence: {context.target.evidence_missing}")
        return True

    def _adopt_budget(self, entry: Entry) -> None:
        """Adapt the plan to a stop that was joined and has a longer budget than was asked for here."""
        plan = self._context.plan
        extra = round(entry.deadline - entry.begun - plan.timeout, 3)
        if extra:
            quiesce = plan.quiesce + extra if plan.quiesce else 0.0
            drain = plan.drain if plan.quiesce else plan.drain + extra
            self._context.plan = replace(
                plan, timeout=plan.timeout + extra, quiesce=max(0.0, quiesce), drain=drain
            )

    # --- 2. to 5.

    def _decide(self, found: Container | None, since: float) -> policy.Decision:
        context, history = self._context, self.history
        signalled = self._signal.learn() if found is not None and found.alive else self._signal.at is not None
        now = context.clock()  # the engine's answers may have taken seconds
        seen = Observation(
            container=found,
            signalled=signalled,
            reads=self.reads,
            reading=self._missing or history.reading,
            empty_readings=history.empty_readings,
            own_empty_readings=history.own_empty_readings,
            unread_for=history.unread_for(now),
            waiting_for=history.waiting_for,
            look=now - since,
            given_more=self._given_more(),
        )
        target = context.target
        return policy.decide(target.request, target.profile, context.plan, seen, now - context.begun)

    def _given_more(self) -> float:
        """Return the seconds by which the deadline of a run beside this one is later."""
        entry = self._context.entry
        deadline, ledger = self._context.deadline, self._context.ledger
        if entry is None or entry.deadline <= deadline or not ledger.shared(entry):
            return 0.0
        return entry.deadline - deadline

    def _notice_new_life(self, found: Container) -> None:
        context = self._context
        if found.life == context.container.life or not found.alive:
            return
        if context.entry is not None:
            with context.ledger.held(found.id):
                current = context.ledger.read(found.id)
                if current is None or current.life != found.life:
                    current = (current or context.entry).in_life(found.started_at)
                    context.ledger.write(current)
                context.entry = current  # a run beside this one may have been quicker, and signalled it
        self._settlement.look_back()
        context.history.nobody_has_signalled()
        context.note("the engine started it again")
        if self._signal.at is not None or self._kill.at is not None:
            # A kill cancels Docker's restart policy only if its signal is the StopSignal, or the container has none:
            # https://github.com/moby/moby/issues/41302
            context.plan = replace(
                context.plan,
                signal=found.stop_signal or "SIGTERM",
                quiesce=0.0,
                drain=context.plan.timeout,
                reason="the engine started it again after its exit, and its StopSignal ends that",
            )
        self._signal.new_life()
        self._kill.new_life()

    def _unpause(self, reason: str) -> None:
        context = self._context
        with context.ledger.held(context.container.id):
            context.changed = True
            context.engine.unpause(context.container.id)
            context.note(f"unpaused: {reason}")

    def _escalate(self, reason: str) -> None:
        refusal = self._kill.send(reason)
        if refusal:
            self._leave(refusal)

    def _see_kill_through(self, found: Container) -> None:
        failure = self._kill.see_through(found)
        if failure:
            self._finish(Verdict.LEFT_RUNNING, failure, failed=True)

    def _leave(self, reason: str) -> None:
        self._settlement.look_back()
        self._finish(Verdict.LEFT_RUNNING, reason, failed=True)

    def _try_on(self, exc: Exception) -> None:
        """Look again after an error, up to a bound after the deadline."""
        context, why = self._context, _said(exc)
        self._signal.doubt_anew()
        if context.entry is None:
            self._finish(None, f"{context.container.name} was not touched: {why}", failed=True)
            return
        if not self._trouble:
            context.note(f"trying on: {why}")
        self._trouble = why
        if context.clock() >= context.deadline + policy.KILL_BOUND:
            self._finish(
                None,
                f"The state of {context.container.name} is not known {policy.KILL_BOUND:g} s after its deadline "
                f"({why.rstrip('.')}); put that right, then run this again.",
                failed=True,
            )

    def _recover(self) -> None:
        self._trouble = ""
        self._context.note("it can be looked at again")

    def _locked_out(self, exc: LedgerBusy) -> None:
        """Try again at the next look, because another run is in the middle of a call to the engine, up to a bound."""
        context, now = self._context, self._context.clock()
        if self._locked_out_since is None:
            self._locked_out_since = now
        # A budget counts from the start: the rest of it must do for a stop.
        bound = LOCK_BOUND if context.entry is not None else min(LOCK_BOUND, context.plan.timeout / 2)
        if now - self._locked_out_since >= bound:
            self._finish(None, str(exc), failed=True)

    # --- 6. verdict

    def _exited(self, reason: str) -> None:
        code = self._context.container.exit_code
        self._context.note(reason if code is None else f"{reason} with exit code {code}")
        self._settlement.begin()
        if not self.reads:
            self._finish(*self._settlement.judge(verified=False))

    def _finish(self, verdict: Verdict | None, reason: str, *, failed: bool = False) -> None:
        context, history, container = self._context, self._context.history, self._context.container
        if verdict is not None and self._trouble:
            self._recover()
        context.note(f"{verdict.value if verdict else 'failed'}: {reason}")
        history.give_up("still in flight when it was left")
        exited, signalled = self._settlement.exited_at, self._signal.at
        ended = exited if exited is not None else context.clock()
        state, why = context.evidence
        self.result = StopResult(
            name=container.name,
            id=container.id,
            verdict=verdict,
            reason=reason,
            failed=failed,
            changed=context.changed or exited is not None,
            joined=self._joined,
            signal=self._signal.name,
            exit_code=container.exit_code if exited is not None or container.at_rest else None,
            oom_killed=container.oom_killed,
            quiesced=max(0.0, (signalled or ended) - context.begun) if context.entry is not None else None,
            drained=exited - signalled if exited is not None and signalled is not None else None,
            timeout=context.plan.timeout,
            endings=history.endings,
            standing=history.standing,
            passed_over=history.passed_over,
            dead=history.dead,
            heartbeats=history.heartbeats.rows,
            heartbeat_note=heartbeat_note(
                history.heartbeats,
                context.target.profile,
                context.target.service_down_time,
                signalled=signalled is not None,
                now=ended,
            ),
            serving=history.serving,
            evidence=state,
            evidence_why=why,
            findings=context.target.findings,
            timeline=context.whole_timeline,
            plan=context.plan,
            profile=context.target.profile,
        )


def _said(exc: Exception) -> str:
    """Return an error in words. The text of one that nobody expected may hold a secret, its place does not."""
    if isinstance(exc, KollaDrainError):
        return str(exc)
    place = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{type(exc).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}"

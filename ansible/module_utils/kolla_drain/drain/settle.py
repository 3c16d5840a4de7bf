"""Look every operation up again after the exit, and find out who ended the container."""

from __future__ import annotations

import contextlib
import math

from ..errors import KollaDrainError
from ..model import Answer, EvidenceState, Verdict
from .context import Context
from .history import Moment
from .kill import Kill
from .one_signal import OneSignal, stop_signals
from .policy import VERIFY_BOUND
from .verdict import KILLED_CODE, Killer, count, judge

# Seconds for the second question at least, where the first one and the looks at other containers have used up the time.
ASKED_AGAIN = 2.0


class Settlement:
    """The end of one stop, from the exit on."""

    def __init__(self, context: Context, signal: OneSignal, kill: Kill) -> None:
        self.exited_at: float | None = None  # seconds on the loop's clock
        self.waits_until = math.inf  # for an answer about what was after that
        self._bound: float | None = None  # the same of the first question
        self._context = context
        self._signal = signal
        self._kill = kill
        self._first_final: int | None = None  # answers from this question on were read after the exit
        self._asked_twice = False
        self._killed_by_another = False

    def begin(self) -> None:
        """Take in that the container has exited."""
        self.exited_at = self._context.clock()
        self.look_back()
        self.forget()
        self._context.wants_reading = True

    def asked(self, number: int) -> None:
        """Take in that a reading was asked for."""
        if self.exited_at is not None and self._first_final is None:
            self._first_final = number
            # From the question on: a slow call for another container may have held the loop up before it.
            now = self._context.clock()
            if self._bound is None:
                self._bound = now + VERIFY_BOUND
            self.waits_until = max(self._bound, now + ASKED_AGAIN)

    def is_final(self, answer: Answer) -> bool:
        """Return whether an answer was read after the exit."""
        return self._first_final is not None and answer.number >= self._first_final

    def hear(self, answer: Answer) -> tuple[Verdict, str] | None:
        """Take in a reading from after the exit; returns the verdict as soon as there can be one."""
        history = self._context.history
        if answer.reading.state is not EvidenceState.OK:
            self._context.wants_reading = False  # the loop asks again at its own pace, up to VERIFY_BOUND
            return None if answer.reading.passing else self.judge(verified=False)
        if history.settle(answer):
            return self.judge(verified=True)
        if not self._asked_twice:
            # An operation was first seen by a reading that came in after the exit: it has to be asked about, too.
            self._asked_twice = True
            self._first_final, self.waits_until = None, math.inf
            self._context.wants_reading = True
            return None
        history.settle(answer, partly=True)
        history.give_up("its rows showed nothing after the exit")
        return self.judge(verified=True)

    def judge(self, *, verified: bool) -> tuple[Verdict, str]:
        """Return the verdict with its reason; what is still open has an unknown outcome."""
        context = self._context
        context.history.give_up("it could not be looked up after the exit")
        why = "" if verified else self._why_unverified()
        if verified and self._signal.cancelled_late:
            verified = False
            why = "the call that cancelled its restart may have ended a process that nobody had looked at"
        elif verified and not self._looked_in_time():
            verified = False
            why = "its evidence could not be read before the signal: what was in flight is not known"
        elif verified and context.history.unseen:
            verified, why = False, context.history.unseen
        verdict, reason = judge(
            profile=context.target.profile,
            killer=self._killer(),
            verified=verified,
            endings=context.history.endings,
            exit_code=context.container.exit_code,
            oom_killed=context.container.oom_killed,
            why_unverified=why,
        )
        passed_over = context.history.passed_over
        return verdict, f"{reason}; {count(passed_over)} passed over" if passed_over else reason

    def look_back(self) -> None:
        """Find out whether somebody else had a hand in the end of this life, in a way not noticed before."""
        context, container = self._context, self._context.container
        self._killed_by_another = False
        # 137 is SIGKILL or lack of memory; a container that is gone shows no code.
        maybe_killed = self._kill.at is None and container.exit_code in (None, KILLED_CODE)
        unsignalled = self._signal.at is None
        if not maybe_killed and not unsignalled:
            return
        with contextlib.suppress(KollaDrainError):
            signals = context.engine.sent(container).signals
            self._killed_by_another = maybe_killed and "SIGKILL" in signals
            known = stop_signals(container)
            had = next((signal for signal in signals if signal in known), "")
            if not unsignalled or not had:
                return
            self._signal.name = had
            entry = context.ledger.read(container.id)
            nobody = None if self._signal.cancelled_late else self._signal.cancel_intent
            if entry is None or entry.intent in (None, nobody):
                context.history.somebody_had_signalled()
                context.note(f"it had been signalled with {had} by somebody else")

    def forget(self) -> None:
        """Drop the ledger's entry; one that stays does no harm, and a later run sweeps it."""
        context = self._context
        with contextlib.suppress(KollaDrainError):
            if context.ledger.read(context.container.id) is not None:
                context.ledger.forget(context.container.id, context.container.life)

    def _looked_in_time(self) -> bool:
        """Return whether what was in flight is known.

        Where the signal was not ours a look after it must do: lost work leaves a row behind.
        """
        if self._signal.blind_life is not None:
            return False
        return bool({Moment.BEFORE_SIGNAL, Moment.SIGNALLED} & self._context.history.readable)

    def _killer(self) -> Killer:
        """Tell who ended it: it may have exited by itself while SIGKILL was on its way, with a code of its own."""
        if self._kill.at is not None and self._context.container.exit_code in (None, KILLED_CODE):
            return Killer.US
        return Killer.ANOTHER if self._killed_by_another else Killer.NOBODY

    def _why_unverified(self) -> str:
        reading = self._context.history.reading
        why = self._context.target.evidence_missing or (reading.why if reading is not None else "")
        why = why or f"no answer came within {VERIFY_BOUND:g} s"
        return f"its evidence could not be read after the exit: {why}"

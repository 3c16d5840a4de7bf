"""Send the stop signal once to a process life, whatever fails, repeats, reconnects or runs side by side.

A second SIGTERM kills work: oslo.service's eventlet backend drops its handlers after the first one. So the ledger keeps
that a signal is about to be sent before it is sent, and that the engine took it afterwards. A run that finds an intent
whose outcome nobody kept asks the engine's events; one that nobody can ever confirm counts as sent, because a signal
that is missing costs the rest of the budget and a second one costs the work.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from ..errors import EngineAbsent, LedgerError, NoSuchContainer, NotRunning
from ..model import Container, Entry, Sent
from .context import Context
from .history import Moment

# Seconds for which a signal whose call broke off in a run that has died is looked for in the engine's events before it
# counts as never sent: it may still be on its way through a slow engine. They count while the engine answers, because
# one that was stalled works off what waits for it afterwards.
DOUBT = 20.0

# Seconds after which the engine is asked again about a signal that it may have forgotten.
ASK_AGAIN = 2.0


def stop_signals(container: Container) -> frozenset[str]:
    """Return the signals that count as a stop whoever sent them. HUP, USR1 and the like also mean other things."""
    return frozenset({"SIGTERM", "SIGINT", "SIGQUIT", container.stop_signal})


class OneSignal:
    """The stop signal of one container. Calls raise EngineError, LedgerError, LedgerBusy."""

    def __init__(self, context: Context) -> None:
        self.at: float | None = None  # when this process life had its signal; None: it had none
        self.name = ""  # of the last one that is known, also of a life before
        self.ours = False  # this run sent it, or may have
        # When this run was about to cancel a restart: a call that comes late reaches a process.
        self.cancel_intent: float | None = None
        # The life that this run signalled, or may have, before anybody had looked at its work; None: there is none.
        self.blind_life: tuple[str, str] | None = None
        self._context = context
        self._asked_engine = False  # whether this process life had been signalled before this run looked
        self._doubt_from = context.started  # until then somebody may have been sending the signal
        self._own_intent: float | None = None  # when this run was about to send it
        self._cancelled_in: tuple[str, str] | None = None  # the process life after which that was
        # When a stop by somebody else would be over whose signal the engine has forgotten; None: no sign of one yet.
        self._stopping_until: float | None = None
        self._ask_again = 0.0  # until then such a signal counts as sent

    def new_life(self) -> None:
        """Forget the signal of the process life before."""
        self.at = None
        self._asked_engine = False
        self._stopping_until = None
        self._ask_again = 0.0

    @property
    def cancelled_late(self) -> bool:
        """Whether this run's call to cancel a restart may have reached a process, whose work nobody had looked at.

        Of a container that is gone nobody can tell whether there was such a process.
        """
        container, cancelled = self._context.container, self._cancelled_in
        return cancelled is not None and not (container.at_rest and container.life == cancelled)

    def doubt_anew(self) -> None:
        """Take in that the engine was silent just now, and may deliver what it was asked before."""
        self._doubt_from = self._context.clock()

    # --- what is known

    def learn(self) -> bool:
        """Return whether this process life has been signalled by anybody; in doubt it counts as signalled."""
        context = self._context
        entry = context.entry
        if entry is None or self.at is not None:
            return self.at is not None
        entry = self._as_it_is_now(entry)
        if context.clock() < self._ask_again:
            return True
        if self._asked_engine and entry.intent is None:
            return False  # the engine is asked again right before the signal
        signal = self._had(entry)
        self._asked_engine = True
        if signal:
            self._adopt(entry, signal)
        else:
            # Where the call was slow, a run may have joined meanwhile and made the deadline longer.
            self._as_it_is_now(entry)
        return signal != ""

    def _as_it_is_now(self, entry: Entry) -> Entry:
        """Take in what runs beside this one have made of the entry."""
        context = self._context
        current = context.ledger.read(context.container.id)
        if current is not None and current.life == context.container.life:
            context.entry = entry = current
        return entry

    def _had(self, entry: Entry) -> str | None:
        """Return the stop signal that this life has had, by the ledger, else by the engine's events.

        Empty if none, None while that is in doubt.
        """
        if entry.signalled is not None:
            return entry.signal
        context = self._context
        sent = context.engine.sent(context.container)
        known = stop_signals(context.container)
        if entry.intent is not None:
            known |= {entry.signal}
        for signal in sent.signals:
            if signal in known:
                return str(signal)
        if entry.intent is None or entry.intent_wall is None:
            return self._forgotten(sent)
        if any(at >= entry.intent_wall for at in sent.unnamed) or sent.covers_from > entry.intent_wall:
            return entry.signal
        self._doubt_from = max(self._doubt_from, entry.intent)
        if sent.pending or context.ledger.on_its_way(entry):
            self._doubt_from = context.clock()
        return None if context.clock() - self._doubt_from < DOUBT else ""

    def _forgotten(self, sent: Sent) -> str | None:
        """Return what other signs tell of a stop signal that the engine has forgotten, as _had does.

        Somebody's stop is taken to last as long as this one may: a process that outlives that is not being stopped.
        """
        context, now, limit = self._context, self._context.clock(), self._context.plan.timeout
        if context.target.stopping_unit:
            return context.plan.signal
        age, sign = self._sign(sent)
        if self._stopping_until is None and sign and age <= limit:
            self._stopping_until = now + limit - age
            context.note(f"it may be stopping already, so its signal waits for {limit - age:.0f} s: {sign}")
        if not sign or self._stopping_until is None or now >= self._stopping_until:
            return ""
        self._ask_again = now + ASK_AGAIN
        return None

    def _sign(self, sent: Sent) -> tuple[float, str]:
        """Return how many seconds ago a forgotten signal may have been sent, and what speaks for it, if anything."""
        beats, target = self._context.history.heartbeats, self._context.target
        if sent.horizon is None:
            return 0.0, ""
        if sent.forgotten is not None:
            return sent.forgotten, "the engine has sent it a signal and forgotten which"
        ages = [row.age for row in beats.rows if row.age is not None and not beats.moved(row.host)]
        still = len(ages) == len(beats.rows) and not target.profile.heartbeat_while_draining
        silent = min(ages, default=0.0) if still else 0.0
        if silent > max(sent.horizon, target.service_down_time):
            return silent, f"its heartbeat stands still, and the engine remembers {sent.horizon:.0f} s only"
        return 0.0, ""

    def _adopt(self, entry: Entry, signal: str) -> None:
        """Keep a signal that was found, because the engine forgets its events, and report whose it was."""
        context = self._context
        by = "the run before" if entry.intent is not None else "somebody else"
        if entry.intent is not None and entry.intent in (self._own_intent, self.cancel_intent):
            by = "this run, whose call broke off"
            self._own_intent = entry.intent
            self.ours = context.changed = True
        at = entry.signalled or entry.intent or context.clock()
        # One without a sender was adopted by a run beside this one, too: nobody knows since when it was on its way.
        if entry.intent is None or not entry.sender:
            context.history.somebody_had_signalled()
        if entry.signalled is None:
            with context.ledger.held(context.container.id):
                current = context.ledger.read(context.container.id)
                if current is not None and current.life == entry.life:
                    entry = current  # another run may have made its deadline longer just now
                entry = replace(entry, intent=at, signalled=at, signal=signal)
                try:
                    context.ledger.write(entry)
                except LedgerError as exc:  # this run knows of it all the same
                    context.note(str(exc))
        context.entry = entry
        self.at, self.name = at, signal
        context.note(f"already signalled with {signal} by {by}; it is not signalled again")

    # --- sending

    def send(self, reason: str) -> None:
        """Send the plan's signal, unless it comes out that this life has had one."""
        context = self._context
        with context.ledger.held(context.container.id):
            entry = self._unsignalled()
            if entry is None:
                return
            if entry.intent is not None:
                context.history.nothing_was_signalled()
            intended = context.ledger.intend(replace(entry, signal=context.plan.signal))
            before = self._own_intent, self.ours, self.blind_life
            self._own_intent, self.ours = intended.intent, True
            self._note_blindness()
            try:
                self._deliver(intended)
            except (NotRunning, NoSuchContainer):
                self.blind_life = before[2]
                return  # it exited just before; the next look shows it
            except EngineAbsent:
                self._own_intent, self.ours, self.blind_life = before
                raise
            context.history.nobody_has_signalled()
            self.at, self.name = context.clock(), context.plan.signal
            context.changed = context.wants_reading = True
            context.note(f"{context.plan.signal} sent: {reason}")
            context.entry = context.ledger.sent(intended)

    def _note_blindness(self) -> None:
        life = self._context.container.life
        if Moment.BEFORE_SIGNAL not in self._context.history.readable:
            self.blind_life = life
        elif self.blind_life == life:  # the signal before came to nothing
            self.blind_life = None

    def _unsignalled(self) -> Entry | None:
        """Return the entry of this life if it has not been signalled; to be called with the lock held."""
        context = self._context
        entry = context.ledger.read(context.container.id)
        if entry is None or entry.life != context.container.life:
            entry = context.entry
        if entry is None or self._had(entry) != "":
            self._asked_engine = False  # the next look learns of it
            return None
        return entry

    def _deliver(self, intended: Entry) -> None:
        """Send what was intended; the intent is taken back if nobody was there to take the request."""
        context = self._context
        context.entry = intended
        try:
            context.engine.signal(context.container.id, intended.signal)
        except EngineAbsent:
            context.entry = replace(intended, intent=None, intent_wall=None, sender="")
            context.ledger.write(context.entry)
            raise

    def cancel_restart(self, reason: str) -> None:
        """Stop the engine from starting the container again; no process runs that could take the signal."""
        context = self._context
        with context.ledger.held(context.container.id):
            entry = context.ledger.read(context.container.id) or context.entry
            if entry is None or entry.life != context.container.life or self._cancel_is_on_its_way(entry):
                return
            # In the ledger, because the call may come late and reach the life that the restart begins.
            context.note(f"restart cancelled: {reason}")
            context.changed = True
            signal = context.container.stop_signal or "SIGTERM"
            intended = context.ledger.intend(replace(entry, signal=signal, signalled=None))
            self.cancel_intent, self._cancelled_in = intended.intent, entry.life
            with contextlib.suppress(NotRunning, NoSuchContainer):  # the next look shows it
                self._deliver(intended)

    def _cancel_is_on_its_way(self, entry: Entry) -> bool:
        """Return whether an earlier call to cancel may still come, and then reach the life that the restart begins."""
        if entry.intent is None or entry.signalled is not None:
            return False
        return self._context.clock() - max(entry.intent, self._doubt_from) < DOUBT

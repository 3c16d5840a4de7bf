"""Escalate at the deadline: SIGKILL, seen through to its end."""

from __future__ import annotations

from ..model import Container
from .context import Context
from .policy import KILL_BOUND


class Kill:
    """SIGKILL for one container. Calls raise EngineError, LedgerError, LedgerBusy."""

    def __init__(self, context: Context) -> None:
        self.at: float | None = None  # when this run sent it to this process life
        self._context = context
        self._sent_before = False  # in this life or in one before
        self._failure = ""

    def new_life(self) -> None:
        """Forget the SIGKILL of the process life before, but not that there was one."""
        self.at = None

    @property
    def was_sent(self) -> bool:
        """Whether this run has sent a SIGKILL, in this process life or in one before."""
        return self._sent_before

    def send(self, reason: str) -> str:
        """Send SIGKILL; returns why not, a clause, where the container has to be left running instead."""
        context = self._context
        with context.ledger.held(context.container.id):
            longer = self._given_longer()
            if longer:
                return f"{reason}, but {longer}"
            if self._sent_before:
                return "it was killed, and something started it again; see what does, and stop that first"
            self._sent_before = context.changed = True
            self.at = context.clock()
            context.note(f"SIGKILL sent: {reason}")
            context.engine.kill(context.container.id)
        return ""

    def see_through(self, found: Container) -> str:
        """Watch a container that was sent SIGKILL and has not exited; returns a sentence once that is given up.

        Unlike a stop signal, SIGKILL is repeated where the engine reports that it failed.
        """
        context = self._context
        failure = context.engine.kill_failure(found.id)
        self._failure = failure or self._failure
        if context.clock() < context.deadline + KILL_BOUND:
            if failure:
                with context.ledger.held(found.id):
                    longer = self._given_longer()
                    if longer:
                        return f"SIGKILL failed ({failure.rstrip('.')}), but {longer}"
                    context.engine.kill(found.id)
            return ""
        why = self._failure or "its process may hang in the kernel"
        spent = context.clock() - (self.at or context.deadline)
        return (
            f"SIGKILL did not end {found.name} within {spent:.0f} s ({why.rstrip('.')}); "
            f"look at process {found.pid} on the host"
        )

    def _given_longer(self) -> str:
        """Say that another run has given the container longer than this one; to be called with the lock held."""
        context = self._context
        entry = context.ledger.read(context.container.id)
        now = context.clock()
        if entry is None or entry.deadline <= max(context.deadline, now):
            return ""
        # A run beside this one that has not seen this life yet may have written down the life before.
        if entry.life != context.container.life and not context.ledger.shared(entry):
            return ""
        return f"another run gave it until {entry.deadline - now:.0f} s from now"

"""What one run knows of its freezes of one container. Pure bookkeeping; times are seconds on the loop's clock."""

from __future__ import annotations

from .drain.policy import FREEZE_DECISION
from .model import Answer, Reading


class Freezes:
    """The freeze that is on, if one is, and those that were."""

    def __init__(self) -> None:
        self.since: float | None = None  # when it was about to be frozen
        self.is_on = False  # the engine has frozen it
        self.reading: Reading | None = None  # begun after that
        self.count = 0
        self.futile = 0  # ended without a reading
        self.refusals = 0
        self._number: int | None = None  # answers from this question on were read meanwhile

    def begin(self, now: float) -> None:
        """The engine is about to be asked for it."""
        self.since = now

    def come_about(self) -> None:
        """The engine has done it, now or some time after a call that broke off."""
        self.is_on = True
        self.count += 1

    def over(self) -> None:
        """It runs again, or was never frozen."""
        if self.is_on and self.reading is None:
            self.futile += 1
        self.since = self.reading = self._number = None
        self.is_on = False

    def never_came(self, now: float) -> bool:
        """Whether a freeze whose call broke off has not come about for so long that it is waited for no more."""
        return self.since is not None and not self.is_on and now - self.since >= FREEZE_DECISION

    def asked(self, number: int) -> None:
        """A question for a reading was asked."""
        if self.is_on and self._number is None:
            self._number = number

    def hear(self, answer: Answer) -> None:
        """A reading came in."""
        if self._number is not None and answer.number >= self._number:
            self.reading = answer.reading

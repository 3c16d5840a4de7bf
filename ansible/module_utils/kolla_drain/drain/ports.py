"""What a drain asks of its surroundings, besides the container engine (engine/port.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..model import Answer, Container, Entry, Operation


class Evidence(Protocol):
    """Where readings come from. Neither call blocks."""

    def ask(self, asks: Mapping[str, tuple[Operation, ...]]) -> int:
        """Ask for a reading of each container, by its id, and for what became of the operations given.

        Returns the number of the question; an answer with that number or a higher one was read after this call.
        """

    def answers(self) -> Sequence[Answer]:
        """Return the answers that came in since the last call."""


class Ledger(Protocol):
    """The record of stops on this host, shared by runs side by side. Calls raise LedgerError, LedgerBusy."""

    def begin(
        self, container: Container, timeout: float, signal: str, since: float | None = None
    ) -> tuple[Entry, bool]:
        """Open or join the stop of this process life, with ``timeout`` seconds; true when it was under way."""

    def read(self, container_id: str) -> Entry | None:
        """Return the entry of a container, or None if no stop of it is known."""

    def write(self, entry: Entry) -> None:
        """Keep an entry; to be called with the lock held."""

    def intend(self, entry: Entry) -> Entry:
        """Keep that the signal is about to be sent; to be called with the lock held."""

    def sent(self, entry: Entry) -> Entry:
        """Keep that the engine took the signal; to be called with the lock held."""

    def held(self, container_id: str) -> AbstractContextManager[None]:
        """Hold the lock of one container; raises LedgerBusy at once where another run holds it."""

    def on_its_way(self, entry: Entry) -> bool:
        """Return whether another run is about to send the signal, or waits for what came of it."""

    def shared(self, entry: Entry) -> bool:
        """Return whether several runs that live wait for this stop."""

    def forget(self, container_id: str, life: tuple[str, str]) -> None:
        """Drop the entry of a process life that has ended."""


class Stories(Protocol):
    """What the runs of this host keep of their stops (drain/story.py). Neither call fails."""

    def keep(self, stories: Sequence[Mapping[str, Any]]) -> None:
        """Keep these stories of this run as they are now, and the others as they were."""

    def of(self, life: tuple[str, str]) -> Sequence[Mapping[str, Any]]:
        """Return what other runs keep of a process life, oldest first; each says whether its run ``lives``."""

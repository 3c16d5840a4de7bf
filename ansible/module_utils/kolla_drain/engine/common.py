"""What every engine does alike: calls that are waited for in the background, and freezes that a watchdog watches."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as CallTimedOut
from typing import Any

from ..drain.policy import FREEZE_BOUND
from ..errors import EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..model import Container
from . import cgroup
from .watchdog import Watchdog

# Looks and signals answer in milliseconds; an engine that takes longer than this, in seconds, is treated as
# silent, so that one slow call does not hold up the deadlines of the others.
QUICK = 10

# A signal's call is waited for in the background for this long, in seconds: the engine may carry it out until then.
PATIENT = 3600

# The length of the short ids that engines print.
SHORT_ID = 12


class ActingEngine:
    """Signals, SIGKILLs and freezes, on top of what one engine's file says how to ask for them."""

    command = ""  # also the name of its Python library

    def __init__(self, missing: ImportError | None = None) -> None:
        """``missing``: why the engine's Python library could not be imported. Raises EngineError then."""
        if missing is not None:
            raise EngineError(
                f"The Python library {self.command} is missing for {sys.executable} on this host ({missing}); install "
                f"it there (pip install {self.command}, or the package python3-{self.command}), or set "
                "ansible_python_interpreter to a Python that has it."
            )
        self._failures: dict[str, str] = {}
        self._signals: dict[str, Future[None]] = {}
        self._watchdog: Watchdog | None = None

    # --- what an engine's own file says

    def inspect(self, name: str) -> Container | None:
        """Look at a container by its name or id; None when there is none. Raises EngineError."""
        raise NotImplementedError

    def no_answer(self, why: str) -> str:
        """The sentence for an engine that is silent."""
        raise NotImplementedError

    def _send(self, container_id: str, signal: str) -> None:
        """Send a signal, however long that takes."""
        raise NotImplementedError

    def _pause(self, container_id: str) -> None:
        raise NotImplementedError

    def _unpause(self, container_id: str) -> None:
        raise NotImplementedError

    # --- signals

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal with the engine's kill. Raises NotRunning, NoSuchContainer, EngineError.

        A call that gets no answer in time is waited for on, in the background: as long as it has not come
        back the signal may still be delivered, and ``sent`` says that it is pending.
        """
        self._signals[container_id] = start(lambda: self._send(container_id, signal))
        self.answer(self._signals[container_id])

    def pending(self, container_id: str) -> bool:
        """Whether a signal's call has not come back yet."""
        signal = self._signals.get(container_id)
        return signal is not None and not signal.done()

    def answer(self, future: Future[Any], over: str = "") -> Any:
        """What the call returned or raised; raises EngineUnreachable when it takes longer than QUICK.

        ``over`` is the sentence for that, where it is another than that of a silent engine.
        """
        try:
            return future.result(QUICK)
        except CallTimedOut as exc:
            silent = self.no_answer(f"it took longer than {QUICK} s")
            raise EngineUnreachable(over.format(seconds=QUICK) or silent) from exc

    def kill(self, container_id: str) -> None:
        """Start SIGKILL in the background: the engine's own call blocks for 12 s where it fails (FACTS E7)."""
        self._failures.pop(container_id, None)
        if self._watchdog is not None:
            self._watchdog.ending(container_id)
        start(lambda: self._kill(container_id))

    def _kill(self, container_id: str) -> None:
        try:
            self._send(container_id, "SIGKILL")
        except (NotRunning, NoSuchContainer):
            pass  # it exited first
        except EngineError as exc:
            self._failures[container_id] = str(exc)

    def end_frozen(self, container_id: str) -> str:
        """Start SIGKILL for all processes of a paused container; returns why only its first got it, if so.

        The engine's own kill goes to PID 1, then thaws; its children run on until the kernel takes them down with it
        (seen: in 6 of 10 runs, and a request was lost by that). A SIGKILL that they have by then is taken first.
        """
        failure = cgroup.kill_others(container_id, self.inspect)
        self.kill(container_id)
        return failure

    def kill_failure(self, container_id: str) -> str:
        """What the engine said against the SIGKILL, so far; empty when nothing."""
        return self._failures.get(container_id, "")

    # --- freezes

    def watch_freezes(self) -> None:
        """Start the watchdog, which takes a moment, before a freeze needs it."""
        self._watchdog = self._watchdog or Watchdog(FREEZE_BOUND, self.command)

    def freeze(self, container_id: str) -> None:
        """Pause a container, for FREEZE_BOUND at the most. Raises NotRunning, EngineError."""
        self.watch_freezes()
        assert self._watchdog is not None
        self._watchdog.freezing(container_id)
        self._pause(container_id)

    def thaw(self, container_id: str) -> None:
        """Let a paused container run again; one that is not paused is left as it is."""
        with contextlib.suppress(NotRunning, NoSuchContainer):
            self._unpause(container_id)
        if self._watchdog is not None:
            self._watchdog.thawed(container_id)

    def exited(self, container_id: str) -> None:
        """Have the watchdog forget it: the same container may be started, and paused by somebody, at any time."""
        if self._watchdog is not None:
            self._watchdog.thawed(container_id)

    def close(self) -> None:
        """Let go of what watches over this run."""
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None


def start(call: Callable[[], Any]) -> Future[Any]:
    """Make a call in a thread that ends with the process. An SDK bounds the wait for events not at all."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - raised where the answer is waited for
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


class EventWatcher:
    """Follows the engine's events; a connection that breaks is made again, with a wake for what was missed."""

    def __init__(self, events: Callable[[], Iterable[Any]], wake: Callable[[], None]) -> None:
        """``events`` opens the stream, and is called again when that has ended."""
        self._events = events
        self._wake = wake
        self._closed = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(EngineError):
                self._stream()
            self._wake()
            self._closed.wait(0.5)

    def _stream(self) -> None:
        events = self._events()
        self._wake()  # what happened before the stream was open
        for _ in events:
            if self._closed.is_set():
                return
            self._wake()

    def close(self) -> None:
        """Stop waking; the thread ends with the process."""
        self._closed.set()

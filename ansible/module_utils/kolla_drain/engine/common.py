"""What all engines have in common: signals whose answer is waited for in the background, and events that wake a run."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as CallTimedOut
from typing import Any

from ..errors import EngineError, EngineUnreachable, NoSuchContainer, NotRunning

# An engine answers looks and signals in milliseconds. One that takes longer than this, in seconds, counts as silent,
# so that one slow call does not hold up the deadlines of the other containers.
QUICK = 10

# A signal's call is waited for in the background for this long, in seconds: the engine may deliver it until then.
PATIENT = 3600

# The length of the short ids that engines print.
_SHORT_ID = 12


class CommonEngine:
    """Signals and SIGKILLs on top of an adapter's ``_send``, ``_unpause`` and ``no_answer``."""

    command = ""  # also the name of the engine's Python library

    def __init__(self, missing: ImportError | None = None) -> None:
        """Raise EngineError when ``missing`` says why the engine's Python library could not be imported."""
        if missing is not None:
            raise EngineError(
                f"The Python library {self.command} is missing for {sys.executable} on this host ({missing}); install "
                f"it there (pip install {self.command}, or the package python3-{self.command}), or set "
                "ansible_python_interpreter to a Python that has it."
            )
        self._failures: dict[str, str] = {}
        self._signals: dict[str, Future[None]] = {}

    # --- what an adapter provides

    def no_answer(self, why: str) -> str:
        """Return the sentence for an engine that does not answer."""
        raise NotImplementedError

    def _send(self, container_id: str, signal: str) -> None:
        """Send a signal, however long that takes."""
        raise NotImplementedError

    def _unpause(self, container_id: str) -> None:
        raise NotImplementedError

    # --- acting

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal with the engine's kill. Raises NotRunning, NoSuchContainer, EngineError.

        A call without an answer in time goes on in the background. Until it returns the signal may still be
        delivered, and ``sent`` reports it as pending.
        """
        self._signals[container_id] = start(lambda: self._send(container_id, signal))
        self.answer(self._signals[container_id])

    def pending(self, container_id: str) -> bool:
        """Return whether a signal's call has not returned yet."""
        signal = self._signals.get(container_id)
        return signal is not None and not signal.done()

    def answer(self, future: Future[Any], silence: str = "") -> Any:
        """Return or raise what the call did. Raises EngineUnreachable when it takes longer than QUICK.

        ``silence`` replaces the usual sentence for that.
        """
        try:
            return future.result(QUICK)
        except CallTimedOut as exc:
            sentence = silence.format(seconds=QUICK) or self.no_answer(f"it took longer than {QUICK} s")
            raise EngineUnreachable(sentence) from exc

    def kill(self, container_id: str) -> None:
        """Start SIGKILL in the background: where it fails, Docker's own call tries for about 12 s before it returns."""
        self._failures.pop(container_id, None)
        start(lambda: self._kill(container_id))

    def _kill(self, container_id: str) -> None:
        try:
            self._send(container_id, "SIGKILL")
        except (NotRunning, NoSuchContainer):
            pass  # it exited first
        except EngineError as exc:
            self._failures[container_id] = str(exc)

    def kill_failure(self, container_id: str) -> str:
        """Return the engine's error of the last SIGKILL; empty when there is none so far."""
        return self._failures.get(container_id, "")

    def unpause(self, container_id: str) -> None:
        """Let a paused container run again; do nothing when it is not paused or is gone. Raises EngineError."""
        with contextlib.suppress(NotRunning, NoSuchContainer):
            self._unpause(container_id)


def is_called(name: str, container_id: str, container_name: str) -> bool:
    """Return whether ``name`` is a container's name or id.

    Engines take any first letters of an id for the whole of it: "ca" might match anybody's container.
    """
    return container_name == name or (len(name) >= _SHORT_ID and container_id.startswith(name))


def start(call: Callable[[], Any]) -> Future[Any]:
    """Make a call in a thread that ends with the process."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - raised where the answer is waited for
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


class EventWatcher:
    """Follows the engine's events. A broken connection is opened again, with a wake for what was missed."""

    def __init__(self, events: Callable[[], Iterable[Any]], wake: Callable[[], None]) -> None:
        """Follow the stream that ``events`` opens, which is called again whenever the stream has ended."""
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

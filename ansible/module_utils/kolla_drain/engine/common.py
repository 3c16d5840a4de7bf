"""What all engines have in common: signals whose answer is waited for in the background, and events that wake a run."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as CallTimedOut
from dataclasses import replace
from typing import Any, Generic, TypeVar

from ..errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..model import Container, Sent

# An engine answers looks and signals in milliseconds. One that takes longer than this, in seconds, counts as silent,
# so that one slow call does not hold up the deadlines of the other containers.
QUICK = 10

# Lines of a container's log that are read at most: a dozen Guru Meditation Reports.
LOG_LINES = 20000

# A signal's call is waited for in the background for this long, in seconds: the engine may deliver it until then.
PATIENT = 3600


Value = TypeVar("Value")


class CommonEngine:
    """The part of port.Engine that is the same for all engines, on top of what an adapter provides."""

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

    # Return the sentence for an engine that does not answer, of the reason.
    no_answer: Callable[[str], str]
    # The sentence for events that take too long, where an engine has one of its own; it may name {seconds}.
    slow_events = ""

    def _send(self, container_id: str, signal: str) -> None:
        """Send a signal, however long that takes."""
        raise NotImplementedError

    def _sent(self, container: Container) -> Sent:
        raise NotImplementedError

    def _unpause(self, container_id: str) -> None:
        raise NotImplementedError

    # --- acting

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal. A call without an answer in time goes on, and until it returns ``sent`` calls it pending."""
        self._signals[container_id] = start(lambda: self._send(container_id, signal))
        self._answer(self._signals[container_id])

    def sent(self, container: Container) -> Sent:
        sent: Sent = self._answer(start(lambda: self._sent(container)), self.slow_events)
        signal = self._signals.get(container.id)
        return replace(sent, pending=signal is not None and not signal.done())

    def _answer(self, future: Future[Any], silence: str = "") -> Any:
        """Return or raise what the call did. Raises EngineUnreachable when it takes longer than QUICK."""
        try:
            return future.result(QUICK)
        except CallTimedOut as exc:
            sentence = silence.format(seconds=QUICK) or self.no_answer(f"it took longer than {QUICK} s")
            raise EngineUnreachable(sentence) from exc

    def kill(self, container_id: str) -> None:
        """Start SIGKILL in the background: where it fails, Docker's own call tries for about 12 s before it returns."""
        self._failures.pop(container_id, None)

        def send() -> None:
            try:
                self._send(container_id, "SIGKILL")
            except (NotRunning, NoSuchContainer):
                pass  # it exited first
            except EngineError as exc:
                self._failures[container_id] = str(exc)

        try:
            start(send)
        except EngineAbsent as exc:
            self._failures[container_id] = str(exc)

    def kill_failure(self, container_id: str) -> str:
        return self._failures.get(container_id, "")

    def unpause(self, container_id: str) -> None:
        with contextlib.suppress(NotRunning, NoSuchContainer):  # not paused, or gone
            self._unpause(container_id)


def is_called(name: str, container_id: str, container_name: str) -> bool:
    """Return whether ``name`` is a container's name or id.

    Engines take any first letters of an id for the whole of it: "ca" might match anybody's container. They print 12.
    """
    return container_name == name or (len(name) >= 12 and container_id.startswith(name))


def start(call: Callable[[], Any]) -> Future[Any]:
    """Make a call in a thread that ends with the process. Raises EngineAbsent where no thread can be started."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - raised where the answer is waited for
            future.set_exception(exc)

    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError as exc:
        raise EngineAbsent(
            f"The engine was not asked, because this host could not start a thread ({exc}); raise its limits on tasks "
            "and memory."
        ) from exc
    return future


class Shared(Generic[Value]):
    """One reading for all threads that asked before it began, because what many read side by side adds up.

    Nobody gets a reading that began before the question: what had happened by then is in it.
    """

    def __init__(self, read: Callable[[], Value]) -> None:
        self._read = read
        self._ticks = itertools.count()
        self._turn = threading.Lock()
        self._begun = -1
        self._latest: Future[Value] = Future()

    def read(self) -> Value:
        """Return what was read, or raise what the reading raised."""
        asked = next(self._ticks)
        with self._turn:
            if self._begun < asked:
                self._begun, self._latest = next(self._ticks), Future()
                try:
                    self._latest.set_result(self._read())
                except Exception as exc:  # noqa: BLE001 - raised below, for all that wait for it
                    self._latest.set_exception(exc)
            latest = self._latest
        return latest.result()


class EventWatcher:
    """Follows the engine's events. A broken connection is opened again, with a wake for what was missed."""

    def __init__(self, events: Callable[[], Iterable[Any]], wake: Callable[[], None]) -> None:
        """Follow ``events``, which yields first when its stream is open, and is called again when that has ended."""
        self._events, self._wake = events, wake
        self._closed = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(EngineError):
                for _ in self._events():
                    if self._closed.is_set():
                        return
                    self._wake()
            self._wake()
            self._closed.wait(0.5)

    def close(self) -> None:
        """Stop waking; the thread ends with the process."""
        self._closed.set()

"""A process beside the run that thaws what it froze, in time, if the run dies or hangs.

The run says over a pipe which containers it is about to freeze, to thaw or to end; the end of the pipe is the end of
the run. A process, and not a thread: SIGKILL takes all of a run's threads with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable

from ..errors import CannotFreeze, EngineError

# An engine that does not answer is asked again this often, for this long, in seconds, after the bound of a freeze.
RETRY_EVERY = 0.5
RETRY_FOR = 120.0

# Until it says that it is there; a loaded host may need a while to start a Python.
START_BOUND = 15.0

# It takes nothing with it but where this code and its libraries are, which may be a zip that Ansible has made.
_MAIN = (
    "import sys; sys.path[:] = sys.argv[3:]; from {package}.engine.watchdog import main; main(*sys.argv[1:3])"
)


class Watchdog:
    """The run's end of the pipe. ``bound`` is the longest freeze, in seconds, ``engine`` the name of who thaws."""

    def __init__(self, bound: float, engine: str) -> None:
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        package = __name__.split(".")[-3]
        command = [sys.executable, "-c", _MAIN.format(package=package), f"{bound:g}", engine, root, *sys.path]
        try:
            # In a session of its own: what is sent to the run's process group is not for the watchdog.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except OSError as exc:
            raise CannotFreeze(f"The watchdog of a freeze could not be started: {exc.strerror}.") from exc
        self._ready = False

    def freezing(self, container_id: str) -> None:
        """It is about to be frozen. Raises CannotFreeze where nobody would thaw it."""
        self._await_ready()
        self._say("freezing", container_id)

    def ending(self, container_id: str) -> None:
        """It is about to be killed while frozen: the bound begins anew, and the end of the run changes nothing."""
        with contextlib.suppress(EngineError):
            self._say("ending", container_id)

    def thawed(self, container_id: str) -> None:
        """It is not frozen any more."""
        with contextlib.suppress(EngineError):
            self._say("thawed", container_id)

    def close(self) -> None:
        """The run needs it no more; what is frozen still is thawed."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _await_ready(self) -> None:
        if self._ready:
            return
        out = self._process.stdout
        assert out is not None
        readable, _, _ = select.select([out], [], [], START_BOUND)
        self._ready = bool(readable) and out.readline().strip() == b"ready"
        if not self._ready:
            how = "ended at its start" if readable else f"did not start within {START_BOUND:g} s"
            raise CannotFreeze(f"The watchdog of a freeze {how}.")

    def _say(self, word: str, container_id: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(f"{word} {container_id}\n".encode())
            pipe.flush()
        except (OSError, ValueError) as exc:
            raise CannotFreeze("The watchdog of a freeze has died.") from exc


class Watch:
    """What the watchdog knows: when each container must be thawed. Times in seconds on the clock handed in."""

    def __init__(self, bound: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._bound = bound
        self._clock = clock
        self._due: dict[str, float] = {}
        self._ending: set[str] = set()

    def hear(self, line: str) -> None:
        """Take in one line from the run."""
        word, _, container_id = line.strip().partition(" ")
        self._ending.discard(container_id)
        if word == "thawed":
            self._due.pop(container_id, None)
        elif word in ("freezing", "ending"):
            self._due[container_id] = self._clock() + self._bound
        if word == "ending":
            self._ending.add(container_id)

    def run_ended(self) -> None:
        """What the run left frozen is due at once; what it was about to kill gets the time for that."""
        now = self._clock()
        self._due = {key: at if key in self._ending else min(at, now) for key, at in self._due.items()}

    @property
    def watched(self) -> frozenset[str]:
        """Ids of the containers that are not thawed yet."""
        return frozenset(self._due)

    def step(self, thaw: Callable[[str], None]) -> float | None:
        """Thaw what is due; returns in how many seconds to look again, None when nothing is watched."""
        now = self._clock()
        for container_id, at in list(self._due.items()):
            if at > now:
                continue
            try:
                thaw(container_id)
            except EngineError:
                if now < at + RETRY_FOR:
                    continue
            self._due.pop(container_id)
        if not self._due:
            return None
        return max(RETRY_EVERY, min(self._due.values()) - now)


def main(bound: str, engine_name: str) -> None:
    """The watchdog itself: thaws what is due until the run has ended and nothing is frozen."""
    from .connect import connect

    engine = connect(engine_name)
    watch = Watch(float(bound))
    os.write(1, b"ready\n")
    buffer = b""
    while True:
        pause = watch.step(engine.thaw)
        if not select.select([0], [], [], pause)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            watch.hear(line.decode())
    watch.run_ended()
    while watch.watched:
        time.sleep(watch.step(engine.thaw) or 0.0)

"""What runs keep of their stops while they go, for whoever watches them and for runs that join them or come later.

One file a run, under /run as the ledger is. A run that is watched leaves it to its watcher, who removes it once he has
the result; any other run removes it at its end. What a run that was killed has left is read by those after it. Nothing
here may fail a stop: a story that cannot be kept is not kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import files
from .ledger import FOLDER, boot_clock
from .process import lives, myself

STORIES = f"{FOLDER}/stories"
VERSION = 1

# In the environment of a run that is watched: the name of its file, without the end.
WATCHED = "KOLLA_DRAIN_WATCHED"
_NAME = re.compile(r"[a-z0-9]{1,40}\Z")

# Seconds after which a run that has ended is no news to anybody.
FORGOTTEN = 86400.0


class Stories:
    """The story of one run, and those of the others. Without a ``path`` nothing is written."""

    def __init__(
        self,
        path: str = "",
        *,
        watched: bool = False,
        mask: Callable[[Any], Any] = lambda told: told,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self._path = path
        self._watched = watched
        self._mask = mask
        self._clock = clock
        self._lock = threading.Lock()
        self._stops: dict[str, str] = {}  # as they are written, because one changes and hundreds may not
        self._steps: list[dict[str, Any]] = []
        self._begun = clock()

    @classmethod
    def of_this_run(cls, mask: Callable[[Any], Any], folder: str = STORIES) -> Stories:
        """Return those of this process; ``mask`` takes the secrets out of what is written."""
        watched = os.environ.get(WATCHED, "")
        is_watched = _NAME.match(watched) is not None
        name = watched if is_watched else myself().replace(" ", "-")
        return cls(os.path.join(folder, f"{name}.json"), watched=is_watched, mask=mask)

    def __enter__(self) -> Stories:
        self._sweep()
        self._write()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._watched:
            return
        with contextlib.suppress(OSError):
            files.remove(self._path)

    def keep(self, stories: Sequence[Mapping[str, Any]]) -> None:
        """Keep these stories as they are now; one container may be stopped several times, one after another."""
        if not self._path:
            return
        with self._lock, contextlib.suppress(TypeError, ValueError):
            for story in stories:
                self._stops[f"{story['id']} {story['begun']}"] = json.dumps(self._mask(story))
        self._write()

    def step(
        self, name: str, phase: str, text: str, *, seconds: float | None = None, done: bool = False
    ) -> None:
        """Keep that a container has come to a step beside its stop, a clause; ``seconds`` is its limit."""
        now = self._clock()
        step = {"at": now, "begun": now, "until": None if seconds is None else now + seconds}
        with self._lock:
            if done:  # what was under way
                before = [one for one in self._steps if (one["name"], one["phase"]) == (name, phase)]
                step.update({key: before[-1][key] for key in ("begun", "until")} if before else {})
            self._steps.append({**step, "name": name, "phase": phase, "text": text, "done": done})
        self._write()

    def of(self, life: tuple[str, str]) -> list[Mapping[str, Any]]:
        """Return what other runs keep of a process life, oldest first; each says whether its run ``lives``."""
        found = []
        for path in self._paths():
            if path == self._path:
                continue
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                with open(path, encoding="utf-8") as stream:
                    kept = json.load(stream)
                run = {"lives": lives(kept["run"])}
                stops = [stop for stop in kept["stops"] if (stop["id"], stop["started_at"]) == life]
                found += [(float(kept["begun"]), {**stop, **run}) for stop in stops]
        return [stop for _, stop in sorted(found, key=lambda one: one[0])]

    def _paths(self) -> list[str]:
        folder = os.path.dirname(self._path)
        try:
            return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".json")]
        except OSError:
            return []

    def _write(self) -> None:
        if not self._path:
            return
        with self._lock:
            stops = ", ".join(self._stops.values())
            told = {
                "version": VERSION,
                "run": myself(),
                "begun": self._begun,
                "at": self._clock(),
                "steps": self._mask(self._steps),
            }
            with contextlib.suppress(OSError, TypeError, ValueError):
                files.write(self._path, f'{json.dumps(told)[:-1]}, "stops": [{stops}]}}')

    def _sweep(self) -> None:
        """Remove what runs have left that ended long ago."""
        for path in self._paths():
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                if time.time() - os.stat(path).st_mtime > FORGOTTEN:
                    files.remove(path)

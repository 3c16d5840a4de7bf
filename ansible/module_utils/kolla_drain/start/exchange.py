"""The exchange of a container for its successor under one name, which can be undone, and resumed after a kill.

The successor is prepared as ``NAME.new`` while the old one serves. Once that has been drained the two exchange names:
the old one waits as ``NAME.old``, without a restart policy, until its successor has proved itself. A successor that
fails is put aside as ``NAME.failed``, so that its log can be read. Every step is one call to the engine. At whatever
step a run dies, the names and one label of the successor tell the next run where it was: no record beside the
engine's own is needed, so a reboot loses nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..engine.port import Engine
from ..errors import KollaDrainError, Refused
from ..model import Container

# On the successor: which container it replaces, and the restart policy that this one had.
LABEL = "kolla-drain.replaces"


@dataclass(frozen=True)
class Predecessor:
    """What a successor's label says of the container that it replaces."""

    id: str
    policy: str
    retries: int

    @classmethod
    def of(cls, successor: Container | None) -> Predecessor | None:
        """The predecessor of this container; None for one that replaces none."""
        parts = (successor.labels.get(LABEL, "") if successor else "").split(" ")
        if len(parts) != 3 or not parts[2].isdigit():
            return None
        return cls(parts[0], parts[1], int(parts[2]))

    @classmethod
    def to(cls, old: Container) -> Predecessor:
        """What the successor of this container is to say of it."""
        return cls(old.id, old.restart_policy or "no", old.restart_retries)

    @property
    def label(self) -> dict[str, str]:
        """It as a label."""
        return {LABEL: f"{self.id} {self.policy} {self.retries}"}


class Exchange:
    """One name's exchange. Calls raise EngineError, and Refused where a container that is not ours is in the way.

    One run at a time: the caller holds the lock of the name.
    """

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.new_name, self.old_name, self.failed_name = (f"{name}.{end}" for end in ("new", "old", "failed"))
        self._engine = engine

    # --- what an interrupted run left

    def left_behind(self) -> str:
        """What an interrupted run left, as a clause; empty when it left nothing. Changes nothing."""
        new, old = self._engine.inspect(self.new_name), self._engine.inspect(self.old_name)
        if old is not None and self._as_predecessor(old) is not None:
            return f"an interrupted exchange left {self.old_name}"
        if Predecessor.of(new) is not None:
            return f"an interrupted exchange left {self.new_name}"
        return ""

    def resume(self) -> Container | None:
        """Put right what an interrupted run left.

        Returns the old container if its successor has taken its name and has not been proved to serve;
        in every other case nothing is left of that run afterwards, and the name is the old one's.
        """
        old = self._engine.inspect(self.old_name)
        predecessor = self._as_predecessor(old) if old is not None else None
        if old is not None and predecessor is None:
            raise self._in_the_way(self.old_name)
        if old is not None and predecessor is not None:
            named = self._engine.inspect(self.name)
            if named is not None:
                if Predecessor.of(named) != predecessor:
                    raise self._in_the_way(self.old_name)
                return old
            self._restore(old, predecessor)
        self._discard_prepared()
        return None

    def _as_predecessor(self, old: Container) -> Predecessor | None:
        """What any of its possible successors says of this container."""
        for name in (self.name, self.new_name, self.failed_name):
            predecessor = Predecessor.of(self._engine.inspect(name))
            if predecessor is not None and predecessor.id == old.id:
                return predecessor
        return None

    def _restore(self, old: Container, predecessor: Predecessor) -> None:
        self._engine.set_restart_policy(old.id, predecessor.policy, predecessor.retries)
        self._engine.rename(old.id, self.name)

    def _discard_prepared(self) -> None:
        new = self._engine.inspect(self.new_name)
        if new is None:
            return
        if Predecessor.of(new) is None or not new.at_rest:
            raise self._in_the_way(self.new_name)
        self._engine.remove(new.id)

    def _in_the_way(self, name: str) -> Refused:
        return Refused(
            f"A container {name} is there that kolla_docker did not leave in this state, and {self.name} cannot "
            f"be replaced while it is; look at it ({self._engine.command} inspect {name}), then rename it, or stop "
            "and remove it."
        )

    # --- forward

    def prepare(self, old: Container, make: Callable[[str, Mapping[str, str]], str]) -> Container:
        """Create the successor beside the old one, which serves on; ``make(name, labels)`` returns its id."""
        if old.vanishes:
            raise Refused(
                f"{self.name} was created to vanish at its exit (--rm), so it could not be put back if its successor "
                "failed; stop it with action=stop_container, then start the new one with action=start_container."
            )
        self._clear_failed()
        new = self._engine.inspect(make(self.new_name, Predecessor.to(old).label))
        if new is None:
            raise Refused(
                f"{self.new_name} was removed while it was being prepared; see who did, then run this again."
            )
        return new

    def _clear_failed(self) -> None:
        failed = self._engine.inspect(self.failed_name)
        if failed is None:
            return
        if Predecessor.of(failed) is None or not failed.at_rest:
            raise self._in_the_way(self.failed_name)
        self._engine.remove(failed.id)

    def give_name(self, old: Container, new: Container) -> None:
        """Give the successor the name. The old one, which has been drained, must not come back by itself."""
        self._engine.rename(old.id, self.old_name)
        self._engine.set_restart_policy(old.id, "no")
        self._engine.rename(new.id, self.name)

    def finish(self, old: Container) -> None:
        """The successor serves: the old container goes."""
        self._engine.remove(old.id)

    # --- back

    def put_back(self, old: Container) -> None:
        """Give the old container its name and restart policy back; its successor, which has stopped, goes aside."""
        failed = self._engine.inspect(self.name)
        predecessor = Predecessor.of(failed)
        if failed is not None and predecessor is not None and predecessor.id == old.id:
            self._engine.rename(failed.id, self.failed_name)
            self._engine.set_restart_policy(failed.id, "no")
            self._restore(old, predecessor)

    def discard(self, new: Container) -> None:
        """Remove a successor that is not needed, and that never ran; what stays is the next run's to remove."""
        with contextlib.suppress(KollaDrainError):
            self._engine.remove(new.id)

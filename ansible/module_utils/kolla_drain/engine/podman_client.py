"""TODO: say what this is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning

try:
    import podman.errors
    import requests.exceptions

    IMPORT_ERROR: ImportError | None = None
except ImportError as exc:
    IMPORT_ERROR = exc

SOCKET = "unix:///run/podman/podman.sock"

# The oldest version of its interface in which all that is asked here is found.
VERSION = "4.0.0"

# Podman refuses with this whatever a container's state does not allow.
_WRONG_STATE = ("container state improper", "not running", "not paused")

_GONE = "no such container"


def heard(pieces: Iterable[Any]) -> Iterator[Any]:
    """What comes over a stream, which may break off long after the call. Raises EngineError."""
    with translated():
        yield from pieces


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what podman-py raises into typed errors, each a sentence."""
    try:
        yield
    except podman.errors.NotFound as exc:
        raise NoSuchContainer(f"Podman has none of that name: {_said(exc)}.") from exc
    except podman.errors.APIError as exc:
        if exc.response is None:  # the client's own: nobody answered
            raise _silent(exc) from exc
        said = _said(exc)
        if _GONE in said:  # also with 500, where it went while the call was under way
            raise NoSuchContainer(f"Podman has none of that name: {said}.") from exc
        if exc.status_code == 409 or any(words in said for words in _WRONG_STATE):
            raise NotRunning(f"Podman refused: {said}.") from exc
        raise EngineError(f"Podman refused: {said}.") from exc
    except (podman.errors.PodmanError, requests.exceptions.RequestException, OSError, ValueError) as exc:
        raise _silent(exc) from exc


def _said(exc: Any) -> str:
    return str(exc.explanation or exc).strip().rstrip(".")


def _silent(exc: BaseException) -> EngineUnreachable:
    told = list(_causes(exc))
    for one in told:
        if isinstance(one, (FileNotFoundError, ConnectionRefusedError, PermissionError)):
            return EngineAbsent(no_answer(str(one.strerror).lower()))
    timed_out = any(isinstance(one, (TimeoutError, requests.exceptions.Timeout)) for one in told)
    why = "it timed out" if timed_out else str(told[-1]).partition("\n")[0][:200] or type(exc).__name__
    return EngineUnreachable(no_answer(why))


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised for, the first cause last."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def no_answer(why: str) -> str:
    where = os.environ.get("CONTAINER_HOST") or SOCKET
    return (
        f"Podman's service does not answer at {where} ({why}); start it (systemctl enable --now podman.socket) and "
        "see that this user may talk to it (become: true)."
    )

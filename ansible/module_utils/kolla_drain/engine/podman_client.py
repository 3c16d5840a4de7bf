"""Requests to podman's service by podman-py's client, whose exceptions become typed errors."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..masking import masked
from .common import QUICK, is_called

try:
    import podman.errors
    import requests.exceptions
    from podman.api.client import APIClient

    IMPORT_ERROR: ImportError | None = None
except ImportError as exc:
    IMPORT_ERROR = exc

_SOCKET = "unix:///run/podman/podman.sock"

# The oldest version of podman's interface that has all the requests made here.
_VERSION = "4.0.0"

# What a connection ends in before anything is sent. The last one: more clients wait than the socket has room for.
_NOT_SENT = (FileNotFoundError, ConnectionRefusedError, PermissionError, BlockingIOError)

# In podman's refusal of whatever a container's state does not allow.
_WRONG_STATE = ("container state improper", "not running", "not paused")


def call(method: str, path: str, *, timeout: Any = QUICK, compatible: bool = False, **options: Any) -> Any:
    """Make one request on a connection of its own and return the response. Raises EngineError or a subclass.

    ``compatible`` asks Docker's interface, which podman's service speaks as well.
    """
    with translated():
        client = APIClient(_address(), version=_VERSION, timeout=QUICK)
        if "json" in options:
            options["data"] = json.dumps(options.pop("json"))
            options["headers"] = {**options.get("headers", {}), "Content-Type": "application/json"}
        response = getattr(client, method)(path, timeout=timeout, compatible=compatible, **options)
        response.raise_for_status()
        return response


def inspection(name: str) -> dict[str, Any]:
    """Return ``podman inspect`` of a container's name or id. Raises NoSuchContainer, EngineError."""
    shown: dict[str, Any] = call("get", f"/containers/{name}/json").json()
    if not is_called(name, shown["Id"], shown["Name"]):
        raise NoSuchContainer(f"Podman has no container of the name {name}.")
    return shown


def stream(pieces: Iterable[Any]) -> Iterator[Any]:
    """Yield the pieces of a response, which may break off long after the call. Raises EngineError."""
    with translated():
        yield from pieces


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn podman-py's exceptions into typed errors, each with a sentence."""
    try:
        yield
    except podman.errors.APIError as exc:
        if exc.response is None:  # raised by the client: nobody answered
            raise silence(exc) from exc
        # It may quote the command that the container runs.
        reason = masked("", str(exc.explanation or exc).strip().rstrip("."))
        # A container that was removed while the call was under way has status 500.
        if exc.status_code == 404 or "no such container" in reason:
            raise NoSuchContainer(f"Podman has none of that name: {reason}.") from exc
        if exc.status_code == 409 or any(words in reason for words in _WRONG_STATE):
            raise NotRunning(f"Podman refused: {reason}.") from exc
        raise EngineError(f"Podman refused: {reason}.") from exc
    except (podman.errors.PodmanError, requests.exceptions.RequestException, OSError, ValueError) as exc:
        raise silence(exc) from exc


def silence(exc: BaseException) -> EngineUnreachable:
    """Return the typed error for an exception that means that nobody answered."""
    causes = list(_causes(exc))
    for cause in causes:
        if isinstance(cause, _NOT_SENT):
            return EngineAbsent(no_answer(str(cause.strerror).lower()))
    timed_out = any(isinstance(cause, (TimeoutError, requests.exceptions.Timeout)) for cause in causes)
    why = "it timed out" if timed_out else str(causes[-1]).partition("\n")[0][:200] or type(exc).__name__
    return EngineUnreachable(no_answer(why))


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what caused it, the root cause last."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def no_answer(why: str) -> str:
    """Return the sentence for a service that does not answer."""
    return (
        f"Podman's service does not answer at {_address()} ({why}); start it (systemctl enable --now podman.socket) "
        "and see that this user may talk to it (become: true)."
    )


def _address() -> str:
    return os.environ.get("CONTAINER_HOST") or _SOCKET

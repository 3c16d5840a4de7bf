"""Make, find and remove containers, images and volumes of an engine, by the calls of the docker SDK's client."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from ..container.spec import ContainerSpec, Found, Image, Login
from ..errors import EngineError, NoSuchContainer, NotRunning, Refused
from ..masking import MASK
from .create_body import create_body
from .image_reference import ImageReference, registry_host

# Kolla's own tools find its volumes by this label.
VOLUME_LABELS = {"kolla_managed": "true"}

# Bytes returned of the end of each output of a one-off container.
OUTPUT = 256 * 1024

_NOT_THERE = ("not found", "manifest unknown", "does not exist", "name unknown", "repository name not known")
_NO_LOGIN = (
    "unauthorized",
    "denied",
    "no basic auth",
    "authentication required",
    "incorrect username or password",
)


class Maker:
    """Makes things on one engine, with a client for quick calls and one for slow calls, such as a pull.

    ``translated`` turns the clients' exceptions into typed errors.
    """

    def __init__(self, quick: Any, slow: Any, translated: Callable[[], AbstractContextManager[None]]) -> None:
        self._quick = quick
        self._slow = slow
        self._translated = translated
        # Warnings that the engine gave beside its answers, such as a limit that it dropped.
        self.warnings: list[str] = []

    # --- containers

    def found(self, container_id: str) -> Found:
        """Return the engine's inspection of a container and the image that it was made from."""
        with self._translated():
            inspected = self._quick.inspect_container(container_id)
        return Found(inspected, self.image(inspected["Image"]), self._names())

    def _names(self) -> dict[str, str]:
        with self._translated():
            listed = self._quick.containers(all=True)
        return {container["Id"]: _name(container) for container in listed}

    def create(self, spec: ContainerSpec, name: str, extra_labels: Mapping[str, str] | None = None) -> str:
        """Create the container under ``name``, and its volumes; the image must be there. Return the container's id.

        ``warnings`` grows by the engine's warnings. Raises EngineError, and Refused when the image is missing.
        """
        image = self.image(spec.image)
        if image is None:
            raise Refused(
                f"The image {spec.image} is not on this host; pull it first with action=pull_image."
            )
        for volume in spec.volume_names:
            self.create_volume(volume)
        body = self._body(spec, image, extra_labels or {})
        try:
            with self._translated():
                made = self._slow.create_container_from_config(body, name)
        except EngineError as exc:
            raise EngineError(f"The container {name} cannot be created: {exc}") from exc
        self.warnings += [f"{name}: {text}" for text in made.get("Warnings") or ()]
        return str(made["Id"])

    def _body(self, spec: ContainerSpec, image: Image, labels: Mapping[str, str]) -> dict[str, Any]:
        return create_body(spec, image, labels)

    def exit_code_within(self, container_id: str, command: list[str]) -> int | None:
        """Run a command as root in a running container; return None when that is not possible."""
        try:
            with self._translated():
                job = self._slow.exec_create(container_id, command, user="root")
                self._slow.exec_start(job)
                code: int | None = self._slow.exec_inspect(job)["ExitCode"]
        except (NotRunning, NoSuchContainer):  # it has stopped meanwhile
            return None
        return code

    def output(self, container_id: str) -> tuple[str, str]:
        """Return the end of what a container wrote to its standard output and to its standard error."""
        return self._log(container_id, stdout=True), self._log(container_id, stdout=False)

    def _log(self, container_id: str, *, stdout: bool) -> str:
        end = b""
        with self._translated():
            for piece in self._slow.logs(container_id, stdout=stdout, stderr=not stdout, stream=True):
                end = (end + piece)[-OUTPUT:]
        return end.decode("utf-8", errors="replace")

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, with its anonymous volumes. Raises EngineError."""
        with contextlib.suppress(NoSuchContainer), self._translated():
            self._slow.remove_container(container_id, v=True)

    # --- images

    def image(self, reference: str) -> Image | None:
        """Return the image of this name or id, None when the host has none."""
        try:
            with self._translated():
                inspected = self._quick.inspect_image(str(ImageReference.parse(reference)))
        except NoSuchContainer:  # the engine's 404, for an image as well
            return None
        return Image(inspected["Id"], inspected.get("Config") or {})

    def pull(self, reference: str, login: Login | None = None) -> Image:
        """Pull an image from its registry. Raises EngineError, whose message never holds the password."""
        full = ImageReference.parse(reference)
        matches = login is not None and full.registry == registry_host(login.registry)
        auth = {"username": login.username, "password": login.password} if login and matches else None
        try:
            with self._translated():
                progress = self._slow.pull(
                    full.repository, tag=full.version, stream=True, decode=True, auth_config=auth
                )
                for line in progress:
                    if "error" in line:
                        raise EngineError(str(line["error"]))
        except (EngineError, NoSuchContainer) as exc:
            raise EngineError(_pull_failed(str(full), login, matches, str(exc))) from None
        pulled = self.image(str(full))
        if pulled is None:
            raise EngineError(f"The image {full} was pulled, and the engine does not have it; see its log.")
        return pulled

    def remove_image(self, reference: str, *, only_check: bool = False) -> None:
        """Remove an image, or one of its names. Raises Refused while containers use it."""
        full = str(ImageReference.parse(reference))
        with self._translated():
            inspected = self._quick.inspect_image(full)
        users = [name for image, name in self._users() if image == inspected["Id"]]
        if users and len(inspected.get("RepoTags") or ()) < 2:
            raise Refused(
                f"The image {reference} is in use by {', '.join(sorted(users))} and is not removed; remove "
                f"{'them' if len(users) > 1 else 'that container'} first."
            )
        if only_check:
            return
        try:
            with contextlib.suppress(NoSuchContainer), self._translated():
                self._slow.remove_image(full)
        except NotRunning as exc:  # 409
            raise Refused(f"The image {reference} cannot be removed: {exc}") from exc

    def _users(self) -> Iterator[tuple[str, str]]:
        with self._translated():
            listed = self._quick.containers(all=True)
        return ((container["ImageID"], _name(container)) for container in listed)

    # --- volumes

    def has_volume(self, name: str) -> bool:
        """Return whether the engine has a volume of this name."""
        try:
            with self._translated():
                self._quick.inspect_volume(name)
        except NoSuchContainer:
            return False
        return True

    def create_volume(self, name: str) -> None:
        """Create a volume; an existing one is left alone. Raises EngineError."""
        if not self.has_volume(name):
            with self._translated():
                self._slow.create_volume(name=name, driver="local", labels=VOLUME_LABELS)

    def remove_volume(self, name: str, *, only_check: bool = False) -> None:
        """Remove a volume. Raises Refused while containers use it."""
        users = self.volume_users(name)
        if users:
            raise Refused(
                f"The volume {name} is in use by {', '.join(users)} and is not removed; remove "
                f"{'them' if len(users) > 1 else 'that container'} first."
            )
        if only_check:
            return
        try:
            with contextlib.suppress(NoSuchContainer), self._translated():
                self._slow.remove_volume(name)
        except NotRunning as exc:  # 409
            raise Refused(f"The volume {name} cannot be removed: {exc}") from exc

    def volume_users(self, name: str) -> list[str]:
        """Return the names of the containers that mount a volume, running or not."""
        with self._translated():
            listed = self._quick.containers(all=True, filters={"volume": name})
        return sorted(
            _name(container)
            for container in listed
            if any(mount.get("Name") == name for mount in container.get("Mounts") or ())
        )


def _name(listed: Mapping[str, Any]) -> str:
    return str((listed.get("Names") or [listed["Id"][:12]])[0]).lstrip("/")


def _pull_failed(reference: str, login: Login | None, matches: bool, answer: str) -> str:
    reason = re.sub(r"^(The Docker Engine|Podman) refused: ", "", answer).strip().rstrip(".")
    if login is not None and login.password:
        reason = reason.replace(login.password, MASK)
    reason = re.sub(r"\s+", " ", reason)[:300]
    low = reason.lower()
    if any(words in low for words in _NO_LOGIN):
        way = f"the login of {login.username} is not accepted" if login and matches else "it wants a login"
        if login and not matches:
            way = f"auth_registry names {registry_host(login.registry)}, so its login was not used here"
        see = "see auth_registry, auth_username and auth_password"
        return f"The image {reference} cannot be pulled, {way} ({reason}); {see}."
    if any(words in low for words in _NOT_THERE):
        return f"The image {reference} does not exist in its registry ({reason}); see its name and tag."
    return f"The image {reference} cannot be pulled ({reason}); see that its registry can be reached from this host."

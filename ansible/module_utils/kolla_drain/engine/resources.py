"""Make, find and remove containers, images and volumes of an engine, by the calls of the docker SDK's client."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..container.given import Login
from ..container.spec import ContainerSpec, Found, Image
from ..errors import EngineError, NoSuchContainer, NotRunning, Refused
from ..host.zone import time_zone
from ..masking import MASK
from .create_body import create_body
from .image_reference import ImageReference, registry_host

# Kolla's own tools find its volumes by this label.
VOLUME_LABELS = {"kolla_managed": "true"}

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

    ``translated`` turns the clients' exceptions into typed errors. Every call raises EngineError or a subclass.
    """

    def __init__(self, quick: Any, slow: Any, translated: Callable[[], AbstractContextManager[None]]) -> None:
        self._quick, self._slow, self._translated = quick, slow, translated
        self._zone = time_zone()
        # Warnings that the engine gave beside its answers, such as a limit that it dropped.
        self.warnings: list[str] = []

    # --- containers

    def found(self, container_id: str) -> Found:
        """Return the engine's inspection of a container and the image that it was made from."""
        with self._translated():
            inspected = self._quick.inspect_container(container_id)
        return Found(inspected, self.image(inspected["Image"]), self._names(), self._given(inspected))

    def _given(self, inspected: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        """Return the settings that a container was given unasked, at its creation here or by kolla-ansible."""
        # kolla-ansible takes UTC where the host does not tell its zone.
        is_hosts = f"TZ={self._zone or 'UTC'}" in (inspected["Config"].get("Env") or ())
        return {"environment": frozenset({"TZ"} if is_hosts else ())}

    def _listed(self, **filters: str) -> list[dict[str, Any]]:
        with self._translated():
            listed: list[dict[str, Any]] = self._quick.containers(all=True, filters=filters)
        return listed

    def _names(self) -> dict[str, str]:
        return {container["Id"]: _name(container) for container in self._listed()}

    def create(self, spec: ContainerSpec, name: str, extra_labels: Mapping[str, str] | None = None) -> str:
        """Create the container under ``name``, and its volumes; the image must be there. Return the container's id.

        ``warnings`` grows by the engine's warnings. Raises EngineError, and Refused when the image is missing.
        """
        image = self.image(spec.image)
        if image is None:
            raise Refused(
                f"The image {spec.image} is not on this host; pull it first with action=pull_image."
            )
        for volume in self._volumes(spec):
            self.create_volume(volume)
        body = self._body(spec, image, extra_labels or {})
        try:
            with self._translated():
                made = self._slow.create_container_from_config(body, name)
        except EngineError as exc:
            raise EngineError(f"The container {name} cannot be created: {exc}") from exc
        self.warnings += [f"{name}: {text}" for text in made.get("Warnings") or ()]
        return str(made["Id"])

    def _volumes(self, spec: ContainerSpec) -> Sequence[str]:
        """Return the names of the volumes that a container needs."""
        return spec.volume_names

    def _body(self, spec: ContainerSpec, image: Image, labels: Mapping[str, str]) -> dict[str, Any]:
        return create_body(spec, image, labels, self._zone)

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
        """Return the last OUTPUT bytes that a container wrote to its standard output, and to its standard error."""
        ends = [b"", b""]
        with self._translated():
            for number, stdout in enumerate((True, False)):
                for piece in self._slow.logs(container_id, stdout=stdout, stderr=not stdout, stream=True):
                    ends[number] = (ends[number] + piece)[-OUTPUT:]
        return ends[0].decode(errors="replace"), ends[1].decode(errors="replace")

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
                for line in self._slow.pull(
                    full.repository, tag=full.version, stream=True, decode=True, auth_config=auth
                ):
                    if "error" in line:
                        raise EngineError(str(line["error"]))
        except (EngineError, NoSuchContainer) as exc:
            raise EngineError(_pull_failed(str(full), login, matches, str(exc))) from None
        pulled = self.image(str(full))
        if pulled is None:
            raise EngineError(
                f"The image {full} was pulled, and the engine does not have it; look into the engine's log, then pull "
                "it again."
            )
        return pulled

    def remove_image(self, reference: str, *, only_check: bool = False) -> None:
        """Remove an image, or one of its names. Raises Refused while containers use it."""
        full = str(ImageReference.parse(reference))
        with self._translated():
            inspected = self._quick.inspect_image(full)
        users = [_name(container) for container in self._listed() if container["ImageID"] == inspected["Id"]]
        if users and len(inspected.get("RepoTags") or ()) < 2:
            raise _in_use(f"image {reference}", users)
        if not only_check:
            with self._removing(f"image {reference}"):
                self._slow.remove_image(full)

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
        users = [
            _name(container)
            for container in self._listed(volume=name)
            if any(mount.get("Name") == name for mount in container.get("Mounts") or ())
        ]
        if users:
            raise _in_use(f"volume {name}", users)
        if not only_check:
            with self._removing(f"volume {name}"):
                self._slow.remove_volume(name)

    @contextlib.contextmanager
    def _removing(self, what: str) -> Iterator[None]:
        try:
            with contextlib.suppress(NoSuchContainer), self._translated():
                yield
        except NotRunning as exc:  # 409
            raise Refused(f"The {what} cannot be removed: {exc}") from exc


def _name(listed: Mapping[str, Any]) -> str:
    return str((listed.get("Names") or [listed["Id"][:12]])[0]).lstrip("/")


def _in_use(what: str, users: Sequence[str]) -> Refused:
    them = "them" if len(users) > 1 else "that container"
    return Refused(
        f"The {what} is in use by {', '.join(sorted(users))} and is not removed; remove {them} first."
    )


def _pull_failed(reference: str, login: Login | None, matches: bool, answer: str) -> str:
    reason = re.sub(r"^(The Docker Engine|Podman) refused: ", "", answer).strip().rstrip(".")
    if login is not None and login.password:
        reason = reason.replace(login.password, MASK)
    reason = re.sub(r"\s+", " ", reason)[:300]
    if any(words in reason.lower() for words in _NO_LOGIN):
        way = "it wants a login"
        if login is not None:
            unused = f"auth_registry names {registry_host(login.registry)}, so its login was not used here"
            way = f"the login of {login.username} is not accepted" if matches else unused
        see = "see auth_registry, auth_username and auth_password"
        return f"The image {reference} cannot be pulled, {way} ({reason}); {see}."
    if any(words in reason.lower() for words in _NOT_THERE):
        return f"The image {reference} does not exist in its registry ({reason}); see its name and tag."
    return f"The image {reference} cannot be pulled ({reason}); see that its registry can be reached from this host."

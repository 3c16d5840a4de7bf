"""Images and volumes of the engine."""

from __future__ import annotations

from ..container import compare
from ..engine.image_reference import ImageReference
from ..engine.port import Engine
from ..engine.resources import Maker
from ..errors import Refused
from .options import Options
from .results import ActionResult, Details, action_result, difference, spec_diff


def compare_image(options: Options, engine: Engine) -> ActionResult:
    """Return whether the container exists and is made of this image, told by the image's id."""
    name = options.name
    if not options.image:
        raise Refused(f"No image is given to compare that of {name} with; give image.")
    container = engine.inspect(name)
    if container is None:
        diff = difference(name, "absent", f"image: {options.image}")
        return action_result(True, diff, Details(name, "", "absent", ()))
    maker = engine.maker()
    differs = compare.image_difference(options.image, maker.image(options.image), maker.found(container.id))
    compared = Details(name, container.id, container.status.value, differs)
    return action_result(bool(differs), spec_diff(name, differs), compared)


def ensured(options: Options, maker: Maker, image: str) -> bool:
    """Pull the image if the host does not have it; return whether it was pulled."""
    if maker.image(image) is not None:
        return False
    if options.names:
        options.stories.step(options.name, "pull", f"pulling {image}")
    maker.pull(image, options.login)
    return True


# --- images


def pull(options: Options, engine: Engine) -> ActionResult:
    """Pull the registry's current image, for ensure_image only if the host has none of its name.

    Changed only if the host has another image afterwards.
    """
    reference, maker = _reference(options), engine.maker()
    only_absent = options.action == "ensure_image"
    before = after = maker.image(reference)
    if before is None and options.check_mode:
        return _image_result(reference, "absent", "pulled")
    if not options.check_mode and (before is None or not only_absent):
        after = maker.pull(reference, options.login)
    result = _image_result(reference, before.id if before else "absent", after.id if after else "absent")
    if options.check_mode and not only_absent:
        result.warnings.append(
            f"Whether {reference} has changed in its registry is not known without pulling it."
        )
    return result


def remove_image(options: Options, engine: Engine) -> ActionResult:
    """Remove the image; one that containers are made of is left."""
    reference, maker = _reference(options), engine.maker()
    before = maker.image(reference)
    if before is not None:
        maker.remove_image(reference, only_check=options.check_mode)
    return _image_result(reference, before.id if before else "absent", "absent")


def _reference(options: Options) -> str:
    if not options.image:
        raise Refused(f"No image is named for {options.action}; give image.")
    return str(ImageReference.parse(options.image))


def _image_result(reference: str, before: str, after: str) -> ActionResult:
    image_id = after if after.startswith("sha256:") else ""
    diff = difference(reference, before, after)
    return action_result(before != after, diff, Details(image=reference, image_id=image_id))


# --- volumes


def create_volume(options: Options, engine: Engine) -> ActionResult:
    """Create a volume; an existing one is left as it is."""
    name, maker = options.name, engine.maker()
    exists = maker.has_volume(name)
    if not exists and not options.check_mode:
        maker.create_volume(name)
    return action_result(not exists, difference(name, "absent", "created"), Details(name))


def remove_volume(options: Options, engine: Engine) -> ActionResult:
    """Remove a volume and its contents; one that containers use is left."""
    name, maker = options.name, engine.maker()
    exists = maker.has_volume(name)
    if exists:
        maker.remove_volume(name, only_check=options.check_mode)
    return action_result(exists, difference(name, "there", "absent"), Details(name))

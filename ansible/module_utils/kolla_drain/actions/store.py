"""TODO: say what this is."""

from __future__ import annotations

from typing import Any

from ..container import compare
from ..engine.image_reference import ImageReference
from ..engine.port import Engine, Maker
from ..errors import Refused
from .options import Options
from .results import action_result, as_dicts, difference, spec_diff


def compare_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Whether the container is there and made of this image, told by the image's id."""
    name = options.names[0]
    if not options.image:
        raise Refused(f"No image is given to compare that of {name} with; give image.")
    container = engine.inspect(name)
    if container is None:
        text = f"image: {options.image}"
        return action_result(
            name, True, diff=[difference(name, "absent", text)], id="", status="absent", differences=[]
        )
    maker = engine.maker()
    found = compare.image_difference(options.image, maker.image(options.image), maker.found(container.id))
    status = container.status.value
    return action_result(
        name,
        bool(found),
        diff=[spec_diff(name, found)],
        id=container.id,
        status=status,
        differences=as_dicts(found),
    )


def ensured(options: Options, maker: Maker, image: str) -> bool:
    """Pull the image if the host has none of the name; true if it was pulled."""
    if maker.image(image) is not None:
        return False
    maker.pull(image, options.login)
    return True


# --- images


def ensure_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Pull the image only if the host has none of its name."""
    return _pull(options, engine.maker(), only_absent=True)


def pull_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Fetch what the registry has now; changed only if that is another image."""
    return _pull(options, engine.maker(), only_absent=False)


def _pull(options: Options, maker: Maker, *, only_absent: bool) -> dict[str, Any]:
    name = _image_named(options)
    before = maker.image(name)
    after = before
    if before is None and options.check_mode:
        return _image_result(name, "absent", "pulled")
    if not options.check_mode and (before is None or not only_absent):
        after = maker.pull(name, options.login)
    result = _image_result(name, before.id if before else "absent", after.id if after else "absent")
    if options.check_mode and not only_absent:
        result["warnings"].append(
            f"Whether {name} has changed in its registry is not known without pulling it."
        )
    return result


def remove_image(options: Options, engine: Engine) -> dict[str, Any]:
    """Remove the image; one that containers are made of is left."""
    name, maker = _image_named(options), engine.maker()
    before = maker.image(name)
    if before is None:
        return _image_result(name, "absent", "absent")
    maker.remove_image(name, only_check=options.check_mode)
    return _image_result(name, before.id, "absent")


def _image_named(options: Options) -> str:
    if not options.image:
        raise Refused(f"No image is named for {options.action}; give image.")
    return str(ImageReference.parse(options.image))


def _image_result(name: str, before: str, after: str) -> dict[str, Any]:
    image_id = after if after.startswith("sha256:") else ""
    result = action_result(
        name, before != after, diff=[difference(name, before, after)], image=name, image_id=image_id
    )
    del result["name"]
    return result


# --- volumes


def create_volume(options: Options, engine: Engine) -> dict[str, Any]:
    """Make a volume; one that is there is left as it is."""
    name, maker = options.names[0], engine.maker()
    there = maker.has_volume(name)
    if not there and not options.check_mode:
        maker.create_volume(name)
    return action_result(name, not there, diff=[difference(name, "absent", "created")])


def remove_volume(options: Options, engine: Engine) -> dict[str, Any]:
    """Remove a volume and what is in it; one that containers use is left."""
    name, maker = options.names[0], engine.maker()
    if not maker.has_volume(name):
        return action_result(name, False)
    maker.remove_volume(name, only_check=options.check_mode)
    return action_result(name, True, diff=[difference(name, "there", "absent")])

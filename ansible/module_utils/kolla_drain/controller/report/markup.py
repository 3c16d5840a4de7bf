"""Elements of HTML. Every text is escaped; only what ``el`` returns is markup."""

from __future__ import annotations

from html import escape

# Elements without an end.
_VOID = ("meta", "link", "br")


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


Part = object  # a text, Markup, a number, a list of these, or None for nothing


def el(name: str, /, *parts: Part, **attributes: object) -> Markup:
    """Return an element. ``class_`` is class, an underscore is a hyphen; True is an attribute without a value."""
    told = "".join(
        _attribute(key, value) for key, value in attributes.items() if value not in (None, False, "")
    )
    inner = join(*parts)
    return Markup(f"<{name}{told}>" if name in _VOID else f"<{name}{told}>{inner}</{name}>")


def join(*parts: Part) -> Markup:
    """Return the parts one after the other."""
    return Markup("".join(map(_text, parts)))


def _text(part: Part) -> str:
    if part is None:
        return ""
    if isinstance(part, (list, tuple)):
        return join(*part)
    return part if isinstance(part, Markup) else escape(str(part))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'

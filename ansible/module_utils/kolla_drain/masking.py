"""Keeps secrets out of what people get to see."""

from __future__ import annotations

import re

_SECRET_NAME = re.compile(
    r"pass(?:w(?:or)?d|phrase)?s?(?![a-z])|(?:secret|token)s?(?![a-z])|credential|private|(?<![a-z])(?:api)?keys?(?![a-z])",
    re.IGNORECASE,
)
_SECRET_IN_URL = re.compile(r"(://[^:/@\s]*):\S+@")
_ASSIGNED = re.compile(r"(?P<name>[\w-]+)(?P<sign>=)(?P<value>[^\s'\"]+)")
_OPTION = re.compile(r"(?<!\S)(?P<name>--?[\w-]+)(?P<sign>\s+)(?P<value>[^\s-]\S*)")
MASK = "********"


def masked(name: str, value: str) -> str:
    """The value of a variable without its secret: all of it by the name, else the password of a URL in it."""
    if value and _SECRET_NAME.search(name):
        return MASK
    return _SECRET_IN_URL.sub(rf"\1:{MASK}@", value)


def masked_words(text: str) -> str:
    """A command line without its secrets: of ``--password x`` and ``TOKEN=x`` the values, of URLs the passwords."""

    def hide(found: re.Match[str]) -> str:
        secret = _SECRET_NAME.search(found["name"])
        return f"{found['name']}{found['sign']}{MASK}" if secret else found[0]

    return _OPTION.sub(hide, _ASSIGNED.sub(hide, _SECRET_IN_URL.sub(rf"\1:{MASK}@", text)))

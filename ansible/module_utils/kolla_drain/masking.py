"""Masks secrets in what users see, such as environment variables and command lines."""

from __future__ import annotations

import re

MASK = "********"
_SECRET_NAME = re.compile(
    r"pass(?:w(?:or)?d|phrase)?s?(?![a-z])|(?:secret|token)s?(?![a-z])|credential|private|(?<![a-z])(?:api)?keys?(?![a-z])",
    re.IGNORECASE,
)
_SECRET_IN_URL = re.compile(r"(://[^:/@\s]*):\S+@")
_ASSIGNMENT = re.compile(r"(?P<name>[\w-]+)(?P<sign>=)(?P<value>[^\s'\"]+)")
_OPTION = re.compile(r"(?<!\S)(?P<name>--?[\w-]+)(?P<sign>\s+)(?P<value>[^\s-]\S*)")


def masked(name: str, value: str) -> str:
    """Mask a variable's value: all of it if the name means a secret, else the password of a URL in it."""
    if value and _SECRET_NAME.search(name):
        return MASK
    return _SECRET_IN_URL.sub(rf"\1:{MASK}@", value)


def masked_words(text: str) -> str:
    """Mask a command line: the values in ``--password x`` and ``TOKEN=x``, and the passwords of URLs."""

    def mask(match: re.Match[str]) -> str:
        secret = _SECRET_NAME.search(match["name"])
        return f"{match['name']}{match['sign']}{MASK}" if secret else match[0]

    return _OPTION.sub(mask, _ASSIGNMENT.sub(mask, _SECRET_IN_URL.sub(rf"\1:{MASK}@", text)))

"""Masks secrets in what users see, such as environment variables and command lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MASK = "********"
_SECRET_NAME = re.compile(
    r"pas+w[a-z]*|pass(?:phrase)?s?(?![a-z])|(?<=[_-])pwd(?![a-z])|(?:secret|token|cookie)s?(?![a-z])|authorization"
    r"|credential|private|(?<![a-z])(?:api)?keys?(?![a-z])",
    re.IGNORECASE,
)
# Options of ours that are named like secrets and hold paths.
_PATHS = ("ssl_key", "tls_key")
# Separates the words of a command; a blank to the patterns below.
_NEXT = "\x1f"
# Each pattern begins anew where another match could begin, so that a text takes as long as it is and not its square.
_LOGIN = re.compile(r"(://[^:/@\s]*:)(.+)")
_TO_LAST_AT = re.compile(r"(?<!\S)\S+(?=@)")
# What some programs take as a password without any word for it.
_ALWAYS = (
    re.compile(
        r"""(curl\b(?:(?!curl\b)[^|;\n])*?\s(?:-[uU]|--user|--proxy-user)[\s=]*["']?[^\s:"']+:)([^\s"']+)"""
    ),
    re.compile(r"""((?:mysql|mariadb)(?:(?!mysql|mariadb)[^|;\n])*?\s-p)([^\s"']+)"""),
    re.compile(r"""((?:redis|valkey)-cli\b(?:(?!(?:redis|valkey)-cli\b)[^|;\n])*?\s-a\s+)([^\s"']+)"""),
)
_IF_NAMED = (
    # A word of its own that is, or follows, such a name is secret to its end.
    re.compile(rf"(?<={_NEXT})([\w.-]+=|--?[\w-]+{_NEXT}(?!-))([^{_NEXT}]+)"),
    re.compile(r"""(?<=["'])([\w.-]+=)([^"']+)"""),
    re.compile(
        r"""(?<![\w.-])([\w.-]+(?:["']?\s*=\s*|["']?:\s+|["']\s*:\s*)(?:(?:Basic|Bearer)\s+)?)('[^']*'|"[^"]*"|[^\s"']+)"""
    ),
    re.compile(r"""(?<!\S)(--?[\w-]+\s+)('[^']*'|"[^"]*"|[^\s-]\S*)"""),
)


def masked(name: str, value: str) -> str:
    """Mask a variable's value: all of it if the name means a secret, else the secrets in it."""
    return MASK if value and _SECRET_NAME.search(name) else _hide(value, lambda _: None)


def masked_deep(value: Any, name: str = "") -> Any:
    """Mask the texts in a value of any depth as ``masked`` does."""
    if isinstance(value, Mapping):
        return {key: masked_deep(part, str(key)) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked_deep(part, name) for part in value]
    return masked(name, value) if isinstance(value, str) else value


def masked_words(words: Sequence[str]) -> list[str]:
    """Mask the secrets in the words of a command: ``--password x``, ``TOKEN=x``, ``curl -u user:x``, URLs."""
    return _hide(_joined(words), lambda _: None).split(_NEXT)[1:]


def secrets(value: object, name: str = "") -> set[str]:
    """Return the secrets in a value of any depth, which may also be a mapping that is written as text.

    A switch or a few letters are left out: they would be masked wherever they stand, in every word.
    """
    if isinstance(value, Mapping):
        return {found for key, part in value.items() for found in secrets(part, str(key))}
    several = isinstance(value, (list, tuple))
    text = _joined(value) if several else "" if value is None else str(value)  # type: ignore[arg-type]
    found: list[str] = []
    if name in _PATHS:
        return set()
    if _SECRET_NAME.search(name):
        found += text.split(_NEXT)
    else:
        _hide(text, found.append)
    bare = {one.strip("\"'") for one in found if MASK not in one}
    return {one for one in bare if len(one) > 3 and one.lower() not in ("true", "false")}


def in_urls(value: object) -> set[str]:
    """Return the passwords in the URLs of a value of any depth."""
    if isinstance(value, (list, tuple)):
        return {found for part in value for found in in_urls(part)}
    logins = (
        (_LOGIN.search(word[0]) for word in _TO_LAST_AT.finditer(value)) if isinstance(value, str) else ()
    )
    return {login[2] for login in logins if login}


def misplaced(given: Mapping[str, Any], options: Mapping[str, Any]) -> set[str]:
    """Return the secrets in what is given for options that an argument spec does not know, or not in this form.

    Passwords in URLs are among them, whatever the option.
    """
    known = {
        alias: option for name, option in options.items() for alias in (name, *option.get("aliases", ()))
    }
    found: set[str] = set()
    for name, value in given.items():
        within = known[name].get("options") if name in known else None
        if within and isinstance(value, Mapping):
            found |= misplaced(value, within)
        elif within or name not in known:
            found |= secrets(value, name)
        else:
            found |= in_urls(value)
    return found


# What Ansible's checks of options raise for an infinite or huge number, a list of scalars for a dictionary, and text
# that is no Unicode.
UNCHECKABLE = (TypeError, ValueError, OverflowError)


def uncheckable(whose: str, exc: Exception) -> str:
    """Return the message for one of them; ``whose`` is the subject with its verb."""
    return f"{whose} a value that Ansible cannot check ({type(exc).__name__}); see to numbers and types."


class Masked:
    """Mixed into AnsibleModule: secrets are masked in log and result where no_log does not cover them, too.

    Nothing in a result makes a terminal do anything, because Ansible prints much of it as it is.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except UNCHECKABLE as exc:  # there is no module yet that could fail
            print(json.dumps({"failed": True, "msg": uncheckable("An option has", exc)}))
            raise SystemExit(1) from None

    def secrets(self: Any) -> set[str]:
        """Return them."""
        return misplaced(self.params, self.argument_spec)

    def _log_invocation(self: Any) -> None:
        self.no_log_values.update(self.secrets())
        super()._log_invocation()  # type: ignore[misc]

    def exit_json(self: Any, **kwargs: Any) -> None:
        self._hide_secrets()
        super().exit_json(**tame(kwargs))  # type: ignore[misc]

    def fail_json(self: Any, msg: object, **kwargs: Any) -> None:
        self._hide_secrets()
        if "exception" in kwargs:
            kwargs["exception"] = masked("", str(kwargs["exception"]))
        super().fail_json(_one_line(msg), **tame(kwargs))  # type: ignore[misc]

    def warn(self: Any, warning: object, **kwargs: Any) -> None:
        self._hide_secrets()
        super().warn(_one_line(warning), **kwargs)  # type: ignore[misc]

    def _hide_secrets(self: Any) -> None:
        found = self.no_log_values | self.secrets()
        # Also as they look when the text around them was tamed.
        self.no_log_values.update(found, map(tame, found), map(_one_line, found))


def printable(text: str) -> str:
    """Return a text from outside without what a terminal would act on."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def tame(value: Any) -> Any:
    """Return a value of any depth with its texts printable; their lines stay lines."""
    if isinstance(value, str):
        lines = value.replace("\r\n", "\n").split("\n")
        return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines)
    if isinstance(value, Mapping):
        return {tame(key): tame(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [tame(part) for part in value]
    return value


# Letters of an error or a warning; only an option that is repeated in it makes it longer.
_LONGEST = 10_000


def _one_line(text: object) -> str:
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def _joined(words: Sequence[object]) -> str:
    return "".join(f"{_NEXT}{word}" for word in words)


def _hide(text: str, note: Callable[[str], None]) -> str:
    def mask(match: re.Match[str]) -> str:
        if match.re in _IF_NAMED and not _SECRET_NAME.search(match[1]):
            return match[0]
        note(match[2])
        return match[1] + MASK

    text = _TO_LAST_AT.sub(lambda word: _LOGIN.sub(mask, word[0], count=1), text)
    for pattern in (*_ALWAYS, *_IF_NAMED):
        text = pattern.sub(mask, text)
    return text

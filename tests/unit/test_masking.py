"""Secrets in texts that others have written."""

from __future__ import annotations

import pytest

from kolla_drain.masking import in_urls, masked, masked_deep


@pytest.mark.timeout(30)
@pytest.mark.parametrize("word", ["a", "a-", "password=", "x=y ", "://a:", "curl ", "mysql ", "--a "])
def test_a_long_line_takes_no_longer_than_its_length(word: str) -> None:
    """A container may have written one, and without a bound some would take hours."""
    assert len(masked("", word * (60000 // len(word)))) > 8


def test_a_value_of_any_depth() -> None:
    state = {
        "Pid": 1,
        "Health": {"Log": [{"Output": "GET http://u:s3cr3t@h"}]},
        "Token": ["s3cr3t"],
        "Error": None,
    }
    log = {"Log": [{"Output": "GET http://u:********@h"}]}
    assert masked_deep(state) == {"Pid": 1, "Health": log, "Token": ["********"], "Error": None}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("http://u:s3cr3t@h/a", {"s3cr3t"}),
        (["http://:s3cr3t@h", "http://h:80/a@b", "/a:/b:ro", 1, None], {"s3cr3t", "80/a"}),
        ("quay.io:4000/a:b@sha256:c", set()),
    ],
)
def test_passwords_in_urls(value: object, found: set[str]) -> None:
    assert in_urls(value) == found

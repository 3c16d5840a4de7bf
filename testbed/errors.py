"""The testbed's errors; each message is one sentence that a person can act on."""

from __future__ import annotations


class TestbedError(Exception):
    """Something is missing or went wrong, and the message says what to do."""

    __test__ = False  # not a test class, whatever pytest thinks of its name


class Collision(TestbedError):
    """A name or folder that we need belongs to somebody else."""


class NotReady(TestbedError):
    """A wait ended without its condition."""

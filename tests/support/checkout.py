"""The tree as a fresh clone has it, and commands run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What is there after work in a checkout and not in a clone of it.
LEFTOVERS = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".tox",
    ".cache",
    ".test-logs",
    ".*_cache",
    ".hypothesis",
    ".ansible",
    "__pycache__",
    "*.egg-info",
    "build",
)


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran


def seed() -> int:
    """Return a number made of the commit, for what is tried at random.

    The same commit tries the same in each run, so that what passed once passes again; the next one tries something new.
    """
    git = shutil.which("git")
    command = [git or "git", "-c", "safe.directory=*", "rev-parse", "HEAD"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) if git else None
    return int(told.stdout[:7], 16) if told and not told.returncode else 1


def clone_into(tree: Path) -> Path:
    """Make a clone without tags. (pbr counts the commits after the first.)"""
    shutil.copytree(ROOT, tree, ignore=LEFTOVERS)
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main")
    commit = ("commit", "--quiet", "--no-verify", "--allow-empty", "-m", "test")
    for command in (("init", "--quiet"), ("add", "--all"), commit, commit):
        run(*git, *command, cwd=tree)
    return tree

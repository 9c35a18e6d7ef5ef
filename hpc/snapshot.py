"""A copy of the code at the moment of submission: what is edited afterwards does not change a job that waits.

Copies are named by their content, so that all runs of the same code share one. Only Python and what the packages bring with them is
copied: no data, no settings, nothing of the environment, no hidden files, and none of another kind: they may hold secrets.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_PACKAGES = ("hpc", "v2a", "sweeps")
_KINDS = (".py", ".typed", ".yaml", ".css", ".js", ".html")  # of pyproject.toml's packages and package data
FOLDER = ".code"


def code_root() -> Path:
    """The folder that holds the packages which run now."""
    return Path(__file__).resolve().parents[1]


def take_snapshot(runs: Path) -> Path:
    """Copy the packages into a folder beside the runs, unless it is there already.

    Args:
        runs: folder of all runs; made when missing.

    Returns:
        The folder that holds the packages.

    Raises:
        OSError: it cannot be written.
    """
    root = code_root()
    files = _files(root)
    digest = hashlib.sha256()
    contents = {}
    for name in files:
        contents[name] = (root / name).read_bytes()
        digest.update(f"{name}\0{len(contents[name])}\0".encode() + contents[name])
    place = runs / FOLDER / digest.hexdigest()[:16]
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=place.parent))
    try:
        for name, content in contents.items():
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_bytes(content)
        unfinished.chmod(0o777 & ~_umask())
        os.rename(unfinished, place)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not place.is_dir():  # another submission was quicker
            raise
    return place


def git_commit() -> dict[str, object]:
    """Commit of the code that runs now, and whether files were changed since; empty where there is no git."""
    command = ["git", "-C", str(code_root()), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    commit = done.stdout.strip()
    return {"commit": commit.removesuffix("-dirty"), "changed": commit.endswith("-dirty")}


def _files(root: Path) -> list[str]:
    found = []
    for package in _PACKAGES:
        for folder, folders, names in os.walk(root / package):
            folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
            kept = [name for name in names if name.endswith(_KINDS) and not name.startswith(".")]
            found += [os.path.relpath(os.path.join(folder, name), root) for name in kept]
    return sorted(found)


def _umask() -> int:
    """The user's. It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

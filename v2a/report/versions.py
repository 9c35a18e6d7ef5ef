"""What made the page."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata

_PACKAGES = ("v2a-hpc", "torch", "numpy", "scipy", "av", "jinja2")


def versions() -> list[tuple[str, str]]:
    """(name, version) of Python, packages and ffmpeg on this machine; what is missing is left out."""
    found = [("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    try:
        said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return found
    words = said.split(maxsplit=3)
    return [*found, ("ffmpeg", words[2])] if len(words) > 2 else found

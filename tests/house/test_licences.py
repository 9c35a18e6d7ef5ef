"""docs/licences.md names every package that is installed for users, with the licence that its metadata say."""

import importlib.util
import re
import sys
import types

import pytest

from tests.house.source import CHECKOUT, files


def _load() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("licences", CHECKOUT / "docs" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_LISTED = {
    line.split("|")[1].strip(): line
    for line in (CHECKOUT / "docs" / "licences.md").read_text().splitlines()
    if re.match(r"\| [a-z0-9-]+ \| .* \| \w+ \|$", line)
}


def test_every_package_is_listed_and_none_that_nobody_needs():
    needed = _load().needed()
    assert {"torch", "optuna", "yt-dlp"} <= needed.keys()
    others = (
        "tomli",
        "greenlet",
        "exceptiongroup",
        "importlib-metadata",
        "zipp",
        "async-timeout",
        "six",
    )  # of some Pythons
    assert sorted(needed.keys() - _LISTED.keys() - set(others)) == []
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (CHECKOUT / "constraints" / "cpu.txt").read_text(), re.MULTILINE))
    assert sorted(_LISTED.keys() - needed.keys() - pinned) == []


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the table is that of Python 3.11; others have other versions"
)
def test_the_table_is_what_the_packages_say():
    made = _load().rows()
    stale = [line for name, line in made.items() if _LISTED.get(name) != line]
    assert stale == [], "run: python docs/licences.py"


def test_no_recording_is_in_the_project():
    """What docs/licences.md says of media."""
    media = (
        ".mp4",
        ".mkv",
        ".webm",
        ".mov",
        ".avi",
        ".wav",
        ".flac",
        ".mp3",
        ".ogg",
        ".m4a",
        ".npz",
        ".safetensors",
        ".pt",
    )
    assert [path for path in files() if path.lower().endswith(media)] == []

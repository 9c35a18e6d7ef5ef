"""A video that crashes the decoder ends its process each time; known afterwards by what Python wrote as it went down.

A process that was killed from outside leaves nothing, and its video is simply made again.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from v2a.media.reading import MediaError

_LOG = "crash.log"
_TRIES = 2
_FATAL = b"Fatal Python error: "


@contextmanager
def watching(folder: Path) -> Iterator[None]:
    """While it is entered, a crash of this process is written down in this folder."""
    with (folder / _LOG).open("wb", buffering=0) as file:
        faulthandler.enable(file, all_threads=False)
        try:
            yield
        finally:
            faulthandler.disable()


def note_crash(state: Path, key: str, folder: Path) -> None:
    """Remember how the process ended whose working folder is left over, if it crashed."""
    try:
        said = (folder / _LOG).read_bytes()
    except OSError:
        return
    if _FATAL in said:
        how = said.partition(_FATAL)[2].split(b"\n")[0].decode(errors="replace")
        place = state / "crashes"
        place.mkdir(exist_ok=True)
        with (place / key).open("a") as file:
            file.write(how + "\n")


def check_crashes(state: Path, key: str) -> None:
    """See that a video is not known for crashing; told once, it may be tried anew.

    Raises:
        MediaError: it crashed its process twice.
    """
    path = state / "crashes" / key
    try:
        found = path.read_text().splitlines()
    except OSError:
        return
    if len(found) >= _TRIES:
        path.unlink(missing_ok=True)
        raise MediaError("crash", f"it crashed the process that read it {_TRIES} times: {found[-1]}")

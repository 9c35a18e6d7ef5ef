"""Which folder of runs a trial is in, and where that is here: it may be moved, have another path on another machine, or not be
seen at all. A folder has an id, in a file that goes with it, and a trial keeps its folder's id."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FILE = ".folder"


@dataclass(frozen=True)
class Here:
    """What a process sees of a study's runs.

    Attributes:
        folder: its folder of runs; None when it has none.
        id: of that folder.
        one_machine: whether all of the study's processes are on this machine, as with a file for a storage: what is not seen here
            is gone.
    """

    folder: Path | None
    id: str
    one_machine: bool

    def find(self, kept: Path, runs: str | None, owns: Callable[[Path], bool]) -> Path | None:
        """A trial's folder; None when it is in one that is not seen here.

        Args:
            kept: where it was when the trial began.
            runs: id of the folder of runs that it is in; None for a trial of before there were ids.
            owns: whether a folder is this trial's.
        """
        here = kept if self.folder is None else self.folder / kept.name
        if runs is None:
            return here if owns(here) else kept
        if runs == self.id:
            return here
        with suppress(OSError):
            if (kept.parent / _FILE).read_text() == runs:
                return kept
        return here if self.one_machine else None


def look_from(folder: Path | None, one_machine: bool) -> Here:
    """What is seen by a process whose folder of runs this is; made when missing."""
    return Here(folder, "" if folder is None else folder_id(folder), one_machine)


def has_id(folder: Path) -> bool:
    """Whether a folder of runs has been worked in."""
    return (folder / _FILE).is_file()


def folder_id(folder: Path) -> str:
    """What no other folder has; written once. The folder is made when missing.

    Raises:
        OSError: it cannot be read or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{_FILE}.{secrets.token_hex(4)}"
    if not (folder / _FILE).exists():
        unfinished.write_text(secrets.token_hex(8))
        with suppress(FileExistsError):
            os.link(unfinished, folder / _FILE)
        unfinished.unlink()
    return (folder / _FILE).read_text()

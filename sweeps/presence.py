"""That all machines of a study see the same folder of runs: where they do not, each would find the other's trials without a
process, and train them too. Drivers say in the study which folder they work in, again and again."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweeps.place import StorageError
from sweeps.plan import StudyError
from sweeps.study import Sweep

_FILE, _ATTRIBUTE = ".folder", "runs"
_EVERY_S = 30.0
_FRESH_S = 120.0  # by the clocks of two machines


class Presence:
    """A driver's word that it is at work. Files (a journal, SQLite) are one machine's, and need none.

    Args:
        sweep: the study.
        folder: of its runs.
    """

    def __init__(self, sweep: Sweep, folder: Path) -> None:
        self._sweep, self._folder = sweep, folder
        self._said = -1e9

    def say(self) -> None:
        """Say it, when it is time to.

        Raises:
            StudyError: a driver is at work in another folder.
        """
        if self._sweep.storage.place.kind != "postgresql" or time.monotonic() - self._said < _EVERY_S:
            return
        mine = {"id": _folder_id(self._folder), "host": socket.gethostname(), "folder": str(self._folder)}
        with self._sweep.alone():
            there: dict[str, Any] = self._sweep.study.user_attrs.get(_ATTRIBUTE) or {}
            if there.get("id") != mine["id"] and abs(time.time() - there.get("time", 0.0)) < _FRESH_S:
                self._said = -1e9
                raise StudyError(
                    f"a driver of the study {self._sweep.name!r} is at work in {there['folder']} on {there['host']}, which is "
                    f"another folder than {self._folder} here: its trials would be trained twice. Name one that all machines see "
                    f"with --runs, or choose another --study; a killed driver's word ends after {_FRESH_S / 60:.0f} minutes"
                )
            self._sweep.study.set_user_attr(_ATTRIBUTE, {**mine, "time": time.time()})
        self._said = time.monotonic()

    def leave(self) -> None:
        """Say that it ends; other drivers of the same folder say again that they do not."""
        if self._said > 0:
            self._sweep.study.set_user_attr(_ATTRIBUTE, {})

    def __enter__(self) -> Presence:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None or not issubclass(kind, StorageError):  # which was waited for long enough
            self.leave()


def _folder_id(folder: Path) -> str:
    """What no other folder has; written once."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{_FILE}.{secrets.token_hex(4)}"
    if not (folder / _FILE).exists():
        unfinished.write_text(secrets.token_hex(8))
        with suppress(FileExistsError):
            os.link(unfinished, folder / _FILE)
        unfinished.unlink()
    return (folder / _FILE).read_text()

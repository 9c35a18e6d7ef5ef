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

from hpc.team_job import time_left
from sweeps.launch import present
from sweeps.place import StorageError
from sweeps.plan import StudyError
from sweeps.study import Sweep
from sweeps.trial_folder import Handle

_FILE, _ATTRIBUTE = ".folder", "runs"
_EVERY_S = 30.0
_FRESH_S = 120.0  # by the clocks of two machines
_LONGEST_S = 7 * 86400.0  # of a job without a time limit, where there is no Slurm to ask whether it has ended


class Presence:
    """A driver's word that it is at work. Files (a journal, SQLite) are one machine's, and need none.

    Args:
        sweep: the study.
        folder: of its runs.
        job: of Slurm's, of a worker without a driver: its word lasts as long as the job.
    """

    def __init__(self, sweep: Sweep, folder: Path, job: Handle | None = None) -> None:
        self._sweep, self._folder, self._job = sweep, folder, job
        self._said = -1e9

    def say(self) -> None:
        """Say it, when it is time to.

        Raises:
            StudyError: a driver is at work in another folder.
        """
        if self._sweep.storage.place.kind != "postgresql" or time.monotonic() - self._said < _EVERY_S:
            return
        mine: dict[str, Any] = {
            "id": _folder_id(self._folder),
            "host": socket.gethostname(),
            "folder": str(self._folder),
        }
        if self._job is not None:
            left = time_left()
            mine |= {"job": self._job.name, "until": time.time() + min(left, _LONGEST_S)}
        with self._sweep.alone():
            there = self._word()
            if there.get("id") != mine["id"] and _is_fresh(there):
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
        if self._said <= 0:
            return
        with self._sweep.alone():
            if self._word().get("id") == _folder_id(self._folder):  # else one that took our silence for our end
                self._sweep.study.set_user_attr(_ATTRIBUTE, {})

    def _word(self) -> dict[str, Any]:
        return self._sweep.study.user_attrs.get(_ATTRIBUTE) or {}

    def __enter__(self) -> Presence:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        # Not after a storage was waited for long enough, nor after Ctrl-C: the word is forgotten by itself.
        if kind is None or (issubclass(kind, Exception) and not issubclass(kind, StorageError)):
            self.leave()


def _is_fresh(word: dict[str, Any]) -> bool:
    """Whether who said it is still at work."""
    if abs(time.time() - word.get("time", 0.0)) < _FRESH_S:
        return True
    return time.time() < word.get("until", 0.0) and present([Handle("slurm", str(word["job"]))])[0]


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

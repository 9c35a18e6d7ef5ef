"""That all machines of a study see the same folder of runs: where they do not, none could go on with what the other one began.
Drivers say in the study which folder they work in, again and again; each has an entry of its own, as long as it is at work."""

from __future__ import annotations

import re
import secrets
import socket
import time
from pathlib import Path
from typing import Any

from hpc.team_job import time_left
from sweeps.launch import present
from sweeps.place import StorageError
from sweeps.plan import StudyError
from sweeps.runs_folder import folder_id
from sweeps.study import Sweep
from sweeps.trial_folder import Handle

_ENTRIES = re.compile(r"runs( \d+)?")  # of the study; "runs" of all drivers of an earlier version
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
        self._me = f"job {job.name}" if job is not None else secrets.token_hex(8)
        self._said = -1e9
        self._entry: str | None = None

    def say(self) -> None:
        """Say it, when it is time to.

        Raises:
            StudyError: a driver is at work in another folder.
        """
        if self._sweep.storage.place.kind != "postgresql" or time.monotonic() - self._said < _EVERY_S:
            return
        mine = self._word()
        while True:
            with self._sweep.alone() as held:
                self._entry = self._find_entry(mine["id"])
                self._sweep.study.set_user_attr(self._entry, {**mine, "time": time.time()})
                if held():  # else another driver may have taken the same entry
                    break
        self._said = time.monotonic()

    def leave(self) -> None:
        """Say that it ends."""
        if self._entry is None:
            return
        with self._sweep.alone():
            if (
                self._words().get(self._entry, {}).get("driver") == self._me
            ):  # else one that took our silence for our end
                self._sweep.study.set_user_attr(self._entry, {})

    def _word(self) -> dict[str, Any]:
        word = {
            "driver": self._me,
            "id": folder_id(self._folder),
            "host": socket.gethostname(),
            "folder": str(self._folder),
        }
        if self._job is None:
            return word
        return {**word, "job": self._job.name, "until": time.time() + min(time_left(), _LONGEST_S)}

    def _find_entry(self, here: str) -> str:
        """Ours, or one that nobody needs any more."""
        words = self._words()
        for there in words.values():
            if there.get("driver") != self._me and there.get("id") != here and _is_fresh(there):
                raise StudyError(
                    f"a driver of the study {self._sweep.name!r} is at work in {there['folder']} on {there['host']}, which is "
                    f"another folder than {self._folder} here: neither could go on with the other's trials. Name one that all "
                    "machines see with --runs, or choose another --study; a killed driver's word ends after "
                    f"{_FRESH_S / 60:.0f} minutes"
                )
        mine = [entry for entry, word in words.items() if word.get("driver") == self._me]
        free = (entry for entry, word in words.items() if not _is_fresh(word))
        return mine[0] if mine else next(free, f"runs {len(words)}")

    def _words(self) -> dict[str, dict[str, Any]]:
        found = self._sweep.study.user_attrs
        return {entry: word for entry, word in found.items() if _ENTRIES.fullmatch(entry)}

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

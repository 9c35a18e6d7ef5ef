"""Whose a trial's folder is. Studies of one name, in two storages or after one was deleted, have the same folders: what another
study left there is never taken for this one's result, nor trained on, nor deleted."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeps.launch import present, present_here
from sweeps.plan import StudyError
from sweeps.trial_folder import (
    Handle,
    Outcome,
    read_handle,
    read_json,
    read_outcome,
    read_task,
    write_handle,
    write_json,
)

_FILE = "study.json"


@dataclass(frozen=True)
class Owner:
    """The trial that a folder belongs to.

    Attributes:
        study: the study's mark, which no other study has, whatever its name.
        number: of the trial.
        params: what was chosen, by name of the setting.
        settings: the same as "key=value", which tell a folder of before there were marks.
    """

    study: str
    number: int
    params: Mapping[str, Any]
    settings: tuple[str, ...] = ()

    def owns(self, folder: Path) -> bool:
        """Whether the folder is there, and this trial's."""
        if not folder.is_dir():
            return False
        there = read_json(folder / _FILE)
        if there:
            return bool(there == json.loads(json.dumps(self._record())))
        try:
            return set(self.settings) <= set(read_task(folder).overrides)
        except ValueError:  # claimed, and nothing more
            return not (folder / "config.json").exists()

    def handle(self, folder: Path) -> Handle | None:
        """Who runs it; None when nobody has said so, or the folder is another's."""
        return read_handle(folder) if self.owns(folder) else None

    def outcome(self, folder: Path) -> Outcome | None:
        """How it ended; None when that is not known, or the folder is another's."""
        return read_outcome(folder) if self.owns(folder) else None

    def _record(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "settings"}

    def take(self, folder: Path, handle: Handle) -> None:
        """Say in the folder whose it is and who runs it; it is made when missing, and what is another's is moved aside before.

        Raises:
            StudyError: another's run in it is still trained.
        """
        if self.owns(folder):
            write_json(folder / _FILE, self._record())
            write_handle(folder, handle)
            return
        unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        unfinished.mkdir(parents=True)
        try:
            write_json(unfinished / _FILE, self._record())
            write_handle(unfinished, handle)
            while not _put(unfinished, folder):
                move_aside(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _put(unfinished: Path, folder: Path) -> bool:
    """False when something is there: a folder is put in the place of an empty one alone."""
    try:
        os.rename(unfinished, folder)
    except OSError:
        if not os.path.lexists(folder):
            raise
        return False
    return True


def move_aside(folder: Path) -> None:
    """Out of the way of a trial that has this folder's name, and say so.

    Raises:
        StudyError: a run in it is still trained.
    """
    if present([read_handle(folder)])[0] or present_here(folder):
        raise StudyError(
            f"{folder} is a run of another study of this name, and is still trained: wait for its end, or end it, or choose "
            "another name with --study"
        )
    number = 1
    while os.path.lexists(aside := folder.with_name(f"{folder.name}.of-another-study-{number}")):
        number += 1
    try:
        os.rename(folder, aside)
    except FileNotFoundError:  # another process was quicker
        return
    print(f"{folder} is a run of another study of this name: it is kept as {aside.name}", flush=True)

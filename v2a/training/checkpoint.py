"""Checkpoints: whole or not there, verified when they are read, and never code.

A checkpoint is two files, `step-00000500.pt` and, written after it, `step-00000500.json` with its size and checksum. Without a
fitting second file the first does not count, so a kill or a full disk at any moment leaves the checkpoint before it in force.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

from v2a.comm import Comm

FORMAT = 1
_BLOCK = 1 << 22
_STEP = re.compile(r"step-([0-9]{8,})\.(?:pt|json)")


class CheckpointError(ValueError):
    """No checkpoint can be used; the text says why, and what to do."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint that is there.

    Attributes:
        path: of its `.pt` file.
        step: optimizer steps done.
        score: of the validation at this step, lower is better; None without one.
    """

    path: Path
    step: int
    score: float | None


class Checkpoints:
    """The checkpoints of a run's folder. Rank 0 writes; every rank reads and verifies for itself.

    Args:
        folder: made when missing.
        keep: newest ones that stay; the best one stays too.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def all(self) -> list[Saved]:
        """Those whose two files are there, oldest first; their content is not looked at."""
        found = []
        for path in sorted(self._folder.glob("step-*.json")):
            try:
                note = json.loads(path.read_text())
                saved = Saved(path.with_suffix(".pt"), int(note["step"]), note["score"])
            except (ValueError, KeyError, TypeError, OSError):
                continue
            if saved.path.exists():
                found.append(saved)
        return found

    def save(self, state: dict[str, Any], step: int, score: float | None) -> Path:
        """Write a checkpoint, then remove those that are not kept.

        Raises:
            OSError: it could not be written; those before it are untouched.
        """
        path = self._folder / f"step-{step:08d}.pt"
        try:
            self._save(path, state, step, score)
        except (OSError, RuntimeError) as error:
            # torch.save goes on to end its file when the disk is full, and fails at that with a RuntimeError of its own.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            why = f"{cause.strerror}: {path} could not be written; checkpoints before it are untouched. Make room, and start again"
            raise OSError(cause.errno, why) from None
        self._prune()
        return path

    def _save(self, path: Path, state: dict[str, Any], step: int, score: float | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)  # of the same step, before a resume from an older one
        _write(path, lambda file: torch.save({"format": FORMAT, **state, "step": step}, file))
        note = {"step": step, "score": score, "bytes": path.stat().st_size, "xxh3": file_hash(path)}
        _write(path.with_suffix(".json"), lambda file: file.write(json.dumps(note).encode()))

    def best(self) -> Saved | None:
        """The one with the lowest score; None when none was validated."""
        scored = [saved for saved in self.all() if saved.score is not None and math.isfinite(saved.score)]
        return min(scored, key=lambda saved: (saved.score, -saved.step), default=None)

    def load_latest(self, comm: Comm, device: torch.device) -> tuple[dict[str, Any], int] | None:
        """State and step of the newest checkpoint that every rank can read; None when there is none.

        Those that are passed over for it are named, and put aside as `step-….damaged`, so that they do not count among those kept.

        Raises:
            CheckpointError: there are some, and none of them is sound.
        """
        refused: dict[Path, str] = {}
        for step in _agreed(self._noted() if comm.rank == 0 else [], comm):
            path = self._folder / f"step-{step:08d}.pt"
            state, reason = _read(path, device)
            if _all_ranks(state is not None, comm):
                if comm.rank == 0:
                    self._put_aside(refused, path)
                return state, step  # type: ignore[return-value]
            refused[path] = f"{path.name}: {reason or 'another rank cannot read it'}"
        if refused:
            raise CheckpointError(
                f"none of the checkpoints in {self._folder} is sound ({'; '.join(refused.values())}). Remove that folder to "
                "begin anew"
            )
        return None

    def _noted(self) -> list[int]:
        """Steps with a second file, whatever is in it; newest first."""
        found = [_STEP.fullmatch(path.name) for path in self._folder.glob("step-*.json")]
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def _put_aside(self, refused: Mapping[Path, str], used: Path) -> None:
        for path, reason in refused.items():
            print(
                f"checkpoint {reason}; {used.name} is used, and that one put aside as {path.stem}.damaged", flush=True
            )
            with suppress(OSError):
                path.with_suffix(".json").unlink(missing_ok=True)
                path.rename(path.with_suffix(".damaged"))

    def _prune(self) -> None:
        every, best = self.all(), self.best()
        for saved in every[: -self._keep]:
            if best is not None and saved.path == best.path:
                continue
            for path in (saved.path.with_suffix(".json"), saved.path):
                try:
                    path.unlink(missing_ok=True)
                except OSError:  # a file that stays costs room, and must not cost the run
                    continue


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """One checkpoint, verified.

    Raises:
        CheckpointError: missing, damaged, or of a newer format.
    """
    state, reason = _read(path, device)
    if state is None:
        raise CheckpointError(f"{path}: {reason}")
    return state


def _read(path: Path, device: torch.device) -> tuple[dict[str, Any] | None, str]:
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        if path.stat().st_size != note["bytes"] or file_hash(path) != note["xxh3"]:
            return None, "its bytes are not those that were written"
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None, "it is not there"
    except pickle.UnpicklingError:  # what torch.load says names a way to load it all the same
        return None, "it holds something other than tensors and numbers, and is not read: that could run code"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError) as error:
        return None, f"it cannot be read: {error}"
    if not isinstance(state, dict):
        return None, f"it holds a {type(state).__name__} instead of a training state"
    if state.get("format") != FORMAT:
        return None, f"it has format {state.get('format')}, and this version reads {FORMAT}"
    if not isinstance(state.get("model"), dict):
        return None, "it holds no model"
    reason = _other_step(path, note, state)
    return (None, reason) if reason else (state, "")


def _other_step(path: Path, note: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Why name, note and content are not of one step; nothing when they are. States of older versions do not say theirs."""
    named = _STEP.fullmatch(path.name)
    of_note, of_state = note.get("step"), state.get("step", note.get("step"))
    of_name = int(named[1]) if named else of_note
    if of_name == of_note == of_state:
        return ""
    return (
        f"its name says step {of_name}, its note {of_note}, and its content {of_state}; it was renamed, or is another's"
    )


def file_hash(path: Path) -> str:
    """XXH3 of a file's bytes, hexadecimal."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write(path: Path, content: Callable[[Any], object]) -> None:
    unfinished = path.with_name(path.name + ".tmp")
    try:
        with unfinished.open("wb") as file:
            content(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _agreed(steps: list[int], comm: Comm) -> list[int]:
    """Rank 0's list on all ranks."""
    count = int(comm.broadcast(torch.tensor(len(steps))))
    padded = torch.tensor(steps if comm.rank == 0 else [0] * count, dtype=torch.int64)
    return [int(step) for step in comm.broadcast(padded)] if count else []


def _all_ranks(flag: bool, comm: Comm) -> bool:
    return int(comm.all_reduce(torch.tensor(int(flag)))) == comm.size

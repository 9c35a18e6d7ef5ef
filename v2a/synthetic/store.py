"""A corpus's folder: names, whole clips only, and scratch space that cleans itself up after a kill."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash

from v2a.config import ConfigError
from v2a.synthetic.clip import dump

_SCRATCH = ".unfinished-"


def clip_name(kind: str, seed: int, index: int) -> str:
    """Name of a clip without its ending: "flyby-1-000012"."""
    return f"{kind}-{seed}-{index:06d}"


def is_whole(folder: Path, name: str, identity: dict[str, Any]) -> bool:
    """Whether a clip is there with its truth, made with these settings, its video unchanged since.

    Raises:
        ConfigError: there is such a clip of other settings; it is not overwritten.
    """
    try:
        truth = json.loads((folder / f"{name}.json").read_bytes())
        video = truth["video"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    differs = [key for key, value in identity.items() if truth.get(key) != value]
    if differs:
        raise ConfigError(
            f"expected {folder} empty or with clips of the same settings, but {name} there has another {differs[0]}: "
            f"{truth.get(differs[0])} instead of {identity[differs[0]]}; choose another out=DIR"
        )
    path = folder / f"{name}.mp4"
    try:
        return bool(path.stat().st_size == video["bytes"] and file_hash(path) == video["xxh3_128"])
    except (FileNotFoundError, KeyError, TypeError):
        return False


def place(video: Path, truth: dict[str, Any], folder: Path, name: str) -> int:
    """Move a finished video and its truth under their final names, the truth last: with it the clip is whole.

    Returns:
        Bytes of both.
    """
    size = video.stat().st_size
    truth = {**truth, "video": {"file": f"{name}.mp4", "bytes": size, "xxh3_128": file_hash(video)}}
    beside = video.with_name("truth.json")
    with beside.open("wb") as file:
        size += file.write(dump(truth))
        file.flush()
        os.fsync(file.fileno())
    video.replace(folder / f"{name}.mp4")
    beside.replace(folder / f"{name}.json")
    return size


def file_hash(path: Path) -> str:
    """xxh3_128 of a file's bytes, hexadecimal."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """An own folder for unfinished files, on the same file system; gone at the end.

    It holds a lock as long as this process lives; a run that was killed leaves one without, and the next run removes it.
    """
    _sweep(folder)
    own = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
    handle = _lock(own)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _sweep(folder: Path) -> None:
    for left in folder.glob(_SCRATCH + "*"):
        # One without a lock file was made a moment ago by another run that is about to lock it, or was killed just then.
        if not (left / "lock").exists():
            continue
        handle = _lock(left)
        if handle is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(handle)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock, or None when another process holds it."""
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle

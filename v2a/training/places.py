"""The files and folders of a run, before anything is written there; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

_FOLDERS = ("checkpoints", "tensorboard", "pictures", "sounds")
_FILES = ("stage.json", "metrics.jsonl", "test.json")


def check_places(out: Path) -> None:
    """See that nothing else stands where a run's files go: it would be met after the first steps only.

    Args:
        out: the run's folder; may be missing.

    Raises:
        ValueError: a file stands where a folder goes, or the other way round; names it.
    """
    for path in (*reversed(out.parents), out, *(out / name for name in _FOLDERS)):
        if path.exists() and not path.is_dir():
            raise ValueError(
                f"{path} is a file, and a folder is to be there; move it away, or choose another run folder"
            )
    for path in (out / name for name in _FILES):
        if path.is_dir():
            raise ValueError(
                f"{path} is a folder, and a file is to be there; move it away, or choose another run folder"
            )

"""What a stage reads and writes, told apart by where it is and by what is in it; needs neither torch nor h5py.

Only manifests, names, sizes and times are looked at: a login node answers in a moment.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from v2a.config import ConfigError
from v2a.dataset_json import parse_manifest
from v2a.prepare.inputs import Input, find_inputs

_PATHS = ("data", "codes", "model", "videos", "out", "page")
_LISTS = ("models", "runs")  # with commas
_RECORDS = ("metrics.json", "metrics.jsonl", "report.jsonl", "test.json")  # of a run, written as it goes on
_COUNTED = ("geometry", "splits", "shards")  # of a manifest; the rest is said of them, or how they were made


def absolute(settings: dict[str, Any]) -> dict[str, Any]:
    """The same settings with every path absolute and without links, so that they mean the same in any folder.

    Args:
        settings: by dotted name.
    """
    found = dict(settings)
    for name, value in settings.items():
        if name in _PATHS and isinstance(value, str) and value:
            found[name] = os.path.realpath(value)
        elif name in _LISTS and isinstance(value, str):
            found[name] = ",".join(os.path.realpath(part.strip()) for part in value.split(",") if part.strip())
    return found


def contents(config: Any) -> dict[str, str]:
    """Digests of what is in the folders that a config names: "data", a data set's shards, and "videos", the list of them.

    Returns:
        One for each that is there and can be read.
    """
    found = {"data": _of_dataset(getattr(config, "data", "")), "videos": _of_videos(getattr(config, "videos", ""))}
    return {name: digest for name, digest in found.items() if digest}


def page_is_stale(config: Any) -> bool:
    """Whether the page that a config names is gone, or a run that it shows has gone on since it was made."""
    page = getattr(config, "page", "")
    if not page:
        return False
    try:
        made = os.stat(page).st_mtime_ns
    except OSError:
        return True
    shown = (Path(run, name) for run in config.folders() for name in _RECORDS)
    return any(record.stat().st_mtime_ns > made for record in shown if record.is_file())


def _of_dataset(folder: object) -> str:
    if not isinstance(folder, str) or not folder:
        return ""
    try:
        manifest = parse_manifest(Path(folder, "dataset.json"))
        counted = {name: manifest[name] for name in _COUNTED if name in manifest}
    except (OSError, ValueError):
        return ""  # whoever checks the inputs says what is wrong with it
    return _digest([json.dumps(counted, sort_keys=True)])


def _of_videos(videos: object) -> str:
    if not isinstance(videos, str) or not videos:
        return ""
    try:
        return _digest(_line(video) for video in find_inputs(videos).videos)
    except (ConfigError, OSError, ValueError):
        return ""


def _line(video: Input) -> str:
    """A video's place, span and label, and its file's size and time: what is written anew is another one."""
    try:
        status = os.stat(video.path)
    except (OSError, ValueError):
        return repr(video)
    return f"{video!r} {status.st_size} {status.st_mtime_ns}"


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()[:16]

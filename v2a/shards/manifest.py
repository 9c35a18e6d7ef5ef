"""The manifest of a dataset folder, dataset.json: what its shards hold, counted from the shards themselves."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from v2a.geometry import Geometry
from v2a.shards.errors import ShardError, disk_error
from v2a.shards.folder import shard_paths
from v2a.shards.identity import clip_key
from v2a.shards.layout import checksum
from v2a.shards.reader import Shard
from v2a.shards.records import ClipRow
from v2a.shards.splits import SPLITS, Splits, split_of

T = TypeVar("T")
NAME = "dataset.json"
VERSION = 1
REBUILD = "build it from the shards: python -m v2a.shards index DIR"


@dataclass
class Counts:
    """Clips, the videos that they come from, and seconds of real frames."""

    clips: int = 0
    videos: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class ShardEntry:
    """A shard as the manifest knows it: its name, size, number of clips, and its table's checksum in hexadecimal."""

    name: str
    bytes: int
    clips: int
    table: str


@dataclass(frozen=True)
class Manifest:
    """What dataset.json says.

    Attributes:
        geometry: of all clips.
        settings: of the run that made the dataset, for people and to compare with the next run.
        splits: how videos are divided.
        shards: in order of their names.
        total: all clips; those of equal content count once.
        by_split, by_label: the same, divided.
        warnings: sentences, an empty split for example.
    """

    geometry: Geometry
    settings: dict[str, Any]
    splits: Splits
    shards: list[ShardEntry]
    total: Counts = field(default_factory=Counts)
    by_split: dict[str, Counts] = field(default_factory=dict)
    by_label: dict[str, Counts] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def write_manifest(folder: Path, geometry: Geometry, settings: Mapping[str, Any], splits: Splits) -> Manifest:
    """Count the whole shards of a folder and write dataset.json, all or nothing.

    Args:
        folder: with shards.
        geometry: what every shard must have.
        settings: JSON values.
        splits: how to divide the videos.

    Returns:
        What was written; look at its `warnings`.

    Raises:
        ShardError: a shard cannot be read, or has another geometry.
        DiskFull, OSError: the file cannot be written; the old one stays.
    """
    manifest = count_shards(folder, geometry, settings, splits)
    content = {"format": "v2a-dataset", "version": VERSION, **asdict(manifest)}
    text = json.dumps({**content, "checksum": _checksum(content)}, indent=1)
    temporary = Path(folder) / f".{NAME}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, Path(folder) / NAME)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, Path(folder) / NAME) from error
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What dataset.json says; looks at no shard.

    Raises:
        ShardError: no such folder, no manifest, or not one that can be read; says what to do.
    """
    path = Path(folder) / NAME
    try:
        found = json.loads(path.read_text("ascii"))
        if found["format"] != "v2a-dataset" or found["version"] != VERSION:
            raise ShardError(path, f"is of {found['format']} version {found['version']}, this program reads {VERSION}")
        if found.pop("checksum") != _checksum(found):
            raise ValueError("it does not match its checksum: it was damaged, or changed by hand")
        return Manifest(
            geometry=Geometry.from_dict(found["geometry"]),
            settings=dict(found["settings"]),
            splits=Splits(**found["splits"]),
            shards=[ShardEntry(**entry) for entry in found["shards"]],
            total=Counts(**found["total"]),
            by_split={name: Counts(**counts) for name, counts in found["by_split"].items()},
            by_label={name: Counts(**counts) for name, counts in found["by_label"].items()},
            warnings=list(found["warnings"]),
        )
    except FileNotFoundError:
        if not Path(folder).is_dir():
            raise ShardError(folder, "there is no such folder") from None
        hint = REBUILD if shard_paths(folder) else "it has no shards either: is it a dataset?"
        raise ShardError(folder, f"has no {NAME}; {hint}") from None
    except NotADirectoryError:
        raise ShardError(folder, "is a file, where a dataset is a folder") from None
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ShardError):
            raise
        raise ShardError(path, f"cannot be read ({type(error).__name__}: {error}); {REBUILD}") from error


def count_shards(folder: Path, geometry: Geometry, settings: Mapping[str, Any], splits: Splits) -> Manifest:
    """What `write_manifest` would write."""
    entries: list[ShardEntry] = []
    rows: list[ClipRow] = []
    for path in shard_paths(folder):
        with Shard(path) as shard:
            if shard.geometry != geometry:
                raise ShardError(path, f"has clips of {shard.geometry}, where the dataset has {geometry}")
            entries.append(ShardEntry(path.name, path.stat().st_size, shard.clips, f"{shard.table_checksum:016x}"))
            rows.extend(shard.rows())
    manifest = Manifest(geometry, dict(settings), splits, entries)
    _count((row for row, _ in unique((row, None) for row in rows)), manifest)
    for name in SPLITS:
        part = getattr(splits, name, 1.0)
        if part and not manifest.by_split[name].clips:
            manifest.warnings.append(
                f"the split {name} is empty: there are too few videos ({manifest.total.videos}) for a part of {part:g}"
                if name != "train"
                else "the split train is empty: there is nothing to train on"
            )
    return manifest


def unique(rows: Iterable[tuple[ClipRow, T]]) -> list[tuple[ClipRow, T]]:
    """Rows, each with anything, in the order of their keys, without equal clips; all clips of a video in one group.

    Of equal ones the first by group, label and source stays, so that neither names nor order of the shards matter. Shards that
    were put together by hand may have one video in two groups: the first by name then holds for all of it, or it would stand
    in two splits.
    """
    ordered = sorted(rows, key=lambda item: (*clip_key(item[0]), item[0].group, item[0].label, item[0].source))
    groups: dict[str, str] = {}
    for row, _ in ordered:
        groups[row.content] = min(row.group, groups.get(row.content, row.group))
    kept: list[tuple[ClipRow, T]] = []
    for row, thing in ordered:
        if not kept or clip_key(row) != clip_key(kept[-1][0]):
            group = groups[row.content]
            kept.append((row if row.group == group else dataclasses.replace(row, group=group), thing))
    return kept


def _checksum(content: Mapping[str, Any]) -> str:
    return f"{checksum(json.dumps(content, sort_keys=True).encode()):016x}"


def _count(rows: Iterable[ClipRow], manifest: Manifest) -> None:
    videos: dict[int, set[str]] = {}
    for name in SPLITS:
        manifest.by_split[name] = Counts()
    for row in sorted(rows, key=lambda row: row.label):
        split = split_of(row.group, manifest.splits)
        label = manifest.by_label.setdefault(row.label, Counts())
        for counts in (manifest.total, manifest.by_split[split], label):
            counts.clips += 1
            counts.seconds += row.frames / manifest.geometry.fps
            videos.setdefault(id(counts), set()).add(row.content)
    for counts in (manifest.total, *manifest.by_split.values(), *manifest.by_label.values()):
        counts.videos = len(videos.get(id(counts), ()))
        counts.seconds = round(counts.seconds, 3)

"""What a dataset holds, for people and as JSON."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from v2a.shards.manifest import Counts, Manifest, read_manifest
from v2a.shards.reader import Shard

_MOST = 20  # labels and notes that are listed


def gather_info(folder: Path) -> dict[str, Any]:
    """The manifest's numbers with what the videos' records say.

    Raises:
        ShardError: no manifest, or a shard that it names cannot be read.
    """
    manifest = read_manifest(folder)
    dropped: Counter[str] = Counter()
    notes: list[str] = []
    compressions: Counter[str] = Counter()
    silent = videos = 0
    for entry in manifest.shards:
        with Shard(Path(folder) / entry.name) as shard:
            compressions[shard.compression] += 1
            silent += sum(not row.has_audio for row in shard.rows())
            for record in shard.videos():
                videos += 1
                dropped.update(record.dropped)
                notes.extend(f"{record.source}: {note}" for note in record.notes)
    return {
        "folder": str(folder),
        "geometry": manifest.geometry.as_dict(),
        "settings": manifest.settings,
        "shards": len(manifest.shards),
        "bytes": sum(entry.bytes for entry in manifest.shards),
        "compression": dict(compressions),
        "clips": manifest.total.clips,
        "clips_of_equal_content": sum(entry.clips for entry in manifest.shards) - manifest.total.clips,
        "clips_without_sound": silent,
        "videos": manifest.total.videos,
        "videos_read": videos,
        "seconds": manifest.total.seconds,
        "splits": {name: dataclasses.asdict(counts) for name, counts in manifest.by_split.items()},
        "labels": {name: dataclasses.asdict(counts) for name, counts in manifest.by_label.items()},
        "dropped": dict(dropped),
        "notes": notes,
        "warnings": manifest.warnings,
    }


def describe_info(info: dict[str, Any], manifest: Manifest) -> str:
    """The same as lines of text."""
    lines = [
        f"{info['folder']}: {manifest.geometry}",
        f"  {_counts(manifest.total)}",
        f"  {info['shards']} shards, {_size(info['bytes'])}, compression "
        + (", ".join(info["compression"]) or "none yet"),
        "  splits",
        *(f"    {name:<12} {_counts(counts)}" for name, counts in manifest.by_split.items()),
    ]
    labels = sorted(manifest.by_label.items(), key=lambda item: -item[1].clips)
    if [name for name, _ in labels] not in ([], [""]):
        lines.append("  labels")
        lines += [f"    {printable(name) or '(none)':<12} {_counts(counts)}" for name, counts in labels[:_MOST]]
        lines += [f"    and {len(labels) - _MOST} more (--json has all)"] if len(labels) > _MOST else []
    if info["clips_without_sound"]:
        lines.append(f"  {info['clips_without_sound']} clips have no sound")
    if info["clips_of_equal_content"]:
        lines.append(f"  {info['clips_of_equal_content']} clips have an equal one and are not used")
    if info["dropped"]:
        dropped = ", ".join(f"{count} {name}" for name, count in sorted(info["dropped"].items()))
        lines.append(f"  left out by filters: {dropped}")
    if info["notes"]:
        lines.append("  notes on videos")
        lines += [f"    {printable(note)}" for note in info["notes"][:_MOST]]
        lines += [f"    and {len(info['notes']) - _MOST} more (--json has all)"] if len(info["notes"]) > _MOST else []
    lines += [f"  warning: {warning}" for warning in info["warnings"]]
    return "\n".join(lines)


def printable(text: str) -> str:
    """Any text on one line: what cannot be printed as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _counts(counts: Counts) -> str:
    hours = counts.seconds / 3600
    time = f"{hours:.1f} h" if hours >= 1 else f"{counts.seconds / 60:.1f} min"
    return f"{counts.clips:>7} clips of {counts.videos:>6} videos, {time:>9}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"

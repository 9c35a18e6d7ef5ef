"""What `python -m v2a.shards info` and `verify` do with a folder of codes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from v2a.shards.code_folder import count_codes, verify_codes
from v2a.shards.code_layout import code_shard_paths
from v2a.shards.manifest import NAME


def holds_codes(folder: Path) -> bool:
    """Whether it is a folder of codes, and not a dataset."""
    return folder.is_dir() and not (folder / NAME).exists() and bool(code_shard_paths(folder))


def info_of_codes(options: argparse.Namespace) -> list[str]:
    """Lines for people, or JSON.

    Raises:
        ShardError: a shard is damaged.
    """
    use = count_codes(code_shard_paths(options.folder))
    if options.json:
        return [json.dumps({"folder": str(options.folder), **use.as_dict()})]
    return [f"{options.folder}: {use}", f"  clips of {use.head.geometry}"]


def verify_folder_of_codes(folder: Path) -> tuple[list[str], bool]:
    """Lines, and whether all is sound."""
    verdict = verify_codes(folder)
    lines = [f"note: {note}" for note in verdict.notes] + [f"bad:  {problem}" for problem in verdict.problems]
    word = "NOT SOUND" if verdict.problems else "sound"
    lines.append(
        f"{folder}: {word}; {verdict.shards} sound shards of codes, {verdict.bytes / 1e6:.1f} MB of chunks read"
    )
    return lines, not verdict.problems

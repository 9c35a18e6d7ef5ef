"""The command line of datasets: info, verify, show, index."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from v2a.geometry import Geometry
from v2a.shards.code_cli import holds_codes, info_of_codes, verify_folder_of_codes
from v2a.shards.errors import ShardError
from v2a.shards.folder import shard_paths
from v2a.shards.info import describe_info, gather_info
from v2a.shards.manifest import NAME, read_manifest, write_manifest
from v2a.shards.picture import draw_clip, draw_overview
from v2a.shards.reader import Shard
from v2a.shards.records import Clip
from v2a.shards.splits import Splits
from v2a.shards.verify import verify

_MOST_ROWS = 100  # of an overview: a picture of about 15,000 pixels is what viewers open
_EXAMPLES = """\
examples:
  python -m v2a.shards info data/planes
  python -m v2a.shards verify data/planes             every byte of it, against its checksums
  python -m v2a.shards verify data/codes              a folder of codes likewise; info knows it, too
  python -m v2a.shards show data/planes 17 --out clip.png
  python -m v2a.shards show data/planes clips-node7-793-d08b66-00003.h5:4 --out clip.png
  python -m v2a.shards show data/planes --random 12 --seed 1 --out sheet.png
  python -m v2a.shards index data/planes              build dataset.json again from the shards

exit status: 0 when all is well, 1 when something is wrong with the dataset, 2 for a wrong command line
"""


def parser() -> argparse.ArgumentParser:
    """Command line of datasets."""
    top = argparse.ArgumentParser(
        prog="python -m v2a.shards",
        description="What is in a dataset of clips, whether every byte of it is sound, and pictures of its clips.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = _command(commands, "info", "counts, hours, splits, labels, sizes, notes")
    info.add_argument("--json", action="store_true", help="for programs; all notes and labels")
    _command(commands, "verify", "read every chunk and table; list what is damaged")
    show = _command(commands, "show", "a picture: frames over waveform and spectrogram")
    show.add_argument("clip", nargs="?", help="number of a clip, or SHARD:CLIP as verify names it (default: 0)")
    show.add_argument(
        "--random", type=_number, metavar="N", help=f"so many clips, at most {_MOST_ROWS}, drawn by --seed"
    )
    show.add_argument("--seed", type=int, default=0, help="of --random (default: 0)")
    show.add_argument("--all", action="store_true", help=f"all clips, at most {_MOST_ROWS}")
    show.add_argument("--out", type=Path, default=Path("clip.png"), help="the picture (default: clip.png)")
    index = _command(commands, "index", f"build {NAME} from the shards")
    index.add_argument(
        "--validation", type=float, metavar="PART", help="part of the videos, 0 to 1 (default: as before)"
    )
    index.add_argument("--test", type=float, metavar="PART", help="part of the videos, 0 to 1 (default: as before)")
    return top


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    made.add_argument("folder", type=Path, metavar="DIR", help="a dataset")
    return made


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, but got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    options = parser().parse_args(arguments)
    run = {"info": _info, "verify": _verify, "show": _show, "index": _index}[options.command]
    try:
        return run(options)
    except (ShardError, ValueError) as error:
        _say(f"shards: {error}", sys.stderr)
    except OSError as error:
        _say(f"shards: {error.filename or options.folder}: {error.strerror or error}", sys.stderr)
    return 1


def _info(options: argparse.Namespace) -> int:
    if holds_codes(options.folder):
        for line in info_of_codes(options):
            _say(line)
        return 0
    info = gather_info(options.folder)
    _say(json.dumps(info) if options.json else describe_info(info, read_manifest(options.folder)))
    return 0


def _verify(options: argparse.Namespace) -> int:
    if holds_codes(options.folder):
        lines, sound = verify_folder_of_codes(options.folder)
        for line in lines:
            _say(line)
        return int(not sound)
    total = sum(path.stat().st_size for path in _shards(options.folder))
    with tqdm(total=total, unit="B", unit_scale=True, desc="verify", disable=None, leave=False) as bar:
        verdict = verify(options.folder, bar.update)
    for note in verdict.notes:
        _say(f"note: {note}")
    for problem in verdict.problems:
        _say(f"bad:  {problem}")
    word = "NOT SOUND" if verdict.problems else "sound"
    _say(f"{options.folder}: {word}; {verdict.shards} sound shards, {verdict.bytes / 1e6:.1f} MB of chunks read")
    return int(bool(verdict.problems))


def _show(options: argparse.Namespace) -> int:
    places = [(path, clip) for path in _shards(options.folder) for clip in range(_length(path))]
    if not places:
        raise ShardError(options.folder, "has no clips yet")
    if options.all:
        chosen = places[:_MOST_ROWS]
    elif options.random:
        chosen = random.Random(options.seed).sample(places, min(options.random, len(places), _MOST_ROWS))
    else:
        chosen = [_find(options.clip or "0", places)]
    geometry, clips = _load(chosen)
    try:
        if len(clips) == 1:
            draw_clip(clips[0], geometry, options.out)
        else:
            draw_overview(clips, geometry, options.out)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        _say(f"shards: {options.out} cannot be written as a picture: {reason}. Name one as clip.png", sys.stderr)
        return 1
    asked = len(places) if options.all else min(options.random or 1, len(places))
    cut = f"; a picture has at most {_MOST_ROWS} rows" if len(clips) < asked else ""
    _say(f"{options.out}: {len(clips)} of {len(places)} clips{cut}")
    return 0


def _index(options: argparse.Namespace) -> int:
    paths = _shards(options.folder)
    settings: dict[str, Any] = {}
    splits = Splits()
    try:
        old = read_manifest(options.folder)
        settings, splits = old.settings, old.splits
    except ShardError:
        pass  # missing or damaged: that is what this command is for
    splits = Splits(
        splits.validation if options.validation is None else options.validation,
        splits.test if options.test is None else options.test,
    )
    with Shard(paths[0]) as shard:
        geometry = shard.geometry
    manifest = write_manifest(options.folder, geometry, settings, splits)
    for warning in manifest.warnings:
        _say(f"warning: {warning}")
    _say(f"{options.folder / NAME}: {len(manifest.shards)} shards, {manifest.total.clips} clips")
    return 0


def _shards(folder: Path) -> list[Path]:
    """The shards of a folder; an error when it cannot be a dataset."""
    if not folder.is_dir():
        what = "is a file, where a dataset is a folder" if folder.exists() else "there is no such folder"
        raise ShardError(folder, what)
    paths = shard_paths(folder)
    if not paths and not (folder / NAME).exists():
        raise ShardError(folder, f"is not a dataset: it has neither {NAME} nor shards (clips-….h5)")
    if not paths:
        raise ShardError(folder, "has no shards yet")
    return paths


def _length(path: Path) -> int:
    with Shard(path) as shard:
        return shard.clips


def _find(name: str, places: list[tuple[Path, int]]) -> tuple[Path, int]:
    if name.isascii() and name.isdigit():
        if int(name) < len(places):
            return places[int(name)]
        raise ValueError(f"expected a clip from 0 to {len(places) - 1}, but got {name}")
    found = [place for place in places if name == f"{place[0].name}:{place[1]}"]
    if not found:
        raise ValueError(f"expected a clip's number, or SHARD:CLIP like {places[0][0].name}:0, but got {name!r}")
    return found[0]


def _load(places: list[tuple[Path, int]]) -> tuple[Geometry, list[Clip]]:
    clips: list[Clip] = []
    geometry: Geometry | None = None
    for path, clip in places:
        with Shard(path) as shard:
            if shard.geometry != (geometry or shard.geometry):
                raise ShardError(path, f"has clips of {shard.geometry}, where the first has {geometry}")
            geometry = shard.geometry
            clips.append(shard.clip(clip))
    assert geometry is not None
    return geometry, clips


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print any text: paths may hold what the terminal's encoding lacks."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)

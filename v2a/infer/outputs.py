"""Outputs from the folder they were made in to their places: only files of our own are ever written over."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from v2a.infer.claims import Claim
from v2a.infer.names import Item
from v2a.infer.records import Done, Output, Records
from v2a.media.reading import MediaError


def is_there(out: Path, output: Output) -> bool:
    """Whether a file of ours is still there, as long as it was."""
    try:
        return (out / output.name).stat().st_size == output.bytes
    except OSError:
        return False


def check_free(out: Path, item: Item, suffix: str, records: Records) -> None:
    """See that nothing of somebody else's is where an output is to be.

    Raises:
        MediaError: there is; or the name cannot be one here.
    """
    name = item.stem + suffix
    place = out / name
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return
    except OSError as error:
        raise MediaError("not-written", f"its output cannot be called {name!a}: {error.strerror}") from None
    if os.path.realpath(place) == os.path.realpath(item.path):
        raise MediaError("in-the-way", "its output would take its own place; choose another folder with --out")
    if not any(output.name == name and _is_as_made(output, status) for output in records.outputs(item.key)):
        raise MediaError(
            "in-the-way", f"{name!a} is in the output folder already and was not made by this program, or was changed since; "
            "move it away, or choose another folder with --out"
        )  # fmt: skip
    other = records.done(item.key)
    if other is not None and _is_another(other.input, item.path):
        raise MediaError(
            "in-the-way", f"{name!a} is in the output folder already, made of {other.input!a}, which is still there; choose "
            "another folder with --out, or give both in one command, which tells their names apart"
        )  # fmt: skip


def _is_another(before: str, now: str) -> bool:
    """Whether an output's input is there still, and is another file."""
    try:
        return before != now and not os.path.samefile(before, now)
    except OSError:
        return False


def place_outputs(item: Item, made: dict[str, Path], done: Done, records: Records, claim: Claim) -> None:
    """Give the outputs their names, all of them or, after a kill, the same again by the next run.

    Args:
        item: the video.
        made: its outputs, "video" and "sound", on the disk in whole.
        done: its record.
        records: of this folder.
        claim: on this video.

    Raises:
        Overtaken: another process has this video by now.
        MediaError: something is in the way.
    """
    out = records.out
    for path in made.values():
        check_free(out, item, path.suffix, records)
    old = [output for output in records.outputs(item.key) if output.name not in {o.name for o in done.outputs.values()}]
    records.intend(item.key, done)
    claim.check()
    for kind, path in made.items():
        place = out / done.outputs[kind].name
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)
        _sync(place.parent)
    for output in old:  # of a model before: in another container
        with suppress(OSError):
            if _is_as_made(output, os.lstat(out / output.name)):
                (out / output.name).unlink()
    records.settle(item.key)


def _is_as_made(output: Output, status: os.stat_result) -> bool:
    return (output.bytes, output.mtime_ns) == (status.st_size, status.st_mtime_ns)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

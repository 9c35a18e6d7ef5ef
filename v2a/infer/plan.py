"""What is to be made: the inputs less those that are done or failed before."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from v2a.infer.names import Found, Item, key_of
from v2a.infer.outputs import is_there
from v2a.infer.records import Failed, Records

# Nothing in the file itself: tried again by the next command, whatever the file's size and time.
TRIED_ANEW = frozenset(
    {"missing", "not-permitted", "unreadable", "changed", "in-the-way", "not-written", "no-ffmpeg", "not-finite"}
)
INPUT = "input"  # the kind of a line of a list that names no video

# Goes up when the same model, seed and settings would make other files.
_RULE = 1


@dataclass(frozen=True)
class VideoTask:
    """A video to be given sound.

    Attributes:
        item: the video.
        bytes, mtime_ns: of its file when it was planned; 0 when it is not there.
        failed: how it failed before, and is to be tried again.
    """

    item: Item
    bytes: int
    mtime_ns: int
    failed: Failed | None = None


@dataclass
class Plan:
    """The work of one command.

    Attributes:
        tasks: largest first, so that the last ones to end are short.
        done: that need nothing.
        failed: that failed before and whose files are as they were.
        why: how many of the tasks were made before, and why they are looked at again.
    """

    tasks: list[VideoTask] = field(default_factory=list)
    done: int = 0
    failed: int = 0
    why: Counter[str] = field(default_factory=Counter)


def recipe_of(identity: str, seed: int, overlap: int, fit: str, beam: int) -> str:
    """What decides an output besides its input, as one name.

    Args:
        identity: of the model, encoder and decoder.
        seed: of the draws.
        overlap: frames.
        fit: of the picture.
        beam: of the search for codes.
    """
    facts = json.dumps([_RULE, identity, seed, overlap, fit, beam])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def make_plan(found: Found, out: Path, records: Records, recipe: str, retry: bool) -> Plan:
    """Compare the inputs with what is there.

    Args:
        found: the inputs.
        out: the output folder.
        records: its records.
        recipe: of this command.
        retry: try again what failed before.
    """
    plan = Plan()
    for item in found.items:
        size, mtime_ns = _status(item.path)
        done, failed = records.done(item.key), records.failed(item.key)
        known = done is not None and (done.recipe, done.bytes, done.mtime_ns) == (recipe, size, mtime_ns)
        if done is not None and known and all(is_there(out, output) for output in done.outputs.values()):
            plan.done += 1
            continue
        tried = failed is not None and (failed.recipe, failed.bytes, failed.mtime_ns) == (recipe, size, mtime_ns)
        if tried and size and not retry:
            plan.failed += 1
            continue
        if done is not None:
            plan.why["another model, seed or setting" if done.recipe != recipe else "changed or missing files"] += 1
        plan.tasks.append(VideoTask(item, size, mtime_ns, failed))
    plan.tasks.sort(key=lambda task: (-task.bytes, task.item.stem))
    return plan


def note_refused(found: Found, records: Records) -> None:
    """Lines of lists that name no video are failures of this command, and those of commands before are forgotten."""
    refused = {key_of(f"{entry} {reason}"): Failed(entry, INPUT, reason) for entry, reason in found.refused}
    for key, failed in records.failures().items():
        if failed.kind == INPUT and key not in refused:
            records.forget(key)
    for key, failed in refused.items():
        if records.failed(key) != failed:
            records.fail(key, failed)


def _status(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, status.st_mtime_ns

"""Which input becomes which file: folders are kept, and no two inputs ever share a name."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from v2a.config import ConfigError
from v2a.prepare.inputs import VIDEO_SUFFIXES, Input, find_inputs


@dataclass(frozen=True)
class Item:
    """A video to be given sound.

    Attributes:
        path: absolute.
        stem: of its outputs, relative to the output folder, without a suffix.
    """

    path: str
    stem: str

    @property
    def key(self) -> str:
        """A file name for what is noted about it."""
        return key_of(self.stem)


@dataclass
class Found:
    """What the inputs name.

    Attributes:
        items: each video once, in a fixed order.
        refused: entries that name no video, each with a reason.
        ignored: what is no input, by what it is.
        renamed: items whose stem is not their plain name, because another has it.
    """

    items: list[Item] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    renamed: list[Item] = field(default_factory=list)


def key_of(text: str) -> str:
    """A name of 24 hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]


def find_items(inputs: Sequence[str], own: frozenset[str] = frozenset()) -> Found:
    """Everything that the inputs name.

    A video's outputs are named by its path below the folder that was given, or below the folder of the list that names it; a video
    that a list names elsewhere, by its absolute path. When there are several inputs, what comes of a folder goes below its name.

    Args:
        inputs: folders, videos, lists.
        own: absolute paths of outputs, which are no inputs.

    Raises:
        ConfigError: an input names nothing.
    """
    found = Found()
    plain: dict[str, str] = {}  # path -> name with its suffix
    for given in inputs:
        listed = find_inputs(given)
        found.refused += listed.refused
        found.ignored.update(listed.ignored)
        for video in listed.videos:
            if video.path in own:
                found.ignored["made by this program"] += 1
            elif video.span:
                found.refused.append((f"{video.path}, {video.span} s", _SPAN))
            else:
                plain.setdefault(video.path, _name(given, video, several=len(inputs) > 1))
    found.items = [Item(path, stem) for path, stem in _told_apart(plain).items()]
    found.renamed = [item for item in found.items if item.stem != _without_suffix(plain[item.path])]
    return found


_SPAN = "a part of a video cannot be copied without encoding it anew; leave start_s and end_s empty, or cut the video before"


def _name(given: str, video: Input, several: bool) -> str:
    top = os.path.abspath(given)
    if top == video.path:
        return os.path.basename(top)
    is_folder = os.path.isdir(top)
    base = top if is_folder else os.path.dirname(top)
    below = os.path.relpath(video.path, base)
    if below.startswith(os.pardir):
        return video.path.lstrip("/")
    return os.path.join(os.path.basename(top), below) if several and is_folder else below


def _without_suffix(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def _told_apart(plain: dict[str, str]) -> dict[str, str]:
    """The stem of each path: without its suffix; with it where several would be the same; else with a hash of the path."""
    stems = {path: _without_suffix(name) for path, name in plain.items()}
    for path in _repeated(stems):
        stems[path] = plain[path]
    for path in _repeated(stems):
        stems[path] = f"{plain[path]}~{key_of(path)[:8]}"
    if _repeated(stems):
        raise ConfigError("two inputs would get one name; give them in two commands with two output folders")
    return stems


def _repeated(stems: dict[str, str]) -> Iterable[str]:
    counts = Counter(stems.values())
    return [path for path, stem in stems.items() if counts[stem] > 1]

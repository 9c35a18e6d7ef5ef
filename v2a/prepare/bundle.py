"""Which inputs one worker must read, one after another, because they may share clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from v2a.geometry import Geometry
from v2a.media.reading import MediaError
from v2a.prepare.done import Content
from v2a.prepare.failures import Failure, Key
from v2a.prepare.inputs import Input
from v2a.prepare.times import US

_NOT_THE_FILE = ("missing", "not-permitted")  # its size and time say nothing of whether to try again


@dataclass(frozen=True)
class VideoTask:
    """One input to be read.

    Attributes:
        video: the input.
        bytes, mtime_ns: of its file when it was planned.
    """

    video: Input
    bytes: int
    mtime_ns: int

    @property
    def key(self) -> Key:
        """Which input it is."""
        return self.video.path, self.video.span


@dataclass(frozen=True)
class Bundle:
    """Inputs of one content that may share clips, in the order of the list: a clip belongs to the first that makes it.

    Attributes:
        tasks: one at least.
        content: hash of their files; "" when it is not known yet, and they are all of one file.
        group: of all clips of this content; "" for the content itself.
        held: what workers that died since the plan have left in whole shards, by content.
    """

    tasks: tuple[VideoTask, ...]
    content: str = ""
    group: str = ""
    held: Mapping[str, Content] = field(default_factory=dict, compare=False)

    @property
    def bytes(self) -> int:
        """Of all its inputs."""
        return sum(task.bytes for task in self.tasks)

    @property
    def copies(self) -> int:
        """Inputs that need no reading as long as another one of the bundle gives clips."""
        return len(self.tasks) - len({task.video.span for task in self.tasks})


class Duplicate(MediaError):  # noqa: N818 - the name says what it is
    """An input all of whose clips are other inputs'."""

    def __init__(self, reason: str, content: str, owners: Iterable[Key]) -> None:
        super().__init__("duplicate", reason)
        self.content, self.owners = content, tuple(dict.fromkeys(owners))


def failure_of(task: VideoTask, error: MediaError) -> Failure:
    """A task's line in the list of failures."""
    if error.kind in _NOT_THE_FILE:
        return Failure(*task.key, error.kind, str(error))
    found = (error.content, error.owners) if isinstance(error, Duplicate) else ()
    return Failure(*task.key, error.kind, str(error), task.bytes, task.mtime_ns, *found)


def bundled(tasks: Iterable[VideoTask], geometry: Geometry) -> list[tuple[VideoTask, ...]]:
    """Inputs of one content, divided into those that may share clips; each part in the given order.

    Two inputs may when their spans overlap and their segments begin at the same moments.
    """
    by_phase: dict[Fraction, list[tuple[int, VideoTask]]] = {}
    for place, task in enumerate(tasks):
        phase = Fraction(task.video.start_us * geometry.fps, US) % geometry.frames
        by_phase.setdefault(phase, []).append((place, task))
    parts: list[list[tuple[int, VideoTask]]] = []
    for same_phase in by_phase.values():
        parts += _overlapping(same_phase)
    return [tuple(task for _, task in sorted(part, key=lambda item: item[0])) for part in parts]


def _overlapping(tasks: list[tuple[int, VideoTask]]) -> list[list[tuple[int, VideoTask]]]:
    parts: list[list[tuple[int, VideoTask]]] = []
    until: float = -1
    for place, task in sorted(tasks, key=lambda item: item[1].video.start_us):
        video = task.video
        end = float("inf") if video.end_us is None else video.end_us
        if video.start_us < until:
            parts[-1].append((place, task))
        else:
            parts.append([(place, task)])
            until = -1
        until = max(until, end)
    return parts

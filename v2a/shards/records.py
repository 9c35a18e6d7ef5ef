"""What a shard says of its clips and of the videos they came from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Moment = tuple[int, int]  # a clip within its video: begin in microseconds, real frames


@dataclass(frozen=True)
class ClipRow:
    """One row of a shard's table of clips.

    Attributes:
        source: the video's path as it was given (bytes that are not UTF-8 as surrogate escapes).
        content: hash of the video file's bytes, hexadecimal.
        group: what must stay together in one split; the content hash unless the user groups videos.
        label: from the list of inputs; "" without one.
        segment: number of the segment within its request, 0, 1, ….
        start_s: seconds after the video's first frame.
        frames: real frames, 1 to T; the rest of the clip repeats the last one.
        has_audio: the video has sound. Its level says whether it can be heard.
        level_db: RMS of the clip's sound, dB of full scale; -inf for digital silence.
        motion: mean absolute difference of neighbouring real frames, 0 to 255.
    """

    source: str
    content: str
    group: str
    label: str
    segment: int
    start_s: float
    frames: int
    has_audio: bool
    level_db: float
    motion: float


@dataclass(frozen=True)
class Clip:
    """A clip on its way into a shard: `video` uint8 `[T, H, W, 3]`, `audio` int16 `[S]`, and its row."""

    video: npt.NDArray[np.uint8]
    audio: npt.NDArray[np.int16]
    row: ClipRow


@dataclass(frozen=True)
class VideoRecord:
    """A video that is done: written once, into the shard that holds its last clip.

    Attributes:
        source: path as it was given.
        bytes, mtime_ns: of the file, to recognise it without reading it.
        content: hash of its bytes, hexadecimal.
        span: the part that was asked for, "" for all of it, else "START-END" in seconds. A name, to be compared only.
        seconds: length of the picture that was read.
        clips: clips kept, those of `moments`.
        dropped: clips left out by each filter's name.
        remainder_s: seconds at the end that made no clip.
        facts: codec, size and the like, for people.
        notes: damage that was survived.
        moments: which clips those are. A clip is one record's; what another input had before is not listed.
    """

    source: str
    bytes: int
    mtime_ns: int
    content: str
    span: str
    seconds: float
    clips: int
    dropped: dict[str, int]
    remainder_s: float
    facts: dict[str, str | float]
    notes: list[str] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

"""What a reader of videos gives and takes: one interface for ffmpeg and PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry

Fit = Literal["stretch", "crop", "pad"]


class MediaError(ValueError):
    """A video that gives no clip. The text is a reason that a person understands; it names no file.

    Attributes:
        kind: a short stable word for counting: "not-media", "no-video", "unreadable", "damaged", "too-large", "too-slow", ….
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Limits:
    """What one video may cost.

    Attributes:
        seconds: wall time of reading it, s.
        stall_s: wall time without any new frame, s.
        file_bytes: size of the file.
        pixels: width times height of a frame.
        gap_s: a jump of its time stamps by more than this ends the video there, with a note.
    """

    seconds: float = 4 * 3600.0
    stall_s: float = 60.0
    file_bytes: int = 64 << 30
    pixels: int = 8192 * 8192
    gap_s: float = 60.0


@dataclass(frozen=True)
class Request:
    """What to read, and as what.

    Attributes:
        path: the file.
        geometry: size and rates of the segments.
        fit: how another shape becomes width x height: "stretch" ignores it (the paper), "crop" keeps the centre, "pad" adds black.
        start_s: begin here, seconds after the first frame of the video; 0 for the beginning.
        end_s: end here; None for the end of the video.
        threads: of the decoder; 1 when there is a process per core.
        limits: what it may cost.
        sound: read the sound, too; without it no sound stream is opened, and segments are silent.
    """

    path: str
    geometry: Geometry
    fit: Fit = "stretch"
    start_s: float = 0.0
    end_s: float | None = None
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    sound: bool = True


@dataclass(frozen=True)
class Segment:
    """One clip of a video as it was decoded; the last one of a video may be partly empty.

    Frame k shows what a viewer sees k / fps seconds after `start_s`: the last source frame whose time stamp is not later.

    Attributes:
        index: 0, 1, … within the request.
        start_s: seconds after the video's first frame.
        video: uint8 `[T, H, W, 3]`, RGB; after the real frames the last one is repeated.
        audio: int16 `[S]`, mono PCM at the geometry's sample rate; zero where there is no sound.
        frames: real frames, 1 to T.
    """

    index: int
    start_s: float
    video: npt.NDArray[np.uint8]
    audio: npt.NDArray[np.int16]
    frames: int


@dataclass
class Facts:
    """What is known of a video; complete when the reading has ended.

    Attributes:
        width, height: of the first frame as stored, before rotation, pixels.
        rotation: degrees counter-clockwise that a player turns it: 0, 90, 180 or 270.
        video_codec, audio_codec: names; `audio_codec` is "" when there is no sound stream.
        source_fps: average frames per second as the container says; 0 when it says nothing. For people only.
        source_frames: frames decoded, and those that a reader left out because no slot shows them.
        seconds: length of the picture that was read, s, counted in decoded frames and never taken from metadata.
        first_s: time stamp of the picture at the request's begin, s in the container's own time; only of PyAV's reader.
        length_s: length of the picture that was read by its time stamps, s: from its begin to the end of the last one's own time;
            `seconds` is that in whole frames of the request. Only of PyAV's reader.
        ended_by_gap: a jump of its time stamps ended it (`Limits.gap_s`); the file goes on.
        has_audio: at least one sample of sound was decoded.
        notes: sentences about damage that was survived ("3 packets could not be decoded, the first at 12.3 s").
    """

    width: int = 0
    height: int = 0
    rotation: int = 0
    video_codec: str = ""
    audio_codec: str = ""
    source_fps: float = 0.0
    source_frames: int = 0
    seconds: float = 0.0
    first_s: float = field(default=0.0, compare=False)
    length_s: float = field(default=0.0, compare=False)
    ended_by_gap: bool = False
    has_audio: bool = False
    notes: list[str] = field(default_factory=list)


class Reading(Protocol):
    """A video that is being read. Iterating decodes; at most a few segments are in memory, however long the video is.

    Raises (from iterating):
        MediaError: nothing, or nothing more, can be read. Segments given before it are sound.
    """

    facts: Facts

    def __iter__(self) -> Iterator[Segment]: ...

    def __enter__(self) -> Reading: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: ends the decoder, closes the file."""
        ...


class Reader(Protocol):
    """A way of decoding. All give the same segments for the same request: same count, same frames, same sound, within rounding."""

    name: str

    def open(self, request: Request) -> Reading:
        """Open a video.

        Raises:
            MediaError: not a regular file, too large, not an allowed container, no picture in it, ….
        """
        ...

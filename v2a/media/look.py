"""A look into a file's header with PyAV, 2 to 5 ms: which streams to decode, their size and turn. Shared by all readers."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.container
import av.error
import av.logging
import av.stream
import av.video.stream

from v2a.media import reasons
from v2a.media.allowed import decoder_pixels, input_options
from v2a.media.opening import OpenFile
from v2a.media.reading import Facts, Limits, MediaError

# Weights of ffmpeg's own choice between streams (ffmpeg_mux_init.c): one that has packets, then the one marked as default,
# then the most pixels or channels.
_HAS_PACKETS, _DEFAULT = 100_000_000, 5_000_000
# Decoders of libavcodec that say so unless the stream says otherwise (measured: pictures of both readers are then equal).
_CHROMA_LEFT = ("h264", "hevc", "mpeg4", "mpeg2video")
_TOO_MANY_PIXELS = re.compile(r"Picture size (\d+)x(\d+) exceeds")
_FIRST_FRAME_PACKETS = 200  # to find the first picture of a damaged file


@dataclass(frozen=True)
class Look:
    """What must be known before decoding starts.

    Attributes:
        format: the demuxer's name.
        video, audio: numbers of the chosen streams; `audio` is None without sound.
        size: width and height as stored, pixels.
        pixel_aspect: width ÷ height of a pixel; None when nothing says it.
        rotation: degrees counter-clockwise, 0 to 270.
        tick: seconds per unit of the video's time stamps.
        first: time stamp of the first picture; None when none could be decoded so far.
        usual_s: a frame's usual duration, s; None when nothing says it.
        chroma_left: its decoder puts chroma samples over the left one of two pixels; else over their middle.
    """

    format: str
    video: int
    audio: int | None
    size: tuple[int, int]
    pixel_aspect: Fraction | None
    rotation: int
    tick: Fraction
    first: int | None
    usual_s: Fraction | None
    chroma_left: bool


def open_container(file: OpenFile, limits: Limits) -> av.container.InputContainer:
    """Open with PyAV under the rules of `v2a.media.allowed`.

    Raises:
        MediaError: no allowed container.
    """
    try:
        return av.open(
            file.path, "r", options=input_options(limits.pixels), metadata_errors="replace", timeout=limits.stall_s
        )
    except av.error.ArgumentError:
        if reasons.not_opened(file, "").kind != "not-media":
            raise reasons.not_opened(file, "") from None
        raise MediaError(
            "not-allowed", "is of a kind that is not allowed: only containers that hold pictures are"
        ) from None
    except av.error.ExitError:
        raise MediaError("too-slow", f"opening it took longer than {limits.stall_s:g} s (limit.stall_s)") from None
    except (av.error.FFmpegError, OSError) as error:
        raise reasons.not_opened(file, getattr(error, "strerror", None) or str(error)) from None


def choose_streams(
    container: av.container.InputContainer, limits: Limits
) -> tuple[av.video.stream.VideoStream, av.stream.Stream | None]:
    """The streams of picture and sound that ffmpeg would choose.

    Raises:
        MediaError: no moving picture, no decoder for it, or too large a one.
    """
    covers = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
    pictures = [s for s in container.streams.video if s not in covers]
    sounds = [s for s in container.streams.audio if s.codec_context is not None]
    if not pictures:
        raise reasons.no_video(bool(container.streams.audio), bool(covers))
    video = max(pictures, key=lambda s: _weight(s, (s.width or 0) * (s.height or 0) if s.codec_context else 0))
    if video.codec_context is None:
        raise reasons.no_decoder("")
    width, height = video.codec_context.width, video.codec_context.height
    if width * height == 0:
        width, height = _withheld_size(container, limits)
    if width * height > limits.pixels:
        raise reasons.too_many_pixels(width, height, limits.pixels)
    audio = max(sounds, key=lambda s: _weight(s, s.codec_context.channels or 0)) if sounds else None
    return video, audio


def _withheld_size(container: av.container.InputContainer, limits: Limits) -> tuple[int, int]:
    """A picture's size that libav withholds because it is above the limit, from its own words; (0, 0) when it is not that."""
    level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as said, suppress(av.error.FFmpegError):
            av.open(container.name, options=input_options(limits.pixels), timeout=limits.stall_s).close()
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skip)
    found = _TOO_MANY_PIXELS.search(" ".join(text for _, _, text in said))
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def describe(video: av.video.stream.VideoStream, audio: av.stream.Stream | None) -> Facts:
    """What the header says, for people; the first picture corrects its size."""
    context = video.codec_context
    rate = video.average_rate or video.guessed_rate
    return Facts(
        width=context.width,
        height=context.height,
        video_codec=_codec_name(video),
        audio_codec=_codec_name(audio) if audio is not None else "",
        source_fps=float(rate) if rate else 0.0,
    )


def usual_duration(video: av.video.stream.VideoStream) -> Fraction | None:
    """A frame's usual duration, s."""
    rate = video.average_rate or video.guessed_rate
    return 1 / Fraction(rate) if rate else None


def rotation_of(frame: Any) -> int:
    """Degrees counter-clockwise that a player turns a decoded frame: 0, 90, 180 or 270."""
    return int(round(frame.rotation / 90) % 4 * 90)


def look(file: OpenFile, limits: Limits) -> tuple[Look, Facts]:
    """Open, choose, decode the first picture, close.

    Raises:
        MediaError: as `open_container` and `choose_streams`.
    """
    with open_container(file, limits) as container:
        video, audio = choose_streams(container, limits)
        facts = describe(video, audio)
        aspect, tick = video.sample_aspect_ratio, video.time_base
        frame = _first_frame(container, video, limits)
        if frame is not None:
            facts.width, facts.height, facts.rotation = frame.width, frame.height, rotation_of(frame)
        found = Look(
            container.format.name,
            video.index,
            None if audio is None else audio.index,
            (max(1, facts.width), max(1, facts.height)),
            Fraction(aspect) if aspect else None,
            facts.rotation,
            Fraction(tick or 1),
            None if frame is None else frame.pts,
            usual_duration(video),
            facts.video_codec in _CHROMA_LEFT and "420" in (video.codec_context.pix_fmt or ""),
        )
    return found, facts


def _first_frame(container: av.container.InputContainer, video: av.video.stream.VideoStream, limits: Limits) -> Any:
    prepare_decoder(video, 1, limits.pixels)
    try:
        for number, packet in enumerate(container.demux(video)):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                frames = []
            if frames:
                return frames[0]
            if number >= _FIRST_FRAME_PACKETS:
                break
    except av.error.FFmpegError:
        return None  # the reader meets the same error and reports it
    return None


def prepare_decoder(stream: Any, threads: int, pixels: int) -> None:
    """Set a stream's decoder up, before its first packet."""
    context = stream.codec_context
    context.thread_type = "NONE" if threads == 1 else "AUTO"
    context.thread_count = threads
    if stream.type == "video":
        context.options = {"max_pixels": str(decoder_pixels(pixels))}
        context.flags &= ~int(av.codec.context.Flags.output_corrupt)


def _weight(stream: Any, size: int) -> int:
    default = bool(stream.disposition & av.stream.Disposition.default)
    weight: int = size + (_DEFAULT if default else 0) + (_HAS_PACKETS if stream.frames else 0)
    return weight


def _codec_name(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context is not None else ""

"""Small real films with a flash and a click at known times, in every awkward way; made with ffmpeg, once for all tests of a run."""

from __future__ import annotations

import functools
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

FLASHES = (2.0, 7.3)
SECONDS = 9.0
FLASH_S = 0.25
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30")
AAC = ("-c:a", "aac", "-b:a", "96k")


@dataclass(frozen=True)
class Film:
    """How to make one, and where its flashes and clicks are, seconds after its first picture.

    Attributes:
        name: of the file.
        options: of ffmpeg's output.
        before_video, before_sound: of its inputs.
        fps, size: of the picture that goes in; rate, channels: of the sound.
        flashes, clicks: what must be found.
    """

    name: str
    options: Sequence[str] = (*H264, *AAC)
    before_video: Sequence[str] = ()
    before_sound: Sequence[str] = ()
    fps: Fraction = Fraction(30)
    size: tuple[int, int] = (160, 90)
    rate: int = 48000
    channels: int = 1
    seconds: float = SECONDS
    flash_s: float = FLASH_S
    flashes: tuple[float, ...] = FLASHES
    clicks: tuple[float, ...] = FLASHES
    needs: str = field(default="")


def shifted(seconds: float) -> tuple[float, ...]:
    """Clicks that come later than the flashes."""
    return tuple(flash + seconds for flash in FLASHES)


def ffmpeg(*arguments: str | Path, stdin: bytes | None = None) -> None:
    """Run ffmpeg; a test that cannot make its film fails with ffmpeg's words."""
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(
        command if stdin is None else [c for c in command if c != "-nostdin"],
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")


@functools.cache
def picture(fps: Fraction, size: tuple[int, int], seconds: float, flash_s: float) -> bytes:
    """Dark noise, white while it flashes, yuv420p frames one after the other."""
    width, height = size
    random = np.random.default_rng(7)
    luma, chroma = width * height, 2 * ((width + 1) // 2) * ((height + 1) // 2)
    frames = []
    for index in range(round(seconds * fps)):
        at = float(index / fps)
        frame = np.full(luma + chroma, 128, np.uint8)
        white = any(flash - 1e-6 <= at < flash + flash_s - 1e-6 for flash in FLASHES)
        frame[:luma] = 235 if white else random.integers(20, 60, luma, dtype=np.uint8)
        frames.append(frame.tobytes())
    return b"".join(frames)


def write_sound(path: Path, rate: int, channels: int, seconds: float) -> None:
    """Silence with clicks of 5 ms, every channel alike."""
    samples = np.zeros(round(seconds * rate), np.int16)
    for flash in FLASHES:
        first = round(flash * rate)
        samples[first : first + rate // 200] = np.where(np.arange(rate // 200) % 4 < 2, 25000, -25000)[
            : len(samples[first : first + rate // 200])
        ]
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())


@functools.cache
def folder() -> Path:
    """Where the films are; goes with the process."""
    kept = tempfile.TemporaryDirectory(prefix="v2a-films-")
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def make(film: Film) -> Path:
    """The film's file."""
    path = folder() / film.name
    sound = folder() / f"{film.rate}-{film.channels}-{film.seconds:g}.wav"
    if not sound.exists():
        write_sound(sound, film.rate, film.channels, film.seconds)
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{film.size[0]}x{film.size[1]}", "-framerate", str(film.fps))
    ffmpeg(
        *film.before_video, *raw, "-i", "pipe:", *film.before_sound, "-i", sound,
        "-map", "0", "-map", "1", *film.options, path,
        stdin=picture(film.fps, film.size, film.seconds, film.flash_s),
    )  # fmt: skip
    return path


PLAIN = Film("plain.mp4")

_TS = ("-f", "mpegts", *H264, *AAC)
_LOW = ("-c:v", "mpeg4", "-q:v", "5")

FILMS = (
    PLAIN,
    Film("sound-late.mp4", before_sound=("-itsoffset", "0.7"), clicks=shifted(0.7)),
    Film("picture-late.mp4", (*H264, *AAC, "-vsync", "vfr"), before_video=("-itsoffset", "1.5"), clicks=shifted(-1.5)),
    Film("sound-late.mkv", before_sound=("-itsoffset", "0.7"), clicks=shifted(0.7)),
    Film("picture-late.mkv", before_video=("-itsoffset", "1.5"), clicks=shifted(-1.5)),
    Film("picture-late.ts", _TS, before_video=("-itsoffset", "1.5"), clicks=shifted(-1.5)),
    Film("at-3789.ts", (*_TS, "-output_ts_offset", "3789")),
    Film("at-3789.mkv", (*H264, *AAC, "-output_ts_offset", "3789")),
    Film("sound-8-s-early.mkv", before_video=("-itsoffset", "8"), before_sound=("-itsoffset", "0"), clicks=()),
    Film("gap-in-sound.mkv", (*H264, "-c:a", "pcm_s16le", "-af", "aselect='not(between(t,3,5))'")),
    Film("gap-in-picture.mkv", (*H264, *AAC, "-vf", "select='not(between(t,3,5))'", "-vsync", "vfr")),
    Film("variable.mp4", (*H264, *AAC, "-vf", "select='not(mod(n*n,7)-1)+gt(mod(n,5),2)'", "-vsync", "vfr")),
    Film("variable.mkv", (*H264, *AAC, "-vf", "select='not(mod(n*n,7)-1)+gt(mod(n,5),2)'", "-vsync", "vfr")),
    Film("23.976.mp4", fps=Fraction(24000, 1001)),
    Film("29.97.mkv", fps=Fraction(30000, 1001)),
    Film("59.94.mp4", fps=Fraction(60000, 1001)),
    Film("1-per-second.mp4", fps=Fraction(1), flash_s=1.0, flashes=(2.0, 8.0)),
    Film("1000-per-second.mp4", fps=Fraction(1000), size=(16, 16), seconds=3.0, flashes=(2.0,), clicks=(2.0,)),
    Film("odd.mkv", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p", *AAC), size=(161, 91)),
    Film("hevc-10-bit.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", *AAC), needs="libx265"),
    Film("vp9.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"), needs="libvpx-vp9"),
    Film("vp8.webm", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libvorbis"), needs="libvpx"),
    Film("interlaced.mpg", ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-top", "1", "-c:a", "mp2"), fps=Fraction(25)),
    Film("surround.mkv", (*_LOW, "-c:a", "ac3"), channels=6),
    Film("telephone.avi", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"), rate=8000),
    Film("old.avi", (*_LOW, "-bf", "2", "-c:a", "libmp3lame")),
    Film("anamorphic.mp4", (*H264, *AAC, "-vf", "setsar=4/3")),
    Film("flash.flv", ("-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100")),
    Film("h264.flv"),
    Film("fragmented.mp4", (*H264, *AAC, "-movflags", "frag_keyframe+empty_moov+default_base_moof")),
    Film("b-frames.mov", ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-pix_fmt", "yuv420p", *AAC)),
    Film("windows.wmv", ("-c:v", "wmv2", "-c:a", "wmav2")),
    Film("theora.ogv", ("-c:v", "libtheora", "-q:v", "6", "-c:a", "libvorbis"), needs="libtheora"),
)  # fmt: skip

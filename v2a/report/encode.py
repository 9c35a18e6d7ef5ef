"""Small H.264/AAC files for a browser, made by ffmpeg. Every soundtrack has its own file around the same encoded picture."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from v2a.media.allowed import input_options
from v2a.report.errors import ReportError

_PIXELS = 64_000_000  # largest picture that is decoded
_SLOW_S = 120  # a piece of some seconds takes a second or two; a hung decoder is ended
_AAC = ("-c:a", "aac", "-b:a", "80k", "-ac", "1")
_KEY_FRAMES = 10  # frames from one to the next: seeking is by them


@dataclass(frozen=True)
class Quality:
    """Attributes: `width` in pixels at most; `crf` of x264, larger is smaller and worse."""

    width: int
    crf: int


QUALITIES = (Quality(480, 26), Quality(320, 30), Quality(224, 34))


class EncodeError(ValueError):
    """A video of which no small one can be made; the text says why."""


def encode_picture(source: Path, start_s: float, seconds: float, quality: Quality, out: Path) -> None:
    """A piece of a video as MP4 without sound; 30 frames/s at most.

    Args:
        source: any video that `prepare` reads.
        start_s: from its first picture on.
        seconds: how long.
        quality: of the picture.
        out: the MP4 file.

    Raises:
        EncodeError: the source cannot be decoded.
        ReportError: there is no ffmpeg.
    """
    options = [word for name, value in input_options(_PIXELS).items() for word in (f"-{name}", value)]
    begin = max(0.0, start_s + _first_picture(source))
    shown = "iw*if(sar,sar,1)"  # pixels need not be square
    scale = f"scale=w='max(2,trunc(min({quality.width},{shown})/2)*2)':h='max(2,trunc(ow*ih/({shown})/2)*2)',setsar=1"
    _run([
        *options, "-ss", f"{begin:.6f}", "-t", f"{seconds:.6f}", "-i", _name(source), "-map", "0:v:0", "-an", "-sn", "-dn",
        "-map_metadata", "-1", "-vf", scale, "-fpsmax", "30", "-c:v", "libx264", "-preset", "medium", "-crf", str(quality.crf),
        "-g", str(_KEY_FRAMES), "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-fflags", "+bitexact", _name(out),
    ])  # fmt: skip


def add_sound(picture: Path, wave: Path, seconds: float, out: Path) -> None:
    """The picture as it is, with a WAV file as AAC.

    Raises:
        EncodeError: one of them cannot be read.
        ReportError: there is no ffmpeg.
    """
    _run([
        "-i", _name(picture), "-i", _name(wave), "-map", "0:v", "-map", "1:a", "-c:v", "copy", *_AAC,
        "-t", f"{seconds:.6f}", "-movflags", "+faststart", "-fflags", "+bitexact", _name(out),
    ])  # fmt: skip


def encode_sound(wave: Path, seconds: float, out: Path) -> None:
    """A WAV file as AAC, without a picture.

    Raises:
        EncodeError: it cannot be read.
        ReportError: there is no ffmpeg.
    """
    _run(["-i", _name(wave), "-t", f"{seconds:.6f}", *_AAC, "-fflags", "+bitexact", _name(out)])


def _name(path: Path) -> str:
    """A name that ffmpeg cannot take for an option or an address."""
    return f"file:{path.absolute()}"


def _first_picture(source: Path) -> float:
    """When the first picture is seen after the file's zero, from where ffmpeg counts; s."""
    import av

    try:
        with closing(av.open(os.fspath(source), options=input_options(_PIXELS))) as container:
            video = container.streams.video[0]
            if video.start_time is None or video.time_base is None:
                return 0.0
            return float(video.start_time * video.time_base) - (container.start_time or 0) / 1e6
    except (av.FFmpegError, OSError, IndexError) as error:
        raise EncodeError(f"cannot be read as a video ({type(error).__name__})") from None


def _run(arguments: list[str]) -> None:
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SLOW_S, check=False)
    except FileNotFoundError:
        raise ReportError("there is no program ffmpeg, which encodes the videos of the page; install it") from None
    except subprocess.TimeoutExpired:
        raise EncodeError(f"took longer than {_SLOW_S} s to encode") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise EncodeError(f"cannot be encoded by ffmpeg ({said[0].strip()})")

"""Frames and sound to an .mp4: raw frames go through a pipe to ffmpeg; only the sound touches the disk, 1 MB for a clip."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import wave
from pathlib import Path

import ffmpeg
import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.synthetic.clip import Clip


class EncodeError(RuntimeError):
    """ffmpeg is missing, or refused; the text says what it said."""


def write_video(clip: Clip, geometry: Geometry, crf: int, folder: Path) -> Path:
    """Encode a clip as H.264 and AAC.

    One thread and no dates or versions inside: the same clip gives the same bytes with the same ffmpeg.

    Args:
        clip: its frames are used up.
        geometry: size and rates.
        crf: x264's constant rate factor.
        folder: an own folder for the work; the video is made there.

    Returns:
        The video, written through to the disk.

    Raises:
        EncodeError: ffmpeg could not be run, or failed.
        OSError: the disk is full (`errno.ENOSPC`), or the folder cannot be written.
    """
    sound, video = folder / "sound.wav", folder / "clip.mp4"
    _write_wav(sound, clip.sound, geometry.sample_rate)
    try:
        # In the folder itself, with plain names: no path, however strange, reaches ffmpeg's own syntax.
        process = subprocess.Popen(
            _command(geometry, crf, sound.name, video.name), stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
        )
    except FileNotFoundError:
        raise EncodeError("there is no program ffmpeg; install it (Debian: apt-get install ffmpeg)") from None
    said: list[bytes] = []
    # Read beside the writing: a pipe that nobody empties would block both. Not a file: it could be on the disk that is full.
    listener = threading.Thread(
        target=lambda: said.append(process.stderr.read() if process.stderr else b""), daemon=True
    )
    listener.start()
    try:
        _feed(process, clip)
        status = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        listener.join()
        if process.stderr:
            process.stderr.close()
    words = b"".join(said).decode(errors="replace").strip()
    if status or words:
        if "No space left" in words:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(video))
        raise EncodeError(f"ffmpeg ended with status {status}: {words[-500:] or 'it said nothing'}")
    with video.open("rb") as written:
        os.fsync(written.fileno())
    return video


def _command(geometry: Geometry, crf: int, sound: str, video: str) -> list[str]:
    size = f"{geometry.width}x{geometry.height}"
    picture = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=size, framerate=geometry.fps)
    options = {
        "c:v": "libx264", "preset": "veryfast", "crf": crf, "pix_fmt": "yuv420p", "threads": 1,
        "c:a": "aac", "b:a": "160k" if geometry.sample_rate >= 44100 else "96k",
        "movflags": "+faststart", "fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact",
    }  # fmt: skip
    stream = ffmpeg.output(picture, ffmpeg.input(sound), video, **options)
    # -xerror: without it a trailer that did not fit on the disk still ends with status 0.
    command: list[str] = stream.global_args("-v", "error", "-nostats", "-xerror").overwrite_output().compile()
    return command


def _feed(process: subprocess.Popen[bytes], clip: Clip) -> None:
    assert process.stdin is not None
    try:
        for frame in clip.frames:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
    except BrokenPipeError:
        return  # ffmpeg ended early: its status and words say why


def _write_wav(path: Path, sound: npt.NDArray[np.int16], sample_rate: int) -> None:
    with path.open("wb") as file, wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate)
        wav.writeframes(sound.astype("<i2").tobytes())

"""Picture and sound into one file: the picture copied by ffmpeg, and a look at the result whether both begin together."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from v2a.infer.container import Container, Muxed, containers_for
from v2a.media.look import Look, open_container
from v2a.media.opening import OpenFile
from v2a.media.reading import Facts, Limits, MediaError
from v2a.shards.errors import DiskFull

_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT: of these, ffmpeg counts time from the streams that it uses
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_LINES = 3  # of ffmpeg's last words: the cause often stands before the last
_POLL_S = 0.05
_TICK_S = 0.0015  # Matroska counts in milliseconds: both beginnings may be rounded by half of one
_PACKETS = 2000  # that are looked at for the first picture and the first sound


class Stopped(Exception):  # noqa: N818 - the name says what happened
    """It was asked to stop."""


@dataclass(frozen=True)
class Muxing:
    """What goes into a video.

    Attributes:
        file: the input.
        suffix: of its name.
        look, facts: of its picture.
        wave: name of the WAV file within `folder`.
        rate: of the sound, Hz.
        folder: where the output goes.
        limits: what it may cost.
        should_stop: asked often.
    """

    file: OpenFile
    suffix: str
    look: Look
    facts: Facts
    wave: str
    rate: int
    folder: Path
    limits: Limits
    should_stop: Callable[[], bool]


def mux(job: Muxing) -> Path:
    """Write the video with its sound, in the first container that takes it; its path.

    Raises:
        MediaError: none takes it, or it takes too long.
        DiskFull: there is no room.
        Stopped: it was asked to stop.
    """
    reason: MediaError | None = None
    for container in containers_for(job.look.format, job.suffix, job.facts.video_codec):
        out = job.folder / f"video{container.suffix}"
        try:
            _mux(job, container, out)
        except MediaError as error:
            reason = reason or error
            out.unlink(missing_ok=True)
            if error.kind != "not-muxed":
                raise
        else:
            return out
    assert reason is not None
    raise reason


def _mux(job: Muxing, container: Container, out: Path) -> None:
    shift = _beginning(job) - job.facts.first_s
    for _ in range(2):  # ffmpeg's count of time depends on version and container: look, and correct it once
        end_s = job.facts.length_s if job.facts.ended_by_gap else None
        made = Muxed(
            job.file.path, job.look.video, job.limits.pixels, container, job.wave, job.rate, out.name, shift, end_s
        )
        _run(made.command(), job)
        late_s = _sound_after_picture(out)
        if abs(late_s) <= _TICK_S:
            with out.open("rb") as file:
                os.fsync(file.fileno())
            return
        shift += late_s
    raise MediaError(
        "not-muxed", f"its sound would begin {1000 * late_s:.0f} ms after its picture in {container.suffix}"
    )


def _beginning(job: Muxing) -> float:
    """What ffmpeg takes for the time 0 of this input, s in the container's own time."""
    with open_container(job.file, job.limits) as container:
        stream: Any = container.streams[job.look.video]
        if container.format.flags & _TS_DISCONT and stream.start_time is not None:
            return float(stream.start_time * stream.time_base)
        return (container.start_time or 0) / 1e6


def _run(command: list[str], job: Muxing) -> None:
    deadline = time.monotonic() + job.limits.seconds
    # In memory: on a full disk its last words would be lost, and a full disk taken for a bad picture.
    with os.fdopen(os.memfd_create("ffmpeg"), "w+b") as log:
        try:
            process = subprocess.Popen(
                command, cwd=job.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                pass_fds=[job.file.fd], start_new_session=True, env=_environment(),
            )  # fmt: skip
        except FileNotFoundError as error:
            if error.filename != command[0]:
                raise
            raise MediaError("no-ffmpeg", "there is no program ffmpeg, which copies the picture; install it") from None
        try:
            _wait(process, deadline, job)
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        log.seek(max(0, log.tell() - 4096))
        said = log.read().decode(errors="replace")
    if any(words in said for words in _FULL):
        raise DiskFull(f"the disk is full, or a limit of size is reached, at {job.folder}")
    if process.returncode:
        words = [line.strip() for line in said.splitlines() if line.strip()][-_LINES:] or [
            f"status {process.returncode}"
        ]
        raise MediaError(
            "not-muxed",
            f"its picture cannot be copied into another file by ffmpeg ({'; '.join(words)}); convert it to H.264 before",
        )


def _wait(process: subprocess.Popen[bytes], deadline: float, job: Muxing) -> None:
    while process.poll() is None:
        if job.should_stop():
            raise Stopped
        if time.monotonic() > deadline:
            raise MediaError(
                "too-slow", f"copying its picture took longer than {job.limits.seconds:g} s (limit.minutes)"
            )
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "FFREPORT"}
    environment["AV_LOG_FORCE_NOCOLOR"] = "1"
    return environment


def _sound_after_picture(path: Path) -> float:
    """By how much the first sample is heard after the first picture is seen, s.

    Raises:
        MediaError: one of the two is not there.
    """
    first: dict[str, float] = {}
    try:
        with av.open(os.fspath(path)) as container:
            for number, packet in enumerate(container.demux()):
                kind = packet.stream.type
                if kind not in first:  # the empty packets of the end too: they bring out pictures that were held back
                    for frame in packet.decode():
                        if frame.pts is not None:
                            first.setdefault(kind, float(frame.pts * packet.time_base))
                if len(first) == 2 or number > _PACKETS:
                    break
    except av.error.FFmpegError as error:
        raise MediaError("not-muxed", f"the video that ffmpeg made cannot be read ({error.strerror})") from None
    if len(first) < 2:
        raise MediaError("not-muxed", "the video that ffmpeg made lacks its picture or its sound")
    return first["audio"] - first["video"]

"""One video from its file to its sound, in a working folder of its own."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from v2a.audio.load import LoadedAudio
from v2a.infer.ahead import ahead
from v2a.infer.config import Config
from v2a.infer.container import containers_for
from v2a.infer.mux import Muxing, Stopped, mux
from v2a.infer.names import Item
from v2a.infer.outputs import check_free
from v2a.infer.records import Done, Output, Records
from v2a.infer.sounding import sounds
from v2a.infer.wave import WaveFile
from v2a.infer.windows import overlap_frames, windows
from v2a.media.look import look, open_container
from v2a.media.opening import OpenFile
from v2a.media.pyav_reader import PyavReader
from v2a.media.reading import Facts, Fit, Limits, MediaError, Request, Segment
from v2a.prepare.limits import limits_of


@dataclass(frozen=True)
class Making:
    """What all videos of a worker have in common.

    Attributes:
        config: settings.
        recipe: model, seed and settings as one name.
        loaded: the model.
        records: of the output folder.
        should_stop: asked after each segment.
        progress: called with the part of the present video that is read, 0 to 1, as its header promises it.
    """

    config: Config
    recipe: str
    loaded: LoadedAudio
    records: Records
    should_stop: Callable[[], bool]
    progress: Callable[[float], None]


def make_sound(making: Making, item: Item, file: OpenFile, content: str, folder: Path) -> tuple[dict[str, Path], Done]:
    """The outputs of a video, whole and on the disk, and the record that goes with them.

    Args:
        making: model and settings.
        item: the video.
        file: its file, open.
        content: hash of its bytes.
        folder: an empty one, on the file system of the outputs.

    Raises:
        MediaError: no sound can be made for it; the reason is for people.
        DiskFull: there is no room.
        Stopped: it was asked to stop.
    """
    begun, before = time.monotonic(), os.fstat(file.fd)
    limits = limits_of(making.config.limit)
    suffix = os.path.splitext(item.path)[1]
    seen, _ = look(file, limits)
    for container in containers_for(seen.format, suffix, ""):
        check_free(making.records.out, item, container.suffix, making.records)  # before the work, too
    check_free(making.records.out, item, ".wav", making.records)
    wave = folder / "sound.wav"
    facts, samples = _read(making, file, wave, content, limits)
    rate = making.loaded.geometry.sample_rate
    job = Muxing(file, suffix, seen, facts, wave.name, rate, folder, limits, making.should_stop)
    made = {"video": mux(job), "sound": wave}
    _check_unchanged(before, file)
    outputs = {kind: _output(item.stem + path.suffix, path) for kind, path in made.items()}
    notes = [
        *facts.notes,
        *(["the file goes on after that; picture and sound were cut there"] if facts.ended_by_gap else []),
    ]
    return made, Done(
        item.path, before.st_size, before.st_mtime_ns, content, making.recipe, making.loaded.identity,
        making.loaded.encoder.identity, making.config.seed, outputs, samples / rate, round(time.monotonic() - begun, 3),
        socket.gethostname(), notes,
    )  # fmt: skip


def _read(making: Making, file: OpenFile, wave: Path, content: str, limits: Limits) -> tuple[Facts, int]:
    """Write the sound; what is known of the picture then, and the number of samples."""
    geometry, config = making.loaded.geometry, making.config
    overlap = overlap_frames(geometry, config.overlap_s)
    request = Request(file.path, geometry, cast("Fit", config.fit), limits=limits, sound=False)
    key = f"{making.recipe} {content}"
    with (
        PyavReader().open(request) as reading,
        ahead(reading) as read,
        WaveFile(wave, geometry.sample_rate) as out,
    ):
        segments = _watched(making, read, _promised_s(file, limits))
        for samples in sounds(
            windows(segments, geometry, overlap),
            reading.facts,
            making.loaded,
            overlap,
            key,
            threads=max(1, config.threads),
        ):
            out.add(samples)
            if making.should_stop():
                raise Stopped
    return reading.facts, out.samples


def _watched(making: Making, segments: Iterator[Segment], promised_s: float) -> Iterator[Segment]:
    for segment in segments:
        yield segment
        if promised_s > 0:
            making.progress(min(1.0, (segment.start_s + making.loaded.geometry.segment_s) / promised_s))


def _promised_s(file: OpenFile, limits: Limits) -> float:
    """What the header says of its length, s, for the progress bar only; 0 when it says nothing."""
    with open_container(file, limits) as container:
        return (container.duration or 0) / 1e6


def _output(name: str, path: Path) -> Output:
    status = path.stat()
    return Output(name, status.st_size, status.st_mtime_ns)


def _check_unchanged(before: os.stat_result, file: OpenFile) -> None:
    now = os.fstat(file.fd)
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise MediaError("changed", "it was written to while it was read; repeat the command when it is whole")

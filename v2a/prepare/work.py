"""One worker: reads videos, keeps the clips that pass the filters, writes them to its own shards."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import cast

from v2a.media.readers import get_reader
from v2a.media.reading import Facts, Fit, Limits, MediaError, Reader, Request, Segment
from v2a.prepare.config import Config
from v2a.prepare.content import content_hash
from v2a.prepare.crash import AtWork
from v2a.prepare.failures import append_failure
from v2a.prepare.folder import WorkerPlace, start_ms
from v2a.prepare.measure import level_db, motion
from v2a.prepare.plan import VideoTask, failure_of
from v2a.shards.records import Clip, ClipRow, VideoRecord
from v2a.shards.writer import ShardWriter
from v2a.tasks import Link

DEFAULT_READER = "pyav"


def work(config: Config, link: Link) -> None:
    """Read videos as the link gives them, until it gives none; what is whole is kept when it asks to stop, or on an error."""
    tasks = link.tasks()
    # Not before the first task: the process that leads must have seen that no worker of an earlier run is left.
    first = next(tasks, None)
    if first is None:
        return
    out = Path(config.out)
    with WorkerPlace(out) as place, _writer(config, out, place) as writer, AtWork(place.at_work) as at_work:
        worker = _Worker(config, link, writer, place)
        for task in chain([first], tasks):
            at_work.begin(task)
            worker.take(task)


def _writer(config: Config, out: Path, place: WorkerPlace) -> ShardWriter:
    return ShardWriter(
        out,
        config.geometry,
        clips_per_shard=config.clips_per_shard,
        compression=config.compression,
        prefix=place.prefix,
    )


@dataclass
class _Video:
    """A video at work, and what became of its segments."""

    task: VideoTask
    content: str
    facts: Facts = field(default_factory=Facts)
    kept: int = 0
    known: int = 0  # whole shards held them before
    seconds: float = 0.0  # of picture in all of these
    dropped: Counter[str] = field(default_factory=Counter)
    ended_short: MediaError | None = None

    @property
    def clips(self) -> int:
        return self.kept + self.known


class _Worker:
    def __init__(self, config: Config, link: Link, writer: ShardWriter, place: WorkerPlace) -> None:
        self._config, self._link, self._writer, self._place = config, link, writer, place
        self._reader: Reader = get_reader(DEFAULT_READER if config.reader == "auto" else config.reader)
        limit = config.limit
        self._limits = Limits(
            seconds=limit.minutes * 60,
            stall_s=limit.stall_s,
            file_bytes=int(limit.gigabytes * 1e9),
            pixels=int(limit.megapixels * 1e6),
            gap_s=limit.gap_s,
        )
        self._shards = 0

    def take(self, task: VideoTask) -> None:
        """One video, to clips or to a line in the list of failures. Neither, when the link asked to stop in the middle."""
        try:
            video = _Video(task, content_hash(task.video.path))
            self._read(video)
            if self._link.should_stop():
                return
            self._settle(video)
        except MediaError as error:
            append_failure(self._place.failures, failure_of(task, error))
            self._link.count({"failures": 1})
        self._link.count({"videos": 1, "bytes": task.bytes})

    def _read(self, video: _Video) -> None:
        begun = time.monotonic()
        with self._reader.open(self._request(video.task)) as reading:
            video.facts = reading.facts
            try:
                for segment in reading:
                    self._sort(video, segment)
                    if self._link.should_stop():
                        break
            except MediaError as error:
                video.ended_short = error
        frames = video.facts.source_frames
        self._link.count({"source_frames": frames, "reading_s": time.monotonic() - begun})

    def _request(self, task: VideoTask) -> Request:
        config, video = self._config, task.video
        fit = cast("Fit", config.fit)  # the config saw to it
        return Request(
            video.path, config.geometry, fit, video.start_s, video.end_s, threads=config.threads, limits=self._limits
        )

    def _sort(self, video: _Video, segment: Segment) -> None:
        """Keep a segment as a clip, or count why not."""
        seconds = segment.frames / self._config.geometry.fps
        if start_ms(segment.start_s) in video.task.have.get(video.content, ()):
            video.known += 1
            video.seconds += seconds
            return
        row = self._row(video, segment)
        if reason := self._why_not(row):
            video.dropped[reason] += 1
            return
        self._writer.add(Clip(segment.video, segment.audio, row))
        if len(self._writer.finished) > self._shards:
            self._shards = len(self._writer.finished)
            self._link.durable()
        video.kept += 1
        video.seconds += seconds
        self._link.count({"clips": 1, "seconds": seconds})

    def _row(self, video: _Video, segment: Segment) -> ClipRow:
        samples = self._config.geometry.samples_until(segment.frames)
        path = video.task.video.path
        return ClipRow(
            source=path,
            content=video.content,
            group=group_of(path, self._config.split.group) or video.content,
            label=video.task.video.label,
            segment=segment.index,
            start_s=segment.start_s,
            frames=segment.frames,
            has_audio=video.facts.audio_codec != "",
            level_db=level_db(segment.audio[:samples]),
            motion=motion(segment.video[: segment.frames]),
        )

    def _why_not(self, row: ClipRow) -> str:
        """The filter that leaves a clip out; "" when none does."""
        keep, whole = self._config.keep, self._config.geometry.frames
        if row.frames < whole:
            if row.segment == 0 and keep.short == "drop":
                return "short"
            if row.segment > 0 and row.frames < keep.min_fill * whole:
                return "remainder"
        if not row.has_audio and keep.silent == "drop":
            return "silent"
        if row.has_audio and row.level_db < keep.min_level_db:
            return "quiet"
        return "still" if row.motion < keep.min_motion else ""

    def _settle(self, video: _Video) -> None:
        """Write down what became of the video.

        Raises:
            MediaError: it gave no clip.
        """
        if not video.clips:
            raise video.ended_short or MediaError("filtered", self._filtered(video))
        task, facts, early = video.task, video.facts, video.ended_short
        record = VideoRecord(
            source=task.video.path,
            bytes=task.bytes,
            mtime_ns=task.mtime_ns,
            content=video.content,
            span=task.video.span,
            seconds=facts.seconds,
            clips=video.clips,
            dropped=dict(video.dropped),
            remainder_s=max(0.0, facts.seconds - video.seconds) if video.dropped["remainder"] else 0.0,
            facts=_for_people(facts),
            notes=[*facts.notes, *([f"it ends early: {early}"] if early else [])],
        )
        self._writer.end_video(record)

    def _filtered(self, video: _Video) -> str:
        keep, segment_s = self._config.keep, self._config.geometry.segment_s
        reasons = {
            "short": f"it is {video.facts.seconds:.3g} s long, shorter than a segment of {segment_s:g} s (keep.short=pad takes it)",
            "remainder": "only a remainder of it is new",
            "silent": "it has no sound (keep.silent=keep takes it)",
            "quiet": f"it is quieter than keep.min_level_db={keep.min_level_db:g} throughout",
            "still": f"it moves less than keep.min_motion={keep.min_motion:g} throughout",
        }
        return "; ".join(reasons[name] for name in video.dropped) or "nothing of it could be read"


def group_of(path: str, pattern: str) -> str:
    """What the pattern finds in a file's name; "" when it finds nothing, or when there is none."""
    match = re.search(pattern, Path(path).name) if pattern else None
    if match is None:
        return ""
    return match.group(1) if match.re.groups and match.group(1) is not None else match.group(0)


def _for_people(facts: Facts) -> dict[str, str | float]:
    return {
        "width": facts.width,
        "height": facts.height,
        "rotation": facts.rotation,
        "fps": round(facts.source_fps, 3),
        "video": facts.video_codec,
        "audio": facts.audio_codec,
    }

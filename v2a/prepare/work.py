"""One worker: reads videos, keeps the clips that pass the filters, writes them to its own shards."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import cast

from v2a.media.opening import OpenFile
from v2a.media.readers import get_reader
from v2a.media.reading import Facts, Fit, MediaError, Reader, Request, Segment
from v2a.prepare.bundle import Bundle, Duplicate, VideoTask, failure_of
from v2a.prepare.config import Config
from v2a.prepare.content import content_hash
from v2a.prepare.crash import AtWork
from v2a.prepare.done import Content, Owner
from v2a.prepare.failures import Key, append_failure
from v2a.prepare.folder import WorkerPlace
from v2a.prepare.limits import limits_of
from v2a.prepare.measure import level_db, motion
from v2a.shards.identity import moment_of
from v2a.shards.records import Clip, ClipRow, Moment, VideoRecord
from v2a.shards.writer import ShardWriter
from v2a.tasks import Link

_NAMED = 3  # owners in a sentence


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
        for bundle in chain([first], tasks):
            worker.take(bundle, at_work)


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
    """An input at work, and what became of its segments."""

    task: VideoTask
    name: str  # of its content
    group: str
    content: Content  # what is held of it, by this worker as well
    facts: Facts = field(default_factory=Facts)
    own: list[Moment] = field(default_factory=list)  # clips written now, or by a run that was killed
    others: list[Owner] = field(default_factory=list)  # of the clips that other inputs have
    seconds: float = 0.0  # of picture in all of these
    dropped: Counter[str] = field(default_factory=Counter)
    ended_short: MediaError | None = None


class _Worker:
    def __init__(self, config: Config, link: Link, writer: ShardWriter, place: WorkerPlace) -> None:
        self._config, self._link, self._writer, self._place = config, link, writer, place
        self._reader: Reader = get_reader(config.reader)
        self._limits = limits_of(config.limit)
        self._held = place.held()
        self._shards = 0

    def take(self, bundle: Bundle, at_work: AtWork) -> None:
        """Each input to clips or to a line in the list of failures. Neither, when the link asked to stop in the middle."""
        settled: dict[tuple[str, str], Key] = {}  # by content and span
        for name, held in bundle.held.items():
            self._held.setdefault(name, Content(held.group)).add(held)
        for task in bundle.tasks:
            at_work.begin(task)
            try:
                # Hashed and read through one opening: a file that takes its name meanwhile is another one.
                with OpenFile(task.video.path, self._limits) as file:
                    if not self._one(bundle, task, file, settled):
                        return
            except MediaError as error:
                append_failure(self._place.failures, failure_of(task, error))
                self._link.count({"failures": 1})
            self._link.count({"videos": 1, "bytes": task.bytes})

    def _one(self, bundle: Bundle, task: VideoTask, file: OpenFile, settled: dict[tuple[str, str], Key]) -> bool:
        """One input; False when the link asked to stop in the middle."""
        before = os.fstat(file.fd)
        name = self._name(bundle, task, file)
        if self._link.should_stop():
            return False
        _check_unchanged(before, file)
        if first := settled.get((name, task.video.span)):
            raise Duplicate(f"it has the same content as {first[0]}, which is taken", name, [first])
        as_read = replace(task, bytes=before.st_size, mtime_ns=before.st_mtime_ns)
        video = self._video(bundle, as_read, name)
        self._read(video, file, before)
        if self._link.should_stop():
            return False
        _check_unchanged(before, file)
        self._settle(video)
        settled[name, task.video.span] = task.key
        return True

    def _name(self, bundle: Bundle, task: VideoTask, file: OpenFile) -> str:
        """The content's hash; the plan's when the file is as it was then."""
        status = os.fstat(file.fd)
        if bundle.content and (status.st_size, status.st_mtime_ns) == (task.bytes, task.mtime_ns):
            return bundle.content
        return content_hash(file.path, self._limits, lambda _: self._link.should_stop())

    def _video(self, bundle: Bundle, task: VideoTask, name: str) -> _Video:
        content = self._held.setdefault(name, Content())
        content.group = content.group or bundle.group or name
        return _Video(task, name, content.group, content)

    def _read(self, video: _Video, file: OpenFile, before: os.stat_result) -> None:
        begun = time.monotonic()
        with self._reader.open(self._request(video.task, file.path)) as reading:
            video.facts = reading.facts
            try:
                for segment in reading:
                    _check_unchanged(before, file)  # a clip is stored only while the file is what was hashed
                    self._sort(video, segment)
                    if self._link.should_stop():
                        break
            except MediaError as error:
                video.ended_short = error
        frames = video.facts.source_frames
        self._link.count({"source_frames": frames, "reading_s": time.monotonic() - begun})

    def _request(self, task: VideoTask, path: str) -> Request:
        config, video = self._config, task.video
        fit = cast("Fit", config.fit)  # the config saw to it
        return Request(
            path, config.geometry, fit, video.start_s, video.end_s, threads=config.threads, limits=self._limits
        )

    def _sort(self, video: _Video, segment: Segment) -> None:
        """Keep a segment as a clip, or count why not."""
        seconds = segment.frames / self._config.geometry.fps
        moment = moment_of(segment.start_s, segment.frames)
        if moment in video.content.labels:
            owner = video.content.owners.get(moment)
            if owner is None or owner.key == video.task.key:
                video.own.append(moment)
            else:
                video.others.append(owner)
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
        video.content.labels[moment] = row.label
        video.own.append(moment)
        video.seconds += seconds
        self._link.count({"clips": 1, "seconds": seconds})

    def _row(self, video: _Video, segment: Segment) -> ClipRow:
        samples = self._config.geometry.samples_until(segment.frames)
        return ClipRow(
            source=video.task.video.path,
            content=video.name,
            group=video.group,
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
        """Write down what became of the input.

        Raises:
            MediaError: it gave no clip of its own.
        """
        if not video.own and video.others:
            raise Duplicate(_whose(video.others), video.name, [owner.key for owner in video.others])
        if not video.own:
            raise video.ended_short or MediaError("filtered", self._filtered(video))
        task, facts, early = video.task, video.facts, video.ended_short
        record = VideoRecord(
            source=task.video.path,
            bytes=task.bytes,
            mtime_ns=task.mtime_ns,
            content=video.name,
            span=task.video.span,
            seconds=facts.seconds,
            clips=len(video.own),
            dropped=dict(video.dropped),
            remainder_s=max(0.0, facts.seconds - video.seconds) if video.dropped["remainder"] else 0.0,
            facts=_for_people(facts),
            notes=[*facts.notes, *([f"it ends early: {early}"] if early else [])],
            moments=video.own,
        )
        if video.others:
            record.notes.append(f"{len(video.others)} more of {_whose(video.others)}")
        self._writer.end_video(record)
        video.content.claim(task.key, video.own)

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


def _check_unchanged(before: os.stat_result, file: OpenFile) -> None:
    """Raise `MediaError` when bytes were written into the file since; it is tried again by the next run."""
    now = os.fstat(file.fd)
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise MediaError("changed", "it was written to while it was read; repeat the command when it is whole")


def _whose(owners: list[Owner]) -> str:
    """In a sentence, for the reason and for notes."""
    different = list(dict.fromkeys(owners))
    names = " and ".join(f"{owner.source}{f', {owner.span} s' if owner.span else ''}" for owner in different[:_NAMED])
    more = f" and {len(different) - _NAMED} more inputs" if len(different) > _NAMED else ""
    labels = " and ".join(repr(label) for label in dict.fromkeys(owner.label for owner in different) if label)
    kept = f"; the label {labels} is kept" if labels else ""
    return f"its clips are those of {names}{more}{kept}"


def _for_people(facts: Facts) -> dict[str, str | float]:
    return {
        "width": facts.width,
        "height": facts.height,
        "rotation": facts.rotation,
        "fps": round(facts.source_fps, 3),
        "video": facts.video_codec,
        "audio": facts.audio_codec,
    }

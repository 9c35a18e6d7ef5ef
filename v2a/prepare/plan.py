"""What is left to do: the inputs less what is done, what failed before, and copies."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from v2a.media.reading import MediaError
from v2a.prepare.content import content_hash, unreadable
from v2a.prepare.failures import Failure
from v2a.prepare.folder import Done
from v2a.prepare.inputs import Input


@dataclass(frozen=True)
class VideoTask:
    """One input to be read.

    Attributes:
        video: the input.
        bytes, mtime_ns: of its file when it was planned.
        have: by content, starts in ms of its clips that whole shards hold already.
    """

    video: Input
    bytes: int
    mtime_ns: int
    have: dict[str, set[int]] = field(default_factory=dict)


@dataclass
class Plan:
    """The work of one run.

    Attributes:
        tasks: largest files first, so that none of them is the last.
        failures: inputs that are known to give nothing without reading them.
        done: inputs that ended in clips before.
        failed: inputs that failed before and have not changed since.
    """

    tasks: list[VideoTask] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    done: int = 0
    failed: int = 0


def make_plan(videos: Iterable[Input], done: Done, failures: Iterable[Failure], retry_failures: bool) -> Plan:
    """Compare the inputs with what the folder holds.

    A file is known by its path, size and time of change; one whose size equals another's is compared by content.
    """
    plan, candidates = Plan(), []
    before = {failure.key: failure for failure in failures}
    for video in videos:
        try:
            status = os.stat(video.path)
        except OSError as error:
            reason = unreadable(error)
            plan.failures.append(Failure(video.path, video.span, reason.kind, str(reason)))
            continue
        record = done.videos.get((video.path, video.span))
        failure = before.get((video.path, video.span))
        if record is not None and (record.bytes, record.mtime_ns) == (status.st_size, status.st_mtime_ns):
            plan.done += 1
        elif failure is not None and _same(failure, status) and not retry_failures:
            plan.failed += 1
        else:
            have = done.clips.get(video.path, {})
            candidates.append(VideoTask(video, status.st_size, status.st_mtime_ns, have))
    _leave_out_copies(plan, candidates, done)
    plan.tasks.sort(key=lambda task: (-task.bytes, task.video.path, task.video.span))
    return plan


def _same(failure: Failure, status: os.stat_result) -> bool:
    return (failure.bytes, failure.mtime_ns) == (status.st_size, status.st_mtime_ns)


def _leave_out_copies(plan: Plan, candidates: list[VideoTask], done: Done) -> None:
    """Only files of equal size are read for it."""
    by_size: dict[tuple[int, str], list[VideoTask]] = defaultdict(list)
    for task in candidates:
        by_size[task.bytes, task.video.span].append(task)
    recorded: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    for record in done.videos.values():
        recorded[record.bytes, record.span].append((record.content, record.source))
    for (size, span), tasks in by_size.items():
        same_size = dict(recorded.get((size, span), []))
        if len(tasks) == 1 and not same_size:
            plan.tasks += tasks
        else:
            _compare(plan, tasks, same_size)


def _compare(plan: Plan, tasks: list[VideoTask], recorded: dict[str, str]) -> None:
    taken: dict[str, str] = {}
    for task in tasks:
        source = task.video.path
        try:
            content = content_hash(source)
        except MediaError as error:
            plan.failures.append(failure_of(task, error))
            continue
        first = recorded.get(content) or taken.setdefault(content, source)
        if content in recorded and (first == source or not os.path.exists(first)):
            plan.done += 1  # touched, or moved: its clips are there
        elif first == source:
            plan.tasks.append(task)
        else:
            reason = MediaError("duplicate", f"it has the same content as {first}, which is taken")
            plan.failures.append(failure_of(task, reason))


def failure_of(task: VideoTask, error: MediaError) -> Failure:
    """A task's line in the list of failures."""
    return Failure(task.video.path, task.video.span, error.kind, str(error), task.bytes, task.mtime_ns)

"""What is left to do: the inputs less what is done, what failed before, and copies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from v2a.media.opening import check_status, unreadable
from v2a.media.reading import MediaError
from v2a.prepare.bundle import Bundle, Duplicate, VideoTask, bundled, failure_of
from v2a.prepare.config import Config
from v2a.prepare.content import content_hash
from v2a.prepare.done import Done
from v2a.prepare.failures import Failure, Key
from v2a.prepare.group import group_of
from v2a.prepare.inputs import Input
from v2a.prepare.limits import limits_of
from v2a.shards.records import VideoRecord

Compared = Callable[[int, int], None]  # bytes read so far, and in all


@dataclass
class Plan:
    """The work of one run.

    Attributes:
        tasks: largest files first, so that none of them is the last.
        failures: inputs that are known to give nothing without reading them.
        done: inputs that ended in clips before.
        failed: what failed before and has not changed since.
    """

    tasks: list[Bundle] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    done: set[Key] = field(default_factory=set)
    failed: list[Failure] = field(default_factory=list)

    @property
    def contents(self) -> set[str]:
        """Hashes of what is to be read, as far as they are known."""
        return {bundle.content for bundle in self.tasks if bundle.content}


def make_plan(
    videos: Iterable[Input], done: Done, failures: Iterable[Failure], config: Config, compared: Compared | None = None
) -> Plan:
    """Compare the inputs with what the folder holds.

    A file is known by its path, size and time of change; one whose size equals another's is compared by content.

    Args:
        videos: in the order that says whose a clip is.
        done: what the folder holds.
        failures: earlier ones; of several of one input the last counts.
        config: of the run.
        compared: told how far the comparing is.
    """
    plan, candidates = Plan(), []
    before = {failure.key: failure for failure in failures}
    for video in videos:
        try:
            status = _status(video.path, config)
        except MediaError as error:
            plan.failures.append(_unread(video, error))
            continue
        task = VideoTask(video, status.st_size, status.st_mtime_ns)
        failure = before.get(task.key)
        if done.has(task.key, task.bytes, task.mtime_ns):
            plan.done.add(task.key)
        elif failure is not None and not config.retry_failures and _is_settled(failure, status, done):
            plan.failed.append(failure)
        else:
            candidates.append(task)
    _Copies(plan, done, config).sort(candidates, compared or (lambda read, total: None))
    plan.tasks.sort(key=lambda bundle: (-bundle.tasks[0].bytes, bundle.tasks[0].key))
    return plan


def _status(path: str, config: Config) -> os.stat_result:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(error) from None
    check_status(status, limits_of(config.limit))
    return status


def _unread(video: Input, error: MediaError) -> Failure:
    """No size, no time: a glance at the file is all that it takes to try again."""
    return Failure(video.path, video.span, error.kind, str(error))


def _is_settled(failure: Failure, status: os.stat_result, done: Done) -> bool:
    if failure.kind != "duplicate":
        return failure.is_of(status)
    owned = done.holds(failure) and all(any(map(_is_unchanged, done.records[key])) for key in failure.owners)
    return failure.is_of(status) and owned


class _Copies:
    """Sorts the candidates by content: what is done under another name, what is a copy, what is to be read."""

    def __init__(self, plan: Plan, done: Done, config: Config) -> None:
        self._plan, self._done, self._config = plan, done, config
        self._records: dict[tuple[str, str], list[VideoRecord]] = {}  # by content and span
        for records in done.records.values():
            for record in records:
                self._records.setdefault((record.content, record.span), []).append(record)
        self._now: dict[str, str] = {}  # content of each file, where it is known
        self._moved: set[Key] = set()  # records whose file has got another name, which is taken for it

    def sort(self, tasks: list[VideoTask], compared: Compared) -> None:
        """Fill the plan."""
        contents = self._contents(tasks, compared)
        self._now = {path: content for path, content in contents.items() if isinstance(content, str)}
        same: dict[tuple[str, str], list[VideoTask]] = {}
        for task in tasks:
            content = contents.get(task.video.path, "")
            if isinstance(content, MediaError):
                self._plan.failures.append(failure_of(task, content))
            else:
                # A file whose size no other one has is a content of its own.
                same.setdefault((content, "" if content else task.video.path), []).append(task)
        for (content, _), alike in same.items():
            group = group_of(alike[0].video.path, self._config.split.group)
            left = [task for task in alike if not self._is_known(task, content)]
            self._plan.tasks += [Bundle(part, content, group) for part in bundled(left, self._config.geometry)]

    def _contents(self, tasks: list[VideoTask], compared: Compared) -> dict[str, str | MediaError]:
        """Content of each file whose size is also another's, by path, or why it cannot be had."""
        states = {(r.source, r.bytes, r.mtime_ns): r.content for rs in self._done.records.values() for r in rs}
        sizes = {size for _, size, _ in states}
        paths: dict[int, set[str]] = {}
        for task in tasks:
            paths.setdefault(task.bytes, set()).add(task.video.path)
        contents: dict[str, str | MediaError] = {}
        unknown: dict[str, int] = {}
        for task in tasks:
            path = task.video.path
            known = states.get((path, task.bytes, task.mtime_ns))
            if known is not None:  # another span of it was read
                contents[path] = known
            elif task.bytes in sizes or len(paths[task.bytes]) > 1:
                unknown[path] = task.bytes
        total, read = sum(unknown.values()), 0
        for path, size in unknown.items():
            try:
                contents[path] = content_hash(
                    path, limits_of(self._config.limit), partial(_tell, compared, read, total)
                )
            except MediaError as error:
                contents[path] = error
            read += size
        return contents

    def _is_known(self, task: VideoTask, content: str) -> bool:
        """Whether its clips are there already: its own, touched or moved since, or those of a copy."""
        twins = self._records.get((content, task.video.span), []) if content else []
        if any(twin.source == task.video.path for twin in twins):
            self._plan.done.add(task.key)
            return True
        for twin in twins:
            key = (twin.source, twin.span)
            if key not in self._moved and not self._is_there(twin):
                self._moved.add(key)
                self._plan.done.add(task.key)
                return True
        if twins:
            reason = f"it has the same content as {twins[0].source}, which is taken"
            error = Duplicate(reason, content, [(twins[0].source, twins[0].span)])
            self._plan.failures.append(failure_of(task, error))
        return bool(twins)

    def _is_there(self, record: VideoRecord) -> bool:
        """Whether the file that a record is of has not gone, nor made room for another."""
        if record.source in self._now:  # touched, or replaced by one of the same size
            return self._now[record.source] == record.content
        return _is_unchanged(record)


def _tell(compared: Compared, before: int, total: int, read: int) -> bool:
    compared(before + read, total)
    return False


def _is_unchanged(record: VideoRecord) -> bool:
    """Whether the file that a record is of is there as it was."""
    try:
        status = os.stat(record.source)
    except (OSError, ValueError):
        return False
    return (status.st_size, status.st_mtime_ns) == (record.bytes, record.mtime_ns)

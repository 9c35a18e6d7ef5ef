"""The prepare stage as a job of independent tasks, one for each video."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from v2a.config import ConfigError
from v2a.prepare.bundle import Bundle
from v2a.prepare.config import Config
from v2a.prepare.crash import collect_crashes, named_at_work
from v2a.prepare.failures import INPUT, Failure, Key, append_failure, of_other_commands
from v2a.prepare.folder import Folder
from v2a.prepare.inputs import Inputs, find_inputs
from v2a.prepare.plan import Plan, make_plan
from v2a.prepare.progress import Progress
from v2a.prepare.work import work
from v2a.shards.errors import DiskFull, ShardError
from v2a.shards.manifest import Manifest, unique, write_manifest
from v2a.shards.reader import Shard
from v2a.shards.splits import Splits, split_of
from v2a.tasks import Counts, Link


class PrepareJob:
    """Plans, works and finishes; see `v2a.tasks.Job`. Only its config travels to the workers.

    Args:
        config: validated.
        progress: where the process that leads shows how far it is.
    """

    def __init__(self, config: Config, progress: Progress | None = None) -> None:
        self.config = config
        self._progress = progress or Progress()
        self._folder = Folder(Path(config.out))
        self._begun = time.monotonic()
        self._inputs, self._plan = Inputs(), Plan()
        self._known: set[Key] = set()  # all inputs of this command

    def __reduce__(self) -> tuple[type[PrepareJob], tuple[Config]]:
        return PrepareJob, (self.config,)

    def plan(self) -> Sequence[Bundle]:
        """Find the inputs, see what is done, leave out copies.

        Raises:
            ConfigError: no videos, a folder of other settings, or a damaged shard in it.
            v2a.prepare.folder.FolderBusy: another prepare is at work there.
            DiskFull: not even one shard would fit.
        """
        self._inputs = find_inputs(self.config.videos)
        folder = self._folder
        folder.acquire()
        folder.check_settings(self.config.identity())
        self._progress.say_cleaned(folder.clean())
        _check_room(self.config)
        before = folder.failures() + collect_crashes(folder.state)
        if folder.is_tried_otherwise({**self.config.identity(), "limit": asdict(self.config.limit)}):
            before = [failure for failure in before if failure.kind == "duplicate"]
        try:
            done = folder.done()
        except ShardError as error:
            raise ConfigError(f"{error}. Move that file away and start again: its videos are prepared anew") from error
        plan = make_plan(self._inputs.videos, done, before, self.config, self._progress.comparing)
        self._plan = plan
        folder.tell_workers(done, plan.contents)
        others = of_other_commands(before, {video.path for video in self._inputs.videos})
        refused = [Failure(source, "", INPUT, reason) for source, reason in self._inputs.refused]
        self._known = {*((video.path, video.span) for video in self._inputs.videos), *(f.key for f in refused)}
        folder.write_failures([*others, *plan.failed, *plan.failures, *refused])
        self._progress.begin(self._inputs, plan)
        return plan.tasks

    def work(self, link: Link) -> None:
        """One worker."""
        work(self.config, link)

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Progress."""
        self._progress.show(done, total, counts)

    def again(self, task: Bundle) -> Bundle:
        """With what the worker that died has put into whole shards: its clips are not stored twice."""
        done, keys = self._folder.done(), {one.key for one in task.tasks}
        named = {record.content for key in keys for record in done.records.get(key, ())}
        left = {name: held for name, held in done.contents.items() if name in named or held.has_orphans}
        return replace(task, held=left)

    def lost(self, task: Bundle, reason: str) -> None:
        """An input that ended its process twice is a failure; those that would have come after it are tried another time."""
        named = named_at_work(self._folder.state)
        for one in task.tasks:
            failure = Failure(*one.key, "crash", reason, one.bytes, one.mtime_ns)
            if len(task.tasks) > 1 and one.key not in named:
                failure = Failure(
                    *one.key, "not-reached", f"another input of the same content came before it: {reason}"
                )
            append_failure(self._folder.state / "failures-leader.jsonl", failure)

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """Put the failures together, write the manifest, say what came of it.

        Raises:
            ConfigError: a split of `split.required` has too few clips with sound; the clips stay.
        """
        done = self._folder.done()
        latest = {failure.key: failure for failure in self._folder.failures()}
        for task in (task for bundle in self._plan.tasks for task in bundle.tasks):
            if done.has(task.key, task.bytes, task.mtime_ns):
                latest.pop(task.key, None)  # a worker died after it had failed, and another one could read it
        failures = list(latest.values())
        self._folder.write_failures(failures)
        failures = [failure for failure in failures if failure.key in self._known]
        manifest = self._manifest()
        kinds = Counter(failure.kind for failure in failures)
        self._progress.end(self._folder.path, manifest, kinds, stopped)
        if not stopped:
            _check_splits(self.config, manifest)
        return {
            "clips": manifest.total.clips,
            "videos": manifest.total.videos,
            "seconds": manifest.total.seconds,
            "failures": len(failures),
            "source_frames": counts.get("source_frames", 0.0),
            "wall_s": time.monotonic() - self._begun,
            "stopped": float(stopped),
        }

    def close(self) -> None:
        """Let others into the folder."""
        self._progress.close()
        self._folder.release()

    def _manifest(self) -> Manifest:
        split = self.config.split
        splits = Splits(validation=split.validation, test=split.test)
        return write_manifest(self._folder.path, self.config.geometry, self.config.identity(), splits)


def _check_splits(config: Config, manifest: Manifest) -> None:
    needed, out = config.split.required_splits, config.out
    if needed and not manifest.total.clips:
        raise ConfigError(f"{out} has no clip to go on with: no input gave one, and {out}/failures.jsonl says why")
    sounding: Counter[str] = _with_sound(Path(out), manifest) if needed else Counter()
    for name in needed:
        clips = manifest.by_split[name].clips
        if not clips:
            part = "" if name == "train" else f" and split.{name}={getattr(config.split, name):g}"
            raise ConfigError(
                f"no clip of {out} is in split {name}, which is needed here: {manifest.total.videos} videos{part} "
                "gave it none, since a video's split is a function of its content or group alone. Add videos, or change "
                "split.test, split.validation or split.group; the clips stay, and the same command goes on"
            )
        least = 2 if name == "train" else 1  # the nearest clip of training stands beside each model
        if sounding[name] < least:
            raise ConfigError(
                f"expected at least {least} clips with sound in split {name}, for sound is learned and measured here, but "
                f"{sounding[name]} of its {clips} in {out} have any. Add videos with sound; silent ones are "
                "for `python -m v2a.infer`"
            )


def _with_sound(folder: Path, manifest: Manifest) -> Counter[str]:
    rows = []
    for entry in manifest.shards:
        with Shard(folder / entry.name) as shard:
            rows += [(row, None) for row in shard.rows()]
    return Counter(split_of(row.group, manifest.splits) for row, _ in unique(rows) if row.has_audio)


def _check_room(config: Config) -> None:
    """What no clip fits on is said before the work."""
    geometry = config.geometry
    needed = geometry.frames * geometry.frame_bytes + 2 * geometry.samples + (1 << 20)
    status = os.statvfs(config.out)
    free = status.f_bavail * status.f_frsize
    if free < needed:
        raise DiskFull(
            f"{config.out} has {free / 1e6:.0f} MB free, but one clip takes {needed / 1e6:.0f} MB; make room"
        )

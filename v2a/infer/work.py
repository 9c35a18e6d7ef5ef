"""One worker: claims videos, makes their sound, puts it in place, and looks after what others left behind."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from v2a.infer.claims import Claim, Claims, Overtaken
from v2a.infer.config import Config
from v2a.infer.crash import check_crashes, note_crash, watching
from v2a.infer.mux import Stopped
from v2a.infer.outputs import is_there, place_outputs
from v2a.infer.plan import TRIED_ANEW, VideoTask
from v2a.infer.records import STATE, Done, Failed, Records
from v2a.media.opening import OpenFile
from v2a.media.reading import MediaError
from v2a.prepare.content import content_hash
from v2a.prepare.limits import limits_of
from v2a.shards.errors import DiskFull
from v2a.tasks import Link

if TYPE_CHECKING:
    from v2a.audio.load import LoadedAudio

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOOK_S = 0.5  # between two looks at videos that others have claimed


class Worker:
    """Makes the sound of videos until none is left that nobody else cares for.

    Args:
        config: settings.
        loaded: the model.
        recipe: what is made.
        link: where tasks come from.
    """

    def __init__(self, config: Config, loaded: LoadedAudio, recipe: str, link: Link) -> None:
        from v2a.infer.video import Making

        self._config, self._link, self._recipe = config, link, recipe
        self._records = Records(Path(config.out))
        self._making = Making(config, recipe, loaded, self._records, link.should_stop, self._progress)
        self._state = Path(config.out) / STATE
        self._claims = Claims(self._state / "claims", config.lease_s, recipe)
        self._limits = limits_of(config.limit)
        self._bytes, self._shown = 0, 0.0  # of the present video; how much of it was counted

    def run(self, tasks: Iterator[VideoTask]) -> None:
        """All tasks; then those that others had claimed, until each is done or was seen in good hands.

        Raises:
            DiskFull: there is no room for more.
        """
        others = [task for task in tasks if not self._begin(task)]
        while others and not self._link.should_stop():
            others = [task for task in others if not self._claims.is_alive(task.item.key) and not self._take(task)]
            if others:
                time.sleep(_LOOK_S)

    def _begin(self, task: VideoTask) -> bool:
        self._link.durable()
        return self._take(task)

    def _take(self, task: VideoTask) -> bool:
        """Work on a video, unless somebody does; False when somebody does."""
        claim = self._claims.take(task.item.key)
        if claim is None:
            return False
        try:
            with self._folder(task, claim) as folder, watching(folder):
                self._one(task, claim, folder)
        except Stopped:
            pass
        finally:
            claim.give_back()
        return True

    def _one(self, task: VideoTask, claim: Claim, folder: Path) -> None:
        self._bytes, self._shown = task.bytes, 0.0
        item = task.item
        failed = self._records.failed(item.key)
        if failed is not None and failed != task.failed and not self._link.should_stop():
            self._link.count({"videos": 1, "bytes": task.bytes})  # another process tried it meanwhile
            return
        try:
            check_crashes(self._state, item.key)
            self._make(task, claim, folder)
        except (MediaError, OSError) as error:
            self._fail(task, claim, error)
        except Overtaken:
            self._link.count({"overtaken": 1})
        self._link.count({"bytes": task.bytes - self._shown})

    def _make(self, task: VideoTask, claim: Claim, folder: Path) -> None:
        from v2a.infer.video import make_sound

        item = task.item
        with OpenFile(item.path, self._limits) as file:
            done = self._records.done(item.key)
            content = self._content(done, file)
            if self._link.should_stop():
                return
            if done is not None and is_done(done, self._recipe, content, Path(self._config.out)):
                status = os.fstat(file.fd)
                if (done.bytes, done.mtime_ns) != (status.st_size, status.st_mtime_ns):
                    claim.check()
                    known = dataclasses.replace(done, bytes=status.st_size, mtime_ns=status.st_mtime_ns)
                    self._records.know_again(item.key, known)
                self._link.count({"videos": 1, "skipped": 1})
                return
            made, record = make_sound(self._making, item, file, content, folder)
        place_outputs(item, made, record, self._records, claim)
        self._link.count({"videos": 1, "made": 1, "seconds": record.seconds})

    def _content(self, done: Done | None, file: OpenFile) -> str:
        """The hash of its bytes; the one that is known when the file is as it was."""
        status = os.fstat(file.fd)
        if done is not None and (done.bytes, done.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return done.content
        return content_hash(file.path, self._limits, lambda _: self._link.should_stop())

    def _fail(self, task: VideoTask, claim: Claim, error: MediaError | OSError) -> None:
        """Write down why; but for a full disk, which ends the work, and for errors that come of having been overtaken."""
        if isinstance(error, OSError):
            if is_full(error):
                raise error
            error = MediaError("not-written", f"its output could not be written: {error.strerror or error}")
        try:
            claim.check()
        except Overtaken:  # another process has removed the working folder, which looks like any error
            self._link.count({"overtaken": 1})
            return
        size, mtime_ns = (0, 0) if error.kind in TRIED_ANEW else (task.bytes, task.mtime_ns)
        failed = Failed(task.item.path, error.kind, str(error), size, mtime_ns, self._recipe)
        self._records.fail(task.item.key, failed)
        self._link.count({"videos": 1, "failures": 1})

    @contextmanager
    def _folder(self, task: VideoTask, claim: Claim) -> Iterator[Path]:
        """A working folder; what processes before left of this video is removed."""
        work = self._state / "work"
        for stray in work.glob(f"{task.item.key}.*"):
            note_crash(self._state, task.item.key, stray)
            shutil.rmtree(stray, ignore_errors=True)
        folder = work / claim.name
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _progress(self, part: float) -> None:
        """Count a part of the present video's bytes, 0 to 1, before all of it is done."""
        read = max(0.0, part * self._bytes - self._shown)
        self._shown += read
        self._link.count({"bytes": read})


def is_done(done: Done, recipe: str, content: str, out: Path) -> bool:
    """Whether a record is of this content and recipe, and its outputs are there."""
    return (done.recipe, done.content) == (recipe, content) and all(
        is_there(out, output) for output in done.outputs.values()
    )


def remove_strays(out: Path, claims: Claims) -> int:
    """Remove working folders that no claim belongs to; how many."""
    found = list((out / STATE / "work").glob("*"))
    held = claims.held()  # after the list: a claim is there before its folder, and until its folder is gone
    strays = [path for path in found if path.name.partition(".")[0] not in held]
    for path in strays:
        note_crash(out / STATE, path.name.partition(".")[0], path)
        shutil.rmtree(path, ignore_errors=True)
    return len(strays)


def is_full(error: OSError) -> bool:
    """Whether room is what is missing."""
    return isinstance(error, DiskFull) or error.errno in _FULL

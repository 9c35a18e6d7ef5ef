"""The dataset folder while it is prepared: whose turn it is, what it was made with, what is done, what failed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from v2a.config import ConfigError
from v2a.prepare.done import Content, Done, read_done, read_held, write_held
from v2a.prepare.failures import FILE, Failure, read_failures, write_failures
from v2a.shards.folder import remove_unfinished, shard_paths
from v2a.whole import remove_unfinished as remove_drafts
from v2a.whole import write_json

_STATE = ".prepare"
_HELD = "held.json"
_STRAY_S = 20.0  # ranks of a run that was killed may take so long to end
_UNLOCKABLE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


class FolderBusy(BlockingIOError):  # noqa: N818 - the name says what happened
    """Another prepare writes into the folder."""


class Folder:
    """A dataset folder, for the process that leads. One at a time: `acquire` before, `release` after.

    Args:
        path: made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / _STATE
        self._locks: list[int] = []

    def acquire(self) -> None:
        """Become the only one that leads here, and wait for what is left of a run that was killed.

        Raises:
            FolderBusy: another prepare is at work here.
            OSError: the folder cannot be made or written.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        self._locks.append(_lock(self.state / "leader.lock", fcntl.LOCK_EX, 0.0))
        stray = _lock(self.state / "workers.lock", fcntl.LOCK_EX, _STRAY_S)
        os.close(stray)
        remove_drafts(self.path)
        os.truncate(self._locks[0], 0)
        os.pwrite(self._locks[0], f"{socket.gethostname()}, process {os.getpid()}, since {time.ctime()}".encode(), 0)

    def release(self) -> None:
        """Let others in."""
        while self._locks:
            os.close(self._locks.pop())

    def check_settings(self, settings: dict[str, object]) -> None:
        """Refuse to mix clips of different settings in one folder; remember them for the next time.

        Raises:
            ConfigError: the folder was made with others; names them.
        """
        file = self.state / "settings.json"
        wanted = json.loads(json.dumps(settings))
        if file.exists():
            before = json.loads(file.read_text())
            differ = [
                f"{key} is {was}, but {now} was asked for"
                for key, was, now in _differences(before, wanted)
                if was != now
            ]
            if differ and shard_paths(self.path):
                raise ConfigError(
                    f"{self.path} holds clips made with other settings: {'; '.join(differ)}. Take those, or another out="
                )
        write_json(file, wanted)

    def is_tried_otherwise(self, settings: dict[str, object]) -> bool:
        """Whether the last run had other settings or limits, so that what failed then may not fail now; remembers these."""
        file, wanted = self.state / "tried.json", json.loads(json.dumps(settings))
        before = json.loads(file.read_text()) if file.exists() else wanted
        write_json(file, wanted)
        return bool(before != wanted)

    def clean(self) -> int:
        """Remove what killed workers left unfinished; how many files."""
        return len(remove_unfinished(self.path))

    def done(self) -> Done:
        """What all whole shards hold.

        Raises:
            v2a.shards.errors.ShardError: one is damaged.
        """
        return read_done(self.path)

    def tell_workers(self, done: Done, contents: set[str]) -> None:
        """Put down what they must know of clips that are there already: of these contents, and of unfinished ones."""
        write_held(self.state / _HELD, done, contents)

    def failures(self) -> list[Failure]:
        """All failures, also those of workers that were killed before they were put together."""
        return [failure for file in self._failure_files() for failure in read_failures(file)]

    def write_failures(self, failures: list[Failure]) -> None:
        """Put all together into `failures.jsonl`."""
        files = self._failure_files()
        write_failures(self.path / FILE, failures)
        for file in files:
            if file.parent == self.state:
                file.unlink()

    def _failure_files(self) -> list[Path]:
        return [self.path / FILE, *sorted(self.state.glob("failures-*.jsonl"))]


class WorkerPlace:
    """A worker's own names in a dataset folder; while it is open, the next run waits for this worker to end."""

    def __init__(self, path: Path) -> None:
        self.prefix = f"{socket.gethostname()[:20].replace('/', '_')}-{os.getpid()}-{secrets.token_hex(3)}"
        state = path / _STATE
        self.failures = state / f"failures-{self.prefix}.jsonl"
        self.at_work = state / f"at-work-{self.prefix}.log"
        self._held = state / _HELD
        self._lock = _lock(state / "workers.lock", fcntl.LOCK_SH, _STRAY_S)

    def held(self) -> dict[str, Content]:
        """What the process that leads told of clips that are there already, by content."""
        return read_held(self._held)

    def __enter__(self) -> WorkerPlace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """This worker writes nothing more."""
        self.at_work.unlink(missing_ok=True)
        os.close(self._lock)


def _lock(path: Path, kind: int, wait_s: float) -> int:
    """An open file that holds the lock until it is closed, or its process ends however it ends."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNLOCKABLE:  # a file system without locks: nothing can be known
                return file
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES) or time.monotonic() > deadline:
                who = os.pread(file, 300, 0).decode(errors="replace") or "its ranks are still ending"
                os.close(file)
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                place = path.parent.parent
                raise FolderBusy(
                    f"another prepare is at work in {place} ({who}); wait for it, or take another out="
                ) from None
            time.sleep(0.1)
        else:
            return file


def _differences(before: Any, wanted: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    found = []
    for key in sorted({*before, *wanted}):
        was, now = before.get(key), wanted.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            found += _differences(was, now, f"{prefix}{key}.")
        else:
            found.append((prefix + key, was, now))
    return found

"""Every process writes a small file in one folder and waits until it can open everyone else's.

What the protocol takes care of:
- A file appears whole (rename) and on the server (fsync), or not at all.
- NFS clients remember for up to a minute that a name did not exist. Files are opened by name, never found by listing,
  and each process renews its own file while it waits: a change in the folder makes its client ask the server again.
- A process that needs no more waits for the others (`.done` files), and rank 0 removes the folder by one rename. So a
  second exchange under the same name, right after the first, cannot meet its files.
- Leftovers of a killed job are told by the attempt's name inside and by their age, and are removed after a day.
"""

import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

LEFTOVER_S = 86_400.0
_RENEW_S = 2.0


@dataclass(frozen=True)
class Member:
    """One process of the exchange, as it presents itself to the others.

    Attributes:
        attempt: the name of this launch, the same for all its processes and for no other launch.
        rank: of the process.
        size: the world size, as the process sees it.
        host: of the process.
    """

    attempt: str
    rank: int
    size: int
    host: str


@dataclass(frozen=True)
class Seen:
    """A file as read: who wrote it, and how many seconds the writer's clock is ahead of the file server's."""

    member: Member
    clock_ahead_s: float


class Exchange:
    """One process's side of an exchange.

    Args:
        folder: of this launch, the same path for all; made if need be.
        me: this process.
        timeout_s: how long to wait for the others' files, from now on.
        clock: seconds since 1970; replaced in tests.
    """

    def __init__(self, folder: Path, me: Member, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._me, self._timeout_s, self._clock = folder, me, timeout_s, clock
        self._mine = folder / f"{me.rank}.json"
        self._done = folder / f"{me.rank}.done"
        self.seen: dict[int, Seen] = {}

    def meet(self) -> list[int]:
        """Write this process's file and wait for all; returns the ranks that were not seen in time.

        Raises:
            OSError: nothing can be written there.
        """
        deadline = time.monotonic() + self._timeout_s
        pause_s, renewed = 0.05, -_RENEW_S
        while True:
            if time.monotonic() - renewed >= _RENEW_S:
                self._write(self._mine, json.dumps({**asdict(self._me), "time_s": self._clock()}))
                renewed = time.monotonic()
            written = os.stat(self._mine).st_mtime
            for rank in self._missing():
                seen = self._read(rank, written)
                if seen:
                    self.seen[rank] = seen
            left = deadline - time.monotonic()
            if not self._missing() or left <= 0:
                return self._missing()
            time.sleep(min(pause_s, left))
            pause_s = min(1.0, pause_s * 1.5)

    def leave(self) -> None:
        """Wait until the others have read this process's file too, and leave nothing behind; never raises OSError."""
        with suppress(OSError):
            self._write(self._done, "")
            if not self._missing():
                self._wait_for_end()
        for path in (self._mine, self._done):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._sweep()
        for folder in (self._folder, self._folder.parent):
            with suppress(OSError):  # not empty: others are still at it
                folder.rmdir()

    def _missing(self) -> list[int]:
        return [rank for rank in range(self._me.size) if rank not in self.seen]

    def _write(self, path: Path, text: str) -> None:
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        for attempt in range(5):
            try:
                self._make_folder()
                with draft.open("x", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, path)
                break
            except FileNotFoundError:  # another launch has just removed the empty folder
                if attempt == 4:
                    raise
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        with suppress(OSError):  # some network file systems cannot flush a folder
            handle = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _make_folder(self) -> None:
        shared = self._folder.parent
        with suppress(FileExistsError):
            shared.mkdir(parents=True)
            # Whoever may write runs here may check them: people who share the folder for runs share this one, too.
            shared.chmod(stat.S_IMODE(shared.parent.stat().st_mode))
        self._folder.mkdir(exist_ok=True)

    def _read(self, rank: int, written: float) -> Seen | None:
        """Read a rank's file; None when it is not there, not whole, or of an earlier attempt."""
        try:
            with (self._folder / f"{rank}.json").open(encoding="utf-8") as file:
                changed = os.fstat(file.fileno()).st_mtime
                content = json.load(file)
            time_s = float(content.pop("time_s"))
            member = Member(**content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        same = (member.attempt, member.rank, member.size) == (self._me.attempt, rank, self._me.size)
        # Files are renewed while their writers wait: one older than the whole wait was left by a killed process.
        if not same or changed < written - self._timeout_s - 2 * _RENEW_S:
            return None
        # The server stamps the file, the writer its content: comparing each clock with the server's, and not with one
        # another, makes it irrelevant that the processes start at different times.
        return Seen(member, time_s - changed)

    def _wait_for_end(self) -> None:
        """Rank 0 waits for all and removes the folder; the others wait for that, no longer than any may need."""
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            if self._me.rank == 0 and all(_there(self._folder / f"{rank}.done") for rank in range(self._me.size)):
                gone = self._folder.with_name(f"{self._folder.name}.gone-{secrets.token_hex(4)}")
                os.rename(self._folder, gone)
                shutil.rmtree(gone, ignore_errors=True)
                return
            if self._me.rank != 0 and not _there(self._done):
                return
            time.sleep(0.05)

    def _sweep(self) -> None:
        """Remove what killed launches left a day or longer ago."""
        with suppress(OSError):
            _remove_old(self._folder.parent.iterdir(), self._clock())


def _remove_old(folders: Iterable[Path], now_s: float) -> None:
    for folder in folders:
        with suppress(OSError):
            if folder.lstat().st_mtime < now_s - LEFTOVER_S:
                shutil.rmtree(folder, ignore_errors=True)  # follows no symbolic link


def _there(path: Path) -> bool:
    """Ask the server, by opening: a stat may be answered from the client's memory."""
    try:
        with path.open():
            return True
    except OSError:
        return False

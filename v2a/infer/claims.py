"""Who works on which video: claims in the output folder, shared by any number of processes on any number of machines.

A claim is a file `KEY.N` that only one process can create; the highest N of a key counts. Its process renews it as it works. When
it is not renewed for `lease_s`, or its process is known to be dead, another takes over by creating `KEY.N+1`, which again only one
can, and which touches nothing that is there. A process that was only cut off finds out that it was overtaken before it puts its
outputs in place, and drops them. No clocks are compared: each process watches with its own how long a claim stays as it is. No
locks are needed, which not every shared file system has.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from v2a.infer.place import Place

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_RENEWALS = 8  # in the time of a lease


class Overtaken(RuntimeError):  # noqa: N818 - the name says what happened
    """Another process has taken over this claim: what was made under it must be dropped."""


@dataclass(frozen=True)
class _Seen:
    number: int
    place: Place | None
    token: str
    recipe: str
    renewed_ns: int


class Claims:
    """The claims of one output folder, as one process sees them.

    Args:
        folder: where they are; made when the first is taken.
        lease_s: seconds without renewal after which a claim is void.
        recipe: what this process makes; told to others.
    """

    def __init__(self, folder: Path, lease_s: float, recipe: str) -> None:
        self._folder, self._lease_s, self._recipe = folder, lease_s, recipe
        self._watched: dict[str, tuple[_Seen, float]] = {}  # and since when by this process's clock
        self._alive: set[str] = set()
        self._here = Place.here()

    def take(self, key: str) -> Claim | None:
        """Become the one who works on this; None when another does."""
        self._folder.mkdir(parents=True, exist_ok=True)
        numbers = self._numbers(key)
        if numbers and not self._is_void(key, numbers[-1]):
            return None
        number = numbers[-1] + 1 if numbers else 1
        token = secrets.token_hex(8)
        note = {"place": self._here.as_dict(), "token": token, "recipe": self._recipe}
        path = self._folder / f"{key}.{number:06d}"
        if not _create(path, json.dumps(note)):
            return None
        if self._numbers(key)[-1:] != [number]:  # the one before was given back, and taken anew, in this moment
            path.unlink(missing_ok=True)
            return None
        self._watched.pop(key, None)
        self._alive.discard(key)
        return Claim(path, token, self._lease_s / _RENEWALS)

    def is_alive(self, key: str) -> bool:
        """Whether the claim was seen being renewed since `take` first met it; False while that is not known yet."""
        return key in self._alive

    def others(self) -> list[str]:
        """Sentences on who is at work here with another recipe, and not known to be dead."""
        found = set()
        for name in self._names():
            key, _, number = name.rpartition(".")
            seen = self._look(key, int(number))
            if seen is None or seen.recipe == self._recipe or seen.place is None or seen.place.is_dead():
                continue
            age_s = time.time() - seen.renewed_ns / 1e9  # of another clock: for a refusal that a person reads
            if age_s < self._lease_s:
                found.add(str(seen.place))
        return sorted(found)

    def held(self) -> set[str]:
        """Keys that are claimed, by whomever."""
        return {name.rpartition(".")[0] for name in self._names()}

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._folder) if name.rpartition(".")[2].isdigit()]
        except FileNotFoundError:
            return []

    def _numbers(self, key: str) -> list[int]:
        return sorted(int(name[len(key) + 1 :]) for name in self._names() if name.startswith(f"{key}."))

    def _is_void(self, key: str, number: int) -> bool:
        seen = self._look(key, number)
        if seen is None:
            return False  # it was given back just now; look again another time
        if seen.place is not None and seen.place.is_dead():
            return True
        before, since = self._watched.setdefault(key, (seen, time.monotonic()))
        if before != seen:
            self._watched[key] = seen, time.monotonic()
            self._alive.add(key)
            return False
        return time.monotonic() - since > self._lease_s

    def _look(self, key: str, number: int) -> _Seen | None:
        try:
            with (self._folder / f"{key}.{number:06d}").open(
                "rb"
            ) as file:  # opened: so a network file system asks its server
                renewed_ns = os.fstat(file.fileno()).st_mtime_ns
                text = file.read()
        except FileNotFoundError:
            return None
        try:
            note = json.loads(text)
            return _Seen(number, Place(**note["place"]), note["token"], note["recipe"], renewed_ns)
        except (ValueError, KeyError, TypeError):  # half written by a process that was killed
            return _Seen(number, None, "", "", renewed_ns)


class Claim:
    """A video that this process works on. It is renewed by a thread until it is given back.

    Attributes:
        taken_over: another process's claim was there before.
    """

    def __init__(self, path: Path, token: str, renew_s: float) -> None:
        self._path, self._token = path, token
        self.taken_over = not path.name.endswith(".000001")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, args=(renew_s,), daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Of nobody else's work."""
        return f"{self._path.name}-{self._token}"

    def check(self) -> None:
        """See that it is still this process's.

        Raises:
            Overtaken: it is not.
        """
        key, _, number = self._path.name.rpartition(".")
        try:
            mine = json.loads(self._path.read_bytes())["token"] == self._token
            names = os.listdir(self._path.parent)
        except (OSError, ValueError, KeyError, TypeError):
            mine, names = False, []
        higher = [name for name in names if name.startswith(f"{key}.") and name.rpartition(".")[2] > number]
        if not mine or higher:
            raise Overtaken(f"{self._path} is another process's now")

    def give_back(self) -> None:
        """Let others have it; nothing more is done for it here."""
        self._ended.set()
        self._thread.join()
        try:
            self.check()
        except Overtaken:
            return
        key, _, number = self._path.name.rpartition(".")
        # The own one last: it holds off others until the older ones, which are void, are gone.
        older = [n for n in os.listdir(self._path.parent) if n.startswith(f"{key}.") and n.rpartition(".")[2] < number]
        for name in [*older, self._path.name]:
            with suppress(OSError):
                (self._path.parent / name).unlink()

    def _renew(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            with suppress(OSError):  # overtaken and removed, or a disk in trouble: `check` finds out
                os.utime(self._path)


def _create(path: Path, text: str) -> bool:
    """Create a file with its content; False when it is there already."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            with path.open("x") as file:
                file.write(text)
        except FileExistsError:
            return False
    finally:
        draft.unlink(missing_ok=True)
    return True

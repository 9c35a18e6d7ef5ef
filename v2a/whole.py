"""Files that are there whole or not at all, whatever ends the process; JSON that is read or refused, whatever is in it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

_UNFINISHED = ".unfinished"
_MOST = 2**63  # a larger whole number is no count of anything, and many computations end at it


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name, then give it its own; the folder is made.

    Raises:
        OSError: it cannot be written, says why; what was there before stays.
    """
    if path.exists() and not path.is_file():  # a device would be replaced by a file
        raise OSError(errno.EEXIST, "is there, and no file that could be written anew; choose another name", str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(
            error.errno,
            f"could not be written ({reason}); what is whole is kept, and the same command goes on",
            str(path),
        ) from error


def write_json(path: Path, content: Any) -> None:
    """The same of JSON values.

    Raises:
        OSError: see `write_whole`.
    """
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. A whole number beyond 64 bits is a float, infinity if need be.

    Raises:
        ValueError: it is none, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole_number(text: str) -> int | float:
    value = int(text)
    return value if -_MOST <= value < _MOST else float(text)


def remove_unfinished(folder: Path) -> None:
    """What killed processes left in a folder and below."""
    for path in folder.rglob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)

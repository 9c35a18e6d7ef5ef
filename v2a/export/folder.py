"""The folder of an exported model: `model.safetensors`, `config.json`, `README.md`; whole under its name, or not there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from v2a.export.errors import ModelBusy, ModelError
from v2a.shards.layout import checksum
from v2a.training.checkpoint import file_hash
from v2a.training.stamp import FILE as RUN_FILE

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT, VERSION = "v2a-model", 1


def write_model(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], card: str) -> bool:
    """Write a model's folder.

    Args:
        folder: what it will be; its parents are made.
        config: JSON values.
        tensors: by name.
        card: Markdown.

    Returns:
        False when just this model is there already.

    Raises:
        ModelError: the folder holds something else.
        ModelBusy: another export writes it at this moment.
        OSError: it cannot be written; nothing is left of it.
    """
    folder = Path(os.path.abspath(folder))
    if _holds(folder, config, tensors):
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(folder) as place:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, place / WEIGHTS)
            (place / CARD).write_text(card, encoding="utf-8")
            (place / CONFIG).write_text(_sealed(config, place / WEIGHTS), encoding="ascii")
            for path in (place / WEIGHTS, place / CARD, place / CONFIG, place):
                _sync(path)
            os.rename(place, folder)
            _sync(folder.parent)
    except SafetensorError as error:  # how it says that the disk is full
        raise OSError(
            errno.EIO, f"the weights could not be written ({error}); make room, and export again", str(folder)
        ) from None
    except ModelBusy:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(
            error.errno, f"the model could not be written ({reason}); nothing is left of it", str(folder)
        ) from error
    return True


def is_model(folder: Path) -> bool:
    """Whether a folder looks like an exported model, sound or not. A run's folder may have a `config.json` too, of its launcher."""
    return (folder / WEIGHTS).exists() or ((folder / CONFIG).exists() and not (folder / RUN_FILE).exists())


def read_config(folder: Path) -> dict[str, Any]:
    """What `config.json` says, checked against its own checksum.

    Raises:
        ModelError: missing, damaged, or of a newer version.
    """
    path = Path(folder) / CONFIG
    try:
        found: dict[str, Any] = json.loads(path.read_text("ascii"))
        if (found["format"], found["version"]) != (FORMAT, VERSION):
            raise ModelError(
                path, f"is of {found['format']} version {found['version']}; this program reads {FORMAT} {VERSION}"
            )
        if found.pop("checksum") != _checksum(found):
            raise ValueError("it does not match its checksum: it was damaged, or changed by hand")
    except FileNotFoundError:
        raise ModelError(folder, f"has no {CONFIG}, so it is no exported model; export the run again") from None
    except (KeyError, TypeError, ValueError, OSError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(path, f"cannot be read ({error}); export the run again") from None
    return found


def read_weights(folder: Path, config: Mapping[str, Any], device: torch.device) -> dict[str, torch.Tensor]:
    """The tensors, checked against the checksum in the config.

    Raises:
        ModelError: missing or damaged.
    """
    path = Path(folder) / WEIGHTS
    try:
        note = config["weights"]
        size = path.stat().st_size
        if size != note["bytes"]:
            raise ModelError(
                path, f"has {size} bytes where {note['bytes']} were written; copy it again, or export the run again"
            )
        if file_hash(path) != note["xxh3"]:
            raise ModelError(
                path, "does not match its checksum: it was damaged, or is another model's; export the run again"
            )
        tensors: dict[str, torch.Tensor] = load_file(path, device=str(device))
    except FileNotFoundError:
        raise ModelError(path, "is missing; export the run again") from None
    except (KeyError, TypeError, OSError, SafetensorError) as error:
        raise ModelError(path, f"cannot be read ({error}); export the run again") from None
    return tensors


def _holds(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether the folder is just this model; an error when it is anything else but empty."""
    if not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        raise ModelError(folder, "is a file, where a folder is to be; choose another --out")
    if not any(folder.iterdir()):
        return False
    if not is_model(folder):
        raise ModelError(folder, "holds something else than a model; choose another --out")
    there = read_config(folder)
    weights = read_weights(folder, there, torch.device("cpu"))
    # As text: a number that is not one is unequal to itself.
    mine, theirs = ({name: json.dumps(value) for name, value in c.items() if name not in _OWN} for c in (config, there))
    differ = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    if set(weights) != set(tensors) or any(not torch.equal(weights[name], tensors[name]) for name in tensors):
        differ.append(WEIGHTS)
    if not (folder / CARD).exists():
        differ.append(CARD)
    if differ:
        raise ModelError(
            folder, f"holds another export (other {', '.join(differ)}); choose another --out, or remove that folder"
        )
    return True


_OWN = ("format", "version", "weights")  # what is written beside the caller's config


def _sealed(config: Mapping[str, Any], weights: Path) -> str:
    note = {"file": WEIGHTS, "bytes": weights.stat().st_size, "xxh3": file_hash(weights)}
    whole = {"format": FORMAT, "version": VERSION, **config, "weights": note}
    return json.dumps({**whole, "checksum": _checksum(whole)}, indent=1) + "\n"


def _checksum(config: Mapping[str, Any]) -> str:
    return f"{checksum(json.dumps(config, sort_keys=True).encode()):016x}"


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """An empty folder beside it, which no other export uses; it is gone afterwards, unless it was given its name."""
    place = folder.with_name(f".{folder.name}.unfinished")
    lock = _lock(place)
    try:
        for path in place.iterdir():  # what a killed export left
            path.unlink()
        yield place
    finally:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _lock(place: Path) -> int:
    while True:
        place.mkdir(exist_ok=True)
        try:
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # the other one has just finished
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(lock)
                raise ModelBusy(errno.EWOULDBLOCK, f"another export writes {place.parent}; wait for it") from None
            return lock  # a file system without locks
        try:
            if os.path.samestat(os.stat(place), os.fstat(lock)):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

"""The dataset's TFRecord files, read with the tfrecord library's messages and checksum.

The library's own reader checks no checksum, believes any length that a damaged file names, and ends at the first fault; so
the frames around the messages are walked here: 8 bytes length, 4 bytes CRC of it, the message, 4 bytes CRC of that.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from v2a.youtube8m.tables import InputError

MAX_RECORD = 64 << 20  # bytes; the largest real ones, 300 frames of 1,152 bytes, are below 1 MB
SEGMENT_S = 5.0  # YouTube-8M Segments: "human-verified labels on 5-second segments"
_ID = re.compile(rb"[A-Za-z0-9_-]{2,64}")
_SPLITS = ("train", "validate", "test")


@dataclass(frozen=True)
class Rated:
    """A segment of a video that people rated for one label: from and to in seconds, score 0 (not there) to 1."""

    start_s: float
    end_s: float
    label: int
    score: float


@dataclass(frozen=True)
class Record:
    """One video: its id in the dataset, the indices of its labels, and its rated segments, if it has any."""

    id: str
    labels: tuple[int, ...]
    segments: tuple[Rated, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What could not be read: the number of the record within its file, from 1, and why."""

    record: int
    reason: str


def need_library() -> None:
    """Raises a InputError that says how to get the tfrecord library, if it is not there."""
    try:
        import tfrecord  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'reading records needs the tfrecord library ({error}): pip install "v2a-hpc[youtube8m]"'
        ) from None


def record_files(places: list[Path]) -> list[Path]:
    """The record files among these files and in these folders, sorted, each once.

    Raises:
        InputError: a place does not exist, or a folder has none.
    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            inside = [path for path in sorted(place.rglob("*.tfrecord*")) if path.is_file()]
            inside = [path for path in inside if path.name.endswith((".tfrecord", ".tfrecord.gz"))]
            if not inside:
                raise InputError(
                    f"the folder {place} has no files *.tfrecord or *.tfrecord.gz; name the files if they are called otherwise"
                )
            found.update(dict.fromkeys(inside))
        elif place.exists():
            found[place] = None
        else:
            raise InputError(f"there is no file or folder {place}; --records takes the dataset's *.tfrecord files")
    return sorted(found)


def split_of(path: Path) -> str:
    """The dataset's split by the file's name (train0093.tfrecord): train, validate or test; "" when it says none."""
    return next((split for split in _SPLITS if path.name.lower().startswith(split)), "")


def read_records(path: Path) -> Iterator[Record | Fault]:
    """All records of a file, video-level, frame-level or rated segments, plain or gzip, and what of it is damaged.

    After a damaged message the next record is read; after a damaged length, or the end in the middle, the rest is lost.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, message in enumerate(_messages(file), 1):
                yield _parse(message, number) if isinstance(message, bytes) else Fault(number, message)
    except (OSError, EOFError, zlib.error) as error:
        yield Fault(number + 1, f"the rest of the file cannot be read: {error}")


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    file = open(path, "rb")  # noqa: SIM115 (the caller closes it)
    head = file.read(12)
    file.seek(0)
    # A record of 35,615 bytes begins as gzip does: so only what does not check as a record can be gzip.
    if head[:3] == b"\x1f\x8b\x08" and head[8:] != _crc(head[:8]):
        file.close()
        return gzip.open(path, "rb")
    return file


def _messages(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes | str]:
    """Messages, or sentences about those that are damaged."""
    while head := file.read(12):
        if len(head) < 12:
            yield f"the file ends in the middle of a record's length ({len(head)} of 12 bytes)"
            return
        if _crc(head[:8]) != head[8:]:
            yield "the checksum of its length is wrong; the rest of the file is lost"
            return
        (length,) = struct.unpack("<Q", head[:8])
        if length > MAX_RECORD:
            yield f"it says that it has {length} bytes, more than {MAX_RECORD}; the rest of the file is lost"
            return
        body = file.read(length + 4)
        if len(body) < length + 4:
            yield f"the file ends in the middle of it ({len(body)} of {length + 4} bytes)"
            return
        yield body[:-4] if _crc(body[:-4]) == body[-4:] else "its checksum is wrong"


def _crc(data: bytes) -> bytes:
    from tfrecord import TFRecordWriter

    checksum: bytes = TFRecordWriter.masked_crc(data)
    return checksum


def _parse(message: bytes, number: int) -> Record | Fault:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tfrecord import example_pb2

    # A SequenceExample's context has the number and the type of an Example's features: one message reads both kinds, and
    # leaves the frames' features, most of the bytes, alone.
    example = example_pb2.Example()
    try:
        example.ParseFromString(message)
        return _record(example.features.feature)
    except (DecodeError, ValueError) as error:
        return Fault(number, f"it is no record of YouTube-8M: {error}")


def _record(features: Any) -> Record:
    """A record from a message's features by name.

    Raises:
        ValueError: no id, no labels, or segments whose lists differ in length.
    """
    names = sorted(features)
    if "id" not in names or "labels" not in names:
        raise ValueError(f"expected features id and labels, but it has {', '.join(names)[:200] or 'none'}")
    ids = features["id"].bytes_list.value
    if len(ids) != 1 or not _ID.fullmatch(ids[0]):
        raise ValueError(f"expected one id of letters and digits, but got {b' '.join(ids)[:60]!r}")
    labels = tuple(features["labels"].int64_list.value)
    return Record(ids[0].decode(), labels, tuple(_segments(features)) if "segment_labels" in names else ())


def _segments(features: Any) -> Iterator[Rated]:
    labels = list(features["segment_labels"].int64_list.value)
    starts = list(features["segment_start_times"].int64_list.value)
    ends = list(features["segment_end_times"].int64_list.value) or [start + SEGMENT_S for start in starts]
    scores = list(features["segment_scores"].float_list.value)
    if not len(labels) == len(starts) == len(ends) == len(scores):
        raise ValueError(
            f"its segments have {len(labels)} labels, {len(starts)} starts, {len(ends)} ends and {len(scores)} scores"
        )
    for label, start, end, score in zip(labels, starts, ends, scores, strict=True):
        if not (0 <= start < end <= 86_400 and 0 <= score <= 1):  # NaN fails this, too
            raise ValueError(f"it has a segment from {start} to {end} s with score {score:g}")
        yield Rated(float(start), float(end), label, score)

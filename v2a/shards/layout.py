"""The format of a shard: names, chunks, checksums. Reader and writer follow it, and nothing else knows it.

A shard is an HDF5 file (format of HDF5 1.10, whose own structures carry checksums) with

    video            uint8  [N, T, H, W, 3]  in chunks of some frames of one clip
    audio            int16  [N, S]           in chunks of some samples of one clip
    video_chunks     uint64 [N, chunks, 3]   offset in the file, stored bytes, and their XXH3-64, of each chunk
    audio_chunks     uint64 [N, chunks, 3]
    table            uint8  [bytes]          JSON: rows of the clips, records of the videos

and attributes: format, version, geometry (JSON), compression, table_checksum and chunks_checksum. The last two cover the
attributes with the table, and the two lists of chunks; they stand in HDF5's own checksummed structures, so that every
byte that is read is covered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from v2a.geometry import Geometry

FORMAT = "v2a-clips"
VERSION = 1
SUFFIX = ".h5"
UNFINISHED = ".h5.tmp"
# Measured (docs/LOG.md, frames of a chunk).
VIDEO_CHUNK_BYTES = 65_536
AUDIO_CHUNK_BYTES = 16_384


@dataclass(frozen=True)
class Chunks:
    """How long things are cut: frames of a video chunk, samples of an audio chunk."""

    frames: int
    samples: int

    @classmethod
    def of(cls, geometry: Geometry, frames: int | None = None) -> Chunks:
        """Chunks for a geometry; `frames` in place of the measured choice."""
        wanted = frames or max(1, VIDEO_CHUNK_BYTES // geometry.frame_bytes)
        return cls(even_part(geometry.frames, wanted), even_part(geometry.samples, AUDIO_CHUNK_BYTES // 2))

    def per_clip(self, geometry: Geometry) -> tuple[int, int]:
        """Chunks of a clip's video, and of its audio."""
        return -(-geometry.frames // self.frames), -(-geometry.samples // self.samples)


def even_part(length: int, at_most: int) -> int:
    """Length of equal parts of at most so many: the last is shorter by less than one for each of the others."""
    parts = -(-length // min(at_most, length))
    return -(-length // parts)


def checksum(data: Any) -> int:
    """XXH3-64 of the bytes of a contiguous buffer."""
    return xxhash.xxh3_64_intdigest(data)


def header(geometry: Geometry, compression: str) -> dict[str, str | int]:
    """A shard's attributes but for the checksums."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "geometry": json.dumps(geometry.as_dict(), sort_keys=True),
        "compression": compression,
    }


def table_checksum(attributes: Mapping[str, str | int], table: bytes) -> int:
    """Covers the attributes and the table."""
    return checksum(json.dumps(dict(attributes), sort_keys=True).encode() + b"\0" + table)


def chunks_checksum(arrays: Iterable[npt.NDArray[np.uint64]]) -> int:
    """Covers the lists of chunks."""
    return checksum(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))

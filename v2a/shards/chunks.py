"""Reading chunks: straight from the file into the caller's memory where they are stored as they are, else through HDF5."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from v2a.shards.errors import ShardError
from v2a.shards.layout import checksum

# What is read at once before its checksums are taken: it must still be in a core's cache then. Measured (docs/LOG.md).
_READ_BYTES = 1 << 20


class ChunkReader:
    """The chunks of one dataset `[N, L, …]`, cut along L.

    Args:
        path: the shard, for messages and to read around HDF5.
        data: the open dataset.
        sums: `[N, chunks]`, checksums of the chunks' stored bytes.
        direct: the stored bytes are the values, so that HDF5 is not needed to read them.

    Attributes:
        shape, dtype: of the dataset.
        direct: as given.
        step: length of a chunk along L.
        per_clip: chunks of a clip.
    """

    def __init__(self, path: Path, data: h5py.Dataset, sums: npt.NDArray[np.uint64], *, direct: bool) -> None:
        self.path = path
        self.shape: tuple[int, ...] = data.shape
        self.dtype = data.dtype
        self.direct = direct
        self.step = int(data.chunks[1])
        self.per_clip = -(-self.shape[1] // self.step)
        self._data = None if direct else data
        self._offsets, self._sizes = _places(data, self.shape[0], self.per_clip, self.step)
        if sums.shape != self._offsets.shape or (self._sizes == 0).any():
            raise ValueError("some chunks are missing")
        self._sums = [row.tolist() for row in sums]
        self._file = -1
        if not direct:
            import hdf5plugin  # noqa: F401 - registers Blosc with HDF5
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, clip: int, start: int, out: npt.NDArray[Any]) -> None:
        """Fill `out` `[count, …]` from position `start` on; raises `ShardError` when a chunk is not what was written."""
        if self._data is not None:
            self.check(clip, start // self.step, -(-(start + len(out)) // self.step))
            try:
                self._data.read_direct(out, np.s_[clip, start : start + len(out)])
            except (OSError, RuntimeError) as error:
                raise ShardError(self.path, f"cannot be unpacked ({error})", clip) from error
            return
        first, last = start // self.step, -(-(start + len(out)) // self.step)
        whole = out.data.cast("B")
        item = whole.nbytes // len(out)
        places, partial = [], []
        for chunk in range(first, last):
            begin = chunk * self.step - start
            if begin >= 0 and begin + self.step <= len(out):
                places.append(whole[begin * item : (begin + self.step) * item])
            else:  # a part of a chunk is wanted, but its checksum needs all of it
                scratch = np.empty((self.step, *self.shape[2:]), self.dtype)
                places.append(scratch.data.cast("B"))
                partial.append((begin, scratch))
        self._fill(clip, first, places)
        for begin, scratch in partial:
            low, high = max(begin, 0), min(begin + self.step, len(out))
            out[low:high] = scratch[low - begin : high - begin]

    def check(self, clip: int, first: int = 0, last: int | None = None) -> int:
        """Read chunks `first` to `last` of a clip as they are stored and check them; returns their bytes."""
        last = self.per_clip if last is None else last
        sizes = self._sizes[clip, first:last].tolist()
        self._fill(clip, first, [memoryview(bytearray(size)) for size in sizes])
        return sum(sizes)

    def stored_bytes(self) -> int:
        """Bytes of all chunks in the file."""
        return int(self._sizes.sum())

    def places(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Offset in the file and bytes of every chunk, both `[N, chunks]`."""
        return self._offsets, self._sizes

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _fill(self, clip: int, first: int, places: list[memoryview]) -> None:
        """Read one chunk after the other into its place, and check them while they are in the cache."""
        offsets = self._offsets[clip, first : first + len(places)].tolist()
        sums = self._sums[clip]
        for begin, end in _runs(offsets, [len(place) for place in places]):
            self._pread(clip, offsets[begin], places[begin:end])
            for number in range(begin, end):
                if checksum(places[number]) != sums[first + number]:
                    raise ShardError(
                        self.path, f"chunk {first + number} does not match its checksum: the file is damaged", clip
                    )

    def _pread(self, clip: int, offset: int, places: list[memoryview]) -> None:
        wanted = sum(map(len, places))
        try:
            done = os.preadv(self._file, places, offset)
            while done < wanted:  # rarely: a signal, or the end of the file
                place, skip = _after(places, done)
                count = os.preadv(self._file, [place[skip:]], offset + done)
                if not count:
                    raise ShardError(self.path, "is cut off: bytes are missing at its end", clip)
                done += count
        except OSError as error:
            raise ShardError(self.path, f"cannot be read ({os.strerror(error.errno or 0)})", clip) from error


def _places(
    data: h5py.Dataset, clips: int, per_clip: int, step: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    offsets = np.zeros((clips, per_clip), np.int64)
    sizes = np.zeros((clips, per_clip), np.int64)

    def note(info: Any) -> None:
        clip, start = info.chunk_offset[:2]
        offsets[clip, start // step] = info.byte_offset
        sizes[clip, start // step] = info.size

    if clips:
        data.id.chunk_iter(note)
    return offsets, sizes


def _runs(offsets: list[int], sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of chunks that lie one after the other in the file, of about _READ_BYTES."""
    begin = 0
    read = 0
    for number, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        if number > begin and (read >= _READ_BYTES or offset != offsets[number - 1] + sizes[number - 1]):
            yield begin, number
            begin, read = number, 0
        read += size
    if begin < len(offsets):
        yield begin, len(offsets)


def _after(places: list[memoryview], done: int) -> tuple[memoryview, int]:
    """The place in which byte `done` belongs, and where in it."""
    for place in places:
        if done < len(place):
            return place, done
        done -= len(place)
    raise IndexError(done)

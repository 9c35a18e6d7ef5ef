"""Reading chunks: straight from the file into the caller's memory where they are stored as they are, else through HDF5."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from v2a.shards.errors import ShardError
from v2a.shards.layout import checksum

# What is read at once before its checksums are taken: it must still be in a core's cache then. Measured (docs/LOG.md).
_READ_BYTES = 1 << 18


class ChunkReader:
    """The chunks of one dataset `[N, L, …]`, cut along L.

    Args:
        path: the shard, for messages and to read around HDF5.
        data: the open dataset.
        table: `[N, chunks, 3]`: offset in the file, stored bytes and their checksum of each chunk.
        direct: the stored bytes are the values, so that HDF5 is not needed to read them.

    Attributes:
        shape, dtype: of the dataset.
        direct: as given.
        table: as given.
        step: length of a chunk along L.
        per_clip: chunks of a clip.

    Raises:
        ValueError: the table does not fit the dataset.
    """

    def __init__(self, path: Path, data: h5py.Dataset, table: npt.NDArray[np.uint64], *, direct: bool) -> None:
        self.path = path
        self.shape: tuple[int, ...] = data.shape
        self.dtype = data.dtype
        self.direct = direct
        self.table = table
        self.step = int(data.chunks[1])
        self.per_clip = -(-self.shape[1] // self.step)
        self._data = data
        self._bytes = self.step * int(np.prod(self.shape[2:])) * self.dtype.itemsize  # of a chunk that is not packed
        if table.shape != (self.shape[0], self.per_clip, 3) or (direct and (table[..., 1] != self._bytes).any()):
            raise ValueError("its list of chunks does not fit its clips")
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Also when the last reference goes: a thread may still read what another has put out of its list of open shards.
        self._close = weakref.finalize(self, os.close, self._file)

    def read(self, clip: int, start: int, out: npt.NDArray[Any]) -> None:
        """Fill `out` `[count, …]` from position `start` on; raises `ShardError` when a chunk is not what was written."""
        if not self.direct:
            self.check(clip, start // self.step, -(-(start + len(out)) // self.step))
            try:
                self._data.read_direct(out, np.s_[clip, start : start + len(out)])
            except (OSError, RuntimeError) as error:
                raise ShardError(self.path, f"cannot be unpacked ({error})", clip) from error
            return
        begin, end = start // self.step, -(-(start + len(out)) // self.step)
        whole = begin * self.step == start and (end - begin) * self.step == len(out)
        # When a part of a chunk is wanted: its checksum needs all of it.
        target = out if whole else np.empty(((end - begin) * self.step, *self.shape[2:]), self.dtype)
        self._fill(clip, begin, target.data.cast("B"), [self._bytes] * (end - begin))
        if not whole:
            skip = start - begin * self.step
            out[:] = target[skip : skip + len(out)]

    def hdf5_places(self) -> npt.NDArray[np.uint64]:
        """Where HDF5 says that the chunks are, `[N, chunks, 2]`; not for `direct`, whose HDF5 file is closed."""
        try:
            return chunk_places(self._data)
        except (IndexError, OSError, RuntimeError, ValueError) as error:
            raise ShardError(self.path, f"is damaged: HDF5 cannot find its chunks ({error})") from error

    def check(self, clip: int, first: int = 0, last: int | None = None) -> int:
        """Read chunks `first` to `last` of a clip as they are stored and check them; returns their bytes."""
        last = self.per_clip if last is None else last
        sizes = self.table[clip, first:last, 1].tolist()
        self._fill(clip, first, memoryview(bytearray(sum(sizes))), sizes)
        return sum(sizes)

    def stored_bytes(self) -> int:
        """Bytes of all chunks in the file."""
        return int(self.table[..., 1].sum())

    def close(self) -> None:
        """Close the file."""
        self._close()

    def _fill(self, clip: int, first: int, into: memoryview, sizes: list[int]) -> None:
        """Read chunks one after the other into one piece of memory, and check them while they are in the cache."""
        offsets, _, sums = self.table[clip, first : first + len(sizes)].T.tolist()
        place = 0
        for begin, end in _runs(offsets, sizes):
            length = sum(sizes[begin:end])
            self._pread(clip, offsets[begin], into[place : place + length])
            for number in range(begin, end):
                after = place + sizes[number]
                if checksum(into[place:after]) != sums[number]:
                    raise ShardError(
                        self.path, f"chunk {first + number} does not match its checksum: the file is damaged", clip
                    )
                place = after

    def _pread(self, clip: int, offset: int, into: memoryview) -> None:
        done = 0
        while done < len(into):  # once, but for a signal or the end of the file
            try:
                count = os.preadv(self._file, [into[done:]], offset + done)
            except OSError as error:
                raise ShardError(self.path, f"cannot be read ({os.strerror(error.errno or 0)})", clip) from error
            if not count:
                raise ShardError(self.path, "is cut off: bytes are missing at its end", clip)
            done += count


def chunk_places(data: h5py.Dataset) -> npt.NDArray[np.uint64]:
    """Offset in the file and stored bytes of every chunk, `[N, chunks, 2]`, as HDF5 knows them; 0 where there is none."""
    step = data.chunks[1]
    found = np.zeros((data.shape[0], -(-data.shape[1] // step), 2), np.dtype("<u8"))

    def note(info: Any) -> None:
        clip, start = info.chunk_offset[:2]
        found[clip, start // step] = info.byte_offset, info.size

    if data.shape[0]:
        data.id.chunk_iter(note)
    return found


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

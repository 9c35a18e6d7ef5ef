"""Writing shards: a shard has its final name only when it is whole and on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.shards.chunks import chunk_places
from v2a.shards.compression import COMPRESSIONS
from v2a.shards.errors import disk_error
from v2a.shards.layout import (
    SUFFIX,
    UNFINISHED,
    Chunks,
    checksum,
    chunks_checksum,
    header,
    table_checksum,
)
from v2a.shards.records import Clip, ClipRow, VideoRecord
from v2a.shards.sink import Sink
from v2a.shards.table import encode_table


class ShardWriter:
    """Writes clips into `clips-<prefix>-00000.h5`, `…-00001.h5`, … of a folder. A `with` closes it, or aborts it on an error.

    Args:
        folder: exists.
        geometry: of all clips.
        clips_per_shard: a shard is rolled before it would hold more.
        compression: "none", "lz4" or "zstd" (Blosc); docs/shards.md has their cost.
        prefix: for the names; no two writers of a folder have the same at the same time.
        chunk_frames: frames of a chunk; None for the measured choice.

    Raises (from every method that writes):
        DiskFull: no room; the unfinished shard is gone, whole ones stay.
        OSError: any other failure of the disk, likewise.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self,
        folder: Path,
        geometry: Geometry,
        *,
        clips_per_shard: int = 100,
        compression: str = "none",
        prefix: str,
        chunk_frames: int | None = None,
    ) -> None:
        if clips_per_shard < 1:
            raise ValueError(f"expected at least one clip in a shard, but got clips_per_shard={clips_per_shard}")
        if compression not in COMPRESSIONS:
            raise ValueError(f"expected a compression out of {', '.join(COMPRESSIONS)}, but got {compression!r}")
        if not prefix or "/" in prefix or "\0" in prefix:
            raise ValueError(f"expected a prefix that can stand in a file name, but got {prefix!r}")
        self._folder = Path(folder)
        self._geometry = geometry
        self._clips_per_shard = clips_per_shard
        self._compression = compression
        self._prefix = prefix
        self._chunks = Chunks.of(geometry, chunk_frames)
        self._number = 0
        self._open: _Unfinished | None = None
        self.finished: list[Path] = []  # whole shards of this writer, in order

    def add(self, clip: Clip) -> None:
        """Append a clip; begins a new shard first when the current one is full."""
        _check(clip, self._geometry)
        if self._open is not None and len(self._open.rows) >= self._clips_per_shard:
            self.close()
        with self._no_leftovers():
            self._current().add(clip)

    def end_video(self, record: VideoRecord) -> None:
        """Record a video in the shard of its last clip; opens a shard when none is open."""
        with self._no_leftovers():
            self._current().videos.append(record)

    def close(self) -> None:
        """Make the current shard whole and give it its name; nothing to do when none is open."""
        if self._open is None:
            return
        with self._no_leftovers():
            final = self._open.finish()
        self._open = None
        self.finished.append(final)

    def abort(self) -> None:
        """Throw the unfinished shard away."""
        if self._open is not None:
            shard, self._open = self._open, None
            shard.discard()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _current(self) -> _Unfinished:
        while self._open is None:
            final = self._folder / f"clips-{self._prefix}-{self._number:05d}{SUFFIX}"
            self._number += 1
            if not os.path.lexists(final):
                with suppress(FileExistsError):  # left by a killed writer, or another's: keep off it
                    self._open = _Unfinished(
                        final, self._geometry, self._chunks, self._compression, self._clips_per_shard
                    )
        return self._open

    @contextmanager
    def _no_leftovers(self) -> Iterator[None]:
        """Throw the unfinished shard away on any error, and say in a sentence what the disk did."""
        try:
            yield
            if self._open is not None and self._open.sink.error is not None:
                raise self._open.sink.error
        except BaseException as error:
            cause = self._open.sink.error if self._open is not None else None
            self.abort()
            # What HDF5 makes of a write that was lost is no help; the write's own error is.
            if isinstance(cause or error, OSError):
                raise disk_error(cause or error, self._folder) from error  # type: ignore[arg-type]
            raise


class _Unfinished:
    """A shard being written under a temporary name."""

    def __init__(self, final: Path, geometry: Geometry, chunks: Chunks, compression: str, capacity: int) -> None:
        self.final = final
        self.temporary = final.with_name(final.name.removesuffix(SUFFIX) + UNFINISHED)
        self.sink = Sink(self.temporary)
        self.rows: list[ClipRow] = []
        self.videos: list[VideoRecord] = []
        self._geometry = geometry
        self._compression = compression
        self._checksums: dict[str, list[npt.NDArray[np.uint64]]] = {"video": [], "audio": []}
        self._file = h5py.File(self.sink, "w", libver=("v110", "v110"))
        g = geometry
        self._create("video", (g.frames, g.height, g.width, 3), (chunks.frames, g.height, g.width, 3), "u1", capacity)
        self._create("audio", (g.samples,), (chunks.samples,), "<i2", capacity)

    def add(self, clip: Clip) -> None:
        number = len(self.rows)
        for name, values in (("video", clip.video), ("audio", clip.audio)):
            data = self._file[name]
            data.resize(number + 1, axis=0)
            self._checksums[name].append(_write(data, number, values))
        self.rows.append(clip.row)

    def finish(self) -> Path:
        """Write the table, wait for the disk, give the file its name."""
        table = encode_table(self.rows, self.videos)
        arrays = []
        for name in ("video", "audio"):
            places = chunk_places(self._file[name])
            sums = np.array(self._checksums[name], np.dtype("<u8")).reshape(*places.shape[:2], 1)
            arrays.append(np.concatenate([places, sums], axis=2))
            self._file.create_dataset(f"{name}_chunks", data=arrays[-1])
        self._file.create_dataset("table", data=np.frombuffer(table, np.uint8))
        attributes = header(self._geometry, self._compression)
        # Fixed lengths: HDF5 keeps texts of variable length in a heap without checksums.
        for name, value in attributes.items():
            self._file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else np.int64(value)
        self._file.attrs["table_checksum"] = np.uint64(table_checksum(attributes, table))
        self._file.attrs["chunks_checksum"] = np.uint64(chunks_checksum(arrays))
        self._file.close()
        self.sink.sync()
        self.sink.close()
        os.replace(self.temporary, self.final)
        sync_folder(self.final.parent)
        return self.final

    def discard(self) -> None:
        """Leave nothing of it."""
        with suppress(OSError, RuntimeError, ValueError):  # the file is thrown away, whatever HDF5 thinks of it
            self._file.close()
        with suppress(OSError):
            self.sink.close(discard=True)
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)

    def _create(self, name: str, shape: tuple[int, ...], chunk: tuple[int, ...], kind: str, capacity: int) -> None:
        self._file.create_dataset(
            name, (0, *shape), kind, maxshape=(capacity, *shape), chunks=(1, *chunk), **_filters(self._compression)
        )


def _filters(compression: str) -> dict[str, Any]:
    if compression == "none":
        return {}
    import hdf5plugin

    plain = hdf5plugin.Blosc.NOSHUFFLE
    if compression == "lz4":
        return dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=plain))
    return dict(hdf5plugin.Blosc(cname="zstd", clevel=3, shuffle=plain))


def _write(data: h5py.Dataset, number: int, values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Write one clip's chunks; the checksums of their stored bytes."""
    step = data.chunks[1]
    plain = data.compression is None and data.id.get_create_plist().get_nfilters() == 0
    values = np.ascontiguousarray(values, data.dtype)
    sums = []
    for start in range(0, len(values), step):
        offset = (number, start, *(0,) * (data.ndim - 2))
        part = values[start : start + step]
        if plain:
            if len(part) < step:
                part = np.concatenate([part, np.zeros((step - len(part), *part.shape[1:]), part.dtype)])
            data.id.write_direct_chunk(offset, part)
            sums.append(checksum(part))
        else:
            data[number, start : start + step] = part
            data.flush()
            sums.append(checksum(data.id.read_direct_chunk(offset)[1]))
    return np.array(sums, np.dtype("<u8"))


def _check(clip: Clip, geometry: Geometry) -> None:
    video = (geometry.frames, geometry.height, geometry.width, 3)
    if clip.video.shape != video or clip.video.dtype != np.uint8:
        raise ValueError(f"expected video uint8 {list(video)}, but got {clip.video.dtype} {list(clip.video.shape)}")
    if clip.audio.shape != (geometry.samples,) or clip.audio.dtype != np.int16:
        raise ValueError(
            f"expected audio int16 [{geometry.samples}], but got {clip.audio.dtype} {list(clip.audio.shape)}"
        )
    if not 1 <= clip.row.frames <= geometry.frames:
        raise ValueError(f"expected 1 to {geometry.frames} real frames, but got frames={clip.row.frames}")


def sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

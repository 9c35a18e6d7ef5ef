"""Reading one shard: tables at once, chunks as they are asked for, and nothing without its checksum."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.shards.chunks import ChunkReader
from v2a.shards.compression import COMPRESSIONS
from v2a.shards.errors import ShardError
from v2a.shards.layout import FORMAT, VERSION, chunks_checksum, header, table_checksum
from v2a.shards.records import Clip, ClipRow, VideoRecord
from v2a.shards.table import decode_table


class Shard:
    """A whole shard, open for reading. Not to be carried over a fork.

    Args:
        path: the file.
        direct: read uncompressed chunks around HDF5, which is faster; False goes through HDF5. Both give the same.

    Attributes:
        path, geometry, compression: of the shard.
        table_checksum: covers everything but the chunks: two shards with the same one have the same clips and videos.
        clips: number of clips, N.

    Raises (every method, too):
        ShardError: missing, not a shard, of a newer version, truncated, or a checksum is wrong; names shard and clip.
    """

    def __init__(self, path: str | Path, *, direct: bool = True) -> None:
        self.path = Path(path)
        self._direct = direct
        self._readers: dict[str, ChunkReader] = {}
        self._rows: list[ClipRow] | None = None
        self._videos: list[VideoRecord] | None = None
        self._file = open_hdf5(self.path)
        try:
            self._read_head()
        except BaseException:
            self.close()
            raise

    @property
    def checksum(self) -> str:
        """Of all that is in it, chunks included, hexadecimal: what was made from these clips can name them by it."""
        return f"{self.table_checksum:016x}{self._chunks_checksum:016x}"

    def rows(self) -> list[ClipRow]:
        """The table of clips."""
        if self._rows is None:
            self._decode()
        return self._rows or []

    def videos(self) -> list[VideoRecord]:
        """Records of the videos whose last clip is here."""
        if self._videos is None:
            self._decode()
        return self._videos or []

    def clip(self, clip: int) -> Clip:
        """A whole clip."""
        return Clip(self.frames(clip), self.audio(clip), self.rows()[self._check_clip(clip)])

    def frames(
        self, clip: int, start: int = 0, count: int | None = None, out: npt.NDArray[np.uint8] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Frames `start` to `start + count` of a clip: uint8 `[count, H, W, 3]`.

        Args:
            clip: 0 to N - 1.
            start: first frame.
            count: how many; None for the rest of the clip.
            out: C-contiguous array of the result's shape to fill.
        """
        frames: npt.NDArray[np.uint8] = self._read("video", clip, start, count, out)
        return frames

    def audio(
        self, clip: int, start: int = 0, count: int | None = None, out: npt.NDArray[np.int16] | None = None
    ) -> npt.NDArray[np.int16]:
        """Samples `start` to `start + count` of a clip: int16 `[count]`; arguments as of `frames`."""
        samples: npt.NDArray[np.int16] = self._read("audio", clip, start, count, out)
        return samples

    def chunk_reader(self, name: str) -> ChunkReader:
        """The chunks of "video" or "audio"; opened at first use, with the checksums of both checked against their own."""
        if not self._readers:
            self._open_readers()
        return self._readers[name]

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers.values():
            reader.close()
        self._readers = {}
        if self._file:
            self._file.close()

    def __enter__(self) -> Shard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, name: str, clip: int, start: int, count: int | None, out: npt.NDArray[Any] | None) -> Any:
        reader = self.chunk_reader(name)
        self._check_clip(clip)
        length = reader.shape[1]
        count = length - start if count is None else count
        if start < 0 or count < 1 or start + count > length:
            raise ValueError(f"expected a part of 0 to {length}, but got {start} to {start + count}")
        shape = (count, *reader.shape[2:])
        if out is None:
            out = np.empty(shape, reader.dtype)
        elif out.shape != shape or out.dtype != reader.dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"expected out as contiguous {reader.dtype} {list(shape)}, but got {out.dtype} {out.shape}"
            )
        reader.read(clip, start, out)
        return out

    def _check_clip(self, clip: int) -> int:
        if not 0 <= clip < self.clips:
            raise IndexError(f"{self.path} has clips 0 to {self.clips - 1}, but got {clip}")
        return clip

    def _read_head(self) -> None:
        attributes = read_attributes(self.path, self._file, FORMAT, VERSION, "a shard of clips")
        try:
            self.geometry = Geometry.from_dict(json.loads(attributes["geometry"]))
            self.compression = attributes["compression"]
            self.table_checksum = int(attributes["table_checksum"])
            self._chunks_checksum = int(attributes["chunks_checksum"])
            self._table = self._file["table"][:].tobytes()
            self.clips = int(self._file["video"].shape[0])
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise damaged(self.path, error) from error
        if self.compression not in COMPRESSIONS:
            raise ShardError(self.path, f"expected a compression out of {COMPRESSIONS}, but got {self.compression!r}")
        if table_checksum(header(self.geometry, self.compression), self._table) != self.table_checksum:
            raise ShardError(self.path, "its table does not match its checksum: the file is damaged")

    def _decode(self) -> None:
        try:
            self._rows, self._videos = decode_table(self._table)
        except ValueError as error:
            raise ShardError(self.path, f"its table cannot be read: {error}") from error
        if len(self._rows) != self.clips:
            raise ShardError(self.path, f"its table has {len(self._rows)} rows for {self.clips} clips")

    def _open_readers(self) -> None:
        try:
            tables = {name: self._file[f"{name}_chunks"][:].astype("<u8") for name in ("video", "audio")}
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise damaged(self.path, error) from error
        if chunks_checksum(tables.values()) != self._chunks_checksum:
            raise ShardError(self.path, "its list of chunks does not match its checksum: the file is damaged")
        if self.compression != "none":
            import hdf5plugin  # noqa: F401 - registers Blosc with HDF5
        g = self.geometry
        shapes = {"video": (self.clips, g.frames, g.height, g.width, 3), "audio": (self.clips, g.samples)}
        for name, shape in shapes.items():
            try:
                data = self._file[name]
                if data.shape != shape:
                    raise ValueError(f"{name} has the shape {data.shape} where {shape} is due")
                direct = self._direct and self.compression == "none"
                self._readers[name] = ChunkReader(self.path, data, tables[name], direct=direct)
            except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
                raise error if isinstance(error, ShardError) else damaged(self.path, error) from error
        if all(reader.direct for reader in self._readers.values()):
            self._file.close()  # its table is read, its chunks are found: HDF5 has nothing left to do


def open_hdf5(path: Path) -> h5py.File:
    """A finished shard's file, to be read; raises `ShardError` with what is wrong with it."""
    try:
        # Finished shards never change, and locks fail or hang on many network file systems.
        return h5py.File(os.fspath(path), "r", locking=False)
    except FileNotFoundError:
        raise ShardError(path, "is missing") from None
    except PermissionError:
        raise ShardError(path, "may not be read; see its permissions: ls -l") from None
    except (OSError, RuntimeError, ValueError) as error:
        if path.is_dir():
            raise ShardError(path, "is a folder, where a shard is a file") from None
        if "signature not found" in str(error):
            raise ShardError(path, "is not a shard: it is no HDF5 file, or its beginning is destroyed") from error
        if "truncated" in str(error):
            raise ShardError(path, "is cut off: bytes are missing at its end") from error
        raise damaged(path, error) from error


def read_attributes(path: Path, file: h5py.File, kind: str, version: int, name: str) -> dict[str, Any]:
    """The attributes of a shard, texts decoded; raises `ShardError` when it is not of this kind and version."""
    try:
        values = {name: file.attrs[name] for name in file.attrs}
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    found = {key: value.decode() if isinstance(value, bytes) else value for key, value in values.items()}
    if found.get("format") != kind:
        raise ShardError(path, f"is an HDF5 file, but not {name}")
    if int(found.get("version", 0)) != version:
        raise ShardError(
            path,
            f"has the format version {found.get('version')}, and this program reads {version}: "
            "use the version of the program that wrote it, or newer",
        )
    return found


def damaged(path: Path, error: Exception) -> ShardError:
    """What to raise for an error of HDF5's."""
    return ShardError(path, f"is damaged: HDF5 cannot read it ({str(error).strip(chr(39))})")

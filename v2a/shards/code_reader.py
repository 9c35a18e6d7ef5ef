"""Reading one code shard: nothing without its checksum."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from v2a.shards.chunks import ChunkReader
from v2a.shards.code_layout import CODE_FORMAT, CODE_VERSION, Head, head_checksum
from v2a.shards.errors import ShardError
from v2a.shards.layout import chunks_checksum
from v2a.shards.reader import damaged, open_hdf5, read_attributes


class CodeShard:
    """A whole code shard, open for reading. Not to be carried over a fork.

    Args:
        path: the file.

    Attributes:
        path: of the file.
        head: whose codes.
        frames: real frames of each clip, [N].
        clips: number of clips, N.

    Raises (every method, too):
        ShardError: missing, not a code shard, of a newer version, truncated, or a checksum is wrong; names shard and clip.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        file = open_hdf5(self.path)
        try:
            attributes = read_attributes(self.path, file, CODE_FORMAT, CODE_VERSION, "a shard of codes")
            try:
                self.frames: npt.NDArray[np.uint32] = file["frames"][:].astype("<u4")
                table = file["codes_chunks"][:].astype("<u8")
                data = file["codes"]
                sums = int(attributes["head_checksum"]), int(attributes["chunks_checksum"])
                if sums != (head_checksum(attributes["head"], self.frames), chunks_checksum([table])):
                    raise ShardError(self.path, "its head does not match its checksum: the file is damaged")
                self.head = Head.from_json(attributes["head"])
                self.clips = len(self.frames)
                if data.shape != (self.clips, *self.head.grid) or data.dtype != np.dtype("<u2"):
                    raise ValueError(f"its codes are {data.dtype} {data.shape}")
                self._reader = ChunkReader(self.path, data, table, direct=True)
            except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
                raise error if isinstance(error, ShardError) else damaged(self.path, error) from error
        finally:
            file.close()  # where the chunks are is known: HDF5 has nothing left to do

    def codes(
        self, clip: int, start: int = 0, count: int | None = None, out: npt.NDArray[np.uint16] | None = None
    ) -> npt.NDArray[np.uint16]:
        """Latent steps `start` to `start + count` of a clip: uint16 `[count, h, w]`.

        Args:
            clip: 0 to N - 1.
            start: first latent step.
            count: how many; None for the rest of the clip.
            out: C-contiguous array of the result's shape to fill.

        Raises:
            IndexError, ValueError: there is no such clip, or part of it; or `out` does not fit.
        """
        steps = self.head.grid[0]
        count = steps - start if count is None else count
        if not 0 <= clip < self.clips:
            raise IndexError(f"{self.path} has clips 0 to {self.clips - 1}, but got {clip}")
        if start < 0 or count < 1 or start + count > steps:
            raise ValueError(f"expected a part of 0 to {steps}, but got {start} to {start + count}")
        shape = (count, *self.head.grid[1:])
        if out is None:
            out = np.empty(shape, "<u2")
        elif out.shape != shape or out.dtype != np.uint16 or not out.flags.c_contiguous:
            raise ValueError(f"expected out as contiguous uint16 {list(shape)}, but got {out.dtype} {out.shape}")
        self._reader.read(clip, start, out)
        return out

    def check(self) -> int:
        """Read everything and check it; returns the bytes of chunks."""
        read = 0
        for clip in range(self.clips):
            read += self._reader.check(clip)
            if int(self.codes(clip).max()) >= self.head.codes:
                raise ShardError(self.path, f"has codes that are not in a codebook of {self.head.codes}", clip)
        return read

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def __enter__(self) -> CodeShard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

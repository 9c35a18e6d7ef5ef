"""The format of a code shard, which stage `codes` writes for each shard of clips. Reader and writer alone know it.

A code shard `codes-X.h5` belongs to the shard of clips `clips-X.h5`. It is an HDF5 file (format of HDF5 1.10) with

    codes            uint16 [N, t, h, w]     in chunks of some latent steps of one clip
    codes_chunks     uint64 [N, chunks, 3]   offset in the file, stored bytes, and their XXH3-64, of each chunk
    frames           uint32 [N]              real frames of each clip

and attributes: format, version, head (JSON of `Head`), head_checksum (covers head and frames) and chunks_checksum (covers the
list of chunks). It holds no time, no path and no host name: the same clips and encoder give the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.shards.layout import SUFFIX, checksum, even_part

CODE_FORMAT = "v2a-codes"
CODE_VERSION = 1
PREFIX = "codes-"
_CHUNK_BYTES = 65_536  # as in shards of clips; a clip of the paper's size is one chunk of 28,800


@dataclass(frozen=True)
class Head:
    """Whose codes these are.

    Attributes:
        encoder: identity of the model that made them (`v2a.vqvae.identity`).
        geometry: of the clips.
        strides: frames, rows and columns of one code.
        codes: K, size of a codebook.
        group: latent steps that belong together, each with a codebook of its own; 1 when every step has the same.
        clips: name of the shard of clips.
        clips_checksum: of that shard, chunks included.
    """

    encoder: str
    geometry: Geometry
    strides: tuple[int, int, int]
    codes: int
    group: int
    clips: str
    clips_checksum: str

    @property
    def grid(self) -> tuple[int, int, int]:
        """Latent steps, rows and columns of a clip's codes: t, h, w."""
        return self.geometry.latent_grid([self.strides])

    @property
    def chunk_steps(self) -> int:
        """Latent steps of a chunk."""
        steps, rows, columns = self.grid
        return even_part(steps, max(1, _CHUNK_BYTES // (2 * rows * columns)))

    @property
    def bits(self) -> int:
        """Bits of one code, stored as a number of fixed length."""
        return (self.codes - 1).bit_length()

    def as_json(self) -> str:
        """The attribute."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Head:
        """The inverse of `as_json`; raises `ValueError` or `TypeError` for anything else."""
        values: dict[str, Any] = dict(json.loads(text))
        time, rows, columns = (int(length) for length in values.pop("strides"))
        geometry = Geometry.from_dict(values.pop("geometry"))
        return cls(geometry=geometry, strides=(time, rows, columns), **values)


def code_shard_path(folder: Path, clips: str) -> Path:
    """Where the codes of `clips-X.h5` are."""
    return Path(folder) / (PREFIX + clips.removeprefix("clips-"))


def code_shard_paths(folder: Path) -> list[Path]:
    """The whole code shards of a folder, in order of their names.

    Raises:
        OSError: it cannot be listed.
    """
    return sorted(path for path in Path(folder).iterdir() if path.name.startswith(PREFIX) and path.suffix == SUFFIX)


def head_checksum(head: str, frames: npt.NDArray[np.uint32]) -> int:
    """Covers what stands at the beginning."""
    return checksum(head.encode() + b"\0" + np.ascontiguousarray(frames, "<u4").tobytes())

"""Writing code shards: made in memory, for they are a five-hundredth of the video, and on the disk whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from v2a.shards.chunks import chunk_places
from v2a.shards.code_layout import CODE_FORMAT, CODE_VERSION, PREFIX, Head, head_checksum
from v2a.shards.errors import disk_error
from v2a.shards.layout import SUFFIX, UNFINISHED, checksum, chunks_checksum
from v2a.shards.writer import sync_folder


def write_code_shard(path: Path, head: Head, codes: npt.NDArray[np.uint16], frames: Sequence[int]) -> None:
    """Write a code shard; one of that name is replaced.

    Args:
        path: "codes-….h5" in a folder that exists.
        head: whose codes.
        codes: uint16 [N, t, h, w].
        frames: real frames of each clip.

    Raises:
        ValueError: another shape or type, or a code that is not in the codebook.
        DiskFull: no room; nothing is left of it.
        OSError: any other failure of the disk, likewise.
    """
    _check(head, codes, frames)
    _write_whole(path, pack_code_shard(head, codes, frames))


def pack_code_shard(head: Head, codes: npt.NDArray[np.uint16], frames: Sequence[int]) -> bytes:
    """The bytes of a code shard; the same for the same content."""
    memory = io.BytesIO()
    real = np.array(frames, np.dtype("<u4"))
    text = head.as_json()
    with h5py.File(memory, "w", libver=("v110", "v110")) as file:
        # With room for one clip more than none: HDF5 wants no chunk longer than the data.
        limits = (max(1, len(codes)), *head.grid)
        chunk = (1, head.chunk_steps, *head.grid[1:])
        data = file.create_dataset("codes", codes.shape, "<u2", maxshape=limits, chunks=chunk)
        sums = np.array([_put(data, clip, values) for clip, values in enumerate(codes)], np.dtype("<u8"))
        places = chunk_places(data)
        table = np.concatenate([places, sums.reshape(*places.shape[:2], 1)], axis=2)
        file.create_dataset("codes_chunks", data=table)
        file.create_dataset("frames", data=real)
        for name, value in (("format", CODE_FORMAT), ("head", text)):
            file.attrs[name] = np.bytes_(value.encode())
        file.attrs["version"] = np.int64(CODE_VERSION)
        file.attrs["head_checksum"] = np.uint64(head_checksum(text, real))
        file.attrs["chunks_checksum"] = np.uint64(chunks_checksum([table]))
    return memory.getvalue()


def remove_unfinished_codes(folder: Path) -> int:
    """Remove what killed writers left; only while no writer works in the folder. Returns how many files."""
    left = [path for path in Path(folder).iterdir() if path.name.startswith(PREFIX) and path.name.endswith(UNFINISHED)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _put(data: h5py.Dataset, clip: int, values: npt.NDArray[np.uint16]) -> list[int]:
    """Write a clip's chunks; the checksums of their bytes."""
    step, sums = data.chunks[1], []
    for start in range(0, len(values), step):
        part = np.zeros(data.chunks[1:], "<u2")
        taken = values[start : start + step]
        part[: len(taken)] = taken
        data.id.write_direct_chunk((clip, start, 0, 0), part)
        sums.append(checksum(part))
    return sums


def _check(head: Head, codes: npt.NDArray[np.uint16], frames: Sequence[int]) -> None:
    if codes.dtype != np.uint16 or codes.shape != (len(frames), *head.grid):
        raise ValueError(
            f"expected codes uint16 {[len(frames), *head.grid]} of {len(frames)} clips, but got {codes.dtype} {list(codes.shape)}"
        )
    if codes.size and int(codes.max()) >= head.codes:
        raise ValueError(f"expected codes from 0 to {head.codes - 1}, but got {int(codes.max())}")
    if any(not 1 <= count <= head.geometry.frames for count in frames):
        raise ValueError(f"expected 1 to {head.geometry.frames} real frames of each clip, but got {list(frames)}")


def _write_whole(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{path.name.removesuffix(SUFFIX)}.{os.getpid()}-{secrets.token_hex(3)}{UNFINISHED}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError):
            raise disk_error(error, path) from error
        raise

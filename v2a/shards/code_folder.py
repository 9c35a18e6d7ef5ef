"""A folder of code shards: do they belong to these clips and this encoder, is every byte sound, and how are the codes used."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from v2a.shards.code_layout import PREFIX, Head, code_shard_paths
from v2a.shards.code_reader import CodeShard
from v2a.shards.errors import ShardError
from v2a.shards.layout import UNFINISHED
from v2a.shards.reader import Shard

_AGAIN = "move it away and run codes again with the same settings: its clips are encoded anew"


def check_head(path: Path, found: Head, wanted: Head) -> None:
    """See that a code shard is of this encoder and of these clips.

    Args:
        path: of the code shard.
        found: its head.
        wanted: what its head ought to be.

    Raises:
        ShardError: it is not; names both.
    """
    if found.encoder != wanted.encoder:
        raise ShardError(
            path, f"holds codes of the encoder {found.encoder}, where {wanted.encoder} is wanted; take the model that made them, "
            "or encode the clips with this one into another folder"
        )  # fmt: skip
    if found.clips_checksum != wanted.clips_checksum or found.clips != wanted.clips:
        raise ShardError(
            path, f"holds codes of {found.clips} with the checksum {found.clips_checksum}, but {wanted.clips} has "
            f"{wanted.clips_checksum}: the clips are others now; {_AGAIN}"
        )  # fmt: skip
    if found != wanted:
        raise ShardError(path, f"holds codes of another kind: {found}, where {wanted} is wanted; {_AGAIN}")


def check_frames(path: Path, frames: npt.NDArray[np.uint32], clips: Shard) -> None:
    """See that a code shard counts the real frames of each clip as the clips' own table does.

    Raises:
        ShardError: it does not.
    """
    if frames.tolist() != [row.frames for row in clips.rows()]:
        raise ShardError(path, f"counts other real frames than {clips.path}; {_AGAIN}")


@dataclass
class CodeUse:
    """How often each code stands in a folder, padding after a clip's real frames left out.

    Attributes:
        head: of the first shard.
        shards, clips, bytes: that were read.
        counts: of each code of each codebook, [G, K].
    """

    head: Head
    shards: int = 0
    clips: int = 0
    bytes: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((1, 0), np.int64))

    @property
    def used(self) -> int:
        """Codes that stand there at least once, of all codebooks."""
        return int((self.counts > 0).sum())

    @property
    def perplexity(self) -> float:
        """exp(entropy), how many codes equally used would be as diverse: the mean over the codebooks, 1 to K."""
        return float(np.mean(np.exp(_entropies(self.counts)))) if self.counts.any() else 0.0

    @property
    def bits_per_pixel(self) -> float:
        """Of codes of fixed length."""
        return self.head.bits / math.prod(self.head.strides)

    @property
    def entropy_per_pixel(self) -> float:
        """Bits that the best code of single symbols would take."""
        parts = self.counts.sum(axis=1) / max(1, self.counts.sum())
        return float((_entropies(self.counts) * parts).sum()) / math.log(2) / math.prod(self.head.strides)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "encoder": self.head.encoder, "geometry": self.head.geometry.as_dict(), "strides": list(self.head.strides),
            "grid": list(self.head.grid), "codes": self.head.codes, "group": self.head.group, "shards": self.shards,
            "clips": self.clips, "bytes": self.bytes, "used": self.used, "perplexity": self.perplexity,
            "bits_per_pixel": self.bits_per_pixel, "entropy_per_pixel": self.entropy_per_pixel,
        }  # fmt: skip

    def __str__(self) -> str:
        t, h, w = self.head.grid
        return (
            f"{self.clips} clips in {self.shards} shards, codes {t}x{h}x{w} of the encoder {self.head.encoder}\n"
            f"  {self.used} of {self.counts.size} codes used, perplexity {self.perplexity:.1f}, "
            f"{self.bits_per_pixel:.4f} bit per pixel ({self.entropy_per_pixel:.4f} by entropy), {self.bytes / 1e6:.1f} MB"
        )


def count_codes(paths: Iterable[Path]) -> CodeUse:
    """Read all code shards and count.

    Raises:
        ShardError: none, or one that is damaged or of another encoder than the first.
    """
    use: CodeUse | None = None
    for path in paths:
        with CodeShard(path) as shard:
            if use is None:
                use = CodeUse(shard.head, counts=np.zeros((shard.head.group, shard.head.codes), np.int64))
            _check_kind(path, shard.head, use.head)
            stride = shard.head.strides[0]
            for clip, frames in enumerate(shard.frames.tolist()):
                codes = shard.codes(clip, 0, -(-frames // stride))
                if int(codes.max()) >= shard.head.codes:
                    raise ShardError(path, f"has codes that are not in a codebook of {shard.head.codes}", clip)
                for step in range(shard.head.group):
                    use.counts[step] += np.bincount(codes[step :: shard.head.group].ravel(), minlength=shard.head.codes)
            use.shards += 1
            use.clips += shard.clips
            use.bytes += path.stat().st_size
    if use is None:
        raise ShardError("this folder", "has no shards of codes")
    return use


def _entropies(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Of each codebook's codes, in nats, [G]."""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    found: npt.NDArray[np.float64] = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)
    return found


@dataclass
class CodeVerdict:
    """What was found: sound shards, and sentences on the others and on what lies beside them."""

    shards: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_codes(folder: Path) -> CodeVerdict:
    """Read every byte of every code shard; all are looked at, whatever is wrong with the first.

    Raises:
        OSError: the folder cannot be listed.
    """
    verdict = CodeVerdict()
    first: Head | None = None
    for path in code_shard_paths(folder):
        try:
            with CodeShard(path) as shard:
                verdict.bytes += shard.check()
                _check_kind(path, shard.head, first := first or shard.head)
            verdict.shards += 1
        except ShardError as error:
            verdict.problems.append(f"{error}. What to do: {_AGAIN}")
    left = sorted(path.name for path in Path(folder).glob(f"{PREFIX}*{UNFINISHED}"))
    if left:
        verdict.notes.append(f"unfinished: {', '.join(left)}. A running codes writes it, or the next run removes it")
    return verdict


def _check_kind(path: Path, head: Head, first: Head) -> None:
    mine, theirs = ((h.encoder, h.geometry, h.strides, h.codes, h.group) for h in (head, first))
    if mine != theirs:
        raise ShardError(
            path,
            f"is of the encoder {head.encoder} ({head.geometry}), others here of {first.encoder} ({first.geometry})",
        )

"""How large the comparisons are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Of everything that is run.

    Attributes:
        clips: videos of each corpus, of one clip each.
        seconds: of each.
        width, height: pixels of the clips.
        stage1: settings of stage 1.
        paper: of the paper's stage 1, whose codes its decoder takes.
        framewise, fc, wavenet: settings of the decoders' trainings.
        slow_clips: test clips that all decoders make sound for, the slow one too.
    """

    clips: int
    seconds: float
    width: int
    height: int
    stage1: tuple[str, ...]
    paper: tuple[str, ...]
    framewise: tuple[str, ...]
    fc: tuple[str, ...]
    wavenet: tuple[str, ...]
    slow_clips: int


_QUIET = ("train.validate_every=0",)
# Frames sharp enough for blows (docs/LOG.md), for fly-bys too: what is compared must differ in one thing.
_SHARP = ("model.strides=2x8x8", "model.group=2", "model.dim=64", "model.beam=2", "colours=0", "train.batch=2", *_QUIET)

_PAPER = ("model=paper", "model.channels=64", "model.dim=16", "colours=0", "crop=20", "train.batch=2", *_QUIET)

SIZES = {
    "full": Size(
        400, 10, 256, 144, (*_SHARP, "train.steps=80"), (*_PAPER, "train.steps=200"), ("train.steps=450", "train.batch=4", *_QUIET),
        ("preset=paper", "train.steps=450", *_QUIET), ("preset=wavenet", "train.steps=450", *_QUIET), 8,
    ),
    "small": Size(
        100, 10, 256, 144, (*_SHARP, "train.steps=40"), (*_PAPER, "train.steps=60"), ("train.steps=150", "train.batch=4", *_QUIET),
        ("preset=paper", "train.steps=150", *_QUIET), ("preset=wavenet", "train.steps=150", *_QUIET), 2,
    ),
    "tiny": Size(
        24, 4, 64, 48, ("preset=tiny", "train.steps=20"), ("preset=tiny", "model=paper", "train.steps=20"),
        ("preset=tiny", "train.steps=20", "train.batch=2"),
        ("preset=tiny", "decoder=fc", "crop=0", "train.steps=20", "train.batch=2"),
        ("preset=tiny", "decoder=wavenet", "train.steps=20", "train.batch=2"), 1,
    ),
}  # fmt: skip

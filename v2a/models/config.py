"""How a network of stage 1 is made; needs no torch, so that a login node can check it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar

NAMES = ("paper", "residual")
_LENGTHS = (1, 2, 4, 8, 16)
_MOST = {"dim": 1024, "channels": 4096, "narrow": 4096, "blocks": 64, "encoder_blocks": 64, "group": 64, "beam": 256}


@dataclass(frozen=True)
class Model:
    """A network's settings.

    Attributes:
        name: "paper": two strided convolutions and two transposed ones; "residual": ours.
        dim: D, numbers of a code's vector.
        channels: of the features at the latent grid; "paper" has half as many before its second convolution.
        narrow: channels of "residual" where it works on single latent steps and finer.
        blocks: residual blocks of the decoder ("residual" only).
        encoder_blocks: residual blocks of the encoder ("residual" only).
        group: latent steps whose codes describe their frames together ("residual" only).
        beam: sums of codes that are kept while a group's codes are looked for, outside training; 1 for each stage's nearest
            ("residual" only).
        slow: learning rate of the encoder and of the transforms, which start near their best, as a share of the decoder's;
            codebooks do not follow an encoder that moves faster ("residual" only).
        strides: frames x rows x columns that one code stands for, each a power of two up to 16.
    """

    NAME: ClassVar[str] = "name"

    name: str = "residual"
    dim: int = 96
    channels: int = 192
    narrow: int = 64
    blocks: int = 3
    encoder_blocks: int = 2
    group: int = 5
    beam: int = 8
    slow: float = 0.1
    strides: str = "4x8x8"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if self.name not in NAMES:
            raise ValueError(f"expected model.name to be {' or '.join(NAMES)}, but got {self.name!r}")
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ValueError(f"expected model.{name} from 1 to {most}, but got {value}")
        if not 0 < self.slow <= 1:
            raise ValueError(f"expected model.slow above 0, at most 1, but got {self.slow:g}")
        for name in ("channels", "narrow"):
            value = getattr(self, name)
            if value % 8:
                near = max(8, round(value / 8) * 8)
                raise ValueError(f"expected model.{name} a multiple of 8, but got {value}; {near} is")
        self._check_strides()

    def _check_strides(self) -> None:
        found = re.fullmatch(r"([0-9]+)x([0-9]+)x([0-9]+)", self.strides)
        if not found or any(int(length) not in _LENGTHS for length in found.groups()):
            raise ValueError(
                "expected model.strides as frames x rows x columns, each 1, 2, 4, 8 or 16, such as 4x8x8, "
                f"but got {self.strides!r}"
            )
        size = 3 * math.prod(self.product) * self.group
        if self.name == "residual" and self.dim > size:
            raise ValueError(
                f"expected model.dim of at most {size}, the numbers of a group's block, but got {self.dim}"
            )

    @property
    def product(self) -> tuple[int, int, int]:
        """Frames, rows and columns of one code; `Geometry.latent_grid([model.product])` is the grid of a clip's codes."""
        time, rows, columns = (int(length) for length in self.strides.split("x"))
        return time, rows, columns

    @property
    def steps(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Strides of the paper's two convolutions: the second takes at most 2 of each length, 4x8x8 is 2x4x4 then 2x2x2."""
        second = tuple(min(2, length) for length in self.product)
        first = tuple(length // part for length, part in zip(self.product, second, strict=True))
        return (first[0], first[1], first[2]), (second[0], second[1], second[2])

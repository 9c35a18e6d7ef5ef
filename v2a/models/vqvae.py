"""The 3D VQ-VAE (section 3 of the paper; van den Oord et al. 2017): video to codes, codes to video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from v2a.models.staged import StagedQuantizer
from v2a.quantize.base import Quantized, Quantizer


@dataclass(frozen=True)
class Reconstruction:
    """What a forward pass gives.

    Attributes:
        video: [B, 3, T, H, W], 0 to 1.
        quantized: vectors, codes and loss of the quantizer.
    """

    video: torch.Tensor
    quantized: Quantized


class VQVAE(nn.Module):
    """Encoder, quantizer and decoder.

    Videos are floating point [B, 3, T, H, W], 0 to 1, of any T, H and W that are multiples of the strides; codes are
    int64 [B, t, h, w] of T / strides[0], H / strides[1], W / strides[2].

    Args:
        encoder: [B, 3, T, H, W], -1 to 1, to [B, D, t, h, w].
        decoder: [B, D, t, h, w] to [B, 3, T, H, W], 0 to 1.
        quantizer: of vectors of D numbers.
        strides: frames, rows and columns of one code.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        quantizer: Quantizer | StagedQuantizer,
        strides: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.quantizer = quantizer
        self.strides = strides

    def encode(self, video: torch.Tensor) -> torch.Tensor:
        """Encodings [B, D, t, h, w] of a video, before the quantizer.

        Raises:
            ValueError: another shape or dtype, or a length that is no multiple of its stride.
        """
        self._check_video(video)
        encodings: torch.Tensor = self.encoder((video * 2).sub_(1))
        return encodings

    @torch.no_grad()
    def begin(self, videos: Iterable[torch.Tensor]) -> None:
        """Start the codebook from the encodings of as many batches as it wants, before training. Every rank calls it.

        Args:
            videos: this rank's batches, as `forward` takes them; no more are taken than are wanted.

        Raises:
            ValueError: see `encode`.
        """
        wanted = self.quantizer.wanted()
        found: list[torch.Tensor] = []
        for video in videos if wanted else ():
            found.append(self.encode(video))
            wanted -= found[-1].numel() // self.quantizer.dim
            if wanted <= 0:
                break
        self.quantizer.begin(found)

    @torch.no_grad()
    def codes(self, video: torch.Tensor) -> torch.Tensor:
        """Codes of a video, int64 [B, t, h, w].

        Raises:
            ValueError: see `encode`; or the model is in training mode, in which its codebook would learn.
        """
        if self.training:
            raise ValueError("expected the model in evaluation mode, but it is in training; call .eval()")
        codes: torch.Tensor = self.quantizer(self.encode(video)).codes
        return codes

    def decode(self, vectors: torch.Tensor) -> torch.Tensor:
        """The video, 0 to 1, of codes' vectors [B, D, t, h, w] (`quantizer.codes_to_vectors`).

        Raises:
            ValueError: another shape.
        """
        if vectors.ndim != 5 or vectors.shape[1] != self.quantizer.dim or 0 in vectors.shape:
            raise ValueError(f"expected vectors [B, {self.quantizer.dim}, t, h, w], but got {tuple(vectors.shape)}")
        video: torch.Tensor = self.decoder(vectors)
        return video

    def forward(self, video: torch.Tensor) -> Reconstruction:
        """Encode, quantize, decode.

        Raises:
            ValueError: see `encode`.
        """
        quantized: Quantized = self.quantizer(self.encode(video))
        return Reconstruction(self.decode(quantized.vectors), quantized)

    def _check_video(self, video: torch.Tensor) -> None:
        if not video.is_floating_point() or video.ndim != 5 or video.shape[1] != 3 or 0 in video.shape:
            raise ValueError(
                f"expected a video [B, 3, T, H, W] of floating point, 0 to 1, but got {video.dtype} of shape "
                f"{tuple(video.shape)}"
            )
        for name, length, stride in zip(("frames", "height", "width"), video.shape[2:], self.strides, strict=True):
            if length % stride:
                near = max(stride, round(length / stride) * stride)
                raise ValueError(f"expected {name} a multiple of {stride}, but got {length}; {near} is")
